//! Keys and values.

use super::SessionId;
use bytes::Bytes;

/// A stored key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvEntry {
    /// Key; ordered by bytes.
    pub key: Bytes,
    /// Value.
    pub value: Bytes,
    /// Free for the application.
    pub flags: u64,
    /// Revision of its creation.
    pub create_revision: u64,
    /// Revision of its last change.
    pub modify_revision: u64,
    /// Changes since its creation, from 1.
    pub version: u64,
    /// The session that holds it.
    pub session: Option<SessionId>,
    /// The key goes with its session, whatever the session's behaviour.
    pub ephemeral: bool,
    /// How often it was locked.
    pub lock_index: u64,
    /// Deleted at this time, milliseconds since the epoch.
    pub expire_ms: Option<u64>,
}

/// A deleted key: keeps the index of a prefix from going back while blocking queries wait on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// The key.
    pub key: Bytes,
    /// Revision of the deletion.
    pub revision: u64,
    /// When, milliseconds since the epoch.
    pub time_ms: u64,
}
