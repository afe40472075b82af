//! How fast one may ask: a bucket of turns that fills at an even rate.

use super::gate::{Busy, Fault, RETRY_MAX, RETRY_MIN, Spread};
use crate::clock::Clock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A bound on the rate of something. Without one it costs a look at a flag.
#[derive(Debug)]
pub struct Rate {
    limit: &'static str,
    reason: &'static str,
    bounded: AtomicBool,
    bucket: Mutex<Bucket>,
    spread: Spread,
    clock: Clock,
}

#[derive(Debug)]
struct Bucket {
    per_second: f64,
    burst: f64,
    /// What may be taken now; below 0 never.
    left: f64,
    at_us: u64,
}

impl Rate {
    /// `limit` names the setting, `reason` is told to whoever is refused. See [`Rate::set`].
    pub fn new(limit: &'static str, reason: &'static str, per_second: Option<f64>, burst: u32, clock: Clock) -> Rate {
        let bucket = Bucket { per_second: 0.0, burst: 0.0, left: 0.0, at_us: 0 };
        let rate = Rate {
            limit,
            reason,
            bounded: AtomicBool::new(false),
            bucket: Mutex::new(bucket),
            spread: Spread::new(),
            clock,
        };
        rate.set(per_second, burst);
        rate
    }

    /// So many per second, and so many at once after a pause. `None`: as many as come.
    pub fn set(&self, per_second: Option<f64>, burst: u32) {
        let mut bucket = self.bucket();
        bucket.burst = f64::from(burst);
        bucket.per_second = per_second.unwrap_or(0.0).max(0.0);
        // What was free until now begins with a full bucket.
        let was_bounded = self.bounded.swap(per_second.is_some(), Ordering::Relaxed);
        bucket.left = if was_bounded { bucket.left.min(bucket.burst) } else { bucket.burst };
        bucket.at_us = self.clock.monotonic_us();
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        // Numbers that are whole after each statement.
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more.
    ///
    /// # Errors
    /// [`Busy`], with the time after which there is one again.
    pub fn take(&self) -> Result<(), Busy> {
        if !self.bounded.load(Ordering::Relaxed) {
            return Ok(());
        }
        let now_us = self.clock.monotonic_us();
        let mut bucket = self.bucket();
        let passed = now_us.saturating_sub(bucket.at_us) as f64 / 1e6;
        bucket.left = (bucket.left + passed * bucket.per_second).min(bucket.burst);
        bucket.at_us = now_us;
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            return Ok(());
        }
        let seconds = (1.0 - bucket.left) / bucket.per_second;
        drop(bucket);
        let wait = Duration::try_from_secs_f64(seconds).unwrap_or(RETRY_MAX).clamp(RETRY_MIN, RETRY_MAX);
        let retry_after = self.spread.lengthen(wait).min(RETRY_MAX);
        Err(Busy { limit: self.limit, reason: self.reason.to_owned(), retry_after, fault: Fault::Client })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_burst_then_an_even_rate() {
        let clock = Clock::manual(0, 1);
        let rate = Rate::new("limits.rpc_rate", "too fast", Some(10.0), 3, clock.clone());
        for _ in 0..3 {
            rate.take().expect("a burst");
        }
        let busy = rate.take().expect_err("no more");
        assert_eq!((busy.limit, busy.to_string().as_str(), busy.fault), ("limits.rpc_rate", "too fast", Fault::Client));
        assert!((RETRY_MIN..=RETRY_MIN * 2).contains(&busy.retry_after), "{busy:?}");
        clock.advance(100);
        rate.take().expect("one came back");
        rate.take().expect_err("only one");
        rate.set(None, 3);
        for _ in 0..100 {
            rate.take().expect("without a bound");
        }
    }

    #[test]
    fn nothing_comes_back_at_a_rate_of_nothing() {
        let clock = Clock::manual(0, 1);
        let rate = Rate::new("limits.rpc_rate", "too fast", Some(0.0), 1, clock.clone());
        rate.take().expect("the burst");
        clock.advance(3_600_000);
        assert_eq!(rate.take().expect_err("none").retry_after, RETRY_MAX);
    }

    proptest! {
        /// Over any stretch of time no more pass than the burst and what the rate gives.
        #[test]
        fn never_more_than_the_rate(steps in prop::collection::vec(0_u64..400, 1..200), per_second in 1_u32..50, burst in 1_u32..20) {
            let clock = Clock::manual(0, 1);
            let rate = Rate::new("l", "r", Some(f64::from(per_second)), burst, clock.clone());
            let (mut passed, mut time_ms) = (0_u32, 0_u64);
            for step in steps {
                clock.advance(step);
                time_ms += step;
                passed += u32::from(rate.take().is_ok());
                let most = f64::from(burst) + time_ms as f64 / 1000.0 * f64::from(per_second);
                prop_assert!(f64::from(passed) <= most + 1e-6);
            }
        }
    }
}
