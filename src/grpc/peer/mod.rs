//! The server port: what raft wants carried between servers, and what agents that are no servers ask for.
//!
//! Owns: connections to other servers, and the listener for them. It never looks into a message. Heartbeats and entries
//! share a connection per server; writes that are passed on to the leader and snapshots have others, so that they delay
//! nothing.

mod agents;
mod client;
mod door;
mod server;

pub use agents::{AskDns, row_digest};
pub use client::{Connections, MESSAGE_MAX, connect, is_refused};
pub use door::{AskHttp, Door, HttpBody};
pub use server::serve;
