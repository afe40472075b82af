//! What this server keeps on disk, as bytes: the raft log (`raft.redb` and the segments beside it) and the checkpoint of
//! the state (`state.redb`).
//!
//! Owns the two redb files, their threads, their format versions, and the snapshot file format. It must never name
//! openraft, decode a log entry, or know the state machine by more than its rows. The only user of redb.
//!
//! The two files have no order between them; three rules make that safe: the checkpoint writes rows and the id of the
//! last applied entry in one transaction; on start only the checkpoint counts as applied and the log is replayed from
//! there; the log is purged only up to a checkpoint whose commit has returned.
//!
//! Missing: migration between formats (there is one format so far).

pub mod fault;

mod checkpoint;
mod error;
mod fatal;
mod import;
mod journal;
mod log;
mod log_writer;
mod medium;
mod mirror;
mod offline;
mod segment;
mod snapshot;
mod tables;

pub use checkpoint::{Checkpoint, Delta, Loaded, Position, View};
pub use error::StoreError;
pub use fatal::Fatal;
pub use log::{Done, Log, OpenedLog};
pub use medium::Medium;
pub use offline::Stored;
pub use snapshot::{Image, SnapshotError};
pub use tables::Identity;

#[cfg(test)]
mod tests;
