//! Sessions: create, keep alive, attach, close.

use super::core::unexpected;
use super::{Core, Error, Written};
use crate::command::{CloseSession, Command, CreateSession, Outcome, Rejection};
use crate::model::limits::{
    BOUND_SESSION_TTL_MS_MIN, SESSION_GRACE_MS_DEFAULT, SESSION_TTL_MS_DEFAULT, SESSION_TTL_MS_MAX, SESSION_TTL_MS_MIN,
};
use crate::model::{Behavior, NodeBinding, RequestId, Session, SessionId, Text};
use crate::proto::internal::lease_question::Verb;
use crate::raft::Barrier;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// Who says that a session is theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The session.
    pub id: SessionId,
    /// What its owner was given.
    pub secret: Vec<u8>,
}

/// What a new session should be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionSpec {
    /// Time to live, milliseconds; unset: 15 s.
    pub ttl_ms: Option<u64>,
    /// Grace after a broken stream, milliseconds; unset: 5 s, or the time to live if that is shorter.
    pub grace_ms: Option<u64>,
    /// For people, in order of key.
    pub labels: Vec<(Text, Text)>,
    /// What happens to keys that it locks.
    pub behavior: Behavior,
    /// What it depends on, for sessions of Consul's API: their time to live may be 0 (no heartbeat needed), and is at
    /// least 10 s otherwise.
    pub binding: Option<NodeBinding>,
}

impl Core {
    /// The live session, if the secret is its own.
    pub fn prove(&self, proof: &Proof) -> Result<Arc<Session>, Error> {
        let state = self.inner.raft.state();
        let session = state.session(&proof.id).ok_or(Rejection::SessionExpired(proof.id))?;
        // Constant time: the secret must not leak through how long a wrong one takes.
        if bool::from(session.secret[..].ct_eq(&proof.secret)) {
            Ok(session.clone())
        } else {
            Err(Error::SecretMismatch(proof.id))
        }
    }

    /// Creates a session.
    pub async fn create_session(
        &self,
        request_id: Option<RequestId>,
        spec: SessionSpec,
    ) -> Result<Written<Arc<Session>>, Error> {
        let ttl_ms = spec.ttl_ms.unwrap_or(SESSION_TTL_MS_DEFAULT);
        let (endless, least_ms) = match spec.binding {
            Some(_) => (ttl_ms == 0, BOUND_SESSION_TTL_MS_MIN),
            None => (false, SESSION_TTL_MS_MIN),
        };
        if !endless && !(least_ms..=SESSION_TTL_MS_MAX).contains(&ttl_ms) {
            return Err(Error::invalid("ttl", format!("must be between {} s and 24 h", least_ms / 1000)));
        }
        let grace_ms = spec.grace_ms.unwrap_or(SESSION_GRACE_MS_DEFAULT.min(ttl_ms));
        if grace_ms > ttl_ms {
            return Err(Error::invalid("disconnect_grace", "must not be longer than ttl"));
        }
        let (id, secret) = (self.inner.clock.uuid(), self.inner.clock.random());
        // Before the write: a session must never be without a lease, even if this caller goes away meanwhile.
        let binding = spec.binding.map(Box::new);
        let lease_ms = if binding.is_some() { 2 * ttl_ms } else { ttl_ms };
        if !endless && self.leads() {
            self.inner.leases.track(id, lease_ms, grace_ms);
        }
        let (labels, behavior) = (spec.labels, spec.behavior);
        let create = CreateSession { id, secret, ttl_ms, grace_ms, labels, behavior, binding };
        let written = self.propose(request_id, Command::CreateSession(create)).await?;
        match written.value {
            Outcome::SessionCreated(session) => {
                if session.id != id {
                    // A retry: the first session is the one.
                    self.inner.leases.forget(&id);
                    self.inner.leases.renew(&session);
                }
                Ok(Written { revision: written.revision, value: session })
            }
            other => Err(unexpected(&other)),
        }
    }

    /// A heartbeat: the lease is full again. Returns the session and the time left in milliseconds.
    pub async fn keep_alive(&self, proof: &Proof) -> Result<(Arc<Session>, u64), Error> {
        let session = self.prove_fresh(proof).await?;
        let remaining = self.lease(Verb::Renew, &session).await?;
        Ok((session, remaining))
    }

    /// A heartbeat for a session of Consul's API, which is known by its id alone. `None`: there is no such session.
    ///
    /// # Errors
    /// [`Error::SecretMismatch`] for a session that has to be proven; [`Error::NoLeader`].
    pub async fn renew_bound(&self, id: &SessionId) -> Result<Option<Arc<Session>>, Error> {
        if self.inner.raft.state().session(id).is_none() {
            self.inner.raft.barrier(Barrier::Lease).await?;
        }
        let Some(session) = self.bound(id)? else { return Ok(None) };
        match self.lease(Verb::Renew, &session).await {
            Ok(_) => Ok(Some(session)),
            Err(Error::Rejected(Rejection::SessionExpired(_))) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Ends a session of Consul's API. One that is not there is ended already.
    ///
    /// # Errors
    /// [`Error::SecretMismatch`] for a session that has to be proven; those of a write.
    pub async fn close_bound(&self, id: &SessionId) -> Result<(), Error> {
        if self.bound(id)?.is_none() {
            return Ok(());
        }
        let closed = self.propose(None, Command::CloseSession(CloseSession { id: *id })).await;
        self.inner.leases.forget(id);
        match closed {
            Ok(_) | Err(Error::Rejected(Rejection::SessionExpired(_))) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn bound(&self, id: &SessionId) -> Result<Option<Arc<Session>>, Error> {
        let found = self.inner.raft.state().session(id).cloned();
        match found {
            Some(session) if session.binding.is_none() => Err(Error::SecretMismatch(*id)),
            found => Ok(found),
        }
    }

    /// A stream now carries the session; call [`Core::detach`] when it ends without a close.
    pub async fn attach(&self, proof: &Proof) -> Result<Arc<Session>, Error> {
        let session = self.prove_fresh(proof).await?;
        self.lease(Verb::Attach, &session).await?;
        Ok(session)
    }

    /// The stream is gone: the session's grace runs.
    pub fn detach(&self, session: &SessionId) {
        self.lease_lost(session);
    }

    /// Time left of a session, in milliseconds.
    pub fn remaining_ms(&self, session: &Session) -> u64 {
        self.inner.leases.remaining_ms(&session.id).unwrap_or(session.ttl_ms)
    }

    /// Ends a session at once. Returns how many instances, keys and locks went with it.
    pub async fn close_session(&self, request_id: Option<RequestId>, proof: &Proof) -> Result<Written<u32>, Error> {
        // A retry of a close that was done finds no session to prove: then the request id decides.
        match self.prove(proof) {
            Ok(_) => {}
            Err(Error::Rejected(Rejection::SessionExpired(_))) if request_id.is_some() => {}
            Err(error) => return Err(error),
        }
        let written = self.propose(request_id, Command::CloseSession(CloseSession { id: proof.id })).await?;
        self.inner.leases.forget(&proof.id);
        match written.value {
            Outcome::SessionClosed(removed) => Ok(Written { revision: written.revision, value: removed }),
            other => Err(unexpected(&other)),
        }
    }

    /// [`Core::prove`]; a session that this server does not know may be newer than its state.
    async fn prove_fresh(&self, proof: &Proof) -> Result<Arc<Session>, Error> {
        if self.inner.raft.state().session(&proof.id).is_none() {
            self.inner.raft.barrier(Barrier::Lease).await?;
        }
        self.prove(proof)
    }
}
