//! Sessions, locks, and what runs out of time.

use super::field::{at, each, pairs, texts, try_each, uuid_bytes};
use crate::command::{AcquireLock, CloseSession, CodecError, CreateSession, Expire, Proclaim, ReleaseLock};
use crate::model::{InstanceKey, Lock, LockHolder, LockWaiter, Session};
use crate::proto::internal as pb;
use bytes::Bytes;

impl From<&Session> for pb::Session {
    fn from(session: &Session) -> pb::Session {
        pb::Session {
            id: uuid_bytes(&session.id),
            secret: Bytes::copy_from_slice(&session.secret),
            ttl_ms: session.ttl_ms,
            grace_ms: session.grace_ms,
            labels: pairs(&session.labels),
            behavior: pb::Behavior::from(session.behavior).into(),
            create_ms: session.create_ms,
            create_revision: session.create_revision,
            binding: session.binding.as_deref().map(pb::NodeBinding::from),
        }
    }
}

impl TryFrom<pb::Session> for Session {
    type Error = CodecError;

    fn try_from(session: pb::Session) -> Result<Session, CodecError> {
        Ok(Session {
            id: at("Session", "id").uuid(&session.id)?,
            secret: at("Session", "secret").bytes16(&session.secret)?,
            ttl_ms: session.ttl_ms,
            grace_ms: session.grace_ms,
            labels: texts(session.labels),
            behavior: at("Session", "behavior").behavior(session.behavior)?,
            create_ms: session.create_ms,
            create_revision: session.create_revision,
            binding: session.binding.map(|b| Box::new(b.into())),
        })
    }
}

impl From<&LockHolder> for pb::LockHolder {
    fn from(holder: &LockHolder) -> pb::LockHolder {
        pb::LockHolder { session: uuid_bytes(&holder.session), token: holder.token, value: holder.value.clone() }
    }
}

impl TryFrom<pb::LockHolder> for LockHolder {
    type Error = CodecError;

    fn try_from(holder: pb::LockHolder) -> Result<LockHolder, CodecError> {
        let session = at("LockHolder", "session").uuid(&holder.session)?;
        Ok(LockHolder { session, token: holder.token, value: holder.value })
    }
}

impl From<&LockWaiter> for pb::LockWaiter {
    fn from(waiter: &LockWaiter) -> pb::LockWaiter {
        pb::LockWaiter { session: uuid_bytes(&waiter.session), value: waiter.value.clone() }
    }
}

impl TryFrom<pb::LockWaiter> for LockWaiter {
    type Error = CodecError;

    fn try_from(waiter: pb::LockWaiter) -> Result<LockWaiter, CodecError> {
        Ok(LockWaiter { session: at("LockWaiter", "session").uuid(&waiter.session)?, value: waiter.value })
    }
}

impl From<&Lock> for pb::Lock {
    fn from(lock: &Lock) -> pb::Lock {
        pb::Lock {
            kind: pb::LockKind::from(lock.kind).into(),
            name: lock.name.to_string(),
            permits: lock.permits,
            holders: each(&lock.holders),
            waiters: each(&lock.waiters),
            modify_revision: lock.modify_revision,
        }
    }
}

impl TryFrom<pb::Lock> for Lock {
    type Error = CodecError;

    fn try_from(lock: pb::Lock) -> Result<Lock, CodecError> {
        Ok(Lock {
            kind: at("Lock", "kind").lock_kind(lock.kind)?,
            name: lock.name.into(),
            permits: lock.permits,
            holders: try_each(lock.holders)?,
            waiters: try_each(lock.waiters)?,
            modify_revision: lock.modify_revision,
        })
    }
}

impl From<&CreateSession> for pb::CreateSession {
    fn from(create: &CreateSession) -> pb::CreateSession {
        pb::CreateSession {
            id: uuid_bytes(&create.id),
            secret: Bytes::copy_from_slice(&create.secret),
            ttl_ms: create.ttl_ms,
            grace_ms: create.grace_ms,
            labels: pairs(&create.labels),
            behavior: pb::Behavior::from(create.behavior).into(),
            binding: create.binding.as_deref().map(pb::NodeBinding::from),
        }
    }
}

impl TryFrom<pb::CreateSession> for CreateSession {
    type Error = CodecError;

    fn try_from(create: pb::CreateSession) -> Result<CreateSession, CodecError> {
        Ok(CreateSession {
            id: at("CreateSession", "id").uuid(&create.id)?,
            secret: at("CreateSession", "secret").bytes16(&create.secret)?,
            ttl_ms: create.ttl_ms,
            grace_ms: create.grace_ms,
            labels: texts(create.labels),
            behavior: at("CreateSession", "behavior").behavior(create.behavior)?,
            binding: create.binding.map(|b| Box::new(b.into())),
        })
    }
}

impl From<&CloseSession> for pb::CloseSession {
    fn from(close: &CloseSession) -> pb::CloseSession {
        pb::CloseSession { id: uuid_bytes(&close.id) }
    }
}

impl TryFrom<pb::CloseSession> for CloseSession {
    type Error = CodecError;

    fn try_from(close: pb::CloseSession) -> Result<CloseSession, CodecError> {
        Ok(CloseSession { id: at("CloseSession", "id").uuid(&close.id)? })
    }
}

impl From<&AcquireLock> for pb::AcquireLock {
    fn from(acquire: &AcquireLock) -> pb::AcquireLock {
        pb::AcquireLock {
            kind: pb::LockKind::from(acquire.kind).into(),
            name: acquire.name.to_string(),
            session: uuid_bytes(&acquire.session),
            value: acquire.value.clone(),
            permits: acquire.permits,
            wait: acquire.wait,
        }
    }
}

impl TryFrom<pb::AcquireLock> for AcquireLock {
    type Error = CodecError;

    fn try_from(acquire: pb::AcquireLock) -> Result<AcquireLock, CodecError> {
        Ok(AcquireLock {
            kind: at("AcquireLock", "kind").lock_kind(acquire.kind)?,
            name: acquire.name.into(),
            session: at("AcquireLock", "session").uuid(&acquire.session)?,
            value: acquire.value,
            permits: acquire.permits,
            wait: acquire.wait,
        })
    }
}

impl From<&ReleaseLock> for pb::ReleaseLock {
    fn from(release: &ReleaseLock) -> pb::ReleaseLock {
        pb::ReleaseLock {
            kind: pb::LockKind::from(release.kind).into(),
            name: release.name.to_string(),
            session: uuid_bytes(&release.session),
            token: release.token,
        }
    }
}

impl TryFrom<pb::ReleaseLock> for ReleaseLock {
    type Error = CodecError;

    fn try_from(release: pb::ReleaseLock) -> Result<ReleaseLock, CodecError> {
        Ok(ReleaseLock {
            kind: at("ReleaseLock", "kind").lock_kind(release.kind)?,
            name: release.name.into(),
            session: at("ReleaseLock", "session").uuid(&release.session)?,
            token: release.token,
        })
    }
}

impl From<&Proclaim> for pb::Proclaim {
    fn from(proclaim: &Proclaim) -> pb::Proclaim {
        pb::Proclaim {
            kind: pb::LockKind::from(proclaim.kind).into(),
            name: proclaim.name.to_string(),
            token: proclaim.token,
            value: proclaim.value.clone(),
        }
    }
}

impl TryFrom<pb::Proclaim> for Proclaim {
    type Error = CodecError;

    fn try_from(proclaim: pb::Proclaim) -> Result<Proclaim, CodecError> {
        Ok(Proclaim {
            kind: at("Proclaim", "kind").lock_kind(proclaim.kind)?,
            name: proclaim.name.into(),
            token: proclaim.token,
            value: proclaim.value,
        })
    }
}

impl From<&Expire> for pb::Expire {
    fn from(expire: &Expire) -> pb::Expire {
        let expired = |(id, revision): &(_, u64)| pb::ExpiredSession { id: uuid_bytes(id), create_revision: *revision };
        pb::Expire {
            term: expire.term,
            sessions: expire.sessions.iter().map(expired).collect(),
            keys: expire.keys.clone(),
            overrides: each(&expire.overrides),
        }
    }
}

impl TryFrom<pb::Expire> for Expire {
    type Error = CodecError;

    fn try_from(expire: pb::Expire) -> Result<Expire, CodecError> {
        let session = |s: pb::ExpiredSession| Ok((at("ExpiredSession", "id").uuid(&s.id)?, s.create_revision));
        Ok(Expire {
            term: expire.term,
            sessions: expire.sessions.into_iter().map(session).collect::<Result<_, CodecError>>()?,
            keys: expire.keys,
            overrides: expire.overrides.into_iter().map(InstanceKey::from).collect(),
        })
    }
}
