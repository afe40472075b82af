//! The types that openraft is set up with, and short names for them.

use crate::command::{Record, Reply};
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;

/// What runs openraft's tasks.
#[cfg(not(test))]
pub(super) type Runtime = openraft::impls::TokioRuntime;
/// The same, but what is random in it can be repeated.
#[cfg(test)]
pub(super) type Runtime = super::tests::runtime::Seeded;

openraft::declare_raft_types!(
    /// The types of this project's raft.
    pub(super) TypeConfig:
        D = Proposal,
        R = Option<Reply>,
        NodeId = u64,
        Node = Node,
        AsyncRuntime = Runtime,
);

pub(super) type LogId = openraft::alias::LogIdOf<TypeConfig>;
pub(super) type LeaderId = openraft::alias::LeaderIdOf<TypeConfig>;
pub(super) type Vote = openraft::alias::VoteOf<TypeConfig>;
pub(super) type Entry = openraft::alias::EntryOf<TypeConfig>;
pub(super) type Payload = openraft::EntryPayload<Proposal, u64, Node>;
pub(super) type Membership = openraft::Membership<u64, Node>;
pub(super) type StoredMembership = openraft::alias::StoredMembershipOf<TypeConfig>;
pub(super) type SnapshotMeta = openraft::alias::SnapshotMetaOf<TypeConfig>;
pub(super) type Snapshot = openraft::alias::SnapshotOf<TypeConfig, crate::store::Image>;
pub(super) type Raft = openraft::Raft<TypeConfig, super::state_machine::StateMachine>;

/// A server of the cluster, as its peers must know it to reach it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// The node's name in the catalog.
    pub name: String,
    /// host:port of its server-to-server listener; empty for a single server that has none.
    pub address: String,
    /// The node's identity; nil if it was not told.
    pub id: uuid::Uuid,
    /// It receives the log, but shall never have a vote.
    pub read_only: bool,
    /// host:port of its gRPC API; empty: it has none.
    pub grpc: String,
    /// Version of its software.
    pub version: String,
}

/// A record on its way through the log: decoded for applying, encoded for disk and peers, each made once.
#[derive(Clone)]
pub(super) struct Proposal {
    inner: Arc<(Record, Bytes)>,
}

impl Proposal {
    pub(super) fn new(record: Record) -> Proposal {
        let bytes = record.encode().into();
        Proposal { inner: Arc::new((record, bytes)) }
    }

    pub(super) fn decode(bytes: Bytes) -> Result<Proposal, crate::command::CodecError> {
        let record = Record::decode(&bytes)?;
        Ok(Proposal { inner: Arc::new((record, bytes)) })
    }

    pub(super) fn record(&self) -> &Record {
        &self.inner.0
    }

    pub(super) fn bytes(&self) -> &Bytes {
        &self.inner.1
    }
}

impl fmt::Debug for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.record(), f)
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.record(), f)
    }
}
