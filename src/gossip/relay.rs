//! News that travels along with the failure detector's messages: statements of members, decisions of operators, events.

use super::directory::{Directory, Merged};
use super::peer::Peer;
use super::wire::{ItemBody, Record, Verdict};
use foca::{BroadcastHandler, Invalidates};
use prost::Message;
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use thiserror::Error;
use uuid::Uuid;

/// Events of which is remembered that they were seen.
const EVENTS_SEEN_MAX: usize = 8_192;
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
    pub(super) seen: HashSet<Uuid>,
    pub(super) order: VecDeque<Uuid>,
}

impl Shared {
    /// Whether this event is seen for the first time.
    fn first_time(&mut self, id: Uuid) -> bool {
        if !self.seen.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > EVENTS_SEEN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        true
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
        let news = self.first_time(id);
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
