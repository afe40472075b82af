//! Writes and fresh reads at any server: what only the leader can do is asked of it.
//!
//! A question goes one hop: the server that gets it answers or refuses, it never passes it on.

use super::error::{ProposeError, no_leader};
use super::handle::{Barrier, Handle};
use super::link::CallError;
use super::rounds::Rounds;
use super::types::{Node, Proposal};
use crate::command::codec::decode_reply;
use crate::command::{Command, Reply};
use crate::model::RequestId;
use crate::proto::internal as pb;
use crate::proto::internal::call_request::Body as Question;
use crate::proto::internal::call_response::Body as Answer;
use bytes::Bytes;
use openraft::errors::{LinearizableReadError, RaftError};
use openraft::raft::linearizable_read::LinearizerOption;
use std::time::Duration;
use tokio::time::Instant;

/// How long a write or a read waits for a leader before it fails: longer than an election takes.
const LEADER_WAIT: Duration = Duration::from_secs(5);
/// How long to wait before looking for the leader again.
const PAUSE: Duration = Duration::from_millis(25);
/// How long the leader may take for a write.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// How long the leader may take to confirm that it leads.
const READ_LIMIT: Duration = Duration::from_secs(2);
/// How long a server waits until it has applied what the leader has.
const APPLY_LIMIT: Duration = Duration::from_secs(5);
/// A leader that a quorum acknowledged this recently takes it that it still leads. Far below the time in which followers
/// refuse to vote for another one.
const LEASE: Duration = Duration::from_millis(300);

/// The caller asks for its own read. It may be dropped at any time; those who came later are asked for then.
struct Turn<'a> {
    handle: &'a Handle,
    lease: bool,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let lease = self.lease;
        let Some(first) = self.handle.rounds(lease).end() else { return };
        // Without a runtime, nobody waits any more.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let handle = self.handle.clone();
        runtime.spawn(async move {
            let mut waiting = Some(first);
            while let Some(waiters) = waiting {
                let answer = handle.ask_read_index(lease).await;
                for waiter in waiters {
                    // Whoever has gone does not need it.
                    let _ = waiter.send(answer.clone());
                }
                waiting = handle.rounds(lease).end();
            }
        });
    }
}

impl Handle {
    /// Proposes a command and waits until it is durable, applied by the leader, and visible here. Returns its revision
    /// and its reply. Waits some seconds for a leader if there is none.
    ///
    /// Dropping the future does not take the command back.
    ///
    /// # Errors
    /// See [`ProposeError`]; a rejection by the state machine is not an error but a reply.
    pub fn propose(
        &self,
        request_id: Option<RequestId>,
        command: Command,
    ) -> impl Future<Output = Result<(u64, Reply), ProposeError>> + Send {
        // Not in the future, which would keep room for the command as long as it lives.
        let proposal = self.proposal(request_id, command);
        async move { self.propose_until_done(&proposal?, request_id.is_some()).await }
    }

    /// `repeatable`: the machine tells a repetition from a second write.
    async fn propose_until_done(&self, proposal: &Proposal, repeatable: bool) -> Result<(u64, Reply), ProposeError> {
        let deadline = Instant::now() + LEADER_WAIT;
        let mut unknown = false;
        loop {
            let done = match self.leader_elsewhere() {
                None if self.leads_alone() => self.submit(proposal).await,
                // A leader that is cut off learns only later that another one leads.
                None => match tokio::time::timeout(WRITE_LIMIT, self.submit(proposal)).await {
                    Ok(done) => done,
                    Err(_) => return Err(ProposeError::OutcomeUnknown),
                },
                Some(leader) => Box::pin(self.forward(&leader, proposal)).await,
            };
            let again = match &done {
                Err(ProposeError::NoLeader { .. }) => true,
                Err(ProposeError::OutcomeUnknown) => repeatable,
                _ => false,
            };
            unknown |= matches!(done, Err(ProposeError::OutcomeUnknown));
            if !again || Instant::now() + PAUSE > deadline {
                return match done {
                    // The last attempt was not accepted, which says nothing of those before it.
                    Err(ProposeError::NoLeader { .. }) if unknown => Err(ProposeError::OutcomeUnknown),
                    done => done,
                };
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until [`Handle::state`] is as fresh as asked; some seconds, if there is no leader. A server that leads
    /// alone answers at once.
    ///
    /// # Errors
    /// [`ProposeError::NoLeader`] if nobody is known to lead.
    pub async fn barrier(&self, level: Barrier) -> Result<(), ProposeError> {
        if level == Barrier::Local || self.inner().leads_alone() {
            return Ok(());
        }
        // In a box, so that the futures of those who need not ask stay small.
        Box::pin(self.wait_until_fresh(level == Barrier::Lease)).await
    }

    async fn wait_until_fresh(&self, lease: bool) -> Result<(), ProposeError> {
        let deadline = Instant::now() + LEADER_WAIT;
        loop {
            match self.read_index(lease).await {
                Ok(index) => {
                    let applied = tokio::time::timeout(APPLY_LIMIT, self.applied(index)).await;
                    return applied.map_err(|_| ProposeError::NoLeader { hint: None });
                }
                Err(ProposeError::NoLeader { .. }) if Instant::now() + PAUSE < deadline => {}
                Err(error) => return Err(error),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The index up to which the log must be applied for a fresh read, asked for together with others.
    async fn read_index(&self, lease: bool) -> Result<u64, ProposeError> {
        match self.rounds(lease).join() {
            Some(answer) => answer.await.unwrap_or(Err(ProposeError::NoLeader { hint: None })),
            None => {
                let _turn = Turn { handle: self, lease };
                self.ask_read_index(lease).await
            }
        }
    }

    fn rounds(&self, lease: bool) -> &Rounds {
        if lease { &self.inner().leased_reads } else { &self.inner().confirmed_reads }
    }

    async fn ask_read_index(&self, lease: bool) -> Result<u64, ProposeError> {
        match self.leader_elsewhere() {
            None => self.read_index_here(lease).await,
            Some(leader) => self.read_index_of(&leader, lease).await,
        }
    }

    /// Asks the leader's service layer, which may be this server's own.
    ///
    /// # Errors
    /// [`ProposeError::NoLeader`] if there is none, [`ProposeError::Refused`] with the words of the leader.
    pub async fn ask_leader(&self, question: Bytes) -> Result<Bytes, ProposeError> {
        let Some(leader) = self.leader_elsewhere() else {
            if !self.leadership().leads {
                return Err(ProposeError::NoLeader { hint: None });
            }
            let answering = self.answering().ok_or(ProposeError::NoLeader { hint: None })?;
            return answering(question).await.map_err(ProposeError::Refused);
        };
        match self.link().ask_node(&leader, Question::Ask(question), READ_LIMIT).await {
            Ok(Answer::Ask(answer)) => Ok(answer),
            Ok(_) => Err(CallError::Confused.of_write()),
            Err(error) => Err(error.of_write()),
        }
    }

    /// The leader, if it is known and not this server.
    pub(super) fn leader_elsewhere(&self) -> Option<(u64, Node)> {
        let own = self.link().id;
        self.subscribe_status().borrow().leader.clone().filter(|(id, _)| *id != own)
    }

    async fn forward(&self, leader: &(u64, Node), proposal: &Proposal) -> Result<(u64, Reply), ProposeError> {
        let question = Question::Propose(pb::Propose { record: proposal.bytes().clone() });
        let done = match self.link().ask_node(leader, question, WRITE_LIMIT).await {
            Ok(Answer::Propose(done)) => done,
            Ok(_) => return Err(ProposeError::OutcomeUnknown),
            Err(error) => return Err(error.of_write()),
        };
        let reply = decode_reply(&done.reply).map_err(|_| ProposeError::OutcomeUnknown)?;
        // Whoever wrote here reads it here. If this server is far behind, the write was done all the same.
        let _ = tokio::time::timeout(APPLY_LIMIT, self.applied(done.revision)).await;
        Ok((done.revision, reply))
    }

    /// The index up to which the log must be applied for a fresh read, if this server leads.
    pub(super) async fn read_index_here(&self, lease: bool) -> Result<u64, ProposeError> {
        let age = if lease { LEASE } else { Duration::ZERO };
        let option = LinearizerOption::new(Some(age), true).with_wait_timeout(READ_LIMIT);
        match self.raft().get_read_linearizer(option).await {
            Ok(linearizer) => Ok(linearizer.read_log_id().index()),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => Err(no_leader(forward)),
            Err(RaftError::APIError(_)) => Err(ProposeError::NoLeader { hint: None }),
            Err(RaftError::Fatal(fatal)) => Err(self.inner().explain(ProposeError::from_fatal(&fatal))),
        }
    }

    async fn read_index_of(&self, leader: &(u64, Node), lease: bool) -> Result<u64, ProposeError> {
        let question = Question::ReadIndex(pb::ReadIndex { lease });
        match self.link().ask_node(leader, question, READ_LIMIT).await {
            Ok(Answer::ReadIndex(read)) => Ok(read.index),
            // A read changes nothing: whatever went wrong, it may be tried again.
            Ok(_) | Err(_) => Err(ProposeError::NoLeader { hint: Some(Box::new(leader.clone())) }),
        }
    }
}
