//! The one error of all use cases. Each edge turns it into its own words by one exhaustive table.

use super::admission::Busy;
use crate::command::Rejection;
use crate::model::Invalid;
use thiserror::Error;

/// Why a use case did not give what was asked.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum Error {
    /// The request cannot be accepted.
    #[error("{0}")]
    Invalid(#[from] Invalid),
    /// The replicated state refused it.
    #[error("{0}")]
    Rejected(#[from] Rejection),
    /// No leader is known; nothing was done.
    #[error("no cluster leader")]
    NoLeader,
    /// The write may or may not have happened; a retry with the same request id is safe.
    #[error("the outcome of the write is unknown: retry with the same request_id")]
    OutcomeUnknown,
    /// The local state is older than asked for.
    #[error("this server's state is too old: {0}")]
    TooStale(String),
    /// This server is stopping.
    #[error("this server is shutting down")]
    Draining,
    /// The secret is not the session's.
    #[error("the secret is not that of session {0}")]
    SecretMismatch(crate::model::SessionId),
    /// The revision asked for is no longer kept.
    #[error("revision is no longer kept: the oldest one is {compact_revision}")]
    Compacted {
        /// Ask from here on.
        compact_revision: u64,
    },
    /// The reader of an ordered stream fell too far behind.
    #[error("the reader is too slow: resume with the last token")]
    SlowConsumer,
    /// Too much at once; nothing was done.
    #[error("{0}")]
    Overloaded(#[from] Busy),
    /// A fault of this server.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    /// Shorthand for an invalid field.
    pub fn invalid(field: &'static str, reason: impl Into<std::borrow::Cow<'static, str>>) -> Error {
        Error::Invalid(Invalid::new(field, reason))
    }
}
