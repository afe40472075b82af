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

/// What a session depends on besides its lease: a node and checks on it. Sessions of Consul's API have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeBinding {
    /// The node, as the client wrote it. The session ends with it.
    pub node: Text,
    /// For people.
    pub name: Text,
    /// The time to live as the client wrote it.
    pub ttl: Text,
    /// After the session's end nobody can lock its keys for so long, nanoseconds.
    pub lock_delay_ns: u64,
    /// Ids of checks on the node; the session ends when one of them is critical or gone. `None` prints as null.
    pub node_checks: Option<Box<[Text]>>,
    /// Ids and namespaces of further checks. `None` prints as null.
    pub service_checks: Option<Box<[(Text, Text)]>>,
    /// Ids of further checks, given in Consul's older way.
    pub checks: Box<[Text]>,
}

impl NodeBinding {
    /// The ids of all checks.
    pub fn check_ids(&self) -> impl Iterator<Item = &Text> {
        let of_node = self.node_checks.as_deref().unwrap_or_default();
        let of_services = self.service_checks.as_deref().unwrap_or_default();
        self.checks.iter().chain(of_node).chain(of_services.iter().map(|(id, _)| id))
    }
}

/// A lease held by a process. When it was last renewed is known to the leader only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Identity.
    pub id: SessionId,
    /// Proof of ownership.
    pub secret: [u8; 16],
    /// Time to live, milliseconds; 0: it needs no heartbeat.
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
    /// What it depends on; then nobody has to prove it, its id is enough.
    pub binding: Option<Box<NodeBinding>>,
}

impl Session {
    /// How long it lives without a heartbeat, milliseconds; `None`: for ever. Consul's time to live is a lower bound,
    /// and it takes twice that; clients have come to count on it.
    pub fn lease_ms(&self) -> Option<u64> {
        let times = if self.binding.is_some() { 2 } else { 1 };
        (self.ttl_ms > 0).then(|| self.ttl_ms.saturating_mul(times))
    }
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
