//! What applying a command gives back. Both sides are replicated facts: every server computes the same, and a retry
//! with the same request id gets the same.

use crate::model::{Instance, KvEntry, Override, Session, SessionId};
use std::sync::Arc;
use thiserror::Error;

/// The result of a command.
pub type Reply = Result<Outcome, Rejection>;

/// The command was done.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// As stored, in the order asked.
    Registered(Vec<Arc<Instance>>),
    /// As stored.
    Updated(Arc<Instance>),
    /// How many existed.
    Deregistered(u32),
    /// Health and lifecycle are stored.
    Reported,
    /// As stored.
    Overridden(Option<Override>),
    /// A catalog registration or deregistration is stored.
    Cataloged,
    /// As stored, and what was there before. `done` is false if Consul's acquire or release was refused.
    Put {
        /// The write happened.
        done: bool,
        /// As stored.
        kv: Option<Arc<KvEntry>>,
        /// What was there before.
        previous: Option<Arc<KvEntry>>,
    },
    /// What was there.
    Deleted(Vec<Arc<KvEntry>>),
    /// A key as it was within a transaction.
    Got(Option<Arc<KvEntry>>),
    /// Results of the operations done.
    Txn {
        /// The compares held.
        succeeded: bool,
        /// One per operation.
        results: Vec<Outcome>,
    },
    /// The session.
    SessionCreated(Arc<Session>),
    /// Instances, keys and locks that went with it.
    SessionClosed(u32),
    /// The lock is held (`token`), waited for (`queued`) or taken.
    Lock {
        /// Fencing token, if held now.
        token: Option<u64>,
        /// In the queue.
        queued: bool,
        /// Some holder, if not held now.
        holder: Option<SessionId>,
    },
    /// The lock is given back, or the value replaced.
    LockChanged,
    /// How many objects ran out of time.
    Expired(u32),
    /// How many nodes have moved.
    CoordinatesUpdated(u32),
}

/// The command was refused; nothing changed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Rejection {
    /// The session is unknown, closed or expired.
    #[error("session {0} does not exist: it was closed or has expired")]
    SessionExpired(SessionId),
    /// A precondition failed.
    #[error("the current revision is {current}, not the expected one")]
    RevisionMismatch {
        /// Revision now; 0: absent.
        current: u64,
    },
    /// Another live session holds this instance.
    #[error("instance {id} belongs to session {session}")]
    InstanceOwned {
        /// Its id.
        id: String,
        /// The owner.
        session: SessionId,
    },
    /// On a node an instance id can serve one service only.
    #[error("instance id {id} on node {node} belongs to service {service}")]
    InstanceIdTaken {
        /// The id.
        id: String,
        /// The node.
        node: String,
        /// The service that has it.
        service: String,
    },
    /// There is no such instance.
    #[error("instance {0} is not registered")]
    InstanceNotFound(String),
    /// The lock is not held with this token.
    #[error("{0} is not held with this fencing token")]
    LockNotHeld(String),
    /// Holders of a semaphore must agree on its permits.
    #[error("the semaphore has {permits} permits")]
    PermitsDiffer {
        /// Permits of the present holders.
        permits: u32,
    },
    /// Another session holds the key.
    #[error("the key is held by session {0}")]
    KeyLocked(SessionId),
    /// The request id was used with another body.
    #[error("request_id was already used with another body")]
    RequestIdReused,
    /// A stored-object limit is reached.
    #[error("{0}")]
    QuotaExceeded(String),
    /// A node's name or id belongs to another node.
    #[error("{0}")]
    NodeConflict(String),
    /// A check names a service that its node does not have.
    #[error("failed inserting check: Missing service registration on node {0:?}")]
    MissingService(String),
    /// A session cannot depend on this node or check.
    #[error("{0}")]
    UnfitBinding(String),
    /// An operation inside a transaction was refused.
    #[error("operation {index}: {cause}")]
    TxnOp {
        /// Which operation, from 0.
        index: u32,
        /// Why.
        cause: Box<Rejection>,
    },
}
