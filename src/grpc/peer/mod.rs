//! Servers among themselves: what raft wants carried, on the server port.
//!
//! Owns: connections to other servers, and the listener for them. It never looks into a message. Heartbeats and entries
//! share a connection per server; snapshots have one of their own, so that they delay nothing.

mod client;
mod server;

pub use client::Connections;
pub use server::serve;
