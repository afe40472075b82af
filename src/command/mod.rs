//! What may enter the raft log, and what comes back from applying it.
//!
//! A [`Record`] is one log entry: a [`Command`] with the leader's time and the client's request id. The edges and the
//! public proto never appear here, so the API and the log can change apart. Bytes are made in [`codec`]; numbers in
//! `proto/lictor/internal/v1` are never reused.

#[cfg(test)]
pub(crate) mod arbitrary;
mod batch;
pub mod codec;
mod convert;
mod operator;
mod outcome;
mod weight;

use crate::model::{
    Behavior, Check, Coordinate, Instance, InstanceKey, Lifecycle, LockKind, NodeBinding, NodeRecord, Override,
    RequestId, SessionId, Text,
};
use bytes::Bytes;
use std::fmt;

pub use batch::{Batch, BatchFailure, BatchOp, BatchResult, CatalogVerb, CheckOp, KvOp, KvVerb, NodeOp, ServiceOp};
pub use codec::CodecError;
pub use operator::{DeleteQuery, Restore, SetAutopilot, SetQuery};
pub use outcome::{Outcome, Rejection, Reply};

/// One entry of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The leader's clock, milliseconds since the epoch; apply makes it monotonic.
    pub time_ms: u64,
    /// The client's identity of the write; a second record with it is not applied again.
    pub request_id: Option<RequestId>,
    /// What to do.
    pub command: Command,
}

/// Everything that changes the state.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Upsert instances, all or nothing.
    Register(Register),
    /// Change some fields of an instance.
    Update(Update),
    /// Remove instances.
    Deregister(Deregister),
    /// Set checks and lifecycle of an instance.
    Report(Report),
    /// Set or remove an operator's word on an instance.
    SetOverride(SetOverride),
    /// Upsert a node, and with it a service instance and checks: Consul's catalog registration.
    CatalogRegister(Box<CatalogRegister>),
    /// Remove a node, a service instance or a check: Consul's catalog deregistration.
    CatalogDeregister(CatalogDeregister),
    /// Set a key.
    Put(Put),
    /// Delete keys.
    Delete(Delete),
    /// Several operations in one revision.
    Txn(Txn),
    /// Create a session.
    CreateSession(CreateSession),
    /// End a session.
    CloseSession(CloseSession),
    /// Acquire a lock, or wait for it.
    AcquireLock(AcquireLock),
    /// Give a lock back, or stop waiting for it.
    ReleaseLock(ReleaseLock),
    /// Replace the value of a held lock or election.
    Proclaim(Proclaim),
    /// Remove what has run out of time; checked again while applying.
    Expire(Expire),
    /// Consul's transaction.
    Batch(Batch),
    /// Create or replace a prepared query.
    SetQuery(Box<SetQuery>),
    /// Delete a prepared query.
    DeleteQuery(DeleteQuery),
    /// Replace the autopilot configuration.
    SetAutopilot(SetAutopilot),
    /// A part of a snapshot; with the last one the state becomes what the snapshot holds.
    Restore(Restore),
    /// Move nodes in the space of round trip times.
    UpdateCoordinates(UpdateCoordinates),
}

/// See [`Command::Register`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Register {
    /// They live with this session.
    pub session: Option<SessionId>,
    /// As wanted; revisions, checks and override are ignored.
    pub instances: Vec<Instance>,
}

/// The fields that an update may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the field of the instance of that name")]
#[repr(u32)]
pub enum Field {
    Address = 1,
    Port = 2,
    NamedPorts = 4,
    Locality = 8,
    Weight = 16,
    Tags = 32,
    Metadata = 64,
    Version = 128,
    Lifecycle = 256,
}

/// See [`Command::Update`].
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// Holds the new values of the masked fields, and the key.
    pub instance: Instance,
    /// Sum of [`Field`]s.
    pub mask: u32,
    /// Must be the instance's revision.
    pub expected_revision: Option<u64>,
}

/// See [`Command::Deregister`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Deregister {
    /// Which; absent ones are no error.
    pub keys: Vec<InstanceKey>,
    /// Must be the revision of the only instance.
    pub expected_revision: Option<u64>,
    /// Only instances of this session.
    pub session: Option<SessionId>,
}

/// See [`Command::Report`].
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Which.
    pub key: InstanceKey,
    /// Replace those of the same id.
    pub checks: Vec<Check>,
    /// Unset: unchanged.
    pub lifecycle: Option<Lifecycle>,
    /// Only an instance of this session.
    pub session: Option<SessionId>,
}

/// See [`Command::SetOverride`].
#[derive(Clone, Debug, PartialEq)]
pub struct SetOverride {
    /// Which.
    pub key: InstanceKey,
    /// Unset: remove it.
    pub overriding: Option<Override>,
}

/// See [`Command::CatalogRegister`].
#[derive(Clone, Debug, PartialEq)]
pub struct CatalogRegister {
    /// The node; its checks are ignored.
    pub node: NodeRecord,
    /// An existing node is left as it is.
    pub skip_node_update: bool,
    /// The service; its node is set to this one.
    pub service: Option<Instance>,
    /// Checks of the node, or of a service of it.
    pub checks: Vec<CatalogCheck>,
}

/// A check in a catalog registration.
#[derive(Clone, Debug, PartialEq)]
pub struct CatalogCheck {
    /// Id of the service on the node; empty: a check of the node.
    pub service_id: Text,
    /// The check.
    pub check: Check,
}

/// See [`Command::CatalogDeregister`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CatalogDeregister {
    /// Which node.
    pub node: Text,
    /// Only this service of it.
    pub service_id: Text,
    /// Only this check of it.
    pub check_id: Text,
}

/// What a write to a key means for its lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LockOp {
    /// Nothing: it stays as it is.
    #[default]
    Keep,
    /// The key belongs to the session and goes with it; refused if another session holds it.
    Attach(SessionId),
    /// Consul's acquire: refused (as an outcome) if another session holds it.
    Acquire(SessionId),
    /// Consul's release: refused (as an outcome) unless this session holds it.
    Release(SessionId),
}

/// See [`Command::Put`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Put {
    /// Key.
    pub key: Bytes,
    /// Value.
    pub value: Bytes,
    /// Must be the key's revision; 0: it must not exist.
    pub expected_revision: Option<u64>,
    /// Effect on the lock.
    pub lock: LockOp,
    /// Deleted this long after the record's time.
    pub ttl_ms: Option<u64>,
    /// Free for the application.
    pub flags: u64,
}

/// What a deletion names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One key.
    Key(Bytes),
    /// All keys that start so.
    Prefix(Bytes),
}

/// See [`Command::Delete`].
#[derive(Clone, Debug, PartialEq)]
pub struct Delete {
    /// Which.
    pub target: Target,
    /// Must be the key's revision.
    pub expected_revision: Option<u64>,
}

/// See [`Command::Txn`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Txn {
    /// All must hold.
    pub compares: Vec<Compare>,
    /// Done if they do.
    pub success: Vec<Op>,
    /// Done if one does not.
    pub failure: Vec<Op>,
}

/// A condition on a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Compare {
    /// Which key.
    pub key: Bytes,
    /// What must be so.
    pub expect: Expect,
}

/// See [`Compare`].
#[derive(Clone, Debug, PartialEq)]
pub enum Expect {
    /// 0: absent.
    ModifyRevision(u64),
    /// 0: absent.
    Version(u64),
    /// Equal bytes.
    Value(Bytes),
    /// There or not.
    Exists(bool),
    /// Held by this session, or by none.
    Session(Option<SessionId>),
}

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Set a key.
    Put(Put),
    /// Delete keys.
    Delete(Delete),
    /// Read a key.
    Get(Bytes),
    /// Register instances.
    Register(Register),
    /// Deregister instances.
    Deregister(Deregister),
}

/// See [`Command::CreateSession`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CreateSession {
    /// Made by the proposing server.
    pub id: SessionId,
    /// Made by the proposing server.
    pub secret: [u8; 16],
    /// Milliseconds.
    pub ttl_ms: u64,
    /// Milliseconds.
    pub grace_ms: u64,
    /// In order of key.
    pub labels: Vec<(Text, Text)>,
    /// Of its keys.
    pub behavior: Behavior,
    /// See [`Session::binding`](crate::model::Session::binding).
    pub binding: Option<Box<NodeBinding>>,
}

/// See [`Command::CloseSession`].
#[derive(Clone, Debug, PartialEq)]
pub struct CloseSession {
    /// Which.
    pub id: SessionId,
}

/// See [`Command::AcquireLock`].
#[derive(Clone, Debug, PartialEq)]
pub struct AcquireLock {
    /// Lock or election.
    pub kind: LockKind,
    /// Name.
    pub name: Text,
    /// For whom.
    pub session: SessionId,
    /// Shown to others.
    pub value: Bytes,
    /// Holders at the same time.
    pub permits: u32,
    /// Queue up if it is taken.
    pub wait: bool,
}

/// See [`Command::ReleaseLock`].
#[derive(Clone, Debug, PartialEq)]
pub struct ReleaseLock {
    /// Lock or election.
    pub kind: LockKind,
    /// Name.
    pub name: Text,
    /// Whose.
    pub session: SessionId,
    /// The token of the holder; unset: leave the queue of waiters.
    pub token: Option<u64>,
}

/// See [`Command::Proclaim`].
#[derive(Clone, Debug, PartialEq)]
pub struct Proclaim {
    /// Lock or election.
    pub kind: LockKind,
    /// Name.
    pub name: Text,
    /// The holder's token.
    pub token: u64,
    /// The new value.
    pub value: Bytes,
}

/// See [`Command::Expire`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expire {
    /// The term in which the leader decided this; in another term its lease table may be stale, and nothing expires.
    pub term: u64,
    /// Sessions without a heartbeat, with the revision of their creation.
    pub sessions: Vec<(SessionId, u64)>,
    /// Keys whose time may have come.
    pub keys: Vec<Bytes>,
    /// Instances whose override may have ended.
    pub overrides: Vec<InstanceKey>,
}

/// See [`Command::UpdateCoordinates`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpdateCoordinates {
    /// The new places; those of unknown nodes are left out.
    pub coordinates: Vec<Coordinate>,
}

impl Command {
    /// The verb, as metrics and logs have it.
    pub fn op(&self) -> &'static str {
        match self {
            Command::Register(_) => "register",
            Command::Update(_) => "update",
            Command::Deregister(_) => "deregister",
            Command::Report(_) => "report",
            Command::SetOverride(_) => "set_override",
            Command::CatalogRegister(_) => "catalog_register",
            Command::CatalogDeregister(_) => "catalog_deregister",
            Command::Put(_) => "put",
            Command::Delete(_) => "delete",
            Command::Txn(_) => "txn",
            Command::CreateSession(_) => "create_session",
            Command::CloseSession(_) => "close_session",
            Command::AcquireLock(_) => "acquire_lock",
            Command::ReleaseLock(_) => "release_lock",
            Command::Proclaim(_) => "proclaim",
            Command::Expire(_) => "expire",
            Command::Batch(_) => "batch",
            Command::SetQuery(_) => "set_query",
            Command::DeleteQuery(_) => "delete_query",
            Command::SetAutopilot(_) => "set_autopilot",
            Command::Restore(_) => "restore",
            Command::UpdateCoordinates(_) => "update_coordinates",
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.command.op(), self.time_ms)?;
        match &self.request_id {
            Some(id) => write!(f, " request={id}"),
            None => Ok(()),
        }
    }
}
