//! One member of a pool, without sockets and clocks of its own: packets and times go in, packets and news come out. The
//! same engine runs on a network and in a simulation.

mod exchange;
mod operate;

use super::directory::Directory;
use super::member::Members;
use super::peer::{Peer, get_peer, tag};
use super::relay::{Relay, Shared};
use super::swim::{Change, Path, Swim};
use super::tuning::Tuning;
use super::vivaldi::Vivaldi;
use super::wire::{ItemBody, Record, peer_bytes, tags_fit};
use crate::clock::{Clock, Generator};
use crate::model::Coordinate;
use bytes::{Buf, BufMut};
use foca::BroadcastHandler;
use prost::Message;
use std::collections::BTreeMap;
use std::mem;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use thiserror::Error;
use uuid::Uuid;

/// What a packet holds: its first byte.
pub(super) mod kind {
    pub(in super::super) const SWIM: u8 = 1;
    /// The failure detector's message, and before it the coordinate of who sends it.
    pub(super) const SWIM_FROM_HERE: u8 = 2;
    pub(super) const ASK: u8 = 3;
    pub(super) const TELL: u8 = 4;
    pub(in super::super) const EXCHANGE: u8 = 10;
    pub(in super::super) const EXCHANGE_ANSWER: u8 = 11;
    pub(in super::super) const KEYS: u8 = 12;
    pub(in super::super) const KEYS_ANSWER: u8 = 13;
    pub(in super::super) const HERE: u8 = 14;
    pub(in super::super) const HERE_ANSWER: u8 = 15;
}

/// Bytes of a coordinate in a packet.
const COORDINATE_BYTES: usize = 11 * 8;
/// How often nameless members are asked who they are.
const ASK_EVERY_US: u64 = 500_000;
/// So many of them each time.
const ASK_COUNT: usize = 16;
/// How often the dead are looked through.
const REAP_EVERY_US: u64 = 10_000_000;

/// Who this member is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its name, unique in the pool.
    pub name: String,
    /// Its id, unique in the pool.
    pub id: Uuid,
    /// Where others reach it.
    pub address: SocketAddr,
    /// What it says about itself.
    pub tags: BTreeMap<String, String>,
    /// Members of other datacenters are refused.
    pub datacenter: String,
}

/// What the engine wants from the world.
#[derive(Debug)]
pub(super) enum Output {
    /// Send this.
    Packet { to: SocketAddr, bytes: Vec<u8>, path: Path },
    /// Send this over a stream, and hand the answer to [`Engine::finish_exchange`].
    Exchange { to: SocketAddr, bytes: Vec<u8> },
}

/// A packet that is refused.
#[derive(Debug, Error)]
pub(super) enum Refused {
    #[error("malformed packet")]
    Malformed,
    #[error("the failure detector refuses it: {0}")]
    Swim(#[from] foca::Error),
}

/// The tags are too large.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the tags of a member may have {max} bytes together", max = super::wire::TAG_BYTES_MAX)]
pub struct TagsTooLarge;

/// One member of a pool.
pub(super) struct Engine {
    clock: Clock,
    generator: Generator,
    tuning: Tuning,
    swim: Swim<Relay>,
    relay: Relay,
    own: Record,
    datacenter: String,
    vivaldi: Vivaldi,
    /// Where others are, by address.
    coordinates: BTreeMap<SocketAddr, Coordinate>,
    outputs: Vec<Output>,
    next_exchange_us: u64,
    next_ask_us: u64,
    next_reap_us: u64,
    /// Nothing is heard and said any more.
    left: bool,
}

impl Engine {
    /// A member that knows nobody. `generation`: greater than in every earlier life.
    pub(super) fn new(
        identity: Identity,
        tuning: Tuning,
        clock: Clock,
        generation: u64,
    ) -> Result<Engine, TagsTooLarge> {
        if !tags_fit(&identity.tags) {
            return Err(TagsTooLarge);
        }
        let peer = Peer { address: identity.address, generation };
        let own =
            Record { name: identity.name, id: identity.id, peer, version: 0, tags: identity.tags, leaving: false };
        let relay =
            Relay(Arc::new(Mutex::new(Shared { own: own.id, directory: Directory::of(own.id), ..Shared::default() })));
        let mut generator = clock.generator();
        let swim = Swim::new(peer, tuning.clone(), clock.generator(), relay.clone());
        let now_us = clock.monotonic_us();
        let first = tuning.exchange_interval.as_micros() as u64;
        let mut engine = Engine {
            next_exchange_us: now_us + first / 2 + generator.below(first.max(2) / 2),
            next_ask_us: now_us,
            next_reap_us: now_us + REAP_EVERY_US,
            vivaldi: Vivaldi::default(),
            coordinates: BTreeMap::new(),
            outputs: Vec::new(),
            datacenter: identity.datacenter,
            left: false,
            clock,
            generator,
            tuning,
            swim,
            relay,
            own,
        };
        engine.state_own(None);
        Ok(engine)
    }

    /// Puts this member's own statement into its directory.
    fn state_own(&mut self, before: Option<Peer>) {
        let now_ms = self.clock.now_ms();
        let mut shared = self.relay.lock();
        let change = before.map_or(Change::Up(self.own.peer), |old| Change::Replaced(old, self.own.peer));
        shared.directory.life(change, now_ms);
        shared.directory.merge(self.own.clone(), None, now_ms);
    }

    /// Tells everybody what this member says about itself now.
    fn announce_own(&mut self) {
        let item = ItemBody { record: Some(self.own.body()), ..ItemBody::default() };
        self.swim.broadcast(&item.encode_to_vec());
    }

    /// A packet has come.
    pub(super) fn receive(&mut self, packet: &[u8], path: Path) -> Result<(), Refused> {
        if self.left {
            return Ok(());
        }
        self.relay.lock().now_ms = self.clock.now_ms();
        let Some((&kind, mut body)) = packet.split_first() else { return Err(Refused::Malformed) };
        let result = match kind {
            kind::SWIM => self.swim.receive(self.clock.monotonic_us(), body, path).map_err(Refused::from),
            kind::SWIM_FROM_HERE => {
                let place = take_coordinate(&mut body).ok_or(Refused::Malformed)?;
                self.remember_place(body, place);
                self.swim.receive(self.clock.monotonic_us(), body, path).map_err(Refused::from)
            }
            kind::ASK => self.asked(body),
            kind::TELL => {
                let item = ItemBody::decode(body).map_err(|_| Refused::Malformed)?;
                let news = ItemBody { verdict: None, event: None, ..item };
                let told = self.relay.clone().receive_item(&news.encode_to_vec(), Some(&self.own.peer));
                told.map(drop).map_err(|_| Refused::Malformed)
            }
            _ => Err(Refused::Malformed),
        };
        self.settle();
        result
    }

    /// Nobody takes streams at this address.
    pub(super) fn refused(&mut self, by: SocketAddr) {
        if self.left {
            return;
        }
        self.relay.lock().now_ms = self.clock.now_ms();
        self.swim.refused(self.clock.monotonic_us(), by);
        self.swim.gossip(self.clock.monotonic_us());
        self.settle();
    }

    /// Somebody wants to know who this is; only members are told.
    fn asked(&mut self, mut body: &[u8]) -> Result<(), Refused> {
        let peer = get_peer(&mut body).map_err(|_| Refused::Malformed)?;
        if self.relay.lock().directory.lives_at(&peer.address) {
            let item = ItemBody { record: Some(self.own.body()), ..ItemBody::default() };
            let bytes = [&[kind::TELL][..], &item.encode_to_vec()].concat();
            self.outputs.push(Output::Packet { to: peer.address, bytes, path: Path::Datagram });
        }
        Ok(())
    }

    fn remember_place(&mut self, message: &[u8], place: Coordinate) {
        // The sender stands behind the kind of the message.
        let Some(peer) = message.get(1..).and_then(|mut rest| get_peer(&mut rest).ok()) else { return };
        if self.relay.lock().directory.lives_at(&peer.address) {
            self.coordinates.insert(peer.address, place);
        }
    }

    /// When [`Engine::fire`] has to be called, microseconds of the monotonic clock.
    pub(super) fn next_due(&self) -> u64 {
        let own = self.next_exchange_us.min(self.next_ask_us).min(self.next_reap_us);
        self.swim.next_due().map_or(own, |due| due.min(own))
    }

    /// Does what is due. Returns how late the failure detector was, microseconds.
    pub(super) fn fire(&mut self) -> u64 {
        if self.left {
            let now_us = self.clock.monotonic_us();
            (self.next_exchange_us, self.next_ask_us, self.next_reap_us) = (u64::MAX, u64::MAX, u64::MAX);
            // What the failure detector still wants to do no longer matters; its timers must not stay due.
            return self.swim.fire(now_us);
        }
        let now_ms = self.clock.now_ms();
        self.relay.lock().now_ms = now_ms;
        let now_us = self.clock.monotonic_us();
        let late = self.swim.fire(now_us);
        if now_us >= self.next_ask_us {
            self.next_ask_us = now_us + ASK_EVERY_US;
            self.ask_the_nameless();
        }
        if now_us >= self.next_exchange_us {
            let every = self.tuning.exchange_every(self.swim.live() + 1).as_micros() as u64;
            // Nobody is in step with anybody.
            self.next_exchange_us = now_us + every - every / 8 + self.generator.below(every / 4 + 1);
            self.begin_exchange();
        }
        if now_us >= self.next_reap_us {
            self.next_reap_us = now_us + REAP_EVERY_US;
            let after_ms = self.tuning.reap_after.as_millis() as u64;
            let mut shared = self.relay.lock();
            shared.directory.reap(now_ms, after_ms);
            self.coordinates.retain(|address, _| shared.directory.lives_at(address));
        }
        self.settle();
        late
    }

    fn ask_the_nameless(&mut self) {
        let nameless = self.relay.lock().directory.nameless();
        let own = peer_bytes(&self.own.peer);
        for to in nameless.into_iter().take(ASK_COUNT) {
            let bytes = [&[kind::ASK][..], &own].concat();
            self.outputs.push(Output::Packet { to, bytes, path: Path::Datagram });
        }
    }

    /// Carries what the failure detector has left behind to where it belongs.
    fn settle(&mut self) {
        let happened = self.swim.take();
        let now_ms = self.clock.now_ms();
        let mut renewed = None;
        {
            let mut shared = self.relay.lock();
            for change in happened.changes {
                match change {
                    Change::Own(peer) => renewed = Some(peer),
                    Change::Up(peer) | Change::Down(peer) | Change::Replaced(_, peer)
                        if peer.address == self.own.peer.address => {}
                    change => shared.directory.life(change, now_ms),
                }
            }
        }
        if let Some(peer) = renewed {
            self.become_peer(peer);
        }
        for (peer, round_trip_us) in happened.round_trips {
            if let Some(place) = self.coordinates.get(&peer.address) {
                self.vivaldi.observe(peer.address, place, round_trip_us as f64 / 1e6, &mut self.generator);
            }
        }
        for outgoing in happened.outgoing {
            let mut bytes = Vec::with_capacity(1 + COORDINATE_BYTES + outgoing.packet.len());
            if outgoing.packet.first() == Some(&tag::ACK) {
                bytes.put_u8(kind::SWIM_FROM_HERE);
                put_coordinate(self.vivaldi.place(), &mut bytes);
            } else {
                bytes.put_u8(kind::SWIM);
            }
            bytes.put_slice(&outgoing.packet);
            self.outputs.push(Output::Packet { to: outgoing.to, bytes, path: outgoing.path });
        }
    }

    /// This member was given a new life.
    fn become_peer(&mut self, peer: Peer) {
        let before = mem::replace(&mut self.own.peer, peer);
        self.own.version = 0;
        self.state_own(Some(before));
        self.announce_own();
    }

    /// What is to be done outside, in order.
    pub(super) fn outputs(&mut self) -> Vec<Output> {
        mem::take(&mut self.outputs)
    }

    /// The members, if anything has changed since this was last asked.
    pub(super) fn members(&mut self) -> Option<Members> {
        self.relay.lock().directory.members()
    }

    /// Events of others that have come since this was last asked.
    pub(super) fn events(&mut self) -> Vec<Vec<u8>> {
        mem::take(&mut self.relay.lock().events)
    }
}

fn put_coordinate(place: &Coordinate, to: &mut Vec<u8>) {
    let rest = [place.error, place.adjustment, place.height];
    for number in place.vec.iter().chain(&rest) {
        to.put_f64(*number);
    }
}

/// `None` if it is cut short or no place at all.
fn take_coordinate(from: &mut &[u8]) -> Option<Coordinate> {
    if from.len() < COORDINATE_BYTES {
        return None;
    }
    let mut place = Coordinate::default();
    for number in &mut place.vec {
        *number = from.get_f64();
    }
    (place.error, place.adjustment, place.height) = (from.get_f64(), from.get_f64(), from.get_f64());
    place.is_finite().then_some(place)
}

#[cfg(test)]
mod tests;
