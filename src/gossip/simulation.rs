//! A pool in virtual time: engines on a network that loses, delays and parts, driven by one seed.

use super::engine::{Engine, Identity, Output, kind};
use super::member::{Member, Members, Status};
use super::swim::Path;
use super::tuning::Tuning;
use crate::clock::{Clock, Generator};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use uuid::Uuid;

/// A stream that loses a segment is late by that much, milliseconds.
const RESEND_MS: u64 = 200;

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Packet { stream: bool, bytes: Vec<u8> },
    Exchange { from: usize, join: bool, bytes: Vec<u8> },
    Answer { join: bool, bytes: Vec<u8> },
    Refusal { by: SocketAddr },
    Wake,
}

pub(super) struct Node {
    pub(super) engine: Engine,
    pub(super) members: Members,
    pub(super) events: Vec<Vec<u8>>,
    pub(super) refusals: Vec<String>,
    /// Changes of status that it has seen: whom, what, when.
    pub(super) seen: Vec<(String, Status, u64)>,
    pub(super) sent: u64,
    runs: bool,
    /// Its machine lives on after it and refuses streams.
    refuses: bool,
    /// Until then it does nothing, and what comes waits.
    frozen_until: u64,
    wake_at: u64,
}

pub(super) struct Simulation {
    clock: Clock,
    pub(super) nodes: Vec<Node>,
    by_address: HashMap<SocketAddr, usize>,
    queue: BinaryHeap<Reverse<(u64, u64, usize, What)>>,
    number: u64,
    generator: Generator,
    tuning: Tuning,
    /// Datagrams lost of a thousand.
    pub(super) loss: u64,
    /// Pairs (from, to) that do not reach each other.
    pub(super) cut: Box<dyn Fn(usize, usize) -> bool>,
    /// Pairs between which no datagram gets through.
    pub(super) no_datagrams: Box<dyn Fn(usize, usize) -> bool>,
    pub(super) trace: u64,
}

pub(super) fn address(node: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, (node >> 8) as u8, node as u8], 8301))
}

impl Simulation {
    pub(super) fn new(seed: u64, tuning: Tuning) -> Simulation {
        let clock = Clock::manual(1_000_000, seed);
        Simulation {
            generator: clock.generator(),
            clock,
            nodes: Vec::new(),
            by_address: HashMap::new(),
            queue: BinaryHeap::new(),
            number: 0,
            tuning,
            loss: 0,
            cut: Box::new(|_, _| false),
            no_datagrams: Box::new(|_, _| false),
            trace: 0,
        }
    }

    pub(super) fn now(&self) -> u64 {
        self.clock.now_ms()
    }

    pub(super) fn identity(node: usize) -> Identity {
        let tags = BTreeMap::from([("dc".to_owned(), "dc1".to_owned()), ("n".to_owned(), node.to_string())]);
        let id = Uuid::from_u128(node as u128 + 1);
        Identity { name: format!("n{node}"), id, address: address(node), tags, datacenter: "dc1".into() }
    }

    pub(super) fn add(&mut self, identity: Identity) -> usize {
        let at = identity.address;
        let engine = Engine::new(identity, self.tuning.clone(), self.clock.clone(), self.now()).unwrap();
        let node = Node {
            engine,
            members: Members::default(),
            events: Vec::new(),
            refusals: Vec::new(),
            seen: Vec::new(),
            sent: 0,
            runs: true,
            refuses: false,
            frozen_until: 0,
            wake_at: u64::MAX,
        };
        let index = self.nodes.len();
        self.by_address.insert(at, index);
        self.nodes.push(node);
        self.settle(index);
        index
    }

    /// A pool of so many that have joined the first one and know each other.
    pub(super) fn pool(seed: u64, size: usize, tuning: Tuning) -> Simulation {
        let mut simulation = Simulation::new(seed, tuning);
        for node in 0..size {
            simulation.add(Simulation::identity(node));
            if node > 0 {
                simulation.join(node, 0);
                simulation.run(50);
            }
        }
        for _ in 0..120 {
            if simulation.nodes.iter().all(|node| node.members.count(Status::Alive) == size) {
                return simulation;
            }
            simulation.run(1_000);
        }
        panic!("the pool does not come together");
    }

    pub(super) fn join(&mut self, node: usize, with: usize) {
        let bytes = self.nodes[node].engine.exchange_request(true);
        let at = self.now() + self.latency();
        self.push(at, with, What::Exchange { from: node, join: true, bytes });
    }

    pub(super) fn kill(&mut self, node: usize) {
        self.nodes[node].runs = false;
    }

    /// Kills the process only: its machine refuses streams.
    pub(super) fn kill_process(&mut self, node: usize) {
        self.kill(node);
        self.nodes[node].refuses = true;
    }

    /// Starts a killed node again, as a new process.
    pub(super) fn restart(&mut self, node: usize, identity: Identity) {
        self.by_address.insert(identity.address, node);
        let fresh = Engine::new(identity, self.tuning.clone(), self.clock.clone(), self.now()).unwrap();
        let state = &mut self.nodes[node];
        (state.engine, state.runs, state.refuses, state.wake_at) = (fresh, true, false, u64::MAX);
        self.settle(node);
    }

    pub(super) fn freeze(&mut self, node: usize, ms: u64) {
        self.nodes[node].frozen_until = self.now() + ms;
    }

    /// Does something with an engine, and what follows.
    pub(super) fn with<T>(&mut self, node: usize, act: impl FnOnce(&mut Engine) -> T) -> T {
        let result = act(&mut self.nodes[node].engine);
        self.settle(node);
        result
    }

    pub(super) fn status(&self, at: usize, name: &str) -> Option<Status> {
        self.member(at, name).map(|member| member.status)
    }

    pub(super) fn member(&self, at: usize, name: &str) -> Option<Arc<Member>> {
        self.nodes[at].members.named(name).cloned()
    }

    /// Whether all other nodes that run see a member so.
    pub(super) fn all_see(&self, name: &str, status: Option<Status>) -> bool {
        (0..self.nodes.len())
            .filter(|n| self.nodes[*n].runs && format!("n{n}") != name)
            .all(|n| self.status(n, name) == status)
    }

    /// Runs until something is so; fails after so many virtual seconds.
    pub(super) fn until(&mut self, seconds: u64, what: &str, so: impl Fn(&Simulation) -> bool) {
        for _ in 0..seconds * 20 {
            if so(self) {
                return;
            }
            self.run(50);
        }
        panic!("after {seconds} s it is not so that {what}");
    }

    fn latency(&mut self) -> u64 {
        1 + self.generator.below(3)
    }

    fn push(&mut self, at: u64, to: usize, what: What) {
        self.number += 1;
        self.queue.push(Reverse((at, self.number, to, what)));
    }

    pub(super) fn run(&mut self, ms: u64) {
        let end = self.now() + ms;
        while self.queue.peek().is_some_and(|next| next.0.0 <= end) {
            let Some(Reverse((at, _, to, what))) = self.queue.pop() else { break };
            self.clock.advance(at.saturating_sub(self.now()));
            self.deliver(to, what);
        }
        self.clock.advance(end - self.now());
    }

    fn deliver(&mut self, to: usize, what: What) {
        let (now, node) = (self.now(), &mut self.nodes[to]);
        if !node.runs {
            return;
        }
        if node.frozen_until > now {
            let at = node.frozen_until;
            self.push(at, to, what);
            return;
        }
        match what {
            What::Wake => {
                if node.wake_at > now {
                    return;
                }
                node.wake_at = u64::MAX;
                node.engine.fire();
            }
            What::Packet { stream, bytes } => {
                let path = if stream { Path::Stream } else { Path::Datagram };
                self.trace = bytes.iter().fold(self.trace ^ now, |t, b| t.rotate_left(5) ^ u64::from(*b)) + to as u64;
                // Refusals are part of the protocol: packets for an earlier life, or from the dead.
                let _ = node.engine.receive(&bytes, path);
            }
            What::Exchange { from, join, bytes } => {
                assert_eq!(bytes[0], kind::EXCHANGE);
                let answer = node.engine.answer_exchange(&bytes[1..]).unwrap();
                let at = now + self.latency();
                if !(self.cut)(to, from) {
                    self.push(at, from, What::Answer { join, bytes: answer });
                }
            }
            What::Refusal { by } => node.engine.refused(by),
            What::Answer { join, bytes } => {
                if let Err(refusal) = node.engine.finish_exchange(&bytes[1..], join) {
                    node.refusals.push(refusal);
                }
            }
        }
        self.settle(to);
    }

    fn settle(&mut self, index: usize) {
        let now = self.now();
        let node = &mut self.nodes[index];
        if let Some(members) = node.engine.members() {
            for member in members.iter() {
                if node.members.named(&member.name).map(|m| m.status) != Some(member.status) {
                    node.seen.push((member.name.clone(), member.status, now));
                }
            }
            node.members = members;
        }
        let events = node.engine.events();
        node.events.extend(events);
        let outputs = node.engine.outputs();
        let due = node.engine.next_due().div_ceil(1_000).max(now + 1);
        if due < node.wake_at {
            node.wake_at = due;
            self.push(due, index, What::Wake);
        }
        for output in outputs {
            self.send(index, output);
        }
    }

    fn send(&mut self, from: usize, output: Output) {
        let (Output::Packet { to, .. } | Output::Exchange { to, .. }) = &output;
        let Some(&to) = self.by_address.get(to) else { return };
        self.nodes[from].sent += 1;
        let mut at = self.now() + self.latency();
        let lost = self.generator.below(1_000) < self.loss;
        if (self.cut)(from, to) {
            return;
        }
        match output {
            Output::Packet { bytes, path: Path::Datagram, .. } => {
                if !lost && !(self.no_datagrams)(from, to) {
                    self.push(at, to, What::Packet { stream: false, bytes });
                }
            }
            Output::Packet { to: address, path: Path::Stream, .. } if self.nodes[to].refuses => {
                at += self.latency();
                self.push(at, from, What::Refusal { by: address });
            }
            Output::Packet { bytes, path: Path::Stream, .. } => {
                at += if lost { RESEND_MS } else { 2 };
                self.push(at, to, What::Packet { stream: true, bytes });
            }
            Output::Exchange { bytes, .. } => {
                at += if lost { RESEND_MS } else { 2 };
                self.push(at, to, What::Exchange { from, join: false, bytes });
            }
        }
    }
}
