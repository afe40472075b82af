//! The publisher.

use super::ring::Ring;
use super::topic::Topic;
use crate::machine::{Change, Event, State};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Topics are spread over this many locks, so that subscribers on many cores do not meet at one.
const SHARDS: usize = 16;

type Shard = Mutex<HashMap<Topic, Arc<watch::Sender<u64>>>>;

/// Wakes those who wait for a part of the state, and remembers recent events.
pub struct Hub {
    shards: [Shard; SHARDS],
    hasher: RandomState,
    /// How many subscribed prefixes there are of each length: a changed key asks only for those.
    prefix_lengths: Mutex<BTreeMap<usize, usize>>,
    ring: Mutex<Ring>,
    /// All changes up to this revision have been entered and announced.
    complete: AtomicU64,
}

/// Nobody panics while holding one of these locks; if somebody did, the data is still whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("topics", &self.topic_count()).finish_non_exhaustive()
    }
}

impl Default for Hub {
    fn default() -> Self {
        Hub::new()
    }
}

impl Hub {
    /// A hub that has seen nothing.
    pub fn new() -> Hub {
        Hub {
            shards: Default::default(),
            hasher: RandomState::new(),
            prefix_lengths: Mutex::default(),
            ring: Mutex::default(),
            complete: AtomicU64::new(0),
        }
    }

    /// Every change up to this revision is known to [`Hub::events_since`], and its subscribers have been woken. The
    /// state is published a moment earlier, so it may hold newer changes.
    pub fn complete_to(&self) -> u64 {
        self.complete.load(Ordering::Acquire)
    }

    fn shard(&self, topic: &Topic) -> &Shard {
        &self.shards[self.hasher.hash_one(topic) as usize % SHARDS]
    }

    /// Fills the ring after a restart: events in order of revision, complete from `floor` to `revision`. That of the
    /// state may be above the last event's: not every change is one.
    pub fn restore(&self, floor: u64, revision: u64, history: Vec<Event>) {
        let mut ring = locked(&self.ring);
        *ring = Ring::after_floor(floor);
        for events in history.chunk_by(|a, b| a.revision == b.revision) {
            ring.push(events.to_vec());
        }
        self.complete.fetch_max(revision, Ordering::Release);
    }

    /// A batch was applied and its state published. Called in order, from one thread.
    pub fn publish(&self, changes: &[Change]) {
        let events: Vec<Event> = changes.iter().filter_map(Event::of).collect();
        let prefixes: Vec<usize> = locked(&self.prefix_lengths).keys().copied().collect();
        let mut touched = HashSet::new();
        let mut revision = 0;
        for change in changes {
            revision = change.revision;
            Topic::touched(change, |topic| {
                if let Topic::Key(key) = &topic {
                    let lengths = prefixes.iter().take_while(|length| **length <= key.len());
                    touched.extend(lengths.map(|length| Topic::Prefix(key.slice(..*length))));
                }
                touched.insert(topic);
            });
        }
        locked(&self.ring).push(events);
        for topic in touched {
            if let Some(sender) = locked(self.shard(&topic)).get(&topic) {
                sender.send_replace(revision);
            }
        }
        self.complete.fetch_max(revision, Ordering::Release);
    }

    /// The state was replaced as a whole: what happened in between is unknown. Everybody looks again.
    pub fn reset(&self, state: &State) {
        *locked(&self.ring) = Ring::after_floor(state.revision());
        self.complete.store(state.revision(), Ordering::Release);
        self.wake_all();
    }

    /// Everybody looks again, as when the server stops: they need not wait for that as well.
    pub fn wake_all(&self) {
        for shard in &self.shards {
            locked(shard).values().for_each(|sender| sender.send_modify(|_| {}));
        }
    }

    /// Waits on a topic from now on. Take the state after this, not before.
    pub fn subscribe(self: &Arc<Self>, topic: Topic) -> Subscription {
        let mut shard = locked(self.shard(&topic));
        let sender = shard.entry(topic.clone()).or_insert_with_key(|topic| {
            if let Topic::Prefix(prefix) = topic {
                *locked(&self.prefix_lengths).entry(prefix.len()).or_default() += 1;
            }
            Arc::new(watch::Sender::new(0))
        });
        Subscription { receiver: Some(sender.subscribe()), sender: sender.clone(), topic, hub: self.clone() }
    }

    /// All events after `revision`, oldest first, that `wanted` picks; and the revision up to which they are complete.
    /// `Err` with the oldest revision to ask from, if some of them are no longer kept.
    pub fn events_since(&self, revision: u64, mut wanted: impl FnMut(&Event) -> bool) -> Result<Vec<Event>, u64> {
        let chunks = {
            let ring = locked(&self.ring);
            ring.after(revision).ok_or(ring.floor)?
        };
        let events = chunks.iter().flat_map(|c| &c.events).filter(|e| e.revision > revision);
        Ok(events.filter(|e| wanted(e)).cloned().collect())
    }

    /// How many topics are waited on.
    pub fn topic_count(&self) -> usize {
        self.shards.iter().map(|s| locked(s).len()).sum()
    }

    fn leave(&self, topic: &Topic) {
        let mut shard = locked(self.shard(topic));
        if shard.get(topic).is_some_and(|sender| sender.receiver_count() == 0) {
            shard.remove(topic);
            if let Topic::Prefix(prefix) = topic {
                let mut lengths = locked(&self.prefix_lengths);
                if let Some(count) = lengths.get_mut(&prefix.len()) {
                    *count -= 1;
                    if *count == 0 {
                        lengths.remove(&prefix.len());
                    }
                }
            }
        }
    }
}

/// Somebody who waits on a topic.
pub struct Subscription {
    hub: Arc<Hub>,
    topic: Topic,
    sender: Arc<watch::Sender<u64>>,
    receiver: Option<watch::Receiver<u64>>,
}

impl Subscription {
    /// Resolves when the topic was touched since the subscription, or since this last resolved.
    pub async fn changed(&mut self) {
        if let Some(receiver) = &mut self.receiver
            && receiver.changed().await.is_ok()
        {
            return;
        }
        // The sender outlives its receivers; without one there is nothing left to wait for.
        std::future::pending::<()>().await;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.receiver = None;
        // Of those who leave at the same time the last one sees that nobody is left.
        if self.sender.receiver_count() == 0 {
            self.hub.leave(&self.topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Command, Put, Record};
    use crate::machine;
    use futures::FutureExt;

    fn put(state: &mut State, revision: u64, key: &'static str) -> Vec<Change> {
        let put = Put { key: key.into(), value: revision.to_string().into(), ..Put::default() };
        let record = Record { time_ms: revision, request_id: None, command: Command::Put(put) };
        machine::apply(state, revision, 1, &record).changes
    }

    #[test]
    fn wakes_only_those_whose_topic_was_touched() {
        let hub = Arc::new(Hub::new());
        let mut state = State::new();
        let mut hit = hub.subscribe(Topic::Key("a/1".into()));
        let mut prefix = hub.subscribe(Topic::Prefix("a/".into()));
        let mut other_key = hub.subscribe(Topic::Key("a/2".into()));
        let mut other_prefix = hub.subscribe(Topic::Prefix("b".into()));
        hub.publish(&put(&mut state, 1, "a/1"));
        assert!(hit.changed().now_or_never().is_some());
        assert!(prefix.changed().now_or_never().is_some());
        assert!(other_key.changed().now_or_never().is_none());
        assert!(other_prefix.changed().now_or_never().is_none());
        assert!(hit.changed().now_or_never().is_none(), "woken once per change");
        hub.wake_all();
        for waiting in [&mut hit, &mut prefix, &mut other_key, &mut other_prefix] {
            assert!(waiting.changed().now_or_never().is_some());
        }
    }

    #[test]
    fn a_dropped_subscription_leaves_nothing_behind() {
        let hub = Arc::new(Hub::new());
        drop((hub.subscribe(Topic::Prefix("a".into())), hub.subscribe(Topic::Services)));
        assert_eq!(hub.topic_count(), 0);
        assert!(locked(&hub.prefix_lengths).is_empty());
    }

    #[test]
    fn a_batch_larger_than_all_that_is_kept_keeps_its_end() {
        let hub = Hub::new();
        let mut state = State::new();
        let mut changes = Vec::new();
        for revision in 1..=60 {
            let put = Put { key: "k".into(), value: vec![revision as u8; 500 * 1024].into(), ..Put::default() };
            let record = Record { time_ms: revision, request_id: None, command: Command::Put(put) };
            changes.extend(machine::apply(&mut state, revision, 1, &record).changes);
        }
        hub.publish(&changes);
        let floor = hub.events_since(0, |_| true).unwrap_err();
        assert!((1..60).contains(&floor), "{floor}");
        assert_eq!(hub.events_since(floor, |_| true).unwrap().len() as u64, 60 - floor);
    }

    #[test]
    fn events_are_complete_or_refused() {
        let hub = Hub::new();
        let mut state = State::new();
        for revision in 1..=100_000 {
            hub.publish(&put(&mut state, revision, "k"));
        }
        let floor = hub.events_since(0, |_| true).unwrap_err();
        assert!(floor > 0 && floor < 100_000);
        let events = hub.events_since(floor, |_| true).unwrap();
        assert_eq!(events.len() as u64, 100_000 - floor);
        assert!(events.windows(2).all(|w| w[0].revision + 1 == w[1].revision));
        assert!(hub.events_since(100_000, |_| true).unwrap().is_empty());
    }
}
