//! The gRPC edge: `lictor.v1` on the wire.
//!
//! Owns: messages in and out, streams, errors with details, reflection, health checking. Every request becomes a call
//! of [`crate::service`] and every answer comes from it; nothing is decided here. One file per service; `convert` holds
//! the messages, `status` the errors.
//!
//! Must never: buffer without bound for a slow reader, or hold a lock across an await.
//!
//! Missing: TLS and access control; compression of answers (it would undo that a change is encoded once).

mod attach;
mod cluster;
mod convert;
mod coordination;
mod deadline;
mod discovery;
mod entrance;
mod feed;
mod filter;
mod gather;
mod kv;
mod layer;
mod page;
pub mod peer;
mod registry;
mod resolve;
mod select;
mod server;
mod session;
mod set;
mod status;
mod token;
mod watch;
mod watch_keys;
mod wire;

#[cfg(test)]
mod tests;

pub use entrance::{Entrance, watch_place};
pub use server::{Front, ServeError, serve};
pub use status::status;
