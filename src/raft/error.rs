//! What can go wrong when starting and when proposing.

use super::types::{Node, TypeConfig};
use crate::store::StoreError;
use openraft::errors::{ClientWriteError, Fatal, ForwardReason, ForwardToLeader, RaftError};
use std::path::PathBuf;

/// Why replication cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored cannot be decoded.
    #[error("cannot read what raft stored: {0}")]
    Decode(#[from] std::io::Error),
    /// One of the two files is missing or of another age than the other.
    #[error("the data directory is incomplete: {0}; restore both files from one backup, or remove both")]
    Incomplete(String),
    /// An operator wants a recovery in Consul's way.
    #[error("{}: this file is Consul's way to recover a cluster, and is not read here: remove it, and if the cluster has lost its majority, run `lictor operator raft recover` on one server", .0.display())]
    PeersFile(PathBuf),
    /// A recovery was begun here, not finished.
    #[error("the recovery of this server was interrupted: run `lictor operator raft recover` again")]
    Unfinished,
    /// The cluster was recovered without this server.
    #[error("{0}")]
    Superseded(String),
    /// openraft does not start.
    #[error("cannot start raft: {0}")]
    Raft(String),
    /// The log could not be replayed in time.
    #[error("the log was not replayed within {0} s")]
    Recovery(u64),
}

/// Why a command has no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// This server does not lead; the command was not accepted here and may be sent to the leader.
    #[error("this server does not lead{}", hint.as_ref().map(|hint| format!("; server {} ({}) does", hint.0, hint.1.address)).unwrap_or_default())]
    NoLeader {
        /// Who leads, if known.
        hint: Option<Box<(u64, Node)>>,
    },
    /// The command may have been carried out, or may still be. Repeat it only with the same request id.
    #[error("the outcome is unknown: leadership changed while the command was on its way")]
    OutcomeUnknown,
    /// The command is larger than what the log takes; it was not accepted.
    #[error("the command has {size} bytes, more than the {limit} that one log entry may have")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// It cannot be done as asked.
    #[error("{0}")]
    Refused(String),
    /// This server has failed and is about to stop; the outcome of the command is unknown.
    #[error("this server has failed: {0}")]
    Fatal(String),
}

/// What to do with a write that openraft did not carry out.
pub(super) enum Refused {
    /// Leads, but has to hear from a quorum first; the command was not accepted, so it may be tried again.
    TryAgain,
    /// Nothing can be done here.
    For(ProposeError),
}

impl From<RaftError<TypeConfig, ClientWriteError<TypeConfig>>> for Refused {
    fn from(error: RaftError<TypeConfig, ClientWriteError<TypeConfig>>) -> Refused {
        match error {
            RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => match forward.reason {
                ForwardReason::LeaseExpired => Refused::TryAgain,
                _ => Refused::For(no_leader(forward)),
            },
            RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)) => Refused::For(ProposeError::OutcomeUnknown),
            RaftError::APIError(other) => Refused::For(ProposeError::Fatal(other.to_string())),
            RaftError::Fatal(fatal) => Refused::For(ProposeError::from_fatal(&fatal)),
        }
    }
}

impl ProposeError {
    pub(super) fn from_fatal(fatal: &Fatal<TypeConfig>) -> ProposeError {
        ProposeError::Fatal(fatal.to_string())
    }
}

pub(super) fn no_leader(forward: ForwardToLeader<TypeConfig>) -> ProposeError {
    ProposeError::NoLeader { hint: forward.leader_id.zip(forward.leader_node).map(Box::new) }
}
