//! Replication: the log is agreed on, made durable, applied once and in order, and the resulting state is published.
//!
//! Owns consensus, applying and the published state; the only user of openraft. It must never look into a command: what
//! a record means is the machine's business, what a row is the store's.
//!
//! The order for every applied batch, kept in [`state_machine`] alone: apply, publish the state, tell the watch hub,
//! hand the changes to the checkpoint, answer the callers.
//!
//! Missing: the network between servers; a cluster has one server so far. Ids and membership are stored as a larger
//! cluster needs them.

mod bootstrap;
mod codec;
mod entry_cache;
mod error;
mod handle;
mod log_store;
mod network;
mod proposer;
mod purge;
mod state_machine;
mod status;
mod types;

#[cfg(test)]
pub(crate) use bootstrap::start_on;
pub use bootstrap::{Options, start};
pub use error::{ProposeError, StartError};
pub use handle::{Barrier, Handle, Leadership};
pub use status::{Member, Role, Status};
pub use types::Node;

#[cfg(test)]
mod tests;
