//! Checks that somebody reports in time.

use super::Report;
use crate::agent::handle::Agent;
use crate::model::Text;
use compact_str::format_compact;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// The clock of one check. A renewal wakes nobody: whoever waits looks again when the old time is over.
#[derive(Debug)]
pub(in crate::agent) struct Ttl {
    period: Duration,
    clock: Mutex<Clock>,
    /// Renewed after it had expired.
    revived: Notify,
}

#[derive(Debug)]
struct Clock {
    ends: Instant,
    last_output: Text,
    expired: bool,
}

impl Ttl {
    pub(super) fn new(period: Duration) -> Ttl {
        let clock = Clock { ends: Instant::now() + period, last_output: Text::default(), expired: false };
        Ttl { period, clock: Mutex::new(clock), revived: Notify::new() }
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        // The value is whole after every statement, so a panic elsewhere cannot have broken it.
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long a report holds.
    pub(in crate::agent) fn period(&self) -> Duration {
        self.period
    }

    /// There was a report.
    pub(in crate::agent) fn renew(&self, output: &str) {
        self.set(output, self.period);
    }

    /// There was one before a restart, which holds for so long.
    pub(in crate::agent) fn resume(&self, output: &str, left_ms: u64) {
        self.set(output, self.period.min(Duration::from_millis(left_ms)));
    }

    fn set(&self, output: &str, left: Duration) {
        let mut clock = self.clock();
        (clock.ends, clock.last_output) = (Instant::now() + left, output.into());
        if std::mem::take(&mut clock.expired) {
            self.revived.notify_one();
        }
    }

    /// The report of its end, if it has come; else when to look again.
    fn expire(&self) -> Result<Report, Instant> {
        let mut clock = self.clock();
        if Instant::now() < clock.ends {
            return Err(clock.ends);
        }
        clock.expired = true;
        Ok(Report::critical(match clock.last_output.as_str() {
            "" => "TTL expired".into(),
            last => format_compact!("TTL expired (last output before timeout follows): {last}"),
        }))
    }
}

pub(super) async fn run(agent: Agent, id: Text, generation: u64, ttl: Arc<Ttl>) {
    loop {
        let expired = || ttl.expire();
        match agent.take_if(&id, generation, expired) {
            Ok(()) => ttl.revived.notified().await,
            Err(later) => sleep_until(later).await,
        }
    }
}
