//! Locks and elections. The queue is in the replicated state; here the caller waits for its turn.

use super::core::unexpected;
use super::{Core, Error, Proof, Written};
use crate::command::{AcquireLock, Command, Outcome, Proclaim, Rejection, ReleaseLock};
use crate::model::{Lock, LockHolder, LockKind, SessionId, Text};
use crate::watch::Topic;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What is asked of a lock.
#[derive(Clone, Debug, PartialEq)]
pub struct LockAsk {
    /// Lock or election.
    pub kind: LockKind,
    /// Name.
    pub name: Text,
    /// Shown to others.
    pub value: Bytes,
    /// Holders at the same time.
    pub permits: u32,
    /// How long to wait, milliseconds; 0: try once.
    pub wait_ms: u64,
}

/// Whether the lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockDone {
    /// Fencing token, if held.
    pub token: Option<u64>,
    /// Some holder, if not.
    pub holder: Option<SessionId>,
}

impl Core {
    /// Acquires a lock, waiting for it as long as asked. If the future is dropped, the place in the queue is given up.
    pub async fn acquire_lock(&self, proof: &Proof, ask: LockAsk) -> Result<Written<LockDone>, Error> {
        let session = self.prove(proof)?.id;
        let deadline = Instant::now() + Duration::from_millis(ask.wait_ms);
        let topic = Topic::Lock(ask.kind, ask.name.clone());
        let mut turn = self.inner.hub.subscribe(topic);
        let mut ended = self.inner.hub.subscribe(Topic::Session(session));
        let wait = ask.wait_ms > 0;
        let place = Place { core: self.clone(), kind: ask.kind, name: ask.name.clone(), session, armed: wait };
        let acquire = AcquireLock {
            kind: ask.kind,
            name: ask.name.clone(),
            session,
            value: ask.value,
            permits: ask.permits,
            wait,
        };
        let written = self.propose(None, Command::AcquireLock(acquire)).await?;
        let Outcome::Lock { token, queued, holder } = written.value else { return Err(unexpected(&written.value)) };
        if token.is_some() || !queued {
            place.keep();
            return Ok(Written { revision: written.revision, value: LockDone { token, holder } });
        }
        loop {
            tokio::select! {
                () = turn.changed() => {}
                () = ended.changed() => {}
                () = tokio::time::sleep_until(deadline) => return self.give_up(place).await,
                () = self.drained() => return Err(Error::Draining),
            }
            let state = self.inner.raft.state();
            let lock = state.lock(ask.kind, &ask.name);
            if let Some(held) = lock.and_then(|l| holder_of(l, &session)) {
                place.keep();
                let value = LockDone { token: Some(held.token), holder: None };
                return Ok(Written { revision: state.revision(), value });
            }
            if state.session(&session).is_none() {
                place.keep();
                return Err(Rejection::SessionExpired(session).into());
            }
        }
    }

    /// The wait is over: leave the queue, unless the turn came in the meantime.
    async fn give_up(&self, place: Place) -> Result<Written<LockDone>, Error> {
        let (kind, name, session) = (place.kind, place.name.clone(), place.session);
        place.keep();
        let leave = ReleaseLock { kind, name: name.clone(), session, token: None };
        let written = self.propose(None, Command::ReleaseLock(leave)).await?;
        let state = self.inner.raft.state();
        let lock = state.lock(kind, &name);
        let token = lock.and_then(|l| holder_of(l, &session)).map(|h| h.token);
        let holder = lock.and_then(|l| l.holders.first()).map(|h| h.session).filter(|_| token.is_none());
        Ok(Written { revision: written.revision, value: LockDone { token, holder } })
    }

    /// Gives a lock back.
    pub async fn release_lock(
        &self,
        proof: &Proof,
        kind: LockKind,
        name: &str,
        token: u64,
    ) -> Result<Written<()>, Error> {
        let session = self.prove(proof)?.id;
        let release = ReleaseLock { kind, name: name.into(), session, token: Some(token) };
        let written = self.propose(None, Command::ReleaseLock(release)).await?;
        Ok(written.map(|_| ()))
    }

    /// The leader of an election replaces its value; it is known by token and secret.
    pub async fn proclaim(&self, name: &str, token: u64, secret: &[u8], value: Bytes) -> Result<Written<()>, Error> {
        self.prove_leader(name, token, secret)?;
        let proclaim = Proclaim { kind: LockKind::Election, name: name.into(), token, value };
        let written = self.propose(None, Command::Proclaim(proclaim)).await?;
        Ok(written.map(|_| ()))
    }

    /// The leader of an election steps down.
    pub async fn resign(&self, name: &str, token: u64, secret: &[u8]) -> Result<Written<()>, Error> {
        let proof = self.prove_leader(name, token, secret)?;
        self.release_lock(&proof, LockKind::Election, name, token).await
    }

    fn prove_leader(&self, name: &str, token: u64, secret: &[u8]) -> Result<Proof, Error> {
        let lock = self.election(name).ok_or_else(|| Rejection::LockNotHeld(name.to_owned()))?;
        let holder = lock.holders.iter().find(|h| h.token == token);
        let holder = holder.ok_or_else(|| Rejection::LockNotHeld(name.to_owned()))?;
        let proof = Proof { id: holder.session, secret: secret.to_vec() };
        self.prove(&proof)?;
        Ok(proof)
    }

    /// An election as it is.
    pub fn election(&self, name: &str) -> Option<Arc<Lock>> {
        self.inner.raft.state().lock(LockKind::Election, name).cloned()
    }
}

fn holder_of<'a>(lock: &'a Lock, session: &SessionId) -> Option<&'a LockHolder> {
    lock.holders.iter().find(|h| h.session == *session)
}

/// A place in a queue of waiters that is given up when its owner goes away.
struct Place {
    core: Core,
    kind: LockKind,
    name: Text,
    session: SessionId,
    armed: bool,
}

impl Place {
    fn keep(mut self) {
        self.armed = false;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        let core = self.core.clone();
        let (kind, name, session) = (self.kind, self.name.clone(), self.session);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { core.leave_queue(kind, name, session).await });
        }
    }
}

impl Core {
    /// The waiter is gone. If its turn came before we could leave, it must not keep the lock that nobody knows of.
    async fn leave_queue(&self, kind: LockKind, name: Text, session: SessionId) {
        let leave = |token| Command::ReleaseLock(ReleaseLock { kind, name: name.clone(), session, token });
        let left = self.propose(None, leave(None)).await;
        let state = self.inner.raft.state();
        let held = state.lock(kind, &name).and_then(|l| holder_of(l, &session)).map(|h| h.token);
        let released = match held {
            Some(token) => self.propose(None, leave(Some(token))).await.map(|_| ()),
            None => left.map(|_| ()),
        };
        if let Err(reason) = released {
            // The session's end will clear it.
            tracing::warn!(%reason, %session, "cannot take a lost waiter out of the queue of a lock");
        }
    }
}
