//! What an applied record changed: the only source of watch events, blocking queries and checkpoint rows.

use super::Request;
use crate::model::{
    Autopilot, Coordinate, Instance, KvEntry, Lock, NodeRecord, PreparedQuery, RequestId, Session, Tombstone,
};
use bytes::Bytes;
use std::sync::Arc;
use uuid::Uuid;

/// One change and the revision it belongs to. All changes of one revision become visible together.
#[derive(Clone, Debug)]
pub struct Change {
    /// Index of the log entry.
    pub revision: u64,
    /// What changed.
    pub what: What,
}

impl Change {
    /// Lets go of what the checkpoint does not need: it may wait for seconds.
    pub fn shed(&mut self) {
        match &mut self.what {
            What::Instance { before, after: Some(_) } => *before = None,
            What::Node { before, after: Some(_) } => *before = None,
            _ => {}
        }
    }
}

/// The object before and after; `None`: not there.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "before and after are named by themselves")]
pub enum What {
    /// An instance, or its checks.
    Instance { before: Option<Arc<Instance>>, after: Option<Arc<Instance>> },
    /// The record is the same, but its node changed, and so what is shown of it.
    Touched(Arc<Instance>),
    /// A node, or its checks.
    Node { before: Option<Arc<NodeRecord>>, after: Option<Arc<NodeRecord>> },
    /// A key.
    Kv { before: Option<Arc<KvEntry>>, after: Option<Arc<KvEntry>> },
    /// The memory of a deleted key was dropped.
    TombstoneDropped(Arc<Tombstone>),
    /// A session.
    Session { before: Option<Arc<Session>>, after: Option<Arc<Session>> },
    /// A key of an ended session cannot be locked until then, milliseconds since the epoch; unset: no longer so.
    LockDelay { key: Bytes, until_ms: Option<u64> },
    /// A network coordinate.
    Coordinate { before: Option<Arc<Coordinate>>, after: Option<Arc<Coordinate>> },
    /// A lock.
    Lock { before: Option<Arc<Lock>>, after: Option<Arc<Lock>> },
    /// A prepared query.
    Query { before: Option<Arc<PreparedQuery>>, after: Option<Arc<PreparedQuery>> },
    /// The autopilot configuration as it is now.
    Autopilot(Arc<Autopilot>),
    /// A part of a snapshot waits for the others, or no longer does.
    Gathered { part: u32, rows: Option<(Uuid, Bytes)> },
    /// The result of a write is remembered.
    Request(Arc<Request>),
    /// It is no longer remembered.
    RequestDropped(RequestId),
}
