//! Keys and values.

use super::time::bounded_ms;
use super::{Within, session_id};
use crate::command::{self, LockOp, Target};
use crate::model::names::{self, Invalid};
use crate::model::{KvEntry, limits};
use crate::proto::v1 as pb;
use bytes::Bytes;

/// See [`command::Put`].
pub(in crate::grpc) fn put(r: &pb::PutRequest) -> Result<command::Put, Invalid> {
    names::key("key", &r.key)?;
    value(&r.value)?;
    let lock = match session_id(&r.session_id)? {
        Some(session) => LockOp::Attach(session),
        None => LockOp::Keep,
    };
    let (min, max) = (limits::KEY_TTL_MS_MIN, limits::KEY_TTL_MS_MAX);
    let ttl_ms = r.ttl.map(|ttl| bounded_ms("ttl", Some(ttl), min, max, min)).transpose()?;
    Ok(command::Put {
        key: r.key.clone(),
        value: r.value.clone(),
        expected_revision: precondition(r.precondition.as_ref()),
        lock,
        ttl_ms,
        flags: r.flags,
    })
}

/// A value within its limit.
pub(in crate::grpc) fn value(value: &[u8]) -> Result<(), Invalid> {
    let (found, max) = (value.len(), limits::VALUE_BYTES_MAX);
    if found > max {
        return Err(Invalid::new("value", format!("has {found} bytes, at most {max} are allowed")));
    }
    Ok(())
}

fn precondition(precondition: Option<&pb::Precondition>) -> Option<u64> {
    precondition.and_then(|p| p.modify_revision)
}

/// See [`command::Delete`].
pub(in crate::grpc) fn delete(r: &pb::DeleteRequest) -> Result<command::Delete, Invalid> {
    let expected_revision = precondition(r.precondition.as_ref());
    let target = match &r.target {
        None => return Err(Invalid::new("key", "key or prefix is required")),
        Some(pb::delete_request::Target::Key(key)) => {
            names::key("key", key)?;
            Target::Key(key.clone())
        }
        Some(pb::delete_request::Target::Prefix(prefix)) => {
            self::prefix("prefix", prefix)?;
            if expected_revision.is_some() {
                return Err(Invalid::new("precondition", "is allowed with key only, not with prefix"));
            }
            Target::Prefix(prefix.clone())
        }
    };
    Ok(command::Delete { target, expected_revision })
}

/// The beginning of keys; may be empty.
pub(in crate::grpc) fn prefix(field: &'static str, prefix: &[u8]) -> Result<(), Invalid> {
    if prefix.is_empty() { Ok(()) } else { names::key(field, prefix) }
}

/// The wire form of a key and its value.
pub(in crate::grpc) fn kv_out(entry: &KvEntry) -> pb::KeyValue {
    pb::KeyValue { value: entry.value.clone(), ..kv_out_without_value(entry) }
}

/// The same without the value.
pub(in crate::grpc) fn kv_out_without_value(entry: &KvEntry) -> pb::KeyValue {
    pb::KeyValue {
        key: entry.key.clone(),
        value: Bytes::new(),
        create_revision: entry.create_revision,
        modify_revision: entry.modify_revision,
        version: entry.version,
        session_id: entry.session.map(|s| s.to_string()).unwrap_or_default(),
        flags: entry.flags,
    }
}

/// A condition of a transaction.
pub(in crate::grpc) fn compare(c: &pb::Compare) -> Result<command::Compare, Invalid> {
    use pb::compare::Expect as Wire;
    names::key("key", &c.key)?;
    let expect = match &c.expect {
        None => return Err(Invalid::new("expect", "is required")),
        Some(Wire::ModifyRevision(revision)) => command::Expect::ModifyRevision(*revision),
        Some(Wire::Version(version)) => command::Expect::Version(*version),
        Some(Wire::Value(value)) => {
            self::value(value)?;
            command::Expect::Value(value.clone())
        }
        Some(Wire::Exists(there)) => command::Expect::Exists(*there),
        Some(Wire::SessionId(id)) => command::Expect::Session(session_id(id)?),
    };
    Ok(command::Compare { key: c.key.clone(), expect })
}

/// All conditions of a transaction.
pub(in crate::grpc) fn compares(compares: &[pb::Compare]) -> Result<Vec<command::Compare>, Invalid> {
    super::count("compares", compares.len(), 0, limits::TXN_OPS_MAX)?;
    compares.iter().enumerate().map(|(index, c)| compare(c).within_item("compares", index)).collect()
}
