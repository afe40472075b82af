//! When each session was last heard of: leader memory, never log traffic.
//!
//! A heartbeat only moves a number in a table. The queue of due times is lazy: an entry is looked at when its time
//! comes, and put back if the lease was renewed meanwhile. A new leader gives every session a full time to live.
//!
//! The brake: if more than 30 % of the sessions would end within one window, the likely cause is on our side (a
//! partition, a stall), and nobody is expired: sessions are held, at most for [`HOLD_MS_MAX`], and their instances are
//! marked with a warning.

use crate::clock::Clock;
use crate::model::{Session, SessionId};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Fewer sessions than this are never held back: one of three is already a third.
const BRAKE_SESSIONS_MIN: usize = 10;
/// More than this share of the sessions within one window is held back.
const BRAKE_PERCENT: usize = 30;
/// Expirations of this long ago still count for the brake.
const BRAKE_WINDOW_MS: u64 = 15_000;
/// A held session is expired after this long without a heartbeat all the same.
const HOLD_MS_MAX: u64 = 10 * 60 * 1000;
/// How often a held session is looked at again.
const HOLD_STEP_MS: u64 = 1_000;

struct Lease {
    due_ms: u64,
    grace_ms: u64,
    /// Streams that carry it.
    streams: u32,
    /// Held back by the brake since then.
    held_ms: Option<u64>,
}

#[derive(Default)]
struct Table {
    leases: HashMap<SessionId, Lease>,
    queue: BTreeSet<(u64, SessionId)>,
    /// When sessions were expired, within the last window.
    expired: VecDeque<u64>,
    /// Held sessions that were heard of again.
    recovered: Vec<SessionId>,
}

/// What a look at the leases says must be done.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Due {
    /// End these.
    pub(super) expire: Vec<SessionId>,
    /// The brake holds these now; mark their instances.
    pub(super) held: Vec<SessionId>,
    /// These were held and are back; clear the mark.
    pub(super) recovered: Vec<SessionId>,
}

/// All leases of a leader.
pub(super) struct Leases {
    clock: Clock,
    table: Mutex<Table>,
    changed: Notify,
}

impl Leases {
    pub(super) fn new(clock: Clock) -> Leases {
        Leases { clock, table: Mutex::default(), changed: Notify::new() }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leadership begins: every session has its full time.
    pub(super) fn begin<'a>(&self, sessions: impl Iterator<Item = &'a Session>) {
        let now = self.clock.monotonic_ms();
        let mut table = self.table();
        *table = Table::default();
        for session in sessions {
            if let Some(lease_ms) = session.lease_ms() {
                table.track(now, session.id, lease_ms, session.grace_ms);
            }
        }
        drop(table);
        self.wake();
    }

    /// A session begins, or is about to.
    pub(super) fn track(&self, id: SessionId, ttl_ms: u64, grace_ms: u64) {
        let now = self.clock.monotonic_ms();
        self.table().track(now, id, ttl_ms, grace_ms);
        self.wake();
    }

    /// Begins the leases of sessions that have none yet, each with its full time.
    pub(super) fn track_new<'a>(&self, sessions: impl Iterator<Item = &'a Session>) {
        let now = self.clock.monotonic_ms();
        let mut table = self.table();
        for session in sessions {
            if let Some(lease_ms) = session.lease_ms()
                && !table.leases.contains_key(&session.id)
            {
                table.track(now, session.id, lease_ms, session.grace_ms);
            }
        }
    }

    /// A heartbeat. Returns the time left, in milliseconds; 0 for a session that needs none.
    pub(super) fn renew(&self, session: &Session) -> u64 {
        let Some(lease_ms) = session.lease_ms() else { return 0 };
        let now = self.clock.monotonic_ms();
        let mut table = self.table();
        let known = table.leases.contains_key(&session.id);
        if !known {
            table.track(now, session.id, lease_ms, session.grace_ms);
        }
        if let Some(lease) = table.leases.get_mut(&session.id) {
            lease.due_ms = now + lease_ms;
            if lease.held_ms.take().is_some() {
                table.recovered.push(session.id);
                drop(table);
                self.wake();
            }
        }
        lease_ms
    }

    /// A stream carries the session.
    pub(super) fn attach(&self, session: &Session) {
        self.renew(session);
        if let Some(lease) = self.table().leases.get_mut(&session.id) {
            lease.streams += 1;
        }
    }

    /// A stream is gone without a word: the grace runs, unless another stream is there.
    pub(super) fn detach(&self, id: &SessionId) {
        let now = self.clock.monotonic_ms();
        let mut table = self.table();
        let Some(lease) = table.leases.get_mut(id) else { return };
        lease.streams = lease.streams.saturating_sub(1);
        if lease.streams == 0 {
            lease.due_ms = lease.due_ms.min(now + lease.grace_ms);
            let due_ms = lease.due_ms;
            table.queue.insert((due_ms, *id));
            drop(table);
            self.wake();
        }
    }

    /// The session ended.
    pub(super) fn forget(&self, id: &SessionId) {
        self.table().leases.remove(id);
    }

    /// Time left, in milliseconds.
    pub(super) fn remaining_ms(&self, id: &SessionId) -> Option<u64> {
        let now = self.clock.monotonic_ms();
        self.table().leases.get(id).map(|lease| lease.due_ms.saturating_sub(now))
    }

    /// When to look again, in milliseconds from now.
    pub(super) fn next_ms(&self) -> Option<u64> {
        let now = self.clock.monotonic_ms();
        let table = self.table();
        if !table.recovered.is_empty() {
            return Some(0);
        }
        table.queue.first().map(|(due, _)| due.saturating_sub(now))
    }

    /// Something about the times changed: whoever sleeps until the next one looks again.
    pub(super) fn wake(&self) {
        self.changed.notify_one();
    }

    /// Resolves after [`Leases::wake`].
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What is due now. Expired ones are forgotten: if the command to end them fails, call [`Leases::track`] again.
    pub(super) fn due(&self) -> Due {
        let now = self.clock.monotonic_ms();
        let mut table = self.table();
        let late = table.take_late(now);
        while table.expired.front().is_some_and(|at| at + BRAKE_WINDOW_MS < now) {
            table.expired.pop_front();
        }
        let recent = table.expired.len() + late.len();
        let all = table.leases.len() + table.expired.len();
        let brake = all >= BRAKE_SESSIONS_MIN && recent * 100 > all * BRAKE_PERCENT;
        let mut due = Due { recovered: std::mem::take(&mut table.recovered), ..Due::default() };
        for id in late {
            let Some(lease) = table.leases.get_mut(&id) else { continue };
            let since = *lease.held_ms.get_or_insert(now);
            if brake && now < since + HOLD_MS_MAX {
                if since == now {
                    due.held.push(id);
                }
                table.queue.insert((now + HOLD_STEP_MS, id));
            } else {
                table.leases.remove(&id);
                table.expired.push_back(now);
                due.expire.push(id);
            }
        }
        due
    }
}

impl Table {
    fn track(&mut self, now: u64, id: SessionId, ttl_ms: u64, grace_ms: u64) {
        let due_ms = now + ttl_ms;
        self.leases.insert(id, Lease { due_ms, grace_ms, streams: 0, held_ms: None });
        self.queue.insert((due_ms, id));
    }

    /// Sessions whose lease has run out; entries of renewed ones are put back at their new time.
    fn take_late(&mut self, now: u64) -> Vec<SessionId> {
        let mut late = Vec::new();
        while let Some((due, id)) = self.queue.first().copied() {
            if due > now {
                break;
            }
            self.queue.pop_first();
            match self.leases.get(&id) {
                None => {}
                Some(lease) if lease.due_ms > now => {
                    self.queue.insert((lease.due_ms, id));
                }
                Some(_) if late.contains(&id) => {}
                Some(_) => late.push(id),
            }
        }
        late
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn session(n: u128) -> Session {
        Session {
            id: Uuid::from_u128(n),
            secret: [0; 16],
            ttl_ms: 10_000,
            grace_ms: 2_000,
            labels: Box::default(),
            behavior: Default::default(),
            create_ms: 0,
            create_revision: 1,
            binding: None,
        }
    }

    fn leases(count: u128) -> (Clock, Leases) {
        let clock = Clock::manual(1_000_000, 1);
        let leases = Leases::new(clock.clone());
        let sessions: Vec<Session> = (1..=count).map(session).collect();
        leases.begin(sessions.iter());
        (clock, leases)
    }

    #[test]
    fn expires_after_ttl_without_heartbeat_only() {
        let (clock, leases) = leases(2);
        clock.advance(9_000);
        assert_eq!(leases.renew(&session(1)), 10_000);
        clock.advance(1_000);
        assert_eq!(leases.due().expire, [session(2).id]);
        clock.advance(9_000);
        assert_eq!(leases.due().expire, [session(1).id]);
        assert_eq!(leases.next_ms(), None);
    }

    #[test]
    fn broken_stream_starts_the_grace_and_a_new_one_ends_it() {
        let (clock, leases) = leases(1);
        leases.attach(&session(1));
        leases.detach(&session(1).id);
        assert_eq!(leases.remaining_ms(&session(1).id), Some(2_000));
        leases.attach(&session(1));
        clock.advance(2_000);
        assert_eq!(leases.due(), Due::default());
        leases.attach(&session(1));
        leases.detach(&session(1).id);
        assert_eq!(leases.remaining_ms(&session(1).id), Some(10_000), "another stream still carries it");
        leases.detach(&session(1).id);
        clock.advance(2_000);
        assert_eq!(leases.due().expire, [session(1).id]);
    }

    #[test]
    fn mass_expiry_is_held_and_released() {
        let (clock, leases) = leases(20);
        clock.advance(9_000);
        for n in 1..=10 {
            leases.renew(&session(n));
        }
        clock.advance(1_000);
        let due = leases.due();
        assert_eq!((due.expire.len(), due.held.len()), (0, 10));
        leases.renew(&session(11));
        let due = leases.due();
        assert_eq!(due.recovered, [session(11).id]);
        for n in 1..=11 {
            leases.renew(&session(n));
        }
        clock.advance(HOLD_MS_MAX);
        for n in 1..=11 {
            leases.renew(&session(n));
        }
        assert_eq!(leases.due().expire.len(), 9, "held for a bounded time");
    }

    #[test]
    fn three_of_ten_may_go() {
        let (clock, leases) = leases(10);
        clock.advance(9_000);
        for n in 1..=7 {
            leases.renew(&session(n));
        }
        clock.advance(1_000);
        assert_eq!(leases.due().expire.len(), 3);
    }
}
