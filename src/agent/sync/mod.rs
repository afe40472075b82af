//! Making the catalog show what the agent owns, and only that (Consul's anti-entropy).
//!
//! A change is synced at once, together with all others that have gathered meanwhile: the writes of one round are
//! proposed together and share a log entry's sync. A full comparison is made at the start, then about every minute, and
//! more slowly in large clusters. Nothing is written that the catalog shows already. While the servers cannot be
//! reached it is tried again, ever more slowly; what they refuse is left for the next full comparison.

mod compare;
mod round;

pub(super) use compare::check_in;

use super::handle::Agent;
use crate::model::Text;
use crate::service::Error;
use round::Round;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

/// Time between two full comparisons in a cluster of at most [`SCALE_NODES`] nodes.
const FULL_PERIOD: Duration = Duration::from_secs(60);
const SCALE_NODES: usize = 128;
/// First and longest pause after a failure.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(15);

/// How far the catalog is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// It shows everything up to this local revision.
    pub(super) revision: u64,
    /// The servers cannot be reached.
    pub(super) failing: bool,
}

impl Agent {
    /// Keeps the catalog in step until the server drains.
    pub(super) async fn run_sync(&self) {
        let catalog = &self.inner.catalog;
        let (mut full, mut retry) = (Instant::now(), RETRY_FIRST);
        loop {
            let done = if Instant::now() >= full {
                let done = self.sync_all().await;
                if done.is_ok() {
                    full = Instant::now() + self.full_period();
                }
                done
            } else {
                self.sync_changes().await
            };
            let next = match &done {
                Ok(()) => {
                    retry = RETRY_FIRST;
                    full
                }
                Err(Error::Draining) => return,
                Err(error) => {
                    tracing::warn!(%error, "the catalog cannot be brought in step with the agent");
                    self.inner.progress.send_modify(|p| p.failing = true);
                    let pause = retry + self.share_of(retry);
                    retry = (retry * 2).min(RETRY_MAX);
                    Instant::now() + pause
                }
            };
            let woken = async {
                // While the servers cannot be reached, a change is no reason to try sooner; their return is.
                match &done {
                    Ok(()) => self.inner.wake.notified().await,
                    Err(_) => catalog.back().await,
                }
            };
            tokio::select! {
                () = woken => {}
                () = sleep_until(next) => {}
                () = catalog.drained() => return,
            }
        }
    }

    /// A minute, more for many nodes, and a random part of that so that agents do not come in step.
    fn full_period(&self) -> Duration {
        let nodes = self.inner.catalog.nodes();
        let scale = nodes.div_ceil(SCALE_NODES).max(1).next_power_of_two().ilog2() + 1;
        let period = FULL_PERIOD * scale;
        period + self.share_of(period)
    }

    /// Between nothing and all of it.
    pub(super) fn share_of(&self, all: Duration) -> Duration {
        let [a, b, ..] = self.inner.catalog.clock().random();
        all / 65_536 * u32::from(u16::from_be_bytes([a, b]))
    }

    /// Compares everything and mends what differs.
    pub(super) async fn sync_all(&self) -> Result<(), Error> {
        let node = self.node();
        let state = self.inner.catalog.view(&node.name).await?;
        self.local().compare(&state, &node);
        self.sync_changes().await
    }

    /// Writes what has changed here, round by round.
    pub(super) async fn sync_changes(&self) -> Result<(), Error> {
        loop {
            let (round, revision) = {
                let mut local = self.local();
                (Round::take(&mut local), local.revision)
            };
            let Some(round) = round else {
                self.inner.progress.send_replace(Progress { revision, failing: false });
                return Ok(());
            };
            let state = match self.inner.catalog.view(&self.node().name).await {
                Ok(state) => state,
                Err(error) => {
                    round.put_back(&mut self.local());
                    return Err(error);
                }
            };
            let last = round.is_last;
            round.write(self, &state).await?;
            if last {
                self.inner.progress.send_replace(Progress { revision, failing: false });
            }
        }
    }

    /// Lets a change of nothing but output wait: half of the interval, and a random part of all of it.
    pub(super) fn defer(&self, check: Text, generation: u64) -> AbortOnDropHandle<()> {
        let interval = self.settings().check_update_interval;
        let wait = interval / 2 + self.share_of(interval);
        let agent = self.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            agent.end_deferral(check, generation);
        }))
    }

    /// An output has waited long enough.
    pub(super) fn end_deferral(&self, check: Text, generation: u64) {
        let revision = {
            let mut local = self.local();
            let Some(own) = local.checks.get_mut(&check).filter(|own| own.generation == generation) else { return };
            // This runs in the deferral itself, which ends with it.
            own.deferred = None;
            local.unsynced.checks.insert(check);
            local.revision
        };
        self.announce(revision);
    }
}
