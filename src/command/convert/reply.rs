//! Outcomes and rejections.

use super::field::{at, each, try_each, uuid_bytes};
use crate::command::{CodecError, Outcome, Rejection, Reply};
use crate::model::{Instance, KvEntry, Override};
use crate::proto::internal as pb;
use pb::outcome::Outcome as WireOutcome;
use pb::rejection::Cause;
use std::sync::Arc;

impl From<&Reply> for pb::Reply {
    fn from(reply: &Reply) -> pb::Reply {
        let result = match reply {
            Ok(outcome) => pb::reply::Result::Outcome(outcome.into()),
            Err(rejection) => pb::reply::Result::Rejection(rejection.into()),
        };
        pb::Reply { result: Some(result) }
    }
}

/// Not a `TryFrom`: a reply is itself a `Result`, and so no type of this crate.
pub(in crate::command) fn reply(reply: pb::Reply) -> Result<Reply, CodecError> {
    Ok(match at("Reply", "result").required(reply.result)? {
        pb::reply::Result::Outcome(outcome) => Ok(outcome.try_into()?),
        pb::reply::Result::Rejection(rejection) => Err(rejection.try_into()?),
    })
}

fn kv(entry: &Option<Arc<KvEntry>>) -> Option<pb::KvEntry> {
    entry.as_deref().map(pb::KvEntry::from)
}

fn try_kv(entry: Option<pb::KvEntry>) -> Result<Option<Arc<KvEntry>>, CodecError> {
    Ok(entry.map(KvEntry::try_from).transpose()?.map(Arc::new))
}

impl From<&Outcome> for pb::Outcome {
    fn from(outcome: &Outcome) -> pb::Outcome {
        let outcome = match outcome {
            Outcome::Registered(instances) => {
                let instances = instances.iter().map(|i| (&**i).into()).collect();
                WireOutcome::Registered(pb::RegisteredOutcome { instances })
            }
            Outcome::Updated(instance) => WireOutcome::Updated((&**instance).into()),
            Outcome::Deregistered(count) => WireOutcome::Deregistered(*count),
            Outcome::Reported => WireOutcome::Reported(pb::Nothing {}),
            Outcome::Overridden(word) => {
                WireOutcome::Overridden(pb::OverriddenOutcome { overriding: word.as_ref().map(pb::Override::from) })
            }
            Outcome::Cataloged => WireOutcome::Cataloged(pb::Nothing {}),
            Outcome::Put { done, kv: now, previous } => {
                WireOutcome::Put(pb::PutOutcome { done: *done, kv: kv(now), previous: kv(previous) })
            }
            Outcome::Deleted(entries) => {
                WireOutcome::Deleted(pb::DeletedOutcome { entries: entries.iter().map(|e| (&**e).into()).collect() })
            }
            Outcome::Got(entry) => WireOutcome::Got(pb::GotOutcome { kv: kv(entry) }),
            Outcome::Txn { succeeded, results } => {
                WireOutcome::Txn(pb::TxnOutcome { succeeded: *succeeded, results: each(results) })
            }
            Outcome::SessionCreated(session) => WireOutcome::SessionCreated((&**session).into()),
            Outcome::SessionClosed(count) => WireOutcome::SessionClosed(*count),
            Outcome::Lock { token, queued, holder } => WireOutcome::Lock(pb::LockOutcome {
                token: *token,
                queued: *queued,
                holder: holder.as_ref().map(uuid_bytes),
            }),
            Outcome::LockChanged => WireOutcome::LockChanged(pb::Nothing {}),
            Outcome::Expired(count) => WireOutcome::Expired(*count),
            Outcome::CoordinatesUpdated(count) => WireOutcome::CoordinatesUpdated(*count),
        };
        pb::Outcome { outcome: Some(outcome) }
    }
}

impl TryFrom<pb::Outcome> for Outcome {
    type Error = CodecError;

    fn try_from(outcome: pb::Outcome) -> Result<Outcome, CodecError> {
        Ok(match at("Outcome", "outcome").required(outcome.outcome)? {
            WireOutcome::Registered(list) => {
                let shared = |i| Instance::try_from(i).map(Arc::new);
                Outcome::Registered(list.instances.into_iter().map(shared).collect::<Result<_, _>>()?)
            }
            WireOutcome::Updated(instance) => Outcome::Updated(Arc::new(instance.try_into()?)),
            WireOutcome::Deregistered(count) => Outcome::Deregistered(count),
            WireOutcome::Reported(_) => Outcome::Reported,
            WireOutcome::Overridden(word) => Outcome::Overridden(word.overriding.map(Override::try_from).transpose()?),
            WireOutcome::Cataloged(_) => Outcome::Cataloged,
            WireOutcome::Put(put) => {
                Outcome::Put { done: put.done, kv: try_kv(put.kv)?, previous: try_kv(put.previous)? }
            }
            WireOutcome::Deleted(list) => {
                let shared = |e| KvEntry::try_from(e).map(Arc::new);
                Outcome::Deleted(list.entries.into_iter().map(shared).collect::<Result<_, _>>()?)
            }
            WireOutcome::Got(got) => Outcome::Got(try_kv(got.kv)?),
            WireOutcome::Txn(txn) => Outcome::Txn { succeeded: txn.succeeded, results: try_each(txn.results)? },
            WireOutcome::SessionCreated(session) => Outcome::SessionCreated(Arc::new(session.try_into()?)),
            WireOutcome::SessionClosed(count) => Outcome::SessionClosed(count),
            WireOutcome::Lock(lock) => Outcome::Lock {
                token: lock.token,
                queued: lock.queued,
                holder: at("LockOutcome", "holder").optional_uuid(lock.holder)?,
            },
            WireOutcome::LockChanged(_) => Outcome::LockChanged,
            WireOutcome::Expired(count) => Outcome::Expired(count),
            WireOutcome::CoordinatesUpdated(count) => Outcome::CoordinatesUpdated(count),
        })
    }
}

impl From<&Rejection> for pb::Rejection {
    fn from(rejection: &Rejection) -> pb::Rejection {
        let cause = match rejection {
            Rejection::SessionExpired(session) => Cause::SessionExpired(uuid_bytes(session)),
            Rejection::RevisionMismatch { current } => Cause::RevisionMismatch(*current),
            Rejection::InstanceOwned { id, session } => {
                Cause::InstanceOwned(pb::InstanceOwned { id: id.clone(), session: uuid_bytes(session) })
            }
            Rejection::InstanceIdTaken { id, node, service } => Cause::InstanceIdTaken(pb::InstanceIdTaken {
                id: id.clone(),
                node: node.clone(),
                service: service.clone(),
            }),
            Rejection::InstanceNotFound(instance) => Cause::InstanceNotFound(instance.clone()),
            Rejection::LockNotHeld(lock) => Cause::LockNotHeld(lock.clone()),
            Rejection::PermitsDiffer { permits } => Cause::PermitsDiffer(*permits),
            Rejection::KeyLocked(session) => Cause::KeyLocked(uuid_bytes(session)),
            Rejection::RequestIdReused => Cause::RequestIdReused(pb::Nothing {}),
            Rejection::QuotaExceeded(text) => Cause::QuotaExceeded(text.clone()),
            Rejection::NodeConflict(text) => Cause::NodeConflict(text.clone()),
            Rejection::MissingService(node) => Cause::MissingService(node.clone()),
            Rejection::UnfitBinding(text) => Cause::UnfitBinding(text.clone()),
            Rejection::TxnOp { index, cause } => {
                Cause::TxnOp(Box::new(pb::TxnOpRejection { index: *index, cause: Some(Box::new((&**cause).into())) }))
            }
        };
        pb::Rejection { cause: Some(cause) }
    }
}

impl TryFrom<pb::Rejection> for Rejection {
    type Error = CodecError;

    fn try_from(rejection: pb::Rejection) -> Result<Rejection, CodecError> {
        let place = at("Rejection", "cause");
        Ok(match place.required(rejection.cause)? {
            Cause::SessionExpired(session) => Rejection::SessionExpired(place.uuid(&session)?),
            Cause::RevisionMismatch(current) => Rejection::RevisionMismatch { current },
            Cause::InstanceOwned(owned) => {
                let session = at("InstanceOwned", "session").uuid(&owned.session)?;
                Rejection::InstanceOwned { id: owned.id, session }
            }
            Cause::InstanceIdTaken(taken) => {
                Rejection::InstanceIdTaken { id: taken.id, node: taken.node, service: taken.service }
            }
            Cause::InstanceNotFound(instance) => Rejection::InstanceNotFound(instance),
            Cause::LockNotHeld(lock) => Rejection::LockNotHeld(lock),
            Cause::PermitsDiffer(permits) => Rejection::PermitsDiffer { permits },
            Cause::KeyLocked(session) => Rejection::KeyLocked(place.uuid(&session)?),
            Cause::RequestIdReused(_) => Rejection::RequestIdReused,
            Cause::QuotaExceeded(text) => Rejection::QuotaExceeded(text),
            Cause::NodeConflict(text) => Rejection::NodeConflict(text),
            Cause::MissingService(node) => Rejection::MissingService(node),
            Cause::UnfitBinding(text) => Rejection::UnfitBinding(text),
            Cause::TxnOp(op) => {
                let cause = at("TxnOpRejection", "cause").required(op.cause)?;
                Rejection::TxnOp { index: op.index, cause: Box::new((*cause).try_into()?) }
            }
        })
    }
}
