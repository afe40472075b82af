//! The timers of the failure detector, delivered in the order in which they are due. It counts on that: a probe's second
//! stage comes before the next probe.

use super::peer::Peer;
use foca::Timer;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    due_us: u64,
    timer: Timer<Peer>,
    number: u64,
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> Ordering {
        // Timers that are due together have an order of their own.
        let due = self.due_us.cmp(&other.due_us);
        due.then_with(|| self.timer.cmp(&other.timer)).then(self.number.cmp(&other.number))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Timers, the earliest first.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<Entry>>,
    number: u64,
}

impl Timers {
    pub(super) fn add(&mut self, due_us: u64, timer: Timer<Peer>) {
        self.number += 1;
        self.heap.push(Reverse(Entry { due_us, timer, number: self.number }));
    }

    /// When the earliest is due.
    pub(super) fn next_due(&self) -> Option<u64> {
        self.heap.peek().map(|entry| entry.0.due_us)
    }

    /// The earliest one that is due, and since when.
    pub(super) fn pop_due(&mut self, now_us: u64) -> Option<(u64, Timer<Peer>)> {
        if self.next_due()? > now_us {
            return None;
        }
        self.heap.pop().map(|entry| (entry.0.due_us, entry.0.timer))
    }

    /// Gives every member that is about to be declared dead so much more time.
    pub(super) fn postpone_verdicts(&mut self, by_us: u64) {
        let entries = std::mem::take(&mut self.heap).into_vec();
        let later = entries.into_iter().map(|Reverse(mut entry)| {
            if matches!(entry.timer, Timer::ChangeSuspectToDown { .. }) {
                entry.due_us += by_us;
            }
            Reverse(entry)
        });
        self.heap = later.collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> Peer {
        Peer { address: "127.0.0.1:1".parse().unwrap(), generation: 1 }
    }

    #[test]
    fn they_come_in_the_order_in_which_they_are_due() {
        let mut timers = Timers::default();
        timers.add(20, Timer::PeriodicGossip(0));
        timers.add(10, Timer::ProbeRandomMember(0));
        timers.add(10, Timer::SendIndirectProbe { probed_id: peer(), token: 0 });
        assert_eq!((timers.next_due(), timers.pop_due(9)), (Some(10), None));
        assert!(matches!(timers.pop_due(30), Some((10, Timer::SendIndirectProbe { .. }))));
        assert!(matches!(timers.pop_due(30), Some((10, Timer::ProbeRandomMember(0)))));
        assert!(matches!(timers.pop_due(30), Some((20, Timer::PeriodicGossip(0)))));
        assert_eq!(timers.pop_due(30), None);
    }

    #[test]
    fn only_verdicts_are_postponed() {
        let mut timers = Timers::default();
        timers.add(5, Timer::ChangeSuspectToDown { member_id: peer(), incarnation: 0, token: 0 });
        timers.add(6, Timer::PeriodicGossip(0));
        timers.postpone_verdicts(100);
        assert_eq!(timers.pop_due(50), Some((6, Timer::PeriodicGossip(0))));
        assert_eq!(timers.pop_due(50), None);
        assert_eq!(timers.next_due(), Some(105));
    }
}
