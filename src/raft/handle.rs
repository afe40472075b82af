//! What the rest of the server uses: propose, read, wait, watch the cluster, stop.

use super::contact::{self, Contact};
use super::error::{ProposeError, Refused};
use super::link::Link;
use super::proposer::{self, Job};
use super::rounds::Rounds;
use super::state_machine::Published;
use super::status::{self, Status};
use super::types::{Node, Proposal, Raft, TypeConfig};
use super::{failover, purge, superseded, unfinished};
use crate::clock::Clock;
use crate::command::{Command, Record, Reply};
use crate::machine::State;
use crate::model::RequestId;
use crate::store::{Checkpoint, Fatal, Log};
use bytes::Bytes;
use futures::future::BoxFuture;
use openraft::ServerState;
use openraft::type_config::async_runtime::watch::WatchReceiver;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
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

/// How a server stands to the leader.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Raft term.
    pub term: u64,
    /// A leader is known, which may be this server.
    pub leader_known: bool,
    /// host:port of the leader's gRPC API.
    pub endpoint: Option<Arc<str>>,
    /// Milliseconds since the leader was last heard of: 0 at the leader, `None` if it never was.
    pub staleness_ms: Option<u64>,
}

/// Answers what other servers ask of the leader's service layer.
pub type Answering = Arc<dyn Fn(Bytes) -> BoxFuture<'static, Result<Bytes, String>> + Send + Sync>;

/// Replication as the rest of the server uses it. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    inner: Arc<Inner>,
}

/// What replication was started with and what was found on disk.
pub(super) struct Parts {
    pub(super) raft: Raft,
    pub(super) published: Arc<Published>,
    pub(super) link: Link,
    pub(super) contact: Arc<Contact>,
    pub(super) node: Node,
    pub(super) expect: u32,
    pub(super) data_dir: Option<PathBuf>,
    pub(super) clock: Clock,
    pub(super) fatal: Fatal,
    pub(super) log: Log,
    pub(super) checkpoint: Checkpoint,
}

pub(super) struct Inner {
    pub(super) parts: Parts,
    server: openraft::alias::WatchReceiverOf<TypeConfig, openraft::metrics::RaftServerMetrics<TypeConfig>>,
    status: watch::Sender<Status>,
    /// Time of the last record, so that time never goes back.
    stamped_ms: AtomicU64,
    /// This server has all that was acknowledged before it started.
    caught_up: watch::Sender<bool>,
    answering: OnceLock<Answering>,
    /// Reads that a leader confirms, and those for which its lease is enough.
    pub(super) confirmed_reads: Rounds,
    pub(super) leased_reads: Rounds,
    /// One change of identity or membership at a time.
    pub(super) changing: tokio::sync::Mutex<()>,
    /// To the proposer.
    queue: mpsc::Sender<Job>,
    /// Tasks that end with the last handle.
    background: OnceLock<Vec<AbortHandle>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.background.get().into_iter().flatten().for_each(AbortHandle::abort);
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("id", &self.inner.parts.link.id).finish_non_exhaustive()
    }
}

impl Handle {
    /// `caught_up`: the state holds all that was acknowledged before this server started.
    pub(super) fn new(parts: Parts, caught_up: bool) -> Handle {
        let (raft, link, contact) = (parts.raft.clone(), parts.link.clone(), parts.contact.clone());
        // Before the first look at the status, so that no change falls between.
        let server = raft.server_metrics();
        let now = status::current(&raft, link.cluster.get().copied());
        let status = watch::Sender::new(parts.contact.confirm(&raft, now));
        let stamped_ms = AtomicU64::new(parts.published.state.load().time_ms());
        let (queue, jobs) = mpsc::channel(proposer::QUEUE);
        let ending = (parts.link.superseded.subscribe(), status.subscribe());
        let purging = purge::run(raft.clone(), parts.checkpoint.durable());
        let inner = Arc::new(Inner {
            parts,
            server: server.clone(),
            status,
            stamped_ms,
            caught_up: watch::Sender::new(caught_up),
            answering: OnceLock::new(),
            confirmed_reads: Rounds::default(),
            leased_reads: Rounds::default(),
            changing: tokio::sync::Mutex::default(),
            queue,
            background: OnceLock::new(),
        });
        // They end when they find the handle gone, so there must be one before they begin.
        let weak = Arc::downgrade(&inner);
        inner.background.get_or_init(|| {
            vec![
                tokio::spawn(purging).abort_handle(),
                tokio::spawn(watch_server(weak.clone(), contact, server)).abort_handle(),
                tokio::spawn(proposer::run(raft.clone(), jobs)).abort_handle(),
                tokio::spawn(failover::run(raft.clone(), link)).abort_handle(),
                tokio::spawn(superseded::run(weak.clone(), ending.0, ending.1)).abort_handle(),
                tokio::spawn(unfinished::run(weak.clone(), raft.clone())).abort_handle(),
                tokio::spawn(catch_up(weak, raft)).abort_handle(),
            ]
        });
        Handle { inner }
    }

    pub(super) fn of(inner: Arc<Inner>) -> Handle {
        Handle { inner }
    }

    /// Whether this server is the only voter, leads, and has applied an entry of its term.
    pub fn leads_alone(&self) -> bool {
        self.inner.leads_alone()
    }

    /// Proposes a command here, whether or not another server leads.
    pub(super) async fn propose_here(
        &self,
        request_id: Option<RequestId>,
        command: Command,
    ) -> Result<(u64, Reply), ProposeError> {
        self.submit(&self.proposal(request_id, command)?).await
    }

    /// A command with the time of this server.
    pub(super) fn proposal(&self, request_id: Option<RequestId>, command: Command) -> Result<Proposal, ProposeError> {
        let proposal = Proposal::new(Record { time_ms: self.inner.stamp(), request_id, command });
        match proposal.bytes().len() {
            size if size > RECORD_LIMIT => Err(ProposeError::TooLarge { size, limit: RECORD_LIMIT }),
            _ => Ok(proposal),
        }
    }

    pub(super) async fn submit(&self, proposal: &Proposal) -> Result<(u64, Reply), ProposeError> {
        let inner = &*self.inner;
        let mut tries = 0;
        loop {
            let (done, answer) = oneshot::channel();
            let stopped = |_| ProposeError::Fatal("raft has stopped".to_owned());
            inner.queue.send(Job { proposal: proposal.clone(), done }).await.map_err(stopped)?;
            let refused = match answer.await.map_err(|_| ProposeError::OutcomeUnknown)? {
                // Only blank and membership entries have no reply.
                Ok((index, reply)) => return Ok((index, reply.ok_or(ProposeError::OutcomeUnknown)?)),
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

    pub(super) fn inner(&self) -> &Inner {
        &self.inner
    }

    pub(super) fn raft(&self) -> &Raft {
        &self.inner.parts.raft
    }

    pub(super) fn link(&self) -> &Link {
        &self.inner.parts.link
    }

    pub(super) fn data_dir(&self) -> Option<PathBuf> {
        self.inner.parts.data_dir.clone()
    }

    pub(super) fn answering(&self) -> Option<Answering> {
        self.inner.answering.get().cloned()
    }

    /// Whom to ask when another server asks the leader for something that is not raft's business. The first one stays.
    pub fn answer_with(&self, answering: Answering) {
        let _ = self.inner.answering.set(answering);
    }

    /// The leader was heard of.
    pub(super) fn note_contact(&self) {
        self.inner.parts.contact.note(self.inner.status.borrow().leader.is_some());
    }

    /// Resolves when this server has all that was acknowledged before it started. Until then its state may be older than
    /// what it answered in its last life.
    pub async fn caught_up(&self) {
        let mut caught_up = self.inner.caught_up.subscribe();
        // The sender lives as long as `self`, so this ends by the value only.
        let _ = caught_up.wait_for(|done| *done).await;
    }

    /// The state as of the last applied batch. Never goes back, not even over a restart.
    pub fn state(&self) -> Arc<State> {
        self.inner.parts.published.state.load_full()
    }

    /// Whether this server leads, and in which term: cheap enough for every request.
    pub fn leadership(&self) -> Leadership {
        let status = self.inner.status.borrow();
        Leadership { leads: status.leads(), term: status.term }
    }

    /// How this server stands to the leader: cheap enough for every request.
    pub fn standing(&self) -> Standing {
        let status = self.inner.status.borrow();
        let staleness = match status.leads() {
            true if status.leader.is_some() => Some(Duration::ZERO),
            true => Some(contact::majority_age(self.raft(), &status)),
            false => self.inner.parts.contact.age(),
        };
        Standing {
            term: status.term,
            leader_known: status.leader.is_some(),
            endpoint: status.leader_endpoint.clone(),
            staleness_ms: staleness.map(|age| age.as_millis() as u64),
        }
    }

    /// Waits until the published state has this revision.
    pub async fn applied(&self, revision: u64) {
        self.inner.parts.published.applied.reached(revision).await;
    }

    /// What this server knows of the cluster now.
    pub fn status(&self) -> Status {
        self.inner.look()
    }

    /// The same whenever role, term, leader or members change; the indexes in it are as of that change.
    pub fn subscribe_status(&self) -> watch::Receiver<Status> {
        self.inner.status.subscribe()
    }

    /// Resolves, with the reason, when this server must stop: nothing is acknowledged any more.
    pub async fn fatal(&self) -> String {
        let inner = &*self.inner;
        let metrics = inner.parts.raft.metrics();
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
            message = inner.parts.fatal.wait() => message,
            message = stopped => {
                let superseded = || inner.parts.link.superseded.borrow().as_deref().map(superseded::advice);
                inner.parts.fatal.message().or_else(superseded).unwrap_or(message)
            }
        }
    }

    /// Stops replication, writes a last checkpoint and lets go of the files. Commands on their way may be lost to their
    /// callers, not to the log.
    ///
    /// # Errors
    /// The last checkpoint cannot be written; the next start replays the log instead.
    pub async fn shutdown(self) -> std::io::Result<()> {
        let Parts { raft, checkpoint, log, .. } = &self.inner.parts;
        raft.shutdown().await.map_err(std::io::Error::other)?;
        let checkpoint = checkpoint.close().await;
        log.clone().close().await?;
        checkpoint
    }

    /// The cluster that this server is in, if it is in one.
    pub fn cluster(&self) -> Option<uuid::Uuid> {
        self.link().cluster.get().copied()
    }

    /// This server as its peers know it.
    pub(super) fn own_node(&self) -> &Node {
        &self.inner.parts.node
    }
}

impl Inner {
    /// What this server knows of the cluster now.
    fn look(&self) -> Status {
        let parts = &self.parts;
        parts.contact.confirm(&parts.raft, status::current(&parts.raft, parts.link.cluster.get().copied()))
    }

    /// The time for the next record: the clock's, but never less than before.
    fn stamp(&self) -> u64 {
        let now = self.parts.clock.now_ms();
        self.stamped_ms.fetch_max(now, Ordering::Relaxed).max(now)
    }

    /// Whether this server is the only voter, leads, and has applied an entry of its term: then whatever was
    /// acknowledged is in the published state, and nobody else can have acknowledged anything.
    pub(super) fn leads_alone(&self) -> bool {
        let server = self.server.borrow_watched();
        let configs = server.membership_config.get_joint_config();
        server.state == ServerState::Leader
            && matches!(configs.as_slice(), [only] if only.len() == 1 && only.contains(&self.parts.link.id))
            && self.parts.published.applied_term.load(Ordering::Acquire) == server.vote.leader_id.term
    }

    /// Prefers what the store said over what openraft makes of it.
    pub(super) fn explain(&self, error: ProposeError) -> ProposeError {
        match error {
            ProposeError::Fatal(message) => ProposeError::Fatal(self.parts.fatal.message().unwrap_or(message)),
            other => other,
        }
    }
}

/// Keeps the watched status up to date while the handle lives.
async fn watch_server(
    inner: Weak<Inner>,
    contact: Arc<Contact>,
    mut server: openraft::alias::WatchReceiverOf<TypeConfig, openraft::metrics::RaftServerMetrics<TypeConfig>>,
) {
    loop {
        let raft_changed = tokio::select! {
            biased;
            changed = server.changed() => match changed {
                Ok(()) => true,
                Err(_) => return,
            },
            () = contact.changed() => false,
        };
        let Some(inner) = inner.upgrade() else { return };
        let now = inner.look();
        if !raft_changed && now.leader == inner.status.borrow().leader {
            continue;
        }
        inner.parts.link.places.learn_members(&now.members);
        let before = inner.status.send_replace(now.clone());
        match &now.leader {
            Some((id, _))
                if before.leader.as_ref().is_some_and(|(known, _)| known == id) && before.term == now.term => {}
            Some((_, node)) => tracing::info!(leader = node.name, term = now.term, "a server leads"),
            None if before.leader.is_some() => tracing::warn!(term = now.term, "no leader is known"),
            None => {}
        }
    }
}

/// Notes when this server has what was acknowledged before it started.
async fn catch_up(inner: Weak<Inner>, raft: Raft) {
    // Fails only when raft stops.
    if raft.wait_for_recovery(None).await.is_err() {
        return;
    }
    // What a follower has applied need not be on its own disk, so the end of its log is no measure: the leader is asked.
    while let Some(inner) = inner.upgrade() {
        match (Handle { inner }).barrier(Barrier::Linearizable).await {
            Err(ProposeError::NoLeader { .. }) => tokio::time::sleep(LEASE_PAUSE).await,
            Err(_) => return,
            Ok(()) => break,
        }
    }
    if let Some(inner) = inner.upgrade() {
        inner.caught_up.send_replace(true);
    }
}
