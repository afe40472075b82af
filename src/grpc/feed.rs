//! One feed per selector and view, shared by all who watch it: the present set, and what was encoded of late.
//!
//! Owns: that a change is encoded once, however many watchers there are. A watcher holds only the set it has sent, so a
//! slow one is conflated: it gets the difference to the present, never a queue. Must never: keep more than a few
//! encoded messages.

use super::select::Selector;
use super::set::{Difference, Set};
use super::wire::put_parts;
use crate::machine::State;
use crate::model::Locality;
use bytes::Bytes;
use prost::Message;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// A part of a snapshot aims at this size; clients refuse messages over 4 MiB by default.
const CHUNK: usize = 1024 * 1024 - 4096;
/// A larger delta is sent as a snapshot, which can be split.
const DELTA_MAX: usize = 3 * 1024 * 1024;
/// Deltas kept for watchers that are about to ask for the same one.
const DELTAS_KEPT: usize = 8;
/// Bytes that these may have.
const DELTA_BYTES_KEPT: usize = 4 * 1024 * 1024;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nobody panics while holding one; if somebody did, the data is still whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All feeds that somebody watches.
#[derive(Clone, Default)]
pub(super) struct Feeds(Arc<Mutex<HashMap<(u64, bool), Weak<Feed>>>>);

impl Feeds {
    /// The feed of this selector and view.
    pub(super) fn join(&self, selector: Selector, full: bool) -> Arc<Feed> {
        let key = (selector.digest, full);
        let mut feeds = locked(&self.0);
        if let Some(feed) = feeds.get(&key).and_then(Weak::upgrade) {
            return feed;
        }
        let feed = Arc::new(Feed { selector, full, home: self.clone(), present: Mutex::default() });
        feeds.insert(key, Arc::downgrade(&feed));
        feed
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        locked(&self.0).len()
    }
}

/// See the module.
pub(super) struct Feed {
    /// Whom it shows.
    pub(super) selector: Selector,
    /// Everything of them.
    pub(super) full: bool,
    home: Feeds,
    present: Mutex<Present>,
}

#[derive(Default)]
struct Present {
    set: Option<Arc<Set>>,
    /// Revision of what the set depends on.
    source: u64,
    deltas: VecDeque<(u64, u64, Update)>,
    snapshot: Option<(u64, Vec<Bytes>)>,
}

/// What brings a reader from one set to another.
#[derive(Clone)]
pub(super) enum Update {
    /// Nothing that shows.
    Nothing,
    /// The field `delta` of a message.
    Delta(Bytes),
    /// Too much for one message.
    TooLarge,
}

impl Drop for Feed {
    fn drop(&mut self) {
        let mut feeds = locked(&self.home.0);
        let key = (self.selector.digest, self.full);
        // A new feed may have taken the place already.
        if feeds.get(&key).is_some_and(|feed| feed.strong_count() == 0) {
            feeds.remove(&key);
        }
    }
}

impl Feed {
    /// The set of this state, or a newer one that another watcher has brought.
    pub(super) fn advance(&self, state: &State) -> Arc<Set> {
        let mut present = locked(&self.present);
        let source = self.selector.revision(state);
        if let Some(set) = &present.set
            && (source == present.source || state.revision() <= set.revision)
        {
            return set.clone();
        }
        let set = Set::build(state, &self.selector, self.full, present.set.as_deref());
        present.source = source;
        if let Some(before) = &present.set
            && before.is_same(&set)
        {
            return before.clone();
        }
        present.snapshot = None;
        present.set.insert(Arc::new(set)).clone()
    }

    /// What brings a reader from one set of this feed to another; encoded for the first who asks.
    pub(super) fn update(&self, from: &Arc<Set>, to: &Arc<Set>) -> Update {
        if Arc::ptr_eq(from, to) {
            return Update::Nothing;
        }
        let mut present = locked(&self.present);
        let known = present.deltas.iter().find(|(a, b, _)| (*a, *b) == (from.revision, to.revision));
        if let Some((_, _, update)) = known {
            return update.clone();
        }
        let update = encode(&Difference::between(from, to, self.full));
        present.deltas.push_back((from.revision, to.revision, update.clone()));
        let weight = |u: &Update| if let Update::Delta(bytes) = u { bytes.len() } else { 0 };
        let mut bytes: usize = present.deltas.iter().map(|(_, _, u)| weight(u)).sum();
        while present.deltas.len() > DELTAS_KEPT || bytes > DELTA_BYTES_KEPT {
            bytes -= present.deltas.pop_front().map_or(0, |(_, _, u)| weight(&u));
        }
        update
    }

    /// The parts of a snapshot of `set`, without their cause: the inner fields of the message. Encoded once per set,
    /// but for readers who ask for an order of their own.
    pub(super) fn snapshot(&self, set: &Arc<Set>, client: &Locality) -> Vec<Bytes> {
        if !client.region.is_empty() {
            return chunks(set, client);
        }
        let mut present = locked(&self.present);
        if let Some((revision, chunks)) = &present.snapshot
            && *revision == set.revision
        {
            return chunks.clone();
        }
        let parts = chunks(set, client);
        present.snapshot = Some((set.revision, parts.clone()));
        parts
    }
}

/// The field `delta` of a message with this difference.
pub(super) fn encode(difference: &Difference) -> Update {
    if difference.is_empty() {
        return Update::Nothing;
    }
    let content = difference.encode();
    if content.len() > DELTA_MAX {
        return Update::TooLarge;
    }
    let mut out = Vec::with_capacity(content.len() + 8);
    put_parts(4, &[&content], &mut out);
    Update::Delta(out.into())
}

/// At least one part; the facts about services come before their instances.
fn chunks(set: &Set, client: &Locality) -> Vec<Bytes> {
    let mut parts = Vec::new();
    let mut part = Vec::new();
    let mut room = |part: &mut Vec<u8>, more: usize| {
        if !part.is_empty() && part.len() + more > CHUNK {
            parts.push(Bytes::from(std::mem::take(part)));
        }
    };
    for service in &set.services {
        room(&mut part, service.facts.encoded_len() + 8);
        super::wire::put_message(2, &service.facts, &mut part);
    }
    let mut entries: Vec<_> = set.entries().collect();
    super::select::by_distance(&mut entries, client, |e| &e.instance);
    for entry in entries {
        room(&mut part, entry.len(3));
        entry.put(3, &mut part);
    }
    parts.push(part.into());
    parts
}

#[cfg(test)]
mod tests;
