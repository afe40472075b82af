//! Errors as Consul says them: a status and a line of plain text. The one table from the use cases' error to HTTP is
//! here.

use super::json::DecodeError;
use crate::agent;
use crate::command::Rejection;
use crate::service;
use crate::service::admission::{Busy, Fault};
use http::StatusCode;
use std::borrow::Cow;
use std::time::Duration;

/// An answer that is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Error {
    /// The status.
    pub(super) status: StatusCode,
    /// The body; empty: none, and no content type.
    pub(super) text: Cow<'static, str>,
    /// Made by an endpoint, and not before one was found.
    pub(super) of_endpoint: bool,
    /// When the client may come again.
    pub(super) retry_after: Option<Duration>,
}

impl Error {
    pub(super) fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Error {
        Error { status, text: text.into(), of_endpoint: true, retry_after: None }
    }

    /// The caller's fault.
    pub(super) fn bad_request(text: impl Into<Cow<'static, str>>) -> Error {
        Error::new(StatusCode::BAD_REQUEST, text)
    }

    /// What Consul answers with 500, be it the caller's fault or not: clients branch on the code.
    pub(super) fn server(text: impl Into<Cow<'static, str>>) -> Error {
        Error::new(StatusCode::INTERNAL_SERVER_ERROR, text)
    }

    /// No such path.
    pub(super) fn not_found() -> Error {
        Error { status: StatusCode::NOT_FOUND, text: "".into(), of_endpoint: false, retry_after: None }
    }

    /// The path holds an escape that is none.
    pub(super) fn malformed_target() -> Error {
        Error { status: StatusCode::BAD_REQUEST, text: "400 Bad Request".into(), of_endpoint: false, retry_after: None }
    }

    /// The path holds characters that cannot be printed.
    pub(super) fn unprintable_target() -> Error {
        Error { status: StatusCode::BAD_REQUEST, text: "".into(), of_endpoint: false, retry_after: None }
    }

    /// The datacenter is not known.
    pub(super) fn no_path_to_datacenter() -> Error {
        Error::server("No path to datacenter")
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Error {
        Error::bad_request(format!("Request decode failed: {error}"))
    }
}

impl From<Busy> for Error {
    fn from(busy: Busy) -> Error {
        let status = match busy.fault {
            Fault::Client => StatusCode::TOO_MANY_REQUESTS,
            // What clients of Consul try again by themselves.
            Fault::Everyone => StatusCode::SERVICE_UNAVAILABLE,
        };
        Error { retry_after: Some(busy.retry_after), ..Error::new(status, busy.reason) }
    }
}

impl From<service::Error> for Error {
    fn from(error: service::Error) -> Error {
        match error {
            service::Error::Invalid(invalid) => Error::bad_request(format!("Bad request: {invalid}")),
            service::Error::Rejected(rejection) => rejected(&rejection),
            service::Error::NoLeader => Error::server("No cluster leader"),
            service::Error::OutcomeUnknown => Error::server("rpc error: the outcome of the write is unknown"),
            service::Error::TooStale(reason) => Error::server(format!("the state is too old: {reason}")),
            service::Error::Draining => Error::server("the server is shutting down"),
            service::Error::SecretMismatch(_) => Error::new(StatusCode::FORBIDDEN, error.to_string()),
            service::Error::Compacted { .. } | service::Error::SlowConsumer => Error::server(error.to_string()),
            service::Error::Overloaded(busy) => busy.into(),
            service::Error::Internal(reason) => Error::server(reason),
        }
    }
}

impl From<agent::Error> for Error {
    fn from(error: agent::Error) -> Error {
        match &error {
            agent::Error::Refused(refused) => Error::bad_request(refused.0.clone()),
            agent::Error::Invalid(_) | agent::Error::Reserved(_) | agent::Error::TooManyChecks(..) => {
                Error::bad_request(format!("Bad request: {error}"))
            }
            agent::Error::Definition { .. } => Error::bad_request(error.to_string()),
            agent::Error::NotRegistered(_) => Error::new(StatusCode::NOT_FOUND, error.to_string()),
            agent::Error::Sidecar(_) => Error::server(format!("Bad request: {error}")),
            agent::Error::NoSuchService(_)
            | agent::Error::NotTtl(_)
            | agent::Error::ScriptsDisabled(_)
            | agent::Error::Storage(_) => Error::server(error.to_string()),
        }
    }
}

fn rejected(rejection: &Rejection) -> Error {
    match rejection {
        Rejection::SessionExpired(id) => Error::server(format!("invalid session \"{id}\"")),
        Rejection::NodeConflict(_)
        | Rejection::MissingService(_)
        | Rejection::RevisionMismatch { .. }
        | Rejection::InstanceOwned { .. }
        | Rejection::InstanceIdTaken { .. }
        | Rejection::InstanceNotFound(_)
        | Rejection::LockNotHeld(_)
        | Rejection::PermitsDiffer { .. }
        | Rejection::KeyLocked(_)
        | Rejection::RequestIdReused
        | Rejection::QuotaExceeded(_)
        | Rejection::Refused(_)
        | Rejection::UnfitBinding(_)
        | Rejection::TxnOp { .. } => Error::server(rejection.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::reply::Answer;

    #[test]
    fn whoever_is_sent_away_learns_when_to_come_back() {
        for (fault, status, after_ms, seconds) in
            [(Fault::Everyone, 503, 200, "1"), (Fault::Client, 429, 1_000, "1"), (Fault::Everyone, 503, 1_001, "2")]
        {
            let retry_after = Duration::from_millis(after_ms);
            let busy = Busy { limit: "lists", reason: "busy with lists".to_owned(), retry_after, fault };
            let answer = Answer::from(Error::from(service::Error::Overloaded(busy)));
            assert_eq!((answer.status.as_u16(), &answer.body[..]), (status, &b"busy with lists"[..]));
            assert_eq!(answer.headers.get(http::header::RETRY_AFTER).map(|v| v.as_bytes()), Some(seconds.as_bytes()));
        }
        assert!(!Answer::from(Error::not_found()).headers.contains_key(http::header::RETRY_AFTER));
    }
}
