//! Heartbeats at any server. The leases are in the leader's memory; a server that does not lead passes heartbeats on to
//! the one that does, and lets the leader know when it loses a stream.
//!
//! While there is no leader, heartbeats wait: whoever leads next gives every session its full time.

use super::{Core, Error};
use crate::command::Rejection;
use crate::model::{Session, SessionId};
use crate::proto::internal::{LeaseAnswer, LeaseQuestion, lease_question::Verb};
use crate::raft::{Answering, ProposeError};
use bytes::Bytes;
use prost::Message;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// How long a heartbeat waits for a leader.
const LEADER_WAIT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);

impl Core {
    /// Renews the lease of a session that was proven, or attaches a stream to it, wherever the leases are. Returns the
    /// time left in milliseconds.
    pub(super) async fn lease(&self, verb: Verb, session: &Session) -> Result<u64, Error> {
        let question = LeaseQuestion { verb: verb.into(), session: session.id.as_bytes().to_vec().into() };
        let question = Bytes::from(question.encode_to_vec());
        let deadline = Instant::now() + LEADER_WAIT;
        loop {
            if self.leads() {
                return Ok(self.lease_here(verb, session));
            }
            match self.inner.raft.ask_leader(question.clone()).await {
                Ok(answer) => {
                    let answer = LeaseAnswer::decode(answer);
                    let answer = answer.map_err(|e| Error::Internal(format!("the leader's answer: {e}")))?;
                    return match answer.known {
                        true => Ok(answer.remaining_ms),
                        false => Err(Error::Rejected(Rejection::SessionExpired(session.id))),
                    };
                }
                // Nothing was changed, or a lease was renewed: it may be asked again.
                Err(ProposeError::NoLeader { .. } | ProposeError::OutcomeUnknown)
                    if Instant::now() + PAUSE < deadline => {}
                Err(error) => return Err(error.into()),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn lease_here(&self, verb: Verb, session: &Session) -> u64 {
        let leases = &self.inner.leases;
        match verb {
            Verb::Unspecified | Verb::Renew => return leases.renew(session),
            Verb::Attach => leases.attach(session),
            Verb::Detach => leases.detach(&session.id),
        }
        leases.remaining_ms(&session.id).unwrap_or_default()
    }

    /// A stream that carried a session is gone; tells the leader, if that is another server, in the background.
    pub(super) fn lease_lost(&self, id: &SessionId) {
        if self.leads() {
            return self.inner.leases.detach(id);
        }
        let Some(session) = self.inner.raft.state().session(id).cloned() else { return };
        let core = self.clone();
        // If it does not get there, the lease runs out by itself. A crowd that is lost at once is told of in turn.
        drop(tokio::spawn(async move {
            let _turn = core.inner.losses.acquire().await;
            core.lease(Verb::Detach, &session).await
        }));
    }

    /// What the leader answers to other servers.
    pub(super) fn answering(inner: &Arc<super::core::Inner>) -> Answering {
        let inner: Weak<super::core::Inner> = Arc::downgrade(inner);
        Arc::new(move |question| {
            let core = inner.upgrade().map(|inner| Core { inner });
            Box::pin(async move {
                let core = core.ok_or("this server is stopping")?;
                let question = LeaseQuestion::decode(question).map_err(|e| e.to_string())?;
                let id = SessionId::from_slice(&question.session).map_err(|e| e.to_string())?;
                let session = core.inner.raft.state().session(&id).cloned();
                let remaining_ms = session.as_ref().map(|session| core.lease_here(question.verb(), session));
                let answer = LeaseAnswer { known: session.is_some(), remaining_ms: remaining_ms.unwrap_or_default() };
                Ok(answer.encode_to_vec().into())
            })
        })
    }
}
