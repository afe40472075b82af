//! Consul's transaction: operations on keys, nodes, services and checks, all or nothing, each of which says for itself
//! why it failed.

use crate::model::{Check, Instance, KvEntry, NodeRecord, Text};
use bytes::Bytes;
use std::sync::Arc;

/// See [`Command::Batch`](super::Command::Batch).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// In order; each sees what those before it did.
    pub ops: Vec<BatchOp>,
}

/// One operation of a [`Batch`].
#[derive(Clone, Debug, PartialEq)]
pub enum BatchOp {
    /// On a key, or on all keys with a prefix.
    Kv(KvOp),
    /// On a node.
    Node(NodeOp),
    /// On a service of a node.
    Service(ServiceOp),
    /// On a check of a node or of a service.
    Check(CheckOp),
    /// Fails with this reason: a verb that nobody knows.
    Unknown(Text),
}

/// What to do with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "Consul's verbs, named as there")]
pub enum KvVerb {
    Set,
    Cas,
    Lock,
    Unlock,
    Get,
    GetTree,
    CheckIndex,
    CheckSession,
    CheckNotExists,
    Delete,
    DeleteTree,
    DeleteCas,
}

/// What to do with a node, a service or a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "Consul's verbs, named as there")]
pub enum CatalogVerb {
    Get,
    Set,
    Cas,
    Delete,
    DeleteCas,
}

/// An operation on keys.
#[derive(Clone, Debug, PartialEq)]
pub struct KvOp {
    /// What to do.
    pub verb: KvVerb,
    /// Key, or prefix of a tree.
    pub key: Bytes,
    /// Value to set.
    pub value: Bytes,
    /// Flags to set.
    pub flags: u64,
    /// The revision that the verbs with a condition compare.
    pub index: u64,
    /// The session that locks, unlocks or is compared, as the client wrote it.
    pub session: Text,
}

/// An operation on a node.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeOp {
    /// What to do.
    pub verb: CatalogVerb,
    /// The node; its checks and revisions are ignored.
    pub node: NodeRecord,
    /// The revision that the verbs with a condition compare.
    pub index: u64,
}

/// An operation on a service.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceOp {
    /// What to do.
    pub verb: CatalogVerb,
    /// The service with its node; only the id counts when it is read or deleted.
    pub service: Instance,
    /// The revision that the verbs with a condition compare.
    pub index: u64,
}

/// An operation on a check.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckOp {
    /// What to do.
    pub verb: CatalogVerb,
    /// The node that has it.
    pub node: Text,
    /// Id of the service on the node when it is set; empty: a check of the node.
    pub service_id: Text,
    /// The check; only the id counts when it is read or deleted.
    pub check: Check,
    /// The revision that the verbs with a condition compare.
    pub index: u64,
}

/// What an operation of a [`Batch`] found or stored. Deletions and passed conditions on absent keys have none.
#[derive(Clone, Debug, PartialEq)]
pub enum BatchResult {
    /// A key; without its value unless it was read.
    Kv(Arc<KvEntry>),
    /// A node.
    Node(Arc<NodeRecord>),
    /// A service.
    Service(Arc<Instance>),
    /// A check, the name of its node, and its service if it is one's.
    Check {
        /// Name of the node.
        node: Text,
        /// The service.
        service: Option<Arc<Instance>>,
        /// The check.
        check: Check,
    },
}

/// Why an operation of a [`Batch`] failed, in Consul's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchFailure {
    /// Which operation, from 0.
    pub index: u32,
    /// Why.
    pub reason: String,
}
