//! Snapshots as files: a gzip tar archive in the layout that Consul's tools expect, with `meta.json`, `state.bin` and
//! `SHA256SUMS`.
//!
//! Owns: the archive, its checksums, and the bounds within which a foreign one is read: nothing is believed that an
//! archive claims of itself, and no part of it is held in memory but the two small files. Must never: know what the
//! state in it means. Both the servers, which make and restore snapshots, and the command line, which looks into them,
//! use it.

#[cfg(fuzzing)]
pub(crate) mod fuzz;
mod read;
mod write;

#[cfg(test)]
mod tests;

pub use read::{ArchiveError, Limits, read};
pub use write::write;

use serde::{Deserialize, Serialize};

const META: &str = "meta.json";
const STATE: &str = "state.bin";
const SUMS: &str = "SHA256SUMS";

/// What a snapshot says of itself, as `meta.json` has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Meta {
    /// Of the layout; 1.
    pub version: u64,
    /// Term, index and time in milliseconds, with dashes between.
    #[serde(rename = "ID")]
    pub id: String,
    /// Index of the last log entry in it.
    pub index: u64,
    /// Term of that entry.
    pub term: u64,
    /// The servers in an older form, in base64.
    pub peers: Option<String>,
    /// The servers.
    pub configuration: Configuration,
    /// Index of the log entry that made them the servers.
    pub configuration_index: u64,
    /// Bytes of the state.
    pub size: u64,
}

/// The servers of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Configuration {
    /// In order of their ids in the log.
    pub servers: Option<Vec<Server>>,
}

/// A server of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Server {
    /// 0: it has a vote.
    pub suffrage: u8,
    /// Its identity.
    #[serde(rename = "ID")]
    pub id: String,
    /// host:port of server traffic.
    pub address: String,
}

/// Lower-case hexadecimal digits, as checksums are written.
fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
