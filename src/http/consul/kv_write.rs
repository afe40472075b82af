//! PUT and DELETE of /v1/kv. Consul answers bad numbers with 500; clients branch on the code, so it is kept.

use super::kv::MISSING_KEY;
use super::session::session_id;
use crate::command::{Delete, LockOp, Put, Rejection, Target};
use crate::http::call::Call;
use crate::http::error::Error;
use crate::http::reply::Answer;
use crate::model::names;
use crate::service;
use bytes::Bytes;

const SIZE_HINT: &str = " See https://www.consul.io/docs/agent/options.html#kv_max_value_size.";

/// PUT kv/:key
pub(super) async fn put(mut call: Call) -> Result<Answer, Error> {
    call.check_place()?;
    let key = key(&call)?;
    check_conflicts(&call, &["cas", "acquire", "release"])?;
    let flags = number(&call, "flags")?.unwrap_or(0);
    let expected_revision = number(&call, "cas")?;
    let delayed = || {
        let acquires = call.query.get("acquire").is_some_and(|id| !id.is_empty());
        acquires && call.core.local().state.is_lock_delayed(&key)
    };
    let lock = match lock_of(&call) {
        Ok(Some(lock)) => lock,
        // Who asks does not matter while nobody gets it.
        Err(_) if delayed() => return Answer::json(&false, call.layout()),
        Ok(None) => return Answer::json(&false, call.layout()),
        Err(error) => return Err(error),
    };
    let value = call.body(call.gateway.options.limits.get().value_bytes_max, SIZE_HINT).await?;
    // The hyper buffer behind a small body is larger than the body: it must not be kept for years.
    let put = Put { key, value: Bytes::copy_from_slice(&value), expected_revision, lock, ttl_ms: None, flags };
    let done = match call.core.put(None, put).await {
        Ok(written) => written.value.done,
        Err(service::Error::Rejected(Rejection::RevisionMismatch { .. })) => false,
        Err(error) => return Err(error.into()),
    };
    Answer::json(&done, call.layout())
}

/// DELETE kv/:key
pub(super) async fn delete(call: Call) -> Result<Answer, Error> {
    call.check_place()?;
    let recurse = call.query.has("recurse");
    let target = match call.variable() {
        prefix if recurse => Target::Prefix(Bytes::copy_from_slice(prefix)),
        _ => Target::Key(key(&call)?),
    };
    if recurse {
        check_conflicts(&call, &["recurse", "cas"])?;
    }
    let delete = Delete { target, expected_revision: number(&call, "cas")? };
    let done = match call.core.delete(None, delete).await {
        Ok(_) => true,
        // A key that is not there is deleted already, whatever revision was expected.
        Err(service::Error::Rejected(Rejection::RevisionMismatch { current })) => current == 0,
        Err(error) => return Err(error.into()),
    };
    Answer::json(&done, call.layout())
}

fn key(call: &Call) -> Result<Bytes, Error> {
    match call.variable() {
        b"" => Err(Error::bad_request(MISSING_KEY)),
        key => {
            names::key("key", key).map_err(service::Error::from)?;
            Ok(Bytes::copy_from_slice(key))
        }
    }
}

/// At most one of these parameters.
fn check_conflicts(call: &Call, names: &[&str]) -> Result<(), Error> {
    if names.iter().filter(|name| call.query.has(name)).count() > 1 {
        return Err(Error::bad_request(format!("Conflicting flags: {}", call.query.encode())));
    }
    Ok(())
}

/// An unsigned number of 64 bits, with the errors of Go's `strconv.ParseUint`.
fn number(call: &Call, name: &str) -> Result<Option<u64>, Error> {
    let Some(text) = call.query.get(name) else { return Ok(None) };
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(number) if plain => Ok(Some(number)),
        _ => {
            let why = if plain { "value out of range" } else { "invalid syntax" };
            Err(Error::server(format!("strconv.ParseUint: parsing {text:?}: {why}")))
        }
    }
}

/// What the write does to the lock; `None`: a release that cannot be the holder's.
fn lock_of(call: &Call) -> Result<Option<LockOp>, Error> {
    let session = |name| match call.query.get(name) {
        Some("") => Err(Error::server("missing session")),
        given => Ok(given),
    };
    if let Some(id) = session("acquire")? {
        return Ok(Some(LockOp::Acquire(session_id(id)?)));
    }
    match session("release")? {
        Some(id) => Ok(session_id(id).ok().map(LockOp::Release)),
        None => Ok(Some(LockOp::Keep)),
    }
}
