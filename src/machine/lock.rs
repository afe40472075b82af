//! Locks, semaphores and elections: a queue in the replicated state, so that order survives a change of leader, and a
//! fencing token that is the revision of the acquisition.

use super::writer::Writer;
use crate::command::{AcquireLock, Outcome, Proclaim, Rejection, ReleaseLock, Reply};
use crate::model::limits::LOCK_WAITERS_MAX;
use crate::model::{Lock, LockHolder, LockKind, LockWaiter, SessionId};

impl Writer<'_> {
    pub(super) fn acquire_lock(&mut self, command: &AcquireLock) -> Reply {
        self.require_session(&command.session)?;
        let mut lock = match self.state.lock(command.kind, &command.name) {
            Some(lock) => (**lock).clone(),
            None => Lock {
                kind: command.kind,
                name: command.name.clone(),
                permits: command.permits,
                holders: Vec::new(),
                waiters: Vec::new(),
                modify_revision: 0,
            },
        };
        if lock.permits != command.permits {
            return Err(Rejection::PermitsDiffer { permits: lock.permits });
        }
        if let Some(held) = lock.holders.iter().find(|h| h.session == command.session) {
            return Ok(Outcome::Lock { token: Some(held.token), queued: false, holder: None });
        }
        let queued = lock.waiters.iter().any(|w| w.session == command.session);
        let free = lock.holders.len() < lock.permits as usize;
        if !queued && (free || command.wait) {
            if lock.waiters.len() >= LOCK_WAITERS_MAX {
                return Err(Rejection::QuotaExceeded(format!("{LOCK_WAITERS_MAX} sessions wait for {}", lock.name)));
            }
            lock.waiters.push(LockWaiter { session: command.session, value: command.value.clone() });
        }
        let token = self.grant(&mut lock, &command.session);
        let holder = lock.holders.first().map(|h| h.session).filter(|_| token.is_none());
        if !queued && (token.is_some() || command.wait) {
            self.touch_lock(lock);
        }
        Ok(Outcome::Lock { token, queued: token.is_none() && (queued || command.wait), holder })
    }

    /// Lets waiters in while there is room. Returns the token of `asking`, if it came in.
    fn grant(&self, lock: &mut Lock, asking: &SessionId) -> Option<u64> {
        let token = self.revision();
        let mut got = None;
        while lock.holders.len() < lock.permits as usize && !lock.waiters.is_empty() {
            let LockWaiter { session, value } = lock.waiters.remove(0);
            if session == *asking {
                got = Some(token);
            }
            lock.holders.push(LockHolder { session, token, value });
        }
        got
    }

    fn touch_lock(&mut self, mut lock: Lock) {
        lock.modify_revision = self.revision();
        self.store_lock(lock);
    }

    pub(super) fn release_lock(&mut self, command: &ReleaseLock) -> Reply {
        let not_held = || Rejection::LockNotHeld(command.name.to_string());
        let Some(token) = command.token else {
            self.leave_queue(command.kind, &command.name, &command.session);
            return Ok(Outcome::LockChanged);
        };
        let lock = self.state.lock(command.kind, &command.name).ok_or_else(not_held)?;
        if !lock.holders.iter().any(|h| h.session == command.session && h.token == token) {
            return Err(not_held());
        }
        self.leave_lock(command.kind, &command.name, &command.session);
        Ok(Outcome::LockChanged)
    }

    /// A session leaves a lock, as holder or waiter, and the next ones come in.
    pub(super) fn leave_lock(&mut self, kind: LockKind, name: &str, session: &SessionId) {
        let Some(lock) = self.state.lock(kind, name) else { return };
        let mut lock = (**lock).clone();
        lock.holders.retain(|h| h.session != *session);
        lock.waiters.retain(|w| w.session != *session);
        self.grant(&mut lock, session);
        self.touch_lock(lock);
    }

    fn leave_queue(&mut self, kind: LockKind, name: &str, session: &SessionId) {
        let waits = |l: &Lock| l.waiters.iter().any(|w| w.session == *session);
        if self.state.lock(kind, name).is_some_and(|l| waits(l)) {
            self.leave_lock(kind, name, session);
        }
    }

    pub(super) fn proclaim(&mut self, command: &Proclaim) -> Reply {
        let not_held = || Rejection::LockNotHeld(command.name.to_string());
        let mut lock = (**self.state.lock(command.kind, &command.name).ok_or_else(not_held)?).clone();
        let holder = lock.holders.iter_mut().find(|h| h.token == command.token).ok_or_else(not_held)?;
        if holder.value != command.value {
            holder.value = command.value.clone();
            self.touch_lock(lock);
        }
        Ok(Outcome::LockChanged)
    }
}
