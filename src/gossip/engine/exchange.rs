//! Exchanging everything with one other member: when joining, then now and then, so that nothing that datagrams have
//! lost stays lost.

use super::{Engine, Output, kind};
use crate::gossip::directory::{MEMBERS_MAX, Merged};
use crate::gossip::member::Status;
use crate::gossip::peer::{Peer, state_number, state_of};
use crate::gossip::wire::{EntryBody, ExchangeBody, ItemBody, LifeBody, Record, peer_bytes, peer_of, status_of};
use foca::Member;
use prost::Message;

/// Statements of one exchange that are sent on, at most; the rest finds its way by other exchanges.
const SENT_ON_MAX: usize = 64;
/// Events of one exchange that are looked at, at most.
const EVENTS_TAKEN_MAX: usize = 1_024;

impl Engine {
    /// Everything that this member knows, as a request to another one.
    pub(in crate::gossip) fn exchange_request(&self, join: bool) -> Vec<u8> {
        [&[kind::EXCHANGE][..], &self.exchange_body(join).encode_to_vec()].concat()
    }

    fn exchange_body(&self, join: bool) -> ExchangeBody {
        let shared = self.relay.lock();
        let entries = shared.directory.all().filter(|(record, _)| record.id != self.own.id);
        let entries = entries.map(|(record, status)| EntryBody {
            record: Some(record.body()),
            status: status.map_or(0, |status| status.number().into()),
        });
        let lives = self.swim.all().map(|member| LifeBody {
            peer: peer_bytes(member.id()),
            incarnation: member.incarnation().into(),
            state: state_number(member.state()).into(),
        });
        ExchangeBody {
            from: Some(self.own.body()),
            entries: entries.collect(),
            lives: lives.collect(),
            join,
            event_time: shared.heard.time,
            events: shared.heard.recent(),
            ..ExchangeBody::default()
        }
    }

    /// Another member sends everything it knows. Returns the answer, which may be a refusal.
    pub(in crate::gossip) fn answer_exchange(&mut self, body: &[u8]) -> Option<Vec<u8>> {
        let body = ExchangeBody::decode(body).ok()?;
        let answer = if self.left {
            ExchangeBody { refusal: "this member has left".to_owned(), ..ExchangeBody::default() }
        } else {
            match self.take_over(body, false) {
                Ok(()) => self.exchange_body(false),
                Err(refusal) => ExchangeBody { refusal, ..ExchangeBody::default() },
            }
        };
        Some([&[kind::EXCHANGE_ANSWER][..], &answer.encode_to_vec()].concat())
    }

    /// The answer to [`Engine::exchange_request`]. `join`: it was asked in order to join.
    ///
    /// # Errors
    /// Why the other one refuses, or this one.
    pub(in crate::gossip) fn finish_exchange(&mut self, body: &[u8], join: bool) -> Result<(), String> {
        let body = ExchangeBody::decode(body).map_err(|_| "malformed answer".to_owned())?;
        if !body.refusal.is_empty() {
            return Err(body.refusal);
        }
        self.take_over(body, join)
    }

    fn take_over(&mut self, body: ExchangeBody, joining: bool) -> Result<(), String> {
        let now_ms = self.clock.now_ms();
        self.relay.lock().now_ms = now_ms;
        let from = body.from.and_then(Record::of).ok_or("the other member does not say who it is")?;
        if from.peer == self.own.peer && from.id == self.own.id {
            return Ok(());
        }
        self.refuse(&from)?;
        let mut entries: Vec<(Record, Option<Status>)> = vec![(from.clone(), None)];
        let others = body.entries.into_iter().take(MEMBERS_MAX);
        entries.extend(others.filter_map(|e| Some((e.record.and_then(Record::of)?, status_of(e.status)))));
        self.refuse_all(&entries)?;
        let mut lives = vec![Member::alive(from.peer)];
        lives.extend(body.lives.into_iter().take(MEMBERS_MAX).filter_map(|life| {
            let state = state_of(u8::try_from(life.state).ok()?)?;
            Some(Member::new(peer_of(&life.peer)?, u16::try_from(life.incarnation).ok()?, state))
        }));
        self.outlive(&entries, &lives);
        {
            let mut shared = self.relay.lock();
            shared.heard.witness(body.event_time, joining);
            body.events.into_iter().take(EVENTS_TAKEN_MAX).for_each(|event| shared.take_event(event));
        }
        let mut sent_on = 0;
        for (record, seen) in entries {
            if record.id == self.own.id {
                continue;
            }
            let item = ItemBody { record: Some(record.body()), ..ItemBody::default() };
            let merged = self.relay.lock().directory.merge(record, seen, now_ms);
            // Whoever answers a newcomer knows more than he does.
            if merged == Merged::News && !joining && sent_on < SENT_ON_MAX {
                sent_on += 1;
                self.swim.broadcast(&item.encode_to_vec());
            }
        }
        // Of those whom this member knows nothing about, the dead would only be remembered.
        let room = MEMBERS_MAX.saturating_sub(self.swim.all().len());
        self.swim.apply(self.clock.monotonic_us(), lives.into_iter().take(room), !joining);
        self.settle();
        if joining {
            self.announce_own();
        }
        Ok(())
    }

    /// Whether this one may be in the pool.
    fn refuse(&self, from: &Record) -> Result<(), String> {
        let datacenter = from.tags.get("dc").map_or("", String::as_str);
        if datacenter != self.datacenter {
            return Err(format!("Member '{}' part of wrong datacenter '{datacenter}'", from.name));
        }
        if from.id == self.own.id {
            return Err(conflict(from));
        }
        if from.name.eq_ignore_ascii_case(&self.own.name) {
            return Err(name_conflict(from));
        }
        let shared = self.relay.lock();
        // Somebody else who lives has the id or the name.
        if let Some((held, Some(status))) = shared.directory.with_id(from.id)
            && status.is_live()
            && !held.name.eq_ignore_ascii_case(&from.name)
        {
            return Err(conflict(&held));
        }
        match shared.directory.named(&from.name) {
            Some((held, Some(status))) if status.is_live() && held.id != from.id => Err(name_conflict(&held)),
            _ => Ok(()),
        }
    }

    /// Whether anybody whom the other one knows lives under this member's name or id.
    fn refuse_all(&self, entries: &[(Record, Option<Status>)]) -> Result<(), String> {
        let live = entries.iter().filter(|(_, status)| status.is_some_and(Status::is_live));
        for (record, _) in live {
            let same_name = record.name.eq_ignore_ascii_case(&self.own.name);
            match (same_name, record.id == self.own.id) {
                (false, true) => return Err(conflict(record)),
                (true, false) => return Err(name_conflict(record)),
                // Itself, in this life or an earlier one.
                (true, true) | (false, false) => {}
            }
        }
        Ok(())
    }

    /// Takes a later life if others remember one that is later than this, as after a clock went back.
    fn outlive(&mut self, entries: &[(Record, Option<Status>)], lives: &[Member<Peer>]) {
        let own = self.own.peer;
        let stated = entries.iter().filter(|(r, _)| r.id == self.own.id || r.peer.address == own.address);
        let lived = lives.iter().map(|life| *life.id()).filter(|peer| peer.address == own.address);
        let latest = stated.map(|(record, _)| record.peer).chain(lived).map(|peer| peer.generation).max().unwrap_or(0);
        let later = latest > own.generation && latest < u64::MAX;
        if later {
            let peer = Peer { generation: latest + 1, ..own };
            self.swim.become_peer(self.clock.monotonic_us(), peer);
            self.become_peer(peer);
        }
    }

    /// Exchanges with one member by chance: one that lives, or if there is none, one that may live again.
    pub(super) fn begin_exchange(&mut self) {
        let live: Vec<_> = self.swim.live_peers().map(|peer| peer.address).collect();
        let candidates = if live.is_empty() {
            let shared = self.relay.lock();
            let others = shared
                .directory
                .all()
                .filter(|(record, status)| record.id != self.own.id && *status == Some(Status::Failed));
            others.map(|(record, _)| record.peer.address).collect()
        } else {
            live
        };
        if !candidates.is_empty() {
            let to = candidates[self.generator.below(candidates.len() as u64) as usize];
            let bytes = self.exchange_request(false);
            self.outputs.push(Output::Exchange { to, bytes });
        }
    }

    /// Whether the failure detector holds this peer for dead; for tests.
    #[cfg(test)]
    pub(in crate::gossip) fn holds_dead(&self, address: std::net::SocketAddr) -> bool {
        self.swim.all().any(|member| member.id().address == address && member.state() == foca::State::Down)
    }
}

fn conflict(with: &Record) -> String {
    format!("Member '{}' has conflicting node ID '{}' with this agent's ID", with.name, with.id)
}

fn name_conflict(with: &Record) -> String {
    format!("Node name {} is reserved by node {} ({})", with.name, with.id, with.peer.address.ip())
}
