//! The network between simulated servers: every message has a delay of its own, so they overtake each other; they are
//! lost, repeated, held back before a server that pauses, and cut off in one direction or both.

use super::trace::{Trace, dice};
use crate::clock::Generator;
use crate::proto::internal::call_request::Body as Question;
use crate::proto::internal::{CallRequest, CallResponse, InstallHead, InstallSnapshotResponse, LingerRequest};
use crate::raft::{Handle, Lingered, Peers, Replies, Requests, Unreached};
use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::sleep;

/// What is at an address.
#[derive(Clone)]
enum Host {
    /// A server in its `0`-th life.
    Up(u64, Handle),
    /// A machine without the process: connections are refused.
    Refusing,
    /// Nothing answers.
    Silent,
}

/// How messages fare; parts of a thousand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    pub(super) loss: u64,
    pub(super) repeats: u64,
    pub(super) delay_ms: u64,
}

/// A network in good order.
pub(super) const FAIR: Weather = Weather { loss: 0, repeats: 5, delay_ms: 3 };

struct Wires {
    hosts: BTreeMap<String, Host>,
    /// From, to.
    cut: BTreeSet<(String, String)>,
    paused: BTreeSet<String>,
    slow_ms: BTreeMap<(String, String), u64>,
    weather: Weather,
    dice: Generator,
}

#[derive(Clone)]
pub(super) struct Network {
    wires: Arc<Mutex<Wires>>,
    trace: Arc<Trace>,
}

/// A message is gone.
struct Lost;

impl Network {
    pub(super) fn new(seed: u64, trace: Arc<Trace>) -> Network {
        let wires = Wires {
            hosts: BTreeMap::new(),
            cut: BTreeSet::new(),
            paused: BTreeSet::new(),
            slow_ms: BTreeMap::new(),
            weather: FAIR,
            dice: dice(seed, 1),
        };
        Network { wires: Arc::new(Mutex::new(wires)), trace }
    }

    fn wires(&self) -> MutexGuard<'_, Wires> {
        self.wires.lock().expect("nobody panicked")
    }

    pub(super) fn attach(&self, address: &str, life: u64, handle: Handle) {
        self.wires().hosts.insert(address.to_owned(), Host::Up(life, handle));
    }

    pub(super) fn detach(&self, address: &str, silent: bool) {
        self.wires().hosts.insert(address.to_owned(), if silent { Host::Silent } else { Host::Refusing });
    }

    /// There are no servers any more.
    pub(super) fn forget(&self) {
        let hosts = std::mem::take(&mut self.wires().hosts);
        drop(hosts);
    }

    pub(super) fn cut(&self, from: &str, to: &str) {
        self.wires().cut.insert((from.to_owned(), to.to_owned()));
    }

    /// No cuts and no slow links any more.
    pub(super) fn mend(&self) {
        let mut wires = self.wires();
        wires.cut.clear();
        wires.slow_ms.clear();
    }

    pub(super) fn slow_down(&self, from: &str, to: &str, ms: u64) {
        self.wires().slow_ms.insert((from.to_owned(), to.to_owned()), ms);
    }

    pub(super) fn pause(&self, address: &str, paused: bool) {
        match paused {
            true => self.wires().paused.insert(address.to_owned()),
            false => self.wires().paused.remove(address),
        };
    }

    pub(super) fn set_weather(&self, weather: Weather) {
        self.wires().weather = weather;
    }

    fn lives(&self, address: &str, life: u64) -> bool {
        matches!(self.wires().hosts.get(address), Some(Host::Up(now, _)) if *now == life)
    }

    fn host(&self, address: &str) -> Host {
        self.wires().hosts.get(address).cloned().unwrap_or(Host::Silent)
    }

    fn is_cut(&self, from: &str, to: &str) -> bool {
        self.wires().cut.contains(&(from.to_owned(), to.to_owned()))
    }

    fn is_held(&self, from: &str, to: &str) -> bool {
        let wires = self.wires();
        wires.paused.contains(from) || wires.paused.contains(to)
    }

    /// One message on its way.
    async fn travel(&self, from: &str, to: &str) -> Result<(), Lost> {
        let link = (from.to_owned(), to.to_owned());
        let (delay_ms, lost) = {
            let mut wires = self.wires();
            let most = wires.weather.delay_ms + wires.slow_ms.get(&link).copied().unwrap_or(0);
            let (loss, delay_ms) = (wires.weather.loss, wires.dice.below(most + 1));
            (delay_ms, wires.dice.below(1000) < loss || wires.cut.contains(&link))
        };
        sleep(Duration::from_millis(delay_ms)).await;
        while self.is_held(from, to) {
            sleep(Duration::from_millis(10)).await;
        }
        if lost || self.is_cut(from, to) { Err(Lost) } else { Ok(()) }
    }

    /// A question and its answer; waits for ever if one of them is lost.
    async fn ask(&self, from: &Port, to: &str, request: CallRequest) -> Result<CallResponse, Unreached> {
        let own = from.own.as_str();
        if !self.lives(own, from.life) || self.travel(own, to).await.is_err() {
            return pending().await;
        }
        let (life, server) = match self.host(to) {
            Host::Up(life, server) => (life, server),
            Host::Refusing => {
                sleep(Duration::from_millis(1)).await;
                return Err(Unreached::NotSent("connection refused".into()));
            }
            Host::Silent => {
                sleep(Duration::from_millis(700)).await;
                return Err(Unreached::NotSent("no connection".into()));
            }
        };
        if may_repeat(&request) && self.draws_repeat() {
            let (network, again, to, server) = (self.clone(), request.clone(), to.to_owned(), server.clone());
            tokio::spawn(async move {
                let late_ms = network.wires().dice.below(400);
                sleep(Duration::from_millis(late_ms)).await;
                if network.lives(&to, life) {
                    server.serve(again).await;
                }
            });
        }
        // It is worked on even if nobody waits for the answer any more.
        let answer = tokio::spawn(async move { server.serve(request).await }).await;
        let Ok(answer) = answer else {
            self.trace.fail(format_args!("{to} panicked over a question"));
            return pending().await;
        };
        if !self.lives(to, life) || self.travel(to, own).await.is_err() || !self.lives(own, from.life) {
            return pending().await;
        }
        Ok(answer)
    }

    fn draws_repeat(&self) -> bool {
        let mut wires = self.wires();
        let repeats = wires.weather.repeats;
        wires.dice.below(1000) < repeats
    }

    async fn send_snapshot(
        &self,
        from: &Port,
        to: &str,
        head: InstallHead,
        chunks: BoxStream<'static, Bytes>,
    ) -> Result<InstallSnapshotResponse, Unreached> {
        let broken = || Unreached::NoAnswer("the connection broke".into());
        if !self.lives(&from.own, from.life) {
            return pending().await;
        }
        self.travel(&from.own, to).await.map_err(|Lost| broken())?;
        let Host::Up(life, server) = self.host(to) else { return Err(Unreached::NotSent("nobody there".into())) };
        let (network, own, other) = (self.clone(), from.own.clone(), to.to_owned());
        let arriving = chunks.then(move |chunk| {
            let (network, own, other) = (network.clone(), own.clone(), other.clone());
            async move { network.travel(&own, &other).await.map(|()| chunk).map_err(|Lost| io::Error::other("broke")) }
        });
        let answer = server.serve_snapshot(head, arriving.boxed()).await;
        if !self.lives(to, life) {
            return Err(broken());
        }
        self.travel(to, &from.own).await.map_err(|Lost| broken())?;
        Ok(answer)
    }

    /// A connection: what is sent on it arrives in its order or, with the first loss, not at all.
    async fn replicate(&self, from: &Port, to: &str, requests: Requests) -> Result<Replies, Unreached> {
        if !self.lives(&from.own, from.life) || self.travel(&from.own, to).await.is_err() {
            return pending().await;
        }
        let (life, server) = match self.host(to) {
            Host::Up(life, server) => (life, server),
            _ => return Err(Unreached::NotSent("nobody there".into())),
        };
        let there = Wire { network: self.clone(), ends: [(from.own.clone(), from.life), (to.to_owned(), life)] };
        let back = Wire { network: self.clone(), ends: [(to.to_owned(), life), (from.own.clone(), from.life)] };
        let arriving = requests
            .then(move |request| {
                let wire = there.clone();
                async move { wire.carry().await.map(|()| request) }
            })
            .scan((), |(), request| std::future::ready(request.ok()));
        let replies = server.serve_replication(arriving).then(move |reply| {
            let wire = back.clone();
            async move {
                let carried = wire.carry().await.map(|()| reply);
                wire.note("replicated", carried.is_ok());
                carried.map_err(|Lost| Unreached::NoAnswer("the connection broke".into()))
            }
        });
        Ok(replies.boxed())
    }

    async fn linger(&self, from: &Port, to: &str) -> Lingered {
        let (mut first, mut cut_ms) = (None, 0);
        loop {
            sleep(Duration::from_millis(20)).await;
            if !self.lives(&from.own, from.life) {
                return pending().await;
            }
            if self.is_cut(&from.own, to) || self.is_cut(to, &from.own) {
                cut_ms += 20;
                if cut_ms > 2000 {
                    return Lingered::Lost;
                }
                continue;
            }
            match self.host(to) {
                Host::Refusing => return Lingered::Gone,
                // The power is gone, and nobody says so.
                Host::Silent => {}
                Host::Up(life, _) if *first.get_or_insert(life) == life => {}
                Host::Up(..) => return Lingered::Lost,
            }
        }
    }
}

/// One direction of a connection, between two lives.
#[derive(Clone)]
struct Wire {
    network: Network,
    ends: [(String, u64); 2],
}

impl Wire {
    async fn carry(&self) -> Result<(), Lost> {
        let [(from, _), (to, _)] = &self.ends;
        self.network.travel(from, to).await?;
        match self.ends.iter().all(|(address, life)| self.network.lives(address, *life)) {
            true => Ok(()),
            false => Err(Lost),
        }
    }

    fn note(&self, what: &str, arrived: bool) {
        let [(from, _), (to, _)] = &self.ends;
        let end = if arrived { "arrived" } else { "lost" };
        self.network.trace.note(format_args!("{from}>{to} {what} {end}"));
    }
}

/// The network as one life of a server sees it.
#[derive(Clone)]
pub(super) struct Port {
    pub(super) network: Network,
    pub(super) own: String,
    pub(super) life: u64,
}

/// Raft's own messages may come twice. A proposal may not: whoever carries it must not send it again.
fn may_repeat(request: &CallRequest) -> bool {
    matches!(
        request.body,
        Some(
            Question::Append(_)
                | Question::Vote(_)
                | Question::PreVote(_)
                | Question::Transfer(_)
                | Question::ReadIndex(_)
                | Question::Probe(_)
        )
    )
}

fn describe(request: &CallRequest) -> String {
    match &request.body {
        Some(Question::Append(append)) => format!("append/{}", append.entries.len()),
        Some(Question::Vote(ballot)) => format!("vote{}", if ballot.transfer { "!" } else { "" }),
        Some(Question::PreVote(_)) => "pre-vote".into(),
        Some(Question::Transfer(_)) => "transfer".into(),
        Some(Question::Propose(_)) => "propose".into(),
        Some(Question::ReadIndex(_)) => "read".into(),
        Some(Question::Enrol(_)) => "enrol".into(),
        Some(Question::Remove(_)) => "remove".into(),
        _ => "other".into(),
    }
}

impl Peers for Port {
    fn call(
        &self,
        to: &str,
        request: CallRequest,
        limit: Duration,
    ) -> BoxFuture<'static, Result<CallResponse, Unreached>> {
        let (port, to) = (self.clone(), to.to_owned());
        Box::pin(async move {
            let what = describe(&request);
            let asked = tokio::time::timeout(limit, port.network.ask(&port, &to, request)).await;
            let answer = asked.unwrap_or_else(|_| Err(Unreached::NoAnswer("too late".into())));
            let end = match &answer {
                Ok(_) => "answered".to_owned(),
                Err(e) => e.to_string(),
            };
            port.network.trace.note(format_args!("{}>{to} {what} {end}", port.own));
            answer
        })
    }

    fn replicate(&self, to: &str, requests: Requests) -> BoxFuture<'static, Result<Replies, Unreached>> {
        let (port, to) = (self.clone(), to.to_owned());
        Box::pin(async move { port.network.replicate(&port, &to, requests).await })
    }

    fn install_snapshot(
        &self,
        to: &str,
        head: InstallHead,
        chunks: BoxStream<'static, Bytes>,
    ) -> BoxFuture<'static, Result<InstallSnapshotResponse, Unreached>> {
        let (port, to) = (self.clone(), to.to_owned());
        Box::pin(async move {
            let answer = port.network.send_snapshot(&port, &to, head, chunks).await;
            let end = match &answer {
                Ok(InstallSnapshotResponse { refusal: Some(refusal), .. }) => refusal.message.clone(),
                Ok(_) => "installed".into(),
                Err(e) => e.to_string(),
            };
            port.network.trace.note(format_args!("{}>{to} snapshot {end}", port.own));
            answer
        })
    }

    fn linger(&self, to: &str, _: LingerRequest) -> BoxFuture<'static, Lingered> {
        let (port, to) = (self.clone(), to.to_owned());
        Box::pin(async move { port.network.linger(&port, &to).await })
    }
}
