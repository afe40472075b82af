//! What the rest of the server uses: propose, read, wait, watch the cluster, stop.

use super::error::{ProposeError, Refused, no_leader};
use super::purge;
use super::state_machine::Published;
use super::status::{self, Status};
use super::types::{Proposal, Raft, TypeConfig};
use crate::clock::Clock;
use crate::command::{Command, Record, Reply};
use crate::machine::State;
use crate::model::RequestId;
use crate::store::{Checkpoint, Fatal, Identity, Log};
use openraft::errors::{LinearizableReadError, RaftError};
use openraft::type_config::async_runtime::watch::WatchReceiver;
use openraft::{ReadPolicy, ServerState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// Largest encoded command: far above any single object, far below what would stall replication.
const RECORD_LIMIT: usize = 4 << 20;
/// How long a leader that has not heard from a quorum yet is given to do so, and how often that is looked at.
const LEASE_TRIES: u32 = 200;
const LEASE_PAUSE: Duration = Duration::from_millis(10);

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barrier {
    /// Everything acknowledged anywhere before the call; asks a quorum.
    Linearizable,
    /// The same as long as clocks run equally fast; asks nobody, only the leader can.
    Lease,
    /// Whatever this server has.
    Local,
}

/// Whether this server leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// It does.
    pub leads: bool,
    /// Raft term.
    pub term: u64,
}

/// Replication as the rest of the server uses it. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    inner: Arc<Inner>,
}

struct Inner {
    raft: Raft,
    published: Arc<Published>,
    server: openraft::alias::WatchReceiverOf<TypeConfig, openraft::metrics::RaftServerMetrics<TypeConfig>>,
    status: watch::Sender<Status>,
    identity: Identity,
    clock: Clock,
    /// Time of the last record, so that time never goes back.
    stamped_ms: AtomicU64,
    fatal: Fatal,
    log: Log,
    checkpoint: Checkpoint,
    /// Tasks that end with the last handle.
    background: Vec<AbortHandle>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.background.iter().for_each(AbortHandle::abort);
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("identity", &self.inner.identity).finish_non_exhaustive()
    }
}

impl Handle {
    pub(super) fn new(
        raft: Raft,
        published: Arc<Published>,
        identity: Identity,
        clock: Clock,
        fatal: Fatal,
        log: Log,
        checkpoint: Checkpoint,
    ) -> Handle {
        let status = watch::Sender::new(status::current(&raft, uuid::Uuid::from_bytes(identity.cluster)));
        let stamped_ms = AtomicU64::new(published.state.load().time_ms());
        let server = raft.server_metrics();
        let purging = tokio::spawn(purge::run(raft.clone(), checkpoint.durable())).abort_handle();
        let inner = Arc::new_cyclic(|weak: &Weak<Inner>| {
            let watching = tokio::spawn(watch_server(weak.clone(), server.clone())).abort_handle();
            let background = vec![purging, watching];
            Inner { raft, published, server, status, identity, clock, stamped_ms, fatal, log, checkpoint, background }
        });
        Handle { inner }
    }

    /// Proposes a command and waits until it is durable, applied and published. Returns its revision and its reply.
    ///
    /// Dropping the future does not take the command back.
    ///
    /// # Errors
    /// See [`ProposeError`]; a rejection by the state machine is not an error but a reply.
    pub async fn propose(&self, request_id: Option<RequestId>, command: Command) -> Result<(u64, Reply), ProposeError> {
        let inner = &*self.inner;
        let record = Record { time_ms: inner.stamp(), request_id, command };
        let proposal = Proposal::new(record);
        let size = proposal.bytes().len();
        if size > RECORD_LIMIT {
            return Err(ProposeError::TooLarge { size, limit: RECORD_LIMIT });
        }
        let mut tries = 0;
        loop {
            let refused = match inner.raft.client_write(proposal.clone()).await {
                Ok(response) => {
                    // Only blank and membership entries have no reply.
                    let reply = response.data.ok_or(ProposeError::OutcomeUnknown)?;
                    return Ok((response.log_id.index, reply));
                }
                Err(error) => Refused::from(error),
            };
            match refused {
                Refused::TryAgain if tries < LEASE_TRIES => tries += 1,
                Refused::TryAgain => return Err(ProposeError::NoLeader { hint: None }),
                Refused::For(error) => return Err(inner.explain(error)),
            }
            tokio::time::sleep(LEASE_PAUSE).await;
        }
    }

    /// The state as of the last applied batch. Never goes back, not even over a restart.
    pub fn state(&self) -> Arc<State> {
        self.inner.published.state.load_full()
    }

    /// Waits until [`Handle::state`] is as fresh as asked. A server that leads alone answers at once.
    ///
    /// # Errors
    /// [`ProposeError::NoLeader`] if this server does not lead or has lost touch with the others.
    pub async fn barrier(&self, level: Barrier) -> Result<(), ProposeError> {
        let inner = &*self.inner;
        if level == Barrier::Local || inner.leads_alone() {
            return Ok(());
        }
        let policy = if level == Barrier::Lease { ReadPolicy::LeaseRead } else { ReadPolicy::ReadIndex };
        match inner.raft.ensure_linearizable(policy).await {
            Ok(_) => Ok(()),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => Err(no_leader(forward)),
            Err(RaftError::APIError(_)) => Err(ProposeError::NoLeader { hint: None }),
            Err(RaftError::Fatal(fatal)) => Err(inner.explain(ProposeError::from_fatal(&fatal))),
        }
    }

    /// Whether this server leads, and in which term: cheap enough for every request.
    pub fn leadership(&self) -> Leadership {
        let status = self.inner.status.borrow();
        Leadership { leads: status.leads(), term: status.term }
    }

    /// Waits until the published state has this revision.
    pub async fn applied(&self, revision: u64) {
        let mut applied = self.inner.published.applied.subscribe();
        // The sender lives as long as `self`, so this ends by the value only.
        let _ = applied.wait_for(|applied| *applied >= revision).await;
    }

    /// What this server knows of the cluster now.
    pub fn status(&self) -> Status {
        status::current(&self.inner.raft, self.inner.cluster())
    }

    /// The same whenever role, term, leader or members change; the indexes in it are as of that change.
    pub fn subscribe_status(&self) -> watch::Receiver<Status> {
        self.inner.status.subscribe()
    }

    /// Resolves, with the reason, when this server must stop: nothing is acknowledged any more.
    pub async fn fatal(&self) -> String {
        let inner = &*self.inner;
        let metrics = inner.raft.metrics();
        let mut server = inner.server.clone();
        let stopped = async {
            // It changes rarely, unlike the metrics as a whole, and ends with the core.
            while server.changed().await.is_ok() {}
            metrics
                .borrow_watched()
                .running_state
                .as_ref()
                .err()
                .map_or("raft has stopped".to_owned(), ToString::to_string)
        };
        tokio::select! {
            biased;
            message = inner.fatal.wait() => message,
            message = stopped => inner.fatal.message().unwrap_or(message),
        }
    }

    /// Stops replication, writes a last checkpoint and lets go of the files. Commands on their way may be lost to their
    /// callers, not to the log.
    ///
    /// # Errors
    /// The last checkpoint cannot be written; the next start replays the log instead.
    pub async fn shutdown(self) -> std::io::Result<()> {
        let inner = &*self.inner;
        inner.raft.shutdown().await.map_err(std::io::Error::other)?;
        let checkpoint = inner.checkpoint.close().await;
        inner.log.clone().close().await?;
        checkpoint
    }
}

impl Inner {
    fn cluster(&self) -> uuid::Uuid {
        uuid::Uuid::from_bytes(self.identity.cluster)
    }

    /// The time for the next record: the clock's, but never less than before.
    fn stamp(&self) -> u64 {
        let now = self.clock.now_ms();
        self.stamped_ms.fetch_max(now, Ordering::Relaxed).max(now)
    }

    /// Whether this server is the only voter, leads, and has applied an entry of its term: then whatever was
    /// acknowledged is in the published state, and nobody else can have acknowledged anything.
    fn leads_alone(&self) -> bool {
        let server = self.server.borrow_watched();
        let configs = server.membership_config.get_joint_config();
        server.state == ServerState::Leader
            && matches!(configs.as_slice(), [only] if only.len() == 1 && only.contains(&self.identity.node))
            && self.published.applied_term.load(Ordering::Acquire) == server.vote.leader_id.term
    }

    /// Prefers what the store said over what openraft makes of it.
    fn explain(&self, error: ProposeError) -> ProposeError {
        match error {
            ProposeError::Fatal(message) => ProposeError::Fatal(self.fatal.message().unwrap_or(message)),
            other => other,
        }
    }
}

/// Keeps the watched status up to date while the handle lives.
async fn watch_server(
    inner: Weak<Inner>,
    mut server: openraft::alias::WatchReceiverOf<TypeConfig, openraft::metrics::RaftServerMetrics<TypeConfig>>,
) {
    while server.changed().await.is_ok() {
        let Some(inner) = inner.upgrade() else { return };
        inner.status.send_replace(status::current(&inner.raft, inner.cluster()));
    }
}
