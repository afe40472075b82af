//! The use cases, once, for all edges and for the agent.
//!
//! A write builds one [`Command`](crate::command::Command) and proposes it; a read passes the barrier that the caller
//! asked for and takes a snapshot of the state. Sessions' leases live here in the leader's memory ([`lease`]) and are
//! never log traffic; only their end is. Nothing here knows a wire format, and no edge decides anything.

pub mod admission;
mod batch;
mod coordinate;
mod coordination;
mod core;
mod error;
mod event;
mod expire;
#[cfg(fuzzing)]
pub(crate) mod fuzz;
mod heartbeat;
mod kv;
mod lease;
mod operator;
mod query;
mod read;
mod reconcile;
mod registry;
mod session;
mod snapshot;

#[cfg(test)]
pub(crate) mod tests;

pub use self::core::{Core, Facts, Member, Written};
pub use crate::cluster::{Presence, ServerHealth};
pub use batch::BatchDone;
pub use coordination::{LockAsk, LockDone};
pub use error::Error;
pub use event::{EVENT_BYTES_MAX, EVENTS_MAX, EventError, UserEvent};
pub use kv::PutDone;
pub use operator::{Peer, PeerName};
pub use query::{near_first, query_instances};
pub use read::{Consistency, ReadOptions, View};
pub use reconcile::{Patience, Reach};
pub use session::{Proof, SessionSpec};

/// Consul's node name for instances that have no node.
pub const AGENTLESS: &str = "agentless";
