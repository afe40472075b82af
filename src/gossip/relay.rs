//! News that travels along with the failure detector's messages: statements of members, decisions of operators, events.

use super::directory::{Directory, Merged};
use super::peer::Peer;
use super::wire::{EventBody, ItemBody, Record, Verdict};
use foca::{BroadcastHandler, Invalidates};
use prost::Message;
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use thiserror::Error;
use uuid::Uuid;

/// Events of which is remembered that they were seen.
const EVENTS_SEEN_MAX: usize = 8_192;
/// Events that are handed on in exchanges.
const EVENTS_RECENT_MAX: usize = 256;
/// An event that comes later than so many others is not taken: it may have been forgotten that it was heard of.
const EVENTS_BACK_MAX: u64 = 1_024;
/// Nobody fires so many events that an unknown one is further ahead.
const EVENTS_AHEAD_MAX: u64 = 1 << 32;
/// Bytes of an event, at most: it has to fit into a datagram.
const EVENT_BODY_MAX: usize = 1_024;
/// Events that wait to be taken, at most; further ones are lost, as datagrams are.
const EVENTS_WAITING_MAX: usize = 1_024;

/// What news is about, so that later news replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    Member(Uuid),
    Verdict(Uuid),
    Event(Uuid),
}

impl Invalidates for About {
    fn invalidates(&self, other: &About) -> bool {
        self == other
    }
}

/// The bytes are no news.
#[derive(Clone, Copy, Debug, Error)]
#[error("malformed news")]
pub(super) struct NoNews;

/// What the engine and the failure detector's callback share; both run on one task.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) directory: Directory,
    pub(super) now_ms: u64,
    pub(super) own: Uuid,
    pub(super) events: Vec<Vec<u8>>,
    pub(super) heard: Heard,
}

/// Which events this member has heard of. An event that it hears of twice, by gossip or by an exchange, counts once; what
/// was over before this life of the member began does not count at all.
#[derive(Debug, Default)]
pub(super) struct Heard {
    seen: HashSet<Uuid>,
    order: VecDeque<Uuid>,
    /// Lamport time of the latest one.
    pub(super) time: u64,
    /// Earlier ones are over.
    since: u64,
    /// `since` was learned from another member.
    joined: bool,
    /// The latest ones, for exchanges.
    recent: VecDeque<EventBody>,
}

impl Heard {
    /// Whether this event is heard of for the first time, and not over.
    fn is_new(&mut self, id: Uuid, event: &EventBody) -> bool {
        // What came so long before the latest one may have been forgotten, and would seem new. A time from nowhere must
        // not make all others old.
        let old = event.time < self.since || event.time.saturating_add(EVENTS_BACK_MAX) < self.time;
        let ahead = event.time > self.time.saturating_add(EVENTS_AHEAD_MAX);
        if old || ahead || !self.seen.insert(id) {
            return false;
        }
        self.time = self.time.max(event.time);
        self.order.push_back(id);
        if self.order.len() > EVENTS_SEEN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        if self.recent.len() == EVENTS_RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(event.clone());
        true
    }

    /// Another member has heard of events up to this time. The first one that is asked to let this one in says what was
    /// before.
    pub(super) fn witness(&mut self, time: u64, joining: bool) {
        if joining && !std::mem::replace(&mut self.joined, true) {
            self.since = self.since.max(time.saturating_add(1));
            self.time = self.time.max(time);
        } else {
            self.time = self.time.max(time.min(self.time.saturating_add(EVENTS_AHEAD_MAX)));
        }
    }

    /// The latest events.
    pub(super) fn recent(&self) -> Vec<EventBody> {
        self.recent.iter().cloned().collect()
    }
}

impl Shared {
    /// An event that an exchange has brought.
    pub(super) fn take_event(&mut self, event: EventBody) {
        // It reaches others by their own exchanges.
        let _ = self.take(ItemBody { event: Some(event), ..ItemBody::default() }, false);
    }

    fn take(&mut self, item: ItemBody, own: bool) -> Option<About> {
        if let Some(body) = item.record {
            let record = Record::of(body)?;
            let about = About::Member(record.id);
            let news =
                own || (record.id != self.own && self.directory.merge(record, None, self.now_ms) == Merged::News);
            return news.then_some(about);
        }
        if let Some(body) = item.verdict {
            let verdict = Verdict::of(&body)?;
            let news = own || self.directory.condemn(verdict, self.now_ms);
            return news.then_some(About::Verdict(verdict.id));
        }
        let event = item.event?;
        let id = Uuid::from_slice(&event.id).ok()?;
        if event.body.len() > EVENT_BODY_MAX {
            return None;
        }
        let news = self.heard.is_new(id, &event);
        if news && !own && self.events.len() < EVENTS_WAITING_MAX {
            self.events.push(event.body);
        }
        news.then_some(About::Event(id))
    }
}

/// The callback of the failure detector.
#[derive(Clone, Debug)]
pub(super) struct Relay(pub(super) Arc<Mutex<Shared>>);

impl Relay {
    pub(super) fn lock(&self) -> MutexGuard<'_, Shared> {
        // Everything in it is whole after every statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BroadcastHandler<Peer> for Relay {
    type Key = About;
    type Error = NoNews;

    fn receive_item(&mut self, data: &[u8], sender: Option<&Peer>) -> Result<Option<About>, NoNews> {
        let item = ItemBody::decode(data).map_err(|_| NoNews)?;
        Ok(self.lock().take(item, sender.is_none()))
    }
}
