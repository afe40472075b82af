//! What the HTTP API registered, kept in the data directory.
//!
//! One file, `agent.journal`: a line that names the format, then one line per change with its checksum. A thread
//! appends what has gathered and syncs once for all of it; when most of the file is out of date it is written anew
//! beside the old one and renamed over it. A line that is damaged is reported with its file and number and skipped; a
//! file of an unknown format is kept aside under another name. States of TTL checks are written without a sync of
//! their own: losing the last of them costs a check its first renewal.

mod file;
mod row;
#[cfg(test)]
mod tests;
mod writer;

pub(super) use row::{Change, Row, TtlState};
pub(super) use writer::{Journal, Slot, Stored};
