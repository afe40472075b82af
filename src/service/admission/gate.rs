//! A bound on how much of one kind of work is done at a time, with a bounded queue before it.

use crate::clock::Clock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::{Semaphore, SemaphorePermit};

/// The earliest that anybody is asked to come back.
pub const RETRY_MIN: Duration = Duration::from_millis(200);
/// The latest.
pub const RETRY_MAX: Duration = Duration::from_secs(30);
/// What a turn is taken to last before one was measured, microseconds.
const HOLD_FIRST_US: u64 = 1_000;
/// No turn counts for more than this, microseconds: a stall must not send everybody away for minutes.
const HOLD_MAX_US: u64 = 5_000_000;

/// Whose doing it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This client asks for more than one client may have.
    Client,
    /// All clients together ask for more than can be done.
    Everyone,
}

/// Why a request was not let in, and when to come again.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{reason}")]
pub struct Busy {
    /// Which limit; a class of work, or a setting.
    pub limit: &'static str,
    /// The same in a sentence, for people.
    pub reason: String,
    /// How long to stay away; differs from client to client.
    pub retry_after: Duration,
    /// Whose doing it is.
    pub fault: Fault,
}

/// Lengthens times a little, each one by another part, so that those who are told them do not come together. No
/// randomness is needed for that: multiples of the golden ratio fill an interval evenly.
#[derive(Debug, Default)]
pub struct Spread(AtomicU32);

impl Spread {
    /// The first one is not lengthened.
    pub const fn new() -> Spread {
        Spread(AtomicU32::new(0))
    }

    /// Up to half as long again.
    pub fn lengthen(&self, time: Duration) -> Duration {
        let part = self.0.fetch_add(0x9E37_79B9, Ordering::Relaxed);
        time + (time / 2).mul_f64(f64::from(part) / f64::from(u32::MAX))
    }
}

/// See the module.
#[derive(Debug)]
pub struct Gate {
    class: &'static str,
    permits: u32,
    free: Semaphore,
    /// Permits that those who wait want together.
    waiting: AtomicU32,
    waiting_max: AtomicU32,
    patience: Duration,
    pace: Pace,
    clock: Clock,
    waited: metrics::Counter,
    shed: metrics::Counter,
}

/// A turn; ends when it is dropped.
#[derive(Debug)]
pub struct Permit<'a> {
    gate: &'a Gate,
    began_us: u64,
    _permit: SemaphorePermit<'a>,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.gate.pace.note(self.gate.clock.monotonic_us().saturating_sub(self.began_us));
    }
}

/// A place among those who wait.
struct Place<'a> {
    gate: &'a Gate,
    cost: u32,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.gate.waiting.fetch_sub(self.cost, Ordering::Relaxed);
    }
}

impl Gate {
    /// Lets work in up to `permits` at a time; beyond that, work worth `waiting` permits waits, each for `patience`.
    /// `class` names it in errors and metrics.
    pub fn new(class: &'static str, permits: u32, waiting: u32, patience: Duration, clock: Clock) -> Gate {
        Gate {
            class,
            permits,
            free: Semaphore::new(permits as usize),
            waiting: AtomicU32::new(0),
            waiting_max: AtomicU32::new(waiting),
            patience,
            pace: Pace { hold_us: AtomicU64::new(HOLD_FIRST_US), next_us: AtomicU64::new(0), spread: Spread::new() },
            clock,
            waited: metrics::counter!("lictor_admission_waited_total", "class" => class),
            shed: metrics::counter!("lictor_admission_shed_total", "class" => class),
        }
    }

    /// Replaces how much may wait.
    pub fn set_waiting(&self, waiting: u32) {
        self.waiting_max.store(waiting, Ordering::Relaxed);
    }

    /// A turn that counts as `cost` permits, or as all there are.
    ///
    /// # Errors
    /// [`Busy`], if too many wait already, or the turn did not come in time.
    pub async fn enter(&self, cost: u32) -> Result<Permit<'_>, Busy> {
        let cost = cost.clamp(1, self.permits);
        if let Ok(permit) = self.free.try_acquire_many(cost) {
            return Ok(self.begin(permit));
        }
        // In a box: it is rare, and everybody's future would have to have room for it.
        Box::pin(self.wait(cost)).await
    }

    async fn wait(&self, cost: u32) -> Result<Permit<'_>, Busy> {
        let Some(_place) = self.queue_up(cost) else { return Err(self.busy("too many wait already")) };
        self.waited.increment(1);
        match tokio::time::timeout(self.patience, self.free.acquire_many(cost)).await {
            // The semaphore is never closed.
            Ok(Ok(permit)) => Ok(self.begin(permit)),
            Ok(Err(_)) | Err(_) => Err(self.busy("the turn did not come in time")),
        }
    }

    /// The same answer in the name of this gate.
    pub(super) fn instead_of(&self, busy: Busy) -> Busy {
        self.shed.increment(1);
        Busy { limit: self.class, reason: self.reason("too many wait already"), ..busy }
    }

    fn begin<'a>(&'a self, permit: SemaphorePermit<'a>) -> Permit<'a> {
        Permit { gate: self, began_us: self.clock.monotonic_us(), _permit: permit }
    }

    fn queue_up(&self, cost: u32) -> Option<Place<'_>> {
        let max = self.waiting_max.load(Ordering::Relaxed);
        let more = |now: u32| now.checked_add(cost).filter(|sum| *sum <= max);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Place { gate: self, cost })
    }

    fn reason(&self, why: &str) -> String {
        format!("this server is busy with {}: {why}", self.class)
    }

    fn busy(&self, why: &str) -> Busy {
        self.shed.increment(1);
        let retry_after = self.pace.slot(self.clock.monotonic_us(), self.permits);
        Busy { limit: self.class, reason: self.reason(why), retry_after, fault: Fault::Everyone }
    }
}

/// When those who are sent away shall come back.
#[derive(Debug)]
struct Pace {
    /// How long a turn lasts, smoothed.
    hold_us: AtomicU64,
    /// The time that the last one was given.
    next_us: AtomicU64,
    spread: Spread,
}

impl Pace {
    /// A turn lasted so long.
    fn note(&self, hold_us: u64) {
        let before = self.hold_us.load(Ordering::Relaxed);
        // Two at once may lose one of them; it is an estimate.
        self.hold_us.store((before * 7 + hold_us.min(HOLD_MAX_US)) / 8, Ordering::Relaxed);
    }

    /// The next free time, as a distance from now: as far behind the last one as a turn takes.
    fn slot(&self, now_us: u64, permits: u32) -> Duration {
        let (least, most) = (now_us + RETRY_MIN.as_micros() as u64, now_us + RETRY_MAX.as_micros() as u64);
        let step = self.hold_us.load(Ordering::Relaxed) / u64::from(permits) + 1;
        let later = |last: u64| Some((last + step).clamp(least, most));
        // The closure always gives a value.
        let last = self.next_us.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later).unwrap_or(least);
        let at = (last + step).clamp(least, most);
        // Those who would come late come at any time of the last third, which takes all for whom there is no room.
        self.spread.lengthen(Duration::from_micros(at - now_us).min(RETRY_MAX * 2 / 3)).min(RETRY_MAX)
    }
}
