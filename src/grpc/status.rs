//! The one table from [`Error`] to a gRPC status with typed details.
//!
//! Owns: code, reason, metadata and retry advice of every error. Must never: have a catch-all arm, so that a new error
//! cannot go out without a decision.

use crate::command::Rejection;
use crate::model::names::Invalid;
use crate::proto::v1::ErrorReason;
use crate::service::Error;
use crate::service::admission::Spread;
use std::collections::HashMap;
use std::time::Duration;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Domain of every [`ErrorReason`].
pub(super) const DOMAIN: &str = "lictor.v1";
/// The same advice for clients of gRPC that try again by themselves (gRFC A6), milliseconds.
const PUSHBACK: &str = "grpc-retry-pushback-ms";
/// An election takes about this long.
const RETRY_NO_LEADER: Duration = Duration::from_millis(200);
/// Another server can be asked at once; the same one will not get better soon.
const RETRY_ELSEWHERE: Duration = Duration::from_millis(50);
/// Room comes back as others are removed.
const RETRY_CROWDED: Duration = Duration::from_secs(1);

/// When to try again.
enum Retry {
    /// Then; whoever said so has spread them.
    At(Duration),
    /// Then or a little later, each one at another time.
    About(Duration),
}

static SPREAD: Spread = Spread::new();

struct Verdict {
    code: Code,
    reason: ErrorReason,
    metadata: Option<(&'static str, String)>,
    retry: Option<Retry>,
    field: Option<Invalid>,
}

impl Verdict {
    fn new(code: Code, reason: ErrorReason) -> Verdict {
        Verdict { code, reason, metadata: None, retry: None, field: None }
    }

    fn with(self, key: &'static str, value: impl ToString) -> Verdict {
        Verdict { metadata: Some((key, value.to_string())), ..self }
    }

    fn retry(self, after: Duration) -> Verdict {
        Verdict { retry: Some(Retry::About(after)), ..self }
    }

    fn invalid(reason: ErrorReason, field: Invalid) -> Verdict {
        Verdict { field: Some(field), ..Verdict::new(Code::InvalidArgument, reason) }
    }
}

/// The status of an error.
pub fn status(error: Error) -> Status {
    let verdict = verdict(&error);
    if let Error::Internal(cause) = &error {
        tracing::error!(cause, "request failed");
    }
    let metadata: HashMap<String, String> = verdict.metadata.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
    let mut details = ErrorDetails::with_error_info(verdict.reason.as_str_name(), DOMAIN, metadata);
    let after = verdict.retry.map(|retry| match retry {
        Retry::At(after) => after,
        Retry::About(after) => SPREAD.lengthen(after),
    });
    if let Some(after) = after {
        details.set_retry_info(Some(after));
    }
    if let Some(field) = verdict.field {
        details.add_bad_request_violation(field.field, field.reason);
    }
    let mut metadata = MetadataMap::new();
    if let Some(after) = after {
        metadata.insert(PUSHBACK, MetadataValue::from(after.as_millis().clamp(1, i32::MAX as u128) as i32));
    }
    Status::with_error_details_and_metadata(verdict.code, error.to_string(), details, metadata)
}

/// The status of a request that cannot be accepted.
pub(super) fn invalid(error: Invalid) -> Status {
    status(Error::Invalid(error))
}

fn verdict(error: &Error) -> Verdict {
    use ErrorReason as Reason;
    match error {
        Error::Invalid(field) => Verdict::invalid(Reason::InvalidField, field.clone()),
        Error::Rejected(rejection) => rejected(rejection),
        Error::NoLeader => Verdict::new(Code::Unavailable, Reason::NoLeader).retry(RETRY_NO_LEADER),
        Error::OutcomeUnknown => Verdict::new(Code::Unavailable, Reason::OutcomeUnknown).retry(RETRY_NO_LEADER),
        Error::TooStale(_) => Verdict::new(Code::Unavailable, Reason::TooStale).retry(RETRY_ELSEWHERE),
        Error::Draining => Verdict::new(Code::Unavailable, Reason::NodeDraining).retry(RETRY_ELSEWHERE),
        Error::SecretMismatch(_) => Verdict::new(Code::PermissionDenied, Reason::SessionSecretMismatch),
        Error::Compacted { compact_revision } => {
            Verdict::new(Code::OutOfRange, Reason::Compacted).with("compact_revision", compact_revision)
        }
        Error::SlowConsumer => Verdict::new(Code::ResourceExhausted, Reason::SlowConsumer).retry(RETRY_ELSEWHERE),
        Error::Overloaded(busy) => {
            let verdict = Verdict::new(Code::ResourceExhausted, Reason::RateLimited).with("limit", busy.limit);
            Verdict { retry: Some(Retry::At(busy.retry_after)), ..verdict }
        }
        Error::Internal(_) => Verdict::new(Code::Internal, Reason::Internal),
    }
}

fn rejected(rejection: &Rejection) -> Verdict {
    use ErrorReason as Reason;
    match rejection {
        Rejection::SessionExpired(id) => Verdict::new(Code::NotFound, Reason::SessionExpired).with("session_id", id),
        Rejection::RevisionMismatch { current } => {
            Verdict::new(Code::Aborted, Reason::RevisionMismatch).with("current_revision", current)
        }
        Rejection::InstanceOwned { session, .. } => {
            Verdict::new(Code::AlreadyExists, Reason::InstanceOwned).with("session_id", session)
        }
        Rejection::InstanceIdTaken { service, .. } => {
            Verdict::new(Code::AlreadyExists, Reason::InstanceOwned).with("service", service)
        }
        Rejection::InstanceNotFound(_) => Verdict::new(Code::NotFound, Reason::InstanceNotFound),
        Rejection::LockNotHeld(name) => Verdict::new(Code::FailedPrecondition, Reason::LockNotHeld).with("name", name),
        Rejection::PermitsDiffer { permits } => {
            Verdict::new(Code::FailedPrecondition, Reason::LockNotHeld).with("permits", permits)
        }
        Rejection::KeyLocked(session) => {
            Verdict::new(Code::FailedPrecondition, Reason::KeyLocked).with("session_id", session)
        }
        Rejection::RequestIdReused => {
            let field = Invalid::new("request_id", "was already used with another body");
            Verdict::invalid(Reason::RequestIdReused, field)
        }
        Rejection::QuotaExceeded(_) => {
            Verdict::new(Code::ResourceExhausted, Reason::QuotaExceeded).retry(RETRY_CROWDED)
        }
        Rejection::NodeConflict(why) => Verdict::invalid(Reason::InvalidField, Invalid::new("node", why.clone())),
        Rejection::Refused(why) => Verdict::invalid(Reason::InvalidField, Invalid::new("request", why.clone())),
        Rejection::UnfitBinding(why) => Verdict::invalid(Reason::InvalidField, Invalid::new("session", why.clone())),
        Rejection::MissingService(_) => Verdict::new(Code::NotFound, Reason::InstanceNotFound),
        Rejection::TxnOp { index, cause } => {
            let mut inner = rejected(cause);
            if let Some(field) = inner.field.take() {
                inner.field = Some(field.within(&format!("ops[{index}]")));
            }
            inner
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::admission::{Busy, Fault};
    use uuid::Uuid;

    fn check(error: Error, code: Code, reason: &str) -> ErrorDetails {
        let status = status(error);
        assert_eq!(status.code(), code);
        let details = status.get_error_details();
        let info = details.error_info().expect("every error has a reason");
        assert_eq!((info.domain.as_str(), info.reason.as_str()), (DOMAIN, reason));
        let retry = matches!(code, Code::Unavailable | Code::ResourceExhausted);
        assert_eq!(details.retry_info().is_some(), retry, "{reason}");
        assert_eq!(details.bad_request().is_some(), code == Code::InvalidArgument, "{reason}");
        details
    }

    #[test]
    fn every_documented_reason_has_its_code() {
        let id = Uuid::from_u128(7);
        check(Error::NoLeader, Code::Unavailable, "ERROR_REASON_NO_LEADER");
        check(Error::Draining, Code::Unavailable, "ERROR_REASON_NODE_DRAINING");
        check(Error::TooStale(String::new()), Code::Unavailable, "ERROR_REASON_TOO_STALE");
        check(Error::OutcomeUnknown, Code::Unavailable, "ERROR_REASON_OUTCOME_UNKNOWN");
        check(Error::SecretMismatch(id), Code::PermissionDenied, "ERROR_REASON_SESSION_SECRET_MISMATCH");
        check(Error::SlowConsumer, Code::ResourceExhausted, "ERROR_REASON_SLOW_CONSUMER");
        check(Error::Internal(String::new()), Code::Internal, "ERROR_REASON_INTERNAL");
        let rejected = [
            (Rejection::SessionExpired(id), Code::NotFound, "ERROR_REASON_SESSION_EXPIRED"),
            (Rejection::InstanceNotFound(String::new()), Code::NotFound, "ERROR_REASON_INSTANCE_NOT_FOUND"),
            (Rejection::LockNotHeld(String::new()), Code::FailedPrecondition, "ERROR_REASON_LOCK_NOT_HELD"),
            (Rejection::RequestIdReused, Code::InvalidArgument, "ERROR_REASON_REQUEST_ID_REUSED"),
            (Rejection::QuotaExceeded(String::new()), Code::ResourceExhausted, "ERROR_REASON_QUOTA_EXCEEDED"),
        ];
        for (rejection, code, reason) in rejected {
            check(Error::Rejected(rejection), code, reason);
        }
    }

    #[test]
    fn metadata_says_what_a_client_needs() {
        let id = Uuid::from_u128(7);
        let metadata = |error: Error, code, reason, key: &str| {
            check(error, code, reason).error_info().and_then(|i| i.metadata.get(key).cloned())
        };
        let compacted = Error::Compacted { compact_revision: 9 };
        let found = metadata(compacted, Code::OutOfRange, "ERROR_REASON_COMPACTED", "compact_revision");
        assert_eq!(found.as_deref(), Some("9"));
        let mismatch = Rejection::RevisionMismatch { current: 3 };
        let nested = Rejection::TxnOp { index: 2, cause: Box::new(mismatch.clone()) };
        for rejection in [mismatch, nested] {
            let error = Error::Rejected(rejection);
            let found = metadata(error, Code::Aborted, "ERROR_REASON_REVISION_MISMATCH", "current_revision");
            assert_eq!(found.as_deref(), Some("3"));
        }
        let owned = Error::Rejected(Rejection::InstanceOwned { id: "a".into(), session: id });
        let found = metadata(owned, Code::AlreadyExists, "ERROR_REASON_INSTANCE_OWNED", "session_id");
        assert_eq!(found, Some(id.to_string()));
        let locked = Error::Rejected(Rejection::KeyLocked(id));
        let found = metadata(locked, Code::FailedPrecondition, "ERROR_REASON_KEY_LOCKED", "session_id");
        assert_eq!(found, Some(id.to_string()));
    }

    #[test]
    fn whoever_is_sent_away_learns_why_and_for_how_long() {
        let (limit, retry_after) = ("writes", std::time::Duration::from_millis(1_234));
        let busy = Busy { limit, reason: "no".to_owned(), retry_after, fault: Fault::Everyone };
        let details = check(Error::Overloaded(busy.clone()), Code::ResourceExhausted, "ERROR_REASON_RATE_LIMITED");
        assert_eq!(details.retry_info().and_then(|info| info.retry_delay), Some(retry_after));
        assert_eq!(details.error_info().map(|info| info.metadata["limit"].as_str()), Some("writes"));
        let sent = status(Error::Overloaded(busy));
        assert_eq!(sent.metadata().get(PUSHBACK).and_then(|v| v.to_str().ok()), Some("1234"));
        assert!(status(Error::Internal(String::new())).metadata().get(PUSHBACK).is_none());
    }

    #[test]
    fn nobody_is_told_the_same_time() {
        let after = |_| check(Error::NoLeader, Code::Unavailable, "ERROR_REASON_NO_LEADER").retry_info()?.retry_delay;
        let mut times: Vec<_> = (0..100).filter_map(after).collect();
        assert!(times.iter().all(|t| (RETRY_NO_LEADER..=RETRY_NO_LEADER * 3 / 2).contains(t)), "{times:?}");
        times.sort_unstable();
        times.dedup();
        assert_eq!(times.len(), 100);
    }

    #[test]
    fn an_invalid_field_is_named() {
        let error = Error::Invalid(Invalid::new("instances[3].key.service", "must not be empty"));
        let details = check(error, Code::InvalidArgument, "ERROR_REASON_INVALID_FIELD");
        let violation = &details.bad_request().expect("checked").field_violations[0];
        assert_eq!(violation.field, "instances[3].key.service");
    }
}
