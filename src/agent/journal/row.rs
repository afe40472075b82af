//! A line of the journal, and its text.

use crate::model::{CheckDefinition, ServiceDefinition, Text, fold};
use serde::{Deserialize, Serialize};

/// Something that is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::agent) enum Row {
    /// A service, without its checks.
    Service(Box<ServiceDefinition>),
    /// A check.
    Check(Box<CheckDefinition>),
    /// What a TTL check was last told.
    Ttl(TtlState),
}

/// See [`Row::Ttl`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::agent) struct TtlState {
    /// Id of the check.
    pub(in crate::agent) id: Text,
    /// Consul's word for its state.
    pub(in crate::agent) status: Text,
    /// Its output.
    pub(in crate::agent) output: Text,
    /// When it expires, milliseconds since the epoch.
    pub(in crate::agent) expires_ms: u64,
}

/// A change of what is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::agent) enum Change {
    /// Store it, in place of one with its id.
    Put(Row),
    /// Remove a service.
    DropService(Text),
    /// Remove a check and its state.
    DropCheck(Text),
}

/// What a row replaces: its kind and its folded id.
pub(super) type Key = (u8, Text);

impl Row {
    pub(super) fn key(&self) -> Key {
        match self {
            Row::Service(service) => (0, fold(service.own_id())),
            Row::Check(check) => (1, fold(&check.id)),
            Row::Ttl(state) => (2, fold(&state.id)),
        }
    }
}

impl Change {
    /// The keys that it empties.
    pub(super) fn dropped(&self) -> Vec<Key> {
        match self {
            Change::Put(_) => Vec::new(),
            Change::DropService(id) => vec![(0, fold(id))],
            Change::DropCheck(id) => vec![(1, fold(id)), (2, fold(id))],
        }
    }

    /// Whether it has to survive a crash once it was acknowledged.
    pub(super) fn is_durable(&self) -> bool {
        !matches!(self, Change::Put(Row::Ttl(_)))
    }

    /// Its line, with the line feed.
    pub(super) fn line(&self) -> Result<String, serde_json::Error> {
        let text = serde_json::to_string(self)?;
        Ok(format!("{:08x} {text}\n", crc32c::crc32c(text.as_bytes())))
    }

    /// Reads a line; the error says what is wrong with it.
    pub(super) fn parse(line: &str) -> Result<Change, String> {
        let (sum, text) = line.split_once(' ').ok_or("it has no checksum")?;
        let sum = u32::from_str_radix(sum, 16).map_err(|_| "its checksum is no number")?;
        if sum != crc32c::crc32c(text.as_bytes()) {
            return Err("its checksum does not match".to_owned());
        }
        serde_json::from_str(text).map_err(|e| e.to_string())
    }
}
