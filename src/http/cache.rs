//! Encoded answers that are still true.
//!
//! A question is kept with its encoded answer and the mark that its subject had then (see [`Scope::mark`]); while the
//! mark is the same, the same bytes are sent again, to one client or to five thousand. The cache holds nothing that
//! cannot be made anew, so it may forget anything at any time: it is bounded by entries and bytes, and drops what was
//! not asked for lately. It never answers by itself: the caller takes the read barrier first. Missing: when access
//! control comes, the answers of different tokens must have different keys.

use super::read::{MODES, Mode};
use super::reply::Answer;
use super::scope::Scope;
use crate::machine::State;
use http::HeaderMap;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

const SHARDS: usize = 16;
/// An entry larger than this, plain and packed, is made each time.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What an entry takes besides its key and body, about.
const ENTRY_BYTES: usize = 600;

/// A question's answer.
pub(super) struct Known {
    pub(super) scope: Scope,
    mark: u64,
    /// The newest revision of the state at which the mark was found to be the same.
    checked: AtomicU64,
    /// Consul's index of the answer.
    pub(super) index: u64,
    pub(super) answer: Answer,
    /// With what a read tells of itself, for each mode, made when it is first asked for.
    headers: [OnceLock<Box<HeaderMap>>; MODES],
}

impl Known {
    pub(super) fn new(scope: Scope, state: &State, mut answer: Answer) -> Known {
        answer.packed = Some(Arc::default());
        let (mark, index) = (scope.mark(state), scope.index(state));
        Known { scope, mark, checked: state.revision().into(), index, answer, headers: Default::default() }
    }

    /// The headers for a read of this mode, on a server that leads.
    pub(super) fn headers(&self, mode: Mode) -> &HeaderMap {
        self.headers[mode.number()].get_or_init(|| {
            let mut headers = self.answer.headers.clone();
            mode.announce(&mut headers, self.index);
            Box::new(headers)
        })
    }

    /// Whether it is the answer in this state.
    pub(super) fn holds_in(&self, state: &State) -> bool {
        let checked = self.checked.load(Ordering::Relaxed);
        if checked == state.revision() {
            return true;
        }
        // Marks only grow, so an older state with the same mark has the same answer, too.
        let same = self.scope.mark(state) == self.mark;
        if same && state.revision() > checked {
            self.checked.fetch_max(state.revision(), Ordering::Relaxed);
        }
        same
    }
}

/// A request line whose answer is known, with the headers for its read mode.
pub(super) struct Ready {
    pub(super) mode: Mode,
    /// For a server that leads: complete.
    pub(super) headers: HeaderMap,
    pub(super) known: Arc<Known>,
}

/// What may stand in the cache.
#[derive(Clone)]
pub(super) enum Entry {
    /// Under a request line.
    Ready(Arc<Ready>),
    /// Under the content of a question.
    Known(Arc<Known>),
}

impl Entry {
    fn bytes(&self) -> usize {
        match self {
            // The body is shared with the entry of its content.
            Entry::Ready(_) => ENTRY_BYTES,
            // Plain and packed; what cannot be packed is as large again.
            Entry::Known(known) => ENTRY_BYTES + 2 * known.answer.body.len(),
        }
    }
}

struct Slot {
    entry: Entry,
    used: AtomicBool,
}

#[derive(Default)]
struct Shard {
    slots: HashMap<Arc<str>, Slot>,
    /// Keys by age; one that was used since gets a second turn.
    order: VecDeque<Arc<str>>,
    bytes: usize,
}

/// See the module.
pub(super) struct Cache {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    entries_max: usize,
    bytes_max: usize,
}

/// Nothing panics while holding a shard; if it did, the shard would still be a valid cache.
fn locked(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cache {
    /// A cache of at most so many entries and bytes.
    pub(super) fn new(entries_max: usize, bytes_max: usize) -> Cache {
        Cache {
            shards: Default::default(),
            hasher: RandomState::new(),
            entries_max: entries_max / SHARDS,
            bytes_max: bytes_max / SHARDS,
        }
    }

    fn shard(&self, key: &str) -> &Mutex<Shard> {
        &self.shards[self.hasher.hash_one(key) as usize % SHARDS]
    }

    fn get(&self, key: &str) -> Option<Entry> {
        let shard = locked(self.shard(key));
        let slot = shard.slots.get(key)?;
        slot.used.store(true, Ordering::Relaxed);
        Some(slot.entry.clone())
    }

    /// What is known under a request line.
    pub(super) fn ready(&self, target: &str) -> Option<Arc<Ready>> {
        match self.get(target) {
            Some(Entry::Ready(ready)) => Some(ready),
            _ => None,
        }
    }

    /// What is known under a question's content, if it is true in this state.
    pub(super) fn known(&self, content: &str, state: &State) -> Option<Arc<Known>> {
        match self.get(content) {
            Some(Entry::Known(known)) if known.holds_in(state) => Some(known),
            _ => None,
        }
    }

    /// Remembers an answer.
    pub(super) fn insert(&self, key: &str, entry: Entry) {
        if entry.bytes() > ANSWER_BYTES_MAX.min(self.bytes_max) {
            return;
        }
        let mut shard = locked(self.shard(key));
        let shard = &mut *shard;
        shard.bytes += key.len() + entry.bytes();
        match shard.slots.get_mut(key) {
            Some(slot) => {
                shard.bytes -= key.len() + slot.entry.bytes();
                slot.entry = entry;
            }
            None => {
                let key: Arc<str> = key.into();
                shard.order.push_back(key.clone());
                shard.slots.insert(key, Slot { entry, used: AtomicBool::new(false) });
            }
        }
        while shard.slots.len() > self.entries_max || shard.bytes > self.bytes_max {
            shard.drop_oldest();
        }
    }
}

impl Shard {
    fn drop_oldest(&mut self) {
        let Some(key) = self.order.pop_front() else { return };
        match self.slots.get(&key) {
            Some(slot) if slot.used.swap(false, Ordering::Relaxed) => self.order.push_back(key),
            _ => {
                if let Some(slot) = self.slots.remove(&key) {
                    self.bytes -= key.len() + slot.entry.bytes();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Command, Put, Record};
    use crate::machine;
    use bytes::Bytes;
    use http::StatusCode;

    fn known(key: &str, state: &State, size: usize) -> Entry {
        let answer = Answer::text(StatusCode::OK, Bytes::from(vec![b'x'; size]));
        Entry::Known(Arc::new(Known::new(Scope::Key(Bytes::copy_from_slice(key.as_bytes())), state, answer)))
    }

    fn put(state: &mut State, revision: u64, key: &'static str) {
        let put = Put { key: key.into(), value: revision.to_string().into(), ..Put::default() };
        machine::apply(state, revision, 1, &Record { time_ms: 1, request_id: None, command: Command::Put(put) });
    }

    #[test]
    fn an_answer_holds_until_its_subject_changes() {
        let cache = Cache::new(100, 1 << 20);
        let mut state = State::new();
        put(&mut state, 1, "a");
        cache.insert("q", known("a", &state, 1));
        let older = state.clone();
        put(&mut state, 2, "b");
        assert!(cache.known("q", &state).is_some(), "another key changed");
        assert!(cache.known("q", &older).is_some(), "true in an older state that has the same answer");
        put(&mut state, 3, "a");
        assert!(cache.known("q", &state).is_none());
    }

    #[test]
    fn it_stays_within_its_bounds_and_keeps_what_is_used() {
        let cache = Cache::new(SHARDS * 4, SHARDS * 100_000);
        let state = State::new();
        for i in 0..1_000 {
            cache.insert(&format!("q{i}"), known("k", &state, 10));
        }
        let held: usize = cache.shards.iter().map(|s| locked(s).slots.len()).sum();
        assert!((SHARDS..=SHARDS * 4).contains(&held), "{held}");
        cache.insert("hot", known("k", &state, 10));
        for i in 0..1_000 {
            assert!(cache.known("hot", &state).is_some(), "dropped after {i}");
            cache.insert(&format!("r{i}"), known("k", &state, 10));
        }
        for i in 0..100 {
            cache.insert(&format!("big{i}"), known("k", &state, 30_000));
        }
        assert!(cache.shards.iter().all(|s| locked(s).bytes <= 100_000));
        for shard in &cache.shards {
            let shard = locked(shard);
            let bytes: usize = shard.slots.iter().map(|(k, s)| k.len() + s.entry.bytes()).sum();
            assert_eq!((bytes, shard.order.len()), (shard.bytes, shard.slots.len()));
        }
    }
}
