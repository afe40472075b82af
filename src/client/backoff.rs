//! When to try again: as a server asks, or ever later, and never in step with other agents.

use crate::clock::Clock;
use std::time::Duration;
use tonic::Status;
use tonic_types::StatusExt;

/// The first pause at least, and the last one at most.
const FIRST: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_secs(10);
/// A server may ask for this much patience.
const ASKED_MAX: Duration = Duration::from_secs(60);

/// The pauses between attempts.
#[derive(Debug)]
pub(super) struct Backoff {
    clock: Clock,
    failures: u32,
}

impl Backoff {
    pub(super) fn new(clock: Clock) -> Backoff {
        Backoff { clock, failures: 0 }
    }

    /// It worked.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// It failed; `asked`: how long the server wants to be left alone. Returns the pause: up to half as long again as
    /// that, or as twice the time before.
    pub(super) fn failed(&mut self, asked: Option<Duration>) -> Duration {
        let doubled = FIRST.saturating_mul(1 << self.failures.min(16)).min(LAST);
        self.failures = self.failures.saturating_add(1);
        let pause = asked.unwrap_or_default().min(ASKED_MAX).max(doubled);
        let [a, b, ..] = self.clock.random();
        pause + pause / 131_072 * u32::from(u16::from_be_bytes([a, b]))
    }

    /// [`Backoff::failed`] after an error of a server.
    pub(super) async fn pause(&mut self, status: &Status) {
        tokio::time::sleep(self.failed(asked(status))).await;
    }
}

/// How long a server wants to be left alone.
fn asked(status: &Status) -> Option<Duration> {
    status.get_details_retry_info()?.retry_delay
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;
    use tonic_types::ErrorDetails;

    #[test]
    fn pauses_grow_to_a_bound_and_begin_again() {
        let mut backoff = Backoff::new(Clock::manual(0, 1));
        let mut least = FIRST;
        for _ in 0..40 {
            let pause = backoff.failed(None);
            assert!((least..=least * 3 / 2).contains(&pause), "{pause:?} for {least:?}");
            least = (least * 2).min(LAST);
        }
        backoff.succeeded();
        assert!(backoff.failed(None) <= FIRST * 3 / 2);
    }

    #[test]
    fn a_server_is_left_alone_for_as_long_as_it_asks() {
        let seconds = Duration::from_secs;
        let details = ErrorDetails::with_retry_info(Some(seconds(7)));
        let status = Status::with_error_details(Code::ResourceExhausted, "busy", details);
        assert_eq!((asked(&status), asked(&Status::unavailable("gone"))), (Some(seconds(7)), None));
        let mut backoff = Backoff::new(Clock::manual(0, 1));
        let pauses: Vec<_> = (0..6).map(|_| backoff.failed(Some(seconds(7)))).collect();
        assert!(pauses.iter().all(|p| (seconds(7)..=seconds(11)).contains(p)), "{pauses:?}");
        assert!(pauses.windows(2).all(|p| p[0] != p[1]), "agents do not come in step");
        assert!(backoff.failed(Some(Duration::MAX)) <= ASKED_MAX * 3 / 2);
    }
}
