//! What the rest of the process may ask of gossip.

use super::engine::{Engine, Identity, TagsTooLarge, kind};
use super::keyring::{KeyError, KeyVerb, Keyring, Protection};
use super::member::{Member, Members, Status};
use super::runtime::{Driver, Sockets, serve_streams};
use super::stream;
use super::tuning::Tuning;
use super::wire::{HereBody, KeyAnswerBody, KeyBody};
use crate::clock::Clock;
use crate::model::Coordinate;
use bytes::Bytes;
use futures::StreamExt;
use prost::Message;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Requests to the engine that wait, at most.
const COMMANDS_MAX: usize = 1_024;
/// Events that a listener may be behind.
const EVENTS_MAX: usize = 1_024;
/// Nodes that are asked about keys at once.
const KEYS_AT_ONCE: usize = 32;
/// A node that does not answer about keys in this time is counted as failed.
const KEYS_TIME: Duration = Duration::from_secs(5);
/// A direct question whether somebody is there.
const REACH_TIME: Duration = Duration::from_secs(2);

pub(super) enum Command {
    Packet { body: Vec<u8>, from: SocketAddr },
    Refused(SocketAddr),
    Request { join: bool, reply: oneshot::Sender<Vec<u8>> },
    Answer { body: Vec<u8>, reply: oneshot::Sender<Option<Vec<u8>>> },
    Finish { body: Vec<u8>, join: bool, reply: oneshot::Sender<Result<(), String>> },
    ForceLeave { name: String, prune: bool, reply: oneshot::Sender<bool> },
    SetTags { tags: BTreeMap<String, String>, reply: oneshot::Sender<Result<(), TagsTooLarge>> },
    Event { time: u64, body: Vec<u8> },
    Places(oneshot::Sender<(Coordinate, Vec<Coordinate>)>),
    Health(oneshot::Sender<(u32, u64)>),
    Leave(oneshot::Sender<()>),
}

pub(super) struct Inner {
    pub(super) identity: Identity,
    pub(super) clock: Clock,
    pub(super) keyring: Keyring,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) members: watch::Sender<Arc<Members>>,
    pub(super) events: broadcast::Sender<Bytes>,
    pub(super) event_time: AtomicU64,
}

/// Gossip of this process. Cheap to clone; the tasks end with the last clone.
#[derive(Clone)]
pub struct Gossip {
    inner: Arc<Inner>,
    _stop: Arc<DropGuard>,
}

/// Why gossip cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// What the member says about itself is too long.
    #[error(transparent)]
    Tags(#[from] TagsTooLarge),
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Why another member could not be joined.
#[derive(Debug, Error)]
pub enum JoinError {
    /// It cannot be reached, or does not speak our language.
    #[error("{0}")]
    Network(#[from] io::Error),
    /// It refuses us, or we refuse it.
    #[error("{0}")]
    Refused(String),
    /// This process no longer gossips.
    #[error("gossip has ended")]
    Ended,
}

/// What all nodes have said about their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyReport {
    /// Nodes that were asked.
    pub nodes: usize,
    /// Nodes that refused or did not answer, and why.
    pub errors: Vec<(String, String)>,
    /// How many nodes have each key.
    pub keys: BTreeMap<Vec<u8>, usize>,
    /// How many nodes encrypt with each key.
    pub primary: BTreeMap<Vec<u8>, usize>,
}

impl KeyReport {
    fn add(&mut self, name: &str, answer: Result<Vec<Vec<u8>>, String>) {
        self.nodes += 1;
        match answer {
            Ok(keys) => {
                if let Some(first) = keys.first() {
                    *self.primary.entry(first.clone()).or_default() += 1;
                }
                for key in keys {
                    *self.keys.entry(key).or_default() += 1;
                }
            }
            Err(why) => self.errors.push((name.to_owned(), why)),
        }
    }
}

impl Gossip {
    /// Starts gossiping, with nobody yet. `generation`: greater than in every earlier life of this node.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(
        sockets: Sockets,
        identity: Identity,
        tuning: Tuning,
        protection: Protection,
        clock: Clock,
        generation: u64,
    ) -> Result<Gossip, StartError> {
        let mut engine = Engine::new(identity.clone(), tuning, clock.clone(), generation)?;
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let members = watch::Sender::new(Arc::new(engine.members().unwrap_or_default()));
        let (events, _) = broadcast::channel(EVENTS_MAX);
        let keyring = Keyring::new(protection)?;
        let event_time = AtomicU64::new(0);
        let inner = Arc::new(Inner { identity, clock, keyring, commands, members, events, event_time });
        let stop = CancellationToken::new();
        let driver = Driver {
            engine,
            datagrams: sockets.datagrams,
            commands: receiver,
            shared: inner.clone(),
            streams: Driver::streams(),
            stop: stop.clone(),
        };
        tokio::spawn(driver.run());
        tokio::spawn(serve_streams(sockets.streams, inner.clone(), stop.clone()));
        Ok(Gossip { inner, _stop: Arc::new(stop.drop_guard()) })
    }

    /// Who this node is in the pool.
    pub fn identity(&self) -> &Identity {
        &self.inner.identity
    }

    /// All members now.
    pub fn members(&self) -> Arc<Members> {
        self.inner.members.borrow().clone()
    }

    /// All members whenever anything changes. A reader that is slow misses steps, never the last one.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Members>> {
        self.inner.members.subscribe()
    }

    /// Exchanges everything with the member at this address, which makes both members of one pool.
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn join(&self, address: SocketAddr) -> Result<(), JoinError> {
        let request = self.inner.command(|reply| Command::Request { join: true, reply }).await;
        self.inner.exchange(address, request.ok_or(JoinError::Ended)?, true).await
    }

    /// Tells everybody that this node leaves, and stops gossiping. Takes some seconds at most.
    pub async fn leave(&self) {
        // An engine that has ended has left.
        let _ = self.inner.command(Command::Leave).await;
    }

    /// Declares that a member that has failed will not come back; with `prune`, it is forgotten as well. Has no effect on
    /// those who live. `false`: nobody has that name.
    pub async fn force_leave(&self, name: &str, prune: bool) -> bool {
        let name = name.to_owned();
        self.inner.command(|reply| Command::ForceLeave { name, prune, reply }).await.unwrap_or(false)
    }

    /// Replaces what this member says about itself.
    ///
    /// # Errors
    /// The tags are too large together.
    pub async fn set_tags(&self, tags: BTreeMap<String, String>) -> Result<(), TagsTooLarge> {
        self.inner.command(|reply| Command::SetTags { tags, reply }).await.unwrap_or(Ok(()))
    }

    /// Sends a message of at most some hundred bytes to all other nodes, best effort. `time`: above
    /// [`Gossip::event_time`] and above that of every event that the caller has heard of.
    pub fn fire_event(&self, time: u64, body: Vec<u8>) {
        // Lost if gossip has ended or has more to do than it can.
        let _ = self.inner.commands.try_send(Command::Event { time, body });
    }

    /// The Lamport time of the latest event that this member, or one with which it has exchanged, has heard of.
    pub fn event_time(&self) -> u64 {
        self.inner.event_time.load(Ordering::Relaxed)
    }

    /// The messages of other nodes from now on.
    pub fn events(&self) -> broadcast::Receiver<Bytes> {
        self.inner.events.subscribe()
    }

    /// Where this node is in the network, and where others are that it has heard of. `None`: gossip has ended.
    pub async fn places(&self) -> Option<(Coordinate, Vec<Coordinate>)> {
        self.inner.command(Command::Places).await
    }

    /// How much this node doubts its own view of others: 0 for not at all, 8 at most.
    pub async fn health_score(&self) -> u32 {
        self.inner.command(Command::Health).await.map_or(0, |(doubt, _)| doubt)
    }

    /// Which life of this node this is; it may grow.
    pub async fn generation(&self) -> u64 {
        self.inner.command(Command::Health).await.map_or(0, |(_, generation)| generation)
    }

    /// Whether packets are encrypted.
    pub fn encrypts(&self) -> bool {
        self.inner.keyring.encrypts()
    }

    /// Asks a member directly, over a stream, whether it is there.
    pub async fn reach(&self, member: &Member) -> bool {
        let question =
            stream::ask(&self.inner.keyring, &self.inner.clock, member.address, &[kind::HERE], kind::HERE_ANSWER);
        let answer = timeout(REACH_TIME, question).await;
        let here = answer.ok().and_then(Result::ok).and_then(|body| HereBody::decode(&body[..]).ok());
        here.is_some_and(|here| here.id == member.id.as_bytes())
    }

    /// Does something with a key on all nodes that live, or shows the keys; with `local`, on this one only.
    pub async fn keys(&self, verb: KeyVerb, key: Vec<u8>, local: bool) -> KeyReport {
        let mut report = KeyReport::default();
        let inner = &self.inner;
        let own = &inner.identity.name;
        report.add(own, inner.apply_key(verb, key.clone()).await);
        if local {
            return report;
        }
        let members = self.members();
        let others: Vec<Arc<Member>> =
            members.iter().filter(|m| m.status == Status::Alive && m.id != inner.identity.id).cloned().collect();
        let message = [&[kind::KEYS][..], &KeyBody { verb: verb.number(), key }.encode_to_vec()].concat();
        let asked = others.into_iter().map(|member| {
            let message = message.clone();
            async move {
                let question = stream::ask(&inner.keyring, &inner.clock, member.address, &message, kind::KEYS_ANSWER);
                let answer = timeout(KEYS_TIME, question).await;
                (member, answer.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer"))))
            }
        });
        let mut answers = futures::stream::iter(asked).buffer_unordered(KEYS_AT_ONCE);
        while let Some((member, answer)) = answers.next().await {
            let decoded = answer.map_err(|e| e.to_string()).and_then(|body| {
                let body = KeyAnswerBody::decode(&body[..]).map_err(|e| e.to_string())?;
                if body.error.is_empty() { Ok(body.keys) } else { Err(body.error) }
            });
            report.add(&member.name, decoded);
        }
        report.errors.sort();
        report
    }
}

impl std::fmt::Debug for Gossip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gossip").field("identity", &self.inner.identity).finish_non_exhaustive()
    }
}

impl Inner {
    /// Asks the engine; `None` if it has ended.
    pub(super) async fn command<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.ok()?;
        answer.await.ok()
    }

    pub(super) async fn exchange(&self, to: SocketAddr, request: Vec<u8>, join: bool) -> Result<(), JoinError> {
        let body = stream::ask(&self.keyring, &self.clock, to, &request, kind::EXCHANGE_ANSWER).await?;
        let finished = self.command(|reply| Command::Finish { body, join, reply }).await;
        finished.ok_or(JoinError::Ended)?.map_err(JoinError::Refused)
    }

    /// Changes this node's keys on a thread that may wait for the disk.
    async fn apply_key(self: &Arc<Inner>, verb: KeyVerb, key: Vec<u8>) -> Result<Vec<Vec<u8>>, String> {
        let inner = self.clone();
        let done = tokio::task::spawn_blocking(move || inner.keyring.apply(verb, &key)).await;
        done.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
    }

    /// Another node asks this one to change its keys.
    pub(super) async fn answer_keys(self: &Arc<Inner>, body: &[u8]) -> Option<Vec<u8>> {
        let body = KeyBody::decode(body).ok()?;
        let answer = match self.apply_key(KeyVerb::of(body.verb)?, body.key).await {
            Ok(keys) => {
                KeyAnswerBody { primary: keys.first().cloned().unwrap_or_default(), keys, error: String::new() }
            }
            Err(error) => KeyAnswerBody { error, ..KeyAnswerBody::default() },
        };
        Some([&[kind::KEYS_ANSWER][..], &answer.encode_to_vec()].concat())
    }
}

#[cfg(test)]
mod tests;
