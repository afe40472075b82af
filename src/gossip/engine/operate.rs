//! What operators and the process ask of a member: to leave, to put somebody out, to say something else about itself.

use super::{Engine, TagsTooLarge};
use crate::gossip::wire::{EventBody, ItemBody, Verdict, tags_fit};
use crate::model::Coordinate;
use prost::Message;
use std::collections::BTreeMap;

impl Engine {
    /// Says that it is about to leave. It goes on until [`Engine::finish_leave`].
    pub(in crate::gossip) fn begin_leave(&mut self) {
        if self.own.leaving || self.left {
            return;
        }
        self.own.leaving = true;
        self.restate();
    }

    /// Declares itself dead, which everybody now takes for having left, and falls silent.
    pub(in crate::gossip) fn finish_leave(&mut self) {
        if self.left {
            return;
        }
        self.swim.leave(self.clock.monotonic_us());
        self.repeat_leave();
        self.left = true;
    }

    /// Tells some more members of the end.
    pub(in crate::gossip) fn repeat_leave(&mut self) {
        self.swim.gossip(self.clock.monotonic_us());
        self.settle();
    }

    /// Whether there is anybody else who lives.
    pub(in crate::gossip) fn has_company(&self) -> bool {
        self.swim.live() > 0
    }

    /// Whether somebody would have to hear of this member's leaving, and has not yet.
    pub(in crate::gossip) fn has_news(&self) -> bool {
        self.has_company() && self.swim.has_news()
    }

    /// Replaces what it says about itself.
    ///
    /// # Errors
    /// They are too large together.
    pub(in crate::gossip) fn set_tags(&mut self, tags: BTreeMap<String, String>) -> Result<(), TagsTooLarge> {
        if !tags_fit(&tags) {
            return Err(TagsTooLarge);
        }
        if self.own.tags != tags && !self.left {
            self.own.tags = tags;
            self.restate();
        }
        Ok(())
    }

    fn restate(&mut self) {
        self.own.version = self.own.version.saturating_add(1);
        self.state_own(None);
        self.announce_own();
        self.swim.gossip(self.clock.monotonic_us());
        self.settle();
    }

    /// Declares that a member that has failed will not come back. `false`: nobody has that name.
    pub(in crate::gossip) fn force_leave(&mut self, name: &str, prune: bool) -> bool {
        let Some((record, _)) = self.relay.lock().directory.named(name) else { return false };
        let verdict = Verdict { id: record.id, generation: record.peer.generation, prune };
        let now_ms = self.clock.now_ms();
        // Bound before the branch: the lock must be free when news is added.
        let news = self.relay.lock().directory.condemn(verdict, now_ms);
        if news {
            let item = ItemBody { verdict: Some(verdict.body()), ..ItemBody::default() };
            self.swim.broadcast(&item.encode_to_vec());
            self.swim.gossip(self.clock.monotonic_us());
            self.settle();
        }
        true
    }

    /// Sends a message to all nodes, best effort; this one does not hear it. `time`: later than that of all events that
    /// the caller has heard of.
    pub(in crate::gossip) fn fire_event(&mut self, time: u64, body: Vec<u8>) {
        let event = EventBody { id: self.clock.random().to_vec(), body, time };
        let item = ItemBody { event: Some(event), ..ItemBody::default() };
        self.swim.broadcast(&item.encode_to_vec());
        self.swim.gossip(self.clock.monotonic_us());
        self.settle();
    }

    /// The Lamport time of the latest event that this member has heard of.
    pub(in crate::gossip) fn event_time(&self) -> u64 {
        self.relay.lock().heard.time
    }

    /// How much this member doubts itself: 0 for not at all, 8 at most.
    pub(in crate::gossip) fn doubt(&self) -> u32 {
        self.swim.doubt()
    }

    /// The life that this member leads now.
    pub(in crate::gossip) fn generation(&self) -> u64 {
        self.own.peer.generation
    }

    /// Where this member is, and where others are that have said so, by name.
    pub(in crate::gossip) fn places(&self) -> (Coordinate, Vec<Coordinate>) {
        let shared = self.relay.lock();
        let named = |name: &str, place: &Coordinate| Coordinate { node: name.into(), ..place.clone() };
        let others = self
            .coordinates
            .iter()
            .filter_map(|(address, place)| Some(named(shared.directory.name_at(address)?, place)));
        (named(&self.own.name, self.vivaldi.place()), others.collect())
    }
}
