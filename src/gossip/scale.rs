//! The failure detector in large pools, in virtual time: how soon the death of a member is known, what it costs, and
//! whether anybody is taken for dead who lives. The table in docs/gossip.md is printed by the ignored test below:
//! `cargo test --release --lib gossip::scale -- --ignored --nocapture`.

use super::peer::Peer;
use super::swim::{Change, Path, Swim};
use super::tuning::Tuning;
use crate::clock::{Clock, Generator};
use foca::{Member, NoCustomBroadcast};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;

const SECOND: u64 = 1_000_000;
/// When the first member dies.
const DEATH: u64 = 5 * SECOND;
/// A segment of a stream that is lost is sent again after this time.
const RESEND: u64 = SECOND / 5;
/// Ends of a stream that need a round trip before data flows.
const HANDSHAKE: u64 = 2_000;

type Queue = BinaryHeap<Reverse<(u64, u64, usize, Option<(Path, Vec<u8>)>)>>;

/// What was found.
#[derive(Debug, Default, PartialEq)]
struct Found {
    /// When each member knew of the death, microseconds after it, in order.
    known: Vec<u64>,
    /// Notifications that somebody is dead who is not.
    wrong: usize,
    datagrams: u64,
    streams: u64,
    bytes: u64,
}

fn peer(node: usize) -> Peer {
    Peer { address: SocketAddr::from(([10, (node >> 16) as u8, (node >> 8) as u8, node as u8], 8301)), generation: 1 }
}

fn node_at(address: SocketAddr) -> usize {
    match address.ip() {
        std::net::IpAddr::V4(ip) => ip.octets()[1..].iter().fold(0, |n, octet| n << 8 | usize::from(*octet)),
        std::net::IpAddr::V6(_) => usize::MAX,
    }
}

struct Pool {
    nodes: Vec<Swim<NoCustomBroadcast>>,
    wake: Vec<u64>,
    queue: Queue,
    number: u64,
    random: Generator,
    loss: u64,
    found: Found,
}

impl Pool {
    fn new(seed: u64, size: usize, loss: u64) -> Pool {
        let clock = Clock::manual(0, seed);
        let mut pool = Pool {
            nodes: Vec::new(),
            wake: vec![u64::MAX; size],
            queue: Queue::new(),
            number: 0,
            random: clock.generator(),
            loss,
            found: Found::default(),
        };
        for own in 0..size {
            let mut swim = Swim::new(peer(own), Tuning::default(), clock.generator(), NoCustomBroadcast);
            let others = (0..size).filter(|other| *other != own).map(|other| Member::alive(peer(other)));
            // Nobody is in step with anybody.
            swim.apply(pool.random.below(SECOND), others, false);
            swim.take();
            pool.nodes.push(swim);
            pool.settle(own, 0);
        }
        pool
    }

    fn push(&mut self, at: u64, to: usize, what: Option<(Path, Vec<u8>)>) {
        self.number += 1;
        self.queue.push(Reverse((at, self.number, to, what)));
    }

    fn settle(&mut self, node: usize, now: u64) {
        let happened = self.nodes[node].take();
        for change in happened.changes {
            match change {
                Change::Down(dead) if dead == peer(0) && now >= DEATH => self.found.known.push(now - DEATH),
                Change::Down(_) => self.found.wrong += 1,
                Change::Up(_) | Change::Replaced(..) | Change::Own(_) => {}
            }
        }
        for outgoing in happened.outgoing {
            self.found.bytes += outgoing.packet.len() as u64;
            let lost = self.random.below(1_000) < self.loss;
            let mut at = now + 200 + self.random.below(1_000);
            match outgoing.path {
                Path::Datagram => self.found.datagrams += 1,
                Path::Stream => {
                    self.found.streams += 1;
                    at += HANDSHAKE + if lost { RESEND } else { 0 };
                }
            }
            if !lost || outgoing.path == Path::Stream {
                self.push(at, node_at(outgoing.to), Some((outgoing.path, outgoing.packet)));
            }
        }
        if let Some(due) = self.nodes[node].next_due().filter(|due| *due < self.wake[node]) {
            self.wake[node] = due.max(now);
            self.push(due.max(now), node, None);
        }
    }

    fn run(mut self, until: u64) -> Found {
        while let Some(Reverse((now, _, node, what))) = self.queue.pop() {
            if now > until {
                break;
            }
            if node == 0 && now >= DEATH {
                continue;
            }
            match what {
                Some((path, packet)) => {
                    // Packets for an earlier life are refused, as they should be.
                    let _ = self.nodes[node].receive(now, &packet, path);
                }
                None if self.wake[node] > now => continue,
                None => {
                    self.wake[node] = u64::MAX;
                    self.nodes[node].fire(now);
                }
            }
            self.settle(node, now);
        }
        self.found.known.sort_unstable();
        self.found
    }
}

fn row(size: usize, loss: u64, seconds: u64) -> String {
    let found = Pool::new(7, size, loss).run(DEATH + seconds * SECOND);
    let s = |us: Option<&u64>| us.map_or("-".to_owned(), |us| format!("{:.1} s", *us as f64 / SECOND as f64));
    let each = |n: u64| n as f64 / size as f64 / (seconds + DEATH / SECOND) as f64;
    format!(
        "| {size} | {} % | {} | {} | {} | {}/{} | {:.2} | {:.3} | {:.0} | {} |",
        loss as f64 / 10.0,
        s(found.known.first()),
        s(found.known.get(found.known.len() / 2)),
        s(found.known.last()),
        found.known.len(),
        size - 1,
        each(found.datagrams),
        each(found.streams),
        each(found.bytes),
        found.wrong
    )
}

#[test]
fn a_death_is_known_to_all_and_nobody_else_is_taken_for_dead() {
    let run = || Pool::new(3, 48, 100).run(DEATH + 30 * SECOND);
    let found = run();
    assert_eq!((found.known.len(), found.wrong), (47, 0), "{found:?}");
    assert!(found.known.last().is_some_and(|last| *last < 25 * SECOND), "{found:?}");
    assert_eq!(found, run(), "the same seed");
}

/// Prints the table of `docs/gossip.md` for the sizes in `LICTOR_GOSSIP_SIZES`, as `64,1000,10000`: minutes, and gigabytes
/// for the largest. Without it, one small pool shows that a death is known everywhere at every loss.
#[test]
fn table() {
    let asked = std::env::var("LICTOR_GOSSIP_SIZES");
    let sizes = asked.as_deref().unwrap_or("16");
    println!("| members | loss | first | median | last | know | datagrams/s | streams/s | bytes/s | false |");
    for size in sizes.split(',').filter_map(|n| n.parse().ok()) {
        let seconds = if size > 2_000 { 45 } else { 120 };
        // Two at once: the largest pool takes six gigabytes.
        for losses in [[0, 50], [100, 200]] {
            let rows = std::thread::scope(|threads| {
                losses.map(|loss| threads.spawn(move || row(size, loss, seconds))).map(|row| row.join().expect("a row"))
            });
            for row in rows {
                println!("{row}");
                assert!(row.contains(&format!("| {0}/{0} |", size - 1)), "{row}");
            }
        }
    }
}
