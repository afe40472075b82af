//! Sessions.

use super::time::{bounded_ms, duration, duration_ms, timestamp};
use crate::model::names::{self, Invalid};
use crate::model::{Behavior, Session, limits};
use crate::proto::v1 as pb;
use crate::service::SessionSpec;
use prost_types::Duration;
use std::collections::BTreeMap;

/// What a new session shall be.
pub(in crate::grpc) fn spec(
    ttl: Option<Duration>,
    grace: Option<Duration>,
    labels: &BTreeMap<String, String>,
) -> Result<SessionSpec, Invalid> {
    let (min, max) = (limits::SESSION_TTL_MS_MIN, limits::SESSION_TTL_MS_MAX);
    let ttl_ms = bounded_ms("ttl", ttl, min, max, limits::SESSION_TTL_MS_DEFAULT)?;
    let grace_ms = duration_ms("disconnect_grace", grace)?.unwrap_or(limits::SESSION_GRACE_MS_DEFAULT.min(ttl_ms));
    if grace_ms > ttl_ms {
        let reason = format!("is {grace_ms} ms, at most the ttl of {ttl_ms} ms is allowed");
        return Err(Invalid::new("disconnect_grace", reason));
    }
    names::pairs("labels", limits::LABELS_MAX, labels.iter().map(|(k, v)| (k.as_str(), v.as_str())))?;
    Ok(SessionSpec {
        binding: None,
        ttl_ms: Some(ttl_ms),
        grace_ms: Some(grace_ms),
        labels: labels.iter().map(|(k, v)| (k.as_str().into(), v.as_str().into())).collect(),
        behavior: Behavior::Release,
    })
}

/// The wire form of a session; its secret is never part of it.
pub(in crate::grpc) fn session_out(session: &Session, remaining_ms: u64) -> pb::Session {
    pb::Session {
        session_id: session.id.to_string(),
        ttl: Some(duration(session.ttl_ms)),
        disconnect_grace: Some(duration(session.grace_ms)),
        labels: session.labels.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
        create_time: Some(timestamp(session.create_ms)),
        remaining: Some(duration(remaining_ms)),
    }
}
