//! Replication: the log is agreed on, made durable, applied once and in order, and the resulting state is published.
//!
//! Owns consensus, applying and the published state; the only user of openraft. It must never look into a command: what
//! a record means is the machine's business, what a row is the store's.
//!
//! The order for every applied batch, kept in [`state_machine`] alone: apply, publish the state, tell the watch hub,
//! hand the changes to the checkpoint, answer the callers.
//!
//! Other servers are asked through [`Peers`], whoever carries it; what they ask of this one comes in through
//! [`Handle::serve`]. A write or a read that only the leader can do goes there from any server ([`forward`]).

mod bootstrap;
mod codec;
mod contact;
mod entry_cache;
mod error;
mod failover;
mod forward;
mod handle;
mod haste;
mod link;
mod log_store;
mod members;
mod network;
mod peers;
mod places;
mod progress;
mod proposer;
mod purge;
mod recovery;
mod rounds;
mod serve;
mod session;
mod state_machine;
mod status;
mod superseded;
mod transfer;
mod types;
mod unfinished;
mod wire;

#[cfg(test)]
pub(crate) use bootstrap::start_on;
pub use bootstrap::{Options, start};
pub use error::{ProposeError, StartError};
pub use handle::{Answering, Barrier, Handle, Leadership, Standing};
pub use members::{Follower, Probed};
pub use peers::{Lingered, NoPeers, Peers, Replies, Requests, Unreached};
pub use recovery::{Holdings, RecoverError, Survivor};
pub use status::{Member, Role, Status};
pub use types::Node;

#[cfg(test)]
mod tests;
