//! Sessions, and the locks and elections that they hold.

use super::Text;
use bytes::Bytes;
use uuid::Uuid;

/// Identity of a session.
pub type SessionId = Uuid;

/// Identity of a write, chosen by the client.
pub type RequestId = Uuid;

/// What happens to the keys that a session holds when it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Behavior {
    /// They are unlocked.
    #[default]
    Release,
    /// They are deleted.
    Delete,
}

/// A lease held by a process. When it was last renewed is known to the leader only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Identity.
    pub id: SessionId,
    /// Proof of ownership.
    pub secret: [u8; 16],
    /// Time to live, milliseconds.
    pub ttl_ms: u64,
    /// Time after a broken stream, milliseconds.
    pub grace_ms: u64,
    /// For people, in order of key.
    pub labels: Box<[(Text, Text)]>,
    /// What happens to its keys.
    pub behavior: Behavior,
    /// When it was created, milliseconds since the epoch.
    pub create_ms: u64,
    /// Revision of its creation.
    pub create_revision: u64,
}

/// Locks and elections have separate names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockKind {
    /// A lock or semaphore.
    Lock,
    /// An election.
    Election,
}

/// A session that holds a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockHolder {
    /// The session.
    pub session: SessionId,
    /// The revision of the acquisition.
    pub token: u64,
    /// Shown to others.
    pub value: Bytes,
}

/// A session that waits for a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockWaiter {
    /// The session.
    pub session: SessionId,
    /// Shown to others once it holds the lock.
    pub value: Bytes,
}

/// A lock, semaphore or election that is held or waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Lock or election.
    pub kind: LockKind,
    /// Name.
    pub name: Text,
    /// Holders at the same time.
    pub permits: u32,
    /// In order of acquisition.
    pub holders: Vec<LockHolder>,
    /// In order of arrival.
    pub waiters: Vec<LockWaiter>,
    /// Revision of the last change.
    pub modify_revision: u64,
}
