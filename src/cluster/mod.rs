//! From single servers to a cluster: founding it, letting servers in, giving and taking votes, removing the dead.
//!
//! Owns when the membership of raft changes; how it changes is the business of [`crate::raft`]. Who is there is told by a
//! [`Directory`], which gossip keeps. It must never found a second cluster: a server without data joins one or waits.
//!
//! [`form`] runs on every server until it is a member, and keeps its entry right; [`places`] tells raft who
//! has moved; [`autopilot`] runs on the leader.

mod autopilot;
mod form;
mod places;

pub use autopilot::{ServerHealth, health, run as run_autopilot};
pub use form::{Founding, run as run_form};
pub use places::run as run_places;

use std::sync::Arc;
use tokio::sync::watch;
use uuid::Uuid;

/// What is known of a server by other means than raft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It answers.
    Alive,
    /// It has stopped answering.
    Failed,
    /// It said that it leaves.
    Left,
}

/// A server that was heard of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Name of its node.
    pub name: String,
    /// Identity of its node.
    pub id: Uuid,
    /// host:port of its server port.
    pub address: String,
    /// Whether it is there.
    pub presence: Presence,
}

/// All servers that were heard of, this one perhaps among them, as they change.
pub type Directory = watch::Receiver<Arc<[Seen]>>;
