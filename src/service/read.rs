//! Reads: a barrier, then a snapshot.

use super::{Core, Error};
use crate::machine::State;
use crate::raft::Barrier;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// Reflects every write acknowledged before the call.
    Linearizable,
    /// The same while clocks run equally fast.
    Lease,
    /// Whatever this server has.
    #[default]
    Local,
}

/// What a read asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadOptions {
    /// How fresh.
    pub consistency: Consistency,
    /// `Local` only: refuse if the last contact with the leader is older.
    pub max_staleness_ms: Option<u64>,
    /// Wait until this revision is applied.
    pub min_revision: u64,
    /// Until when to wait for it; unset: 10 s.
    pub deadline: Option<Instant>,
}

/// A snapshot of the state and how fresh it is.
#[derive(Clone, Debug)]
pub struct View {
    /// The state.
    pub state: Arc<State>,
    /// Time since the last contact with the leader.
    pub staleness_ms: u64,
    /// A leader is known.
    pub leader_known: bool,
    /// Raft term.
    pub term: u64,
    /// The leader's gRPC endpoint, if known.
    pub leader: Option<Arc<str>>,
}

const MIN_REVISION_WAIT: Duration = Duration::from_secs(10);

impl Core {
    /// This server's state as it is.
    pub fn local(&self) -> View {
        let raft = &self.inner.raft;
        let standing = raft.standing();
        let staleness_ms = match standing.staleness_ms {
            Some(ms) => ms,
            // Never heard of one: as old as this process, or older.
            None => self.inner.clock.now_ms().saturating_sub(self.inner.started_ms).max(1),
        };
        View {
            state: raft.state(),
            staleness_ms,
            leader_known: standing.leader_known,
            term: standing.term,
            leader: standing.endpoint,
        }
    }

    /// A snapshot after the barrier asked for.
    pub async fn view(&self, options: &ReadOptions) -> Result<View, Error> {
        let barrier = match options.consistency {
            Consistency::Linearizable => Barrier::Linearizable,
            Consistency::Lease => Barrier::Lease,
            Consistency::Local => Barrier::Local,
        };
        self.inner.raft.barrier(barrier).await?;
        let view = self.local();
        if view.state.revision() < options.min_revision {
            return Box::pin(self.wait_for_revision(options)).await;
        }
        match options.max_staleness_ms {
            Some(max) if view.staleness_ms > max => {
                Err(Error::TooStale(format!("the last contact with the leader was {} ms ago", view.staleness_ms)))
            }
            _ => Ok(view),
        }
    }

    async fn wait_for_revision(&self, options: &ReadOptions) -> Result<View, Error> {
        let deadline = options.deadline.unwrap_or_else(|| Instant::now() + MIN_REVISION_WAIT);
        match tokio::time::timeout_at(deadline, self.inner.raft.applied(options.min_revision)).await {
            Ok(()) => Ok(self.local()),
            Err(_) => Err(Error::TooStale(format!(
                "revision {} is not reached, this server is at {}",
                options.min_revision,
                self.local().state.revision()
            ))),
        }
    }
}
