//! Errors as Consul says them: a status and a line of plain text. The one table from the use cases' error to HTTP is
//! here.

use super::json::DecodeError;
use crate::agent;
use crate::command::Rejection;
use crate::service;
use http::StatusCode;
use std::borrow::Cow;

/// An answer that is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Error {
    /// The status.
    pub(super) status: StatusCode,
    /// The body; empty: none, and no content type.
    pub(super) text: Cow<'static, str>,
    /// Made by an endpoint, and not before one was found.
    pub(super) of_endpoint: bool,
}

impl Error {
    pub(super) fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Error {
        Error { status, text: text.into(), of_endpoint: true }
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
        Error { status: StatusCode::NOT_FOUND, text: "".into(), of_endpoint: false }
    }

    /// The path holds an escape that is none.
    pub(super) fn malformed_target() -> Error {
        Error { status: StatusCode::BAD_REQUEST, text: "400 Bad Request".into(), of_endpoint: false }
    }

    /// The path holds characters that cannot be printed.
    pub(super) fn unprintable_target() -> Error {
        Error { status: StatusCode::BAD_REQUEST, text: "".into(), of_endpoint: false }
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
            service::Error::Overloaded(reason) => Error::new(StatusCode::TOO_MANY_REQUESTS, reason),
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
        | Rejection::UnfitBinding(_)
        | Rejection::TxnOp { .. } => Error::server(rejection.to_string()),
    }
}
