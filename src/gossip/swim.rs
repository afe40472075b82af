//! The failure detector: foca with its timers, its second path, and doubt about itself. It knows peers only, no names.
//!
//! Nothing here reads a clock or a socket: it is told the time and the packets, and leaves what is to be sent in
//! [`Swim::take`]. A probe that datagrams do not answer in time is sent over a stream as well, so that a network that
//! loses datagrams kills nobody; one that is refused there has found a dead process. Who is late himself, or hears nothing from anybody, gives suspects more time.

use super::peer::{Peer, PeerCodec, tag};
use super::timers::Timers;
use super::tuning::Tuning;
use crate::clock::Generator;
use foca::{BroadcastHandler, Codec, Foca, Member, Message, Notification, Runtime, Timer};
use std::collections::HashMap;
use std::mem;
use std::net::SocketAddr;
use std::time::Duration;
use tracing::debug;

/// Doubt about itself, at most: suspects get nine times their time.
const DOUBT_MAX: u32 = 8;
/// A peer whose last packet came over a stream is answered over streams for so long.
const STREAM_MEMORY_US: u64 = 30_000_000;
/// Peers of which that is remembered, at most.
const STREAM_PEERS_MAX: usize = 4_096;

/// How a packet travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Path {
    /// A datagram: fast, and it may be lost.
    Datagram,
    /// A stream of its own.
    Stream,
}

/// A packet that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outgoing {
    pub(super) to: SocketAddr,
    pub(super) packet: Vec<u8>,
    pub(super) path: Path,
}

/// What has become of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Up(Peer),
    Down(Peer),
    /// The first one is dead, the second one now lives at its address.
    Replaced(Peer, Peer),
    /// This node was declared dead and lives on as this peer.
    Own(Peer),
}

/// All that has happened since it was last taken.
#[derive(Debug, Default)]
pub(super) struct Happened {
    pub(super) outgoing: Vec<Outgoing>,
    pub(super) changes: Vec<Change>,
    /// Round trip times, microseconds.
    pub(super) round_trips: Vec<(Peer, u64)>,
}

struct Ping {
    to: Peer,
    number: u8,
    sent_us: u64,
    packet: Vec<u8>,
    streamed: bool,
    answered: bool,
}

/// What the library may ask for while it works.
struct Sink {
    now_us: u64,
    timers: Timers,
    happened: Happened,
    ping: Option<Ping>,
    /// Peers whose last packet came over a stream, and when.
    streams: HashMap<SocketAddr, u64>,
}

impl Sink {
    fn send(&mut self, to: SocketAddr, packet: &[u8]) {
        self.happened.outgoing.push(Outgoing { to, packet: packet.to_vec(), path: Path::Datagram });
        let by_stream = self.streams.get(&to).is_some_and(|at| self.now_us.saturating_sub(*at) < STREAM_MEMORY_US);
        if by_stream {
            self.happened.outgoing.push(Outgoing { to, packet: packet.to_vec(), path: Path::Stream });
        }
    }

    /// The direct way has failed so far: others are asked, and the probe goes over a stream.
    fn second_path(&mut self) {
        if let Some(ping) = self.ping.as_mut().filter(|ping| !ping.streamed && !ping.answered) {
            ping.streamed = true;
            let (to, packet) = (ping.to.address, ping.packet.clone());
            self.happened.outgoing.push(Outgoing { to, packet, path: Path::Stream });
        }
    }

    fn heard(&mut self, from: SocketAddr, path: Path) {
        match path {
            Path::Datagram => {
                self.streams.remove(&from);
            }
            Path::Stream => {
                if self.streams.len() >= STREAM_PEERS_MAX {
                    let now_us = self.now_us;
                    self.streams.retain(|_, at| now_us.saturating_sub(*at) < STREAM_MEMORY_US);
                }
                if self.streams.len() < STREAM_PEERS_MAX {
                    self.streams.insert(from, self.now_us);
                }
            }
        }
    }
}

impl Runtime<Peer> for &mut Sink {
    fn notify(&mut self, notification: Notification<'_, Peer>) {
        self.happened.changes.push(match notification {
            Notification::MemberUp(peer) => Change::Up(*peer),
            Notification::MemberDown(peer) => Change::Down(*peer),
            Notification::Rename(old, new) => Change::Replaced(*old, *new),
            Notification::Rejoin(peer) => Change::Own(*peer),
            Notification::Active | Notification::Idle | Notification::Defunct => return,
        });
    }

    fn send_to(&mut self, to: Peer, data: &[u8]) {
        if data.first() == Some(&tag::PING)
            && let Ok(header) = PeerCodec.decode_header(data)
            && let Message::Ping(number) = header.message
        {
            let (sent_us, packet) = (self.now_us, data.to_vec());
            self.ping = Some(Ping { to, number, sent_us, packet, streamed: false, answered: false });
        }
        self.send(to.address, data);
    }

    fn submit_after(&mut self, event: Timer<Peer>, after: Duration) {
        let after = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        self.timers.add(self.now_us.saturating_add(after), event);
    }
}

/// The failure detector of one node.
pub(super) struct Swim<B: BroadcastHandler<Peer>> {
    foca: Foca<Peer, PeerCodec, Generator, B>,
    sink: Sink,
    tuning: Tuning,
    doubt: u32,
    /// What the library was configured for: members and doubt.
    configured: (usize, u32),
    heard_us: u64,
}

impl<B> Swim<B>
where
    B: BroadcastHandler<Peer>,
    B::Error: 'static,
{
    pub(super) fn new(own: Peer, tuning: Tuning, generator: Generator, handler: B) -> Swim<B> {
        let foca = Foca::with_custom_broadcast(own, tuning.config(1, 0), generator, PeerCodec, handler);
        let sink = Sink {
            now_us: 0,
            timers: Timers::default(),
            happened: Happened::default(),
            ping: None,
            streams: HashMap::new(),
        };
        Swim { foca, sink, tuning, doubt: 0, configured: (1, 0), heard_us: 0 }
    }

    /// Members that live, without this one.
    pub(super) fn live(&self) -> usize {
        self.foca.num_members()
    }

    /// Members that live, in no order.
    pub(super) fn live_peers(&self) -> impl Iterator<Item = Peer> {
        self.foca.iter_members().map(|member| *member.id())
    }

    /// All members, also the dead.
    pub(super) fn all(&self) -> impl ExactSizeIterator<Item = &Member<Peer>> {
        self.foca.iter_membership_state()
    }

    /// How much this node doubts itself: 0 for not at all.
    pub(super) fn doubt(&self) -> u32 {
        self.doubt
    }

    /// What has happened since this was last called.
    pub(super) fn take(&mut self) -> Happened {
        mem::take(&mut self.sink.happened)
    }

    /// When [`Swim::fire`] has to be called, microseconds.
    pub(super) fn next_due(&self) -> Option<u64> {
        self.sink.timers.next_due()
    }

    /// A packet has come.
    pub(super) fn receive(&mut self, now_us: u64, packet: &[u8], path: Path) -> Result<(), foca::Error> {
        self.sink.now_us = now_us;
        let header = PeerCodec.decode_header(packet).map_err(|e| foca::Error::Decode(Box::new(e)))?;
        self.heard_us = now_us;
        self.sink.heard(header.src.address, path);
        if let Message::Ack(number) = header.message {
            self.answered(header.src, number, path);
        }
        let result = self.foca.handle_data(packet, &mut self.sink);
        self.retune();
        result
    }

    fn answered(&mut self, by: Peer, number: u8, path: Path) {
        let Some(ping) = self.sink.ping.as_mut().filter(|ping| ping.to == by && ping.number == number) else { return };
        if !mem::replace(&mut ping.answered, true) {
            self.doubt = self.doubt.saturating_sub(1);
            if path == Path::Datagram && !ping.streamed {
                self.sink.happened.round_trips.push((by, self.sink.now_us.saturating_sub(ping.sent_us)));
            }
        }
    }

    /// Does what is due. Returns how late it is, microseconds.
    pub(super) fn fire(&mut self, now_us: u64) -> u64 {
        self.sink.now_us = now_us;
        let late = self.next_due().map_or(0, |due| now_us.saturating_sub(due));
        let micros = |d: Duration| d.as_micros() as u64;
        if late > micros(self.tuning.probe_timeout) / 2 {
            self.doubt_more();
            // Whoever was suspected meanwhile may have answered into the void.
            self.sink.timers.postpone_verdicts(late);
        }
        while let Some((_, timer)) = self.sink.timers.pop_due(now_us) {
            if matches!(timer, Timer::SendIndirectProbe { .. }) {
                self.sink.second_path();
            }
            if matches!(timer, Timer::ProbeRandomMember(_)) {
                let silence = now_us.saturating_sub(self.heard_us) > 2 * micros(self.tuning.probe_interval);
                if silence && self.sink.ping.as_ref().is_some_and(|ping| !ping.answered) {
                    self.doubt_more();
                }
            }
            if let Err(error) = self.foca.handle_timer(timer, &mut self.sink) {
                debug!(%error, "a timer of the failure detector came to nothing");
            }
        }
        self.retune();
        late
    }

    fn doubt_more(&mut self) {
        self.doubt = (self.doubt + 1).min(DOUBT_MAX);
    }

    /// Takes over what another member knows. `tell`: others may not know it.
    pub(super) fn apply(&mut self, now_us: u64, members: impl Iterator<Item = Member<Peer>>, tell: bool) {
        self.sink.now_us = now_us;
        if let Err(error) = self.foca.apply_many(members, tell, &mut self.sink) {
            debug!(%error, "members could not be taken over");
        }
        self.retune();
    }

    /// A stream to this address was refused: nobody listens there. If that was the second way of a probe whose first way
    /// was not answered in time, the process is dead and not only far away, and nothing is gained by suspecting it first.
    pub(super) fn refused(&mut self, now_us: u64, by: SocketAddr) {
        let unanswered = |ping: &&Ping| ping.to.address == by && ping.streamed && !ping.answered;
        if let Some(peer) = self.sink.ping.as_ref().filter(unanswered).map(|ping| ping.to) {
            self.apply(now_us, std::iter::once(Member::down(peer)), true);
        }
    }

    /// Adds news that is sent along with everything else.
    pub(super) fn broadcast(&mut self, item: &[u8]) {
        if let Err(error) = self.foca.add_broadcast(item) {
            debug!(%error, "news cannot be sent on");
        }
    }

    /// Whether there is news that has not been sent often enough.
    pub(super) fn has_news(&self) -> bool {
        self.foca.updates_backlog() > 0 || self.foca.custom_broadcast_backlog() > 0
    }

    /// Sends news to some members at once.
    pub(super) fn gossip(&mut self, now_us: u64) {
        self.sink.now_us = now_us;
        if let Err(error) = self.foca.gossip(&mut self.sink) {
            debug!(%error, "cannot gossip");
        }
    }

    /// Declares this node dead and tells some members. Nothing is probed afterwards.
    pub(super) fn leave(&mut self, now_us: u64) {
        self.sink.now_us = now_us;
        if let Err(error) = self.foca.leave_cluster(&mut self.sink) {
            debug!(%error, "cannot announce the end");
        }
    }

    /// Takes another life, later than all others.
    pub(super) fn become_peer(&mut self, now_us: u64, peer: Peer) {
        self.sink.now_us = now_us;
        if let Err(error) = self.foca.change_identity(peer, &mut self.sink) {
            debug!(%error, "cannot take a new life");
        }
    }

    /// Fits the library to the size of the pool and to the doubt.
    fn retune(&mut self) {
        let wanted = (self.foca.num_members() + 1, self.doubt);
        if wanted == self.configured {
            return;
        }
        self.configured = wanted;
        if let Err(error) = self.foca.set_config(self.tuning.config(wanted.0, wanted.1)) {
            debug!(%error, "cannot change the settings of the failure detector");
        }
    }
}
