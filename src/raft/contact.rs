//! Whether the leader that raft remembers is still heard of. openraft names the leader of the newest vote until there is
//! another: after a restart that is one of the past, and a server that is cut off with a minority would name its leader
//! for ever. Callers must be told that there is none.

use super::status::{Role, Status};
use super::types::Raft;
use openraft::Instant as _;
use openraft::type_config::async_runtime::watch::WatchReceiver;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// When the leader was last heard of.
#[derive(Debug)]
pub(super) struct Contact {
    started: Instant,
    /// In milliseconds since then; 0: never.
    at_ms: AtomicU64,
    /// A leader that was not heard of longer than this is none.
    limit: Duration,
    /// The leader was heard of again.
    again: Notify,
}

impl Contact {
    pub(super) fn new(limit: Duration) -> Contact {
        Contact { started: Instant::now(), at_ms: AtomicU64::new(0), limit, again: Notify::new() }
    }

    /// The leader was heard of. `known`: that is no news.
    pub(super) fn note(&self, known: bool) {
        let now_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.at_ms.store(now_ms.max(1), Ordering::Relaxed);
        if !known {
            self.again.notify_one();
        }
    }

    /// How long ago the leader was heard of, if ever.
    pub(super) fn age(&self) -> Option<Duration> {
        let at = Some(self.at_ms.load(Ordering::Relaxed)).filter(|at| *at != 0);
        at.map(|at| self.started.elapsed().saturating_sub(Duration::from_millis(at)))
    }

    /// Resolves when the answer of [`Contact::confirm`] may have changed with nothing else.
    pub(super) async fn changed(&self) {
        tokio::select! {
            () = tokio::time::sleep(self.limit / 2) => {}
            () = self.again.notified() => {}
        }
    }

    /// The status without a leader that is only remembered.
    pub(super) fn confirm(&self, raft: &Raft, status: Status) -> Status {
        let age = match status.role {
            Role::Leader => Some(majority_age(raft, &status)),
            _ => self.age(),
        };
        match age.is_some_and(|age| age < self.limit) {
            true => status,
            false => Status { leader: None, leader_endpoint: None, ..status },
        }
    }
}

/// How long ago a majority has confirmed this leader.
pub(super) fn majority_age(raft: &Raft, status: &Status) -> Duration {
    if status.members.iter().all(|m| !m.voter || m.id == status.id) {
        return Duration::ZERO;
    }
    // Until the first answers, its election is the confirmation.
    raft.metrics().borrow_watched().last_quorum_acked.map_or(Duration::ZERO, |at| at.elapsed())
}
