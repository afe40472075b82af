//! Names that are not ours: asked of other servers, one after the other, over UDP and, if cut there, over TCP.
//!
//! Owns: relaying a client's message as it came, and following aliases that lead out of our zones. Everything here is
//! bounded: questions that wait for a recursor, names per answer, and the time that each may take.
//!
//! Must never: block a thread that answers for our own zones, believe a reply to another question, or keep an answer.

mod exchange;
mod message;

use super::answer::Record;
use super::name::Name;
use super::options::Options;
use super::query::Query;
use super::responder::{Forward, Outcome, Responder, Transport};
use super::types::{Rcode, TYPE_A, TYPE_AAAA};
use super::udp::StateSource;
use crate::clock::Clock;
use futures::future::{BoxFuture, join_all};
use message::Reply;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Questions that wait for recursors at a time; further ones are dropped, and their clients ask again.
const WAITING_MAX: usize = 4096;
/// Names outside of our zones that are followed for one answer.
const NAMES_MAX: usize = 16;

/// What is known of names outside of our zones, by folded name.
pub(super) type Outside = HashMap<Name, Vec<Record>>;

/// Asks the servers of this agent; `None`: none of them can be reached. The flag says that the question came over TCP.
pub type AskServers = Arc<dyn Fn(Vec<u8>, bool) -> BoxFuture<'static, Option<Vec<u8>>> + Send + Sync>;

/// Who sends a reply that took its time. Dropped: no reply.
pub(super) type SendReply = Box<dyn FnOnce(&[u8]) + Send>;

/// Asks recursors for all listeners.
pub(super) struct Forwarder {
    /// For answers of our own that contain what recursors said.
    responder: Mutex<Responder>,
    source: StateSource,
    options: watch::Receiver<Arc<Options>>,
    clock: Clock,
    free: Arc<Semaphore>,
    runtime: tokio::runtime::Handle,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Who answers instead of recursors.
    servers: Option<AskServers>,
}

impl Forwarder {
    /// Needs a tokio runtime around it.
    pub(super) fn new(
        responder: Responder,
        source: StateSource,
        options: watch::Receiver<Arc<Options>>,
        clock: Clock,
        tasks: TaskTracker,
        stop: CancellationToken,
        servers: Option<AskServers>,
    ) -> Arc<Forwarder> {
        Arc::new(Forwarder {
            responder: Mutex::new(responder),
            source,
            options,
            clock,
            free: Arc::new(Semaphore::new(WAITING_MAX)),
            runtime: tokio::runtime::Handle::current(),
            tasks,
            stop,
            servers,
        })
    }

    /// Answers a message later, from any thread.
    pub(super) fn answer_later(self: &Arc<Self>, message: Vec<u8>, forward: Forward, send: SendReply) {
        let Ok(permit) = self.free.clone().try_acquire_owned() else { return };
        let this = self.clone();
        let task = async move {
            tokio::select! {
                reply = this.answer(&message, forward, Transport::Udp) => send(&reply),
                () = this.stop.cancelled() => {}
            }
            drop(permit);
        };
        self.tasks.spawn_on(task, &self.runtime);
    }

    /// Answers a message with the help of recursors.
    pub(super) async fn answer(&self, message: &[u8], forward: Forward, transport: Transport) -> Vec<u8> {
        match forward {
            Forward::Relay => self.relay(message, transport).await,
            Forward::Aliases(names) => self.complete(message, names, transport).await,
        }
    }

    /// The reply of the first recursor that has one; the failure of all is one of the server.
    async fn relay(&self, message: &[u8], transport: Transport) -> Vec<u8> {
        if let Some(ask) = &self.servers {
            if let Some(reply) = ask(message.to_vec(), transport == Transport::Tcp).await {
                return reply;
            }
            return self.failure(message);
        }
        let options = self.options();
        for server in &options.recursors {
            let id = self.random_id();
            let asked = exchange::ask(*server, message, id, transport, options.recursor_timeout).await;
            match asked.map(|bytes| (Reply::rcode(&bytes), bytes)) {
                Ok((Some(0 | 3), mut bytes)) => {
                    bytes[..2].copy_from_slice(&message[..2]);
                    return bytes;
                }
                Ok((rcode, _)) => tracing::debug!(%server, ?rcode, "a recursor does not answer this question"),
                Err(error) => tracing::debug!(%server, %error, "a recursor failed"),
            }
        }
        tracing::warn!(recursors = options.recursors.len(), "all recursors failed for a question");
        self.failure(message)
    }

    fn failure(&self, message: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        self.responder().respond_failure(message, Rcode::ServFail, &mut out);
        out
    }

    /// Our own answer, with the addresses behind names that are not ours.
    async fn complete(&self, message: &[u8], names: Vec<Name>, transport: Transport) -> Vec<u8> {
        let qtype = Query::parse(message).map_or(TYPE_A, |query| query.qtype);
        let mut outside = Outside::new();
        let mut wanted = names;
        let mut out = Vec::new();
        loop {
            wanted.truncate(NAMES_MAX.saturating_sub(outside.len()));
            let is_last = wanted.is_empty();
            let found = join_all(wanted.iter().map(|name| self.addresses(name, qtype))).await;
            outside.extend(wanted.into_iter().zip(found));
            out.clear();
            let state = (self.source)();
            let outcome = self.responder().respond_with(&state, message, transport, &outside, is_last, &mut out);
            match outcome {
                // What was found may lead on; each round asks for other names, so the rounds are few.
                Outcome::Later(Forward::Aliases(more)) if !is_last => wanted = more,
                _ => return out,
            }
        }
    }

    /// Addresses of the kind that is asked for, or of both, with the aliases on the way; none if no recursor knows the
    /// name.
    async fn addresses(&self, name: &Name, qtype: u16) -> Vec<Record> {
        if matches!(qtype, TYPE_A | TYPE_AAAA) {
            return self.records(name, qtype).await;
        }
        let (v4, v6) = tokio::join!(self.records(name, TYPE_A), self.records(name, TYPE_AAAA));
        let mut records = v4;
        for record in v6 {
            if !records.contains(&record) {
                records.push(record);
            }
        }
        records
    }

    async fn records(&self, name: &Name, qtype: u16) -> Vec<Record> {
        let options = self.options();
        for server in &options.recursors {
            let id = self.random_id();
            let query = message::query(id, name, qtype);
            let asked = exchange::ask(*server, &query, id, Transport::Tcp, options.recursor_timeout).await;
            match asked.map(|bytes| Reply::parse(&bytes)) {
                Ok(Some(reply)) if matches!(reply.rcode, 0 | 3) => return reply.records,
                Ok(_) => tracing::debug!(%server, "a recursor does not know an alias"),
                Err(error) => tracing::debug!(%server, %error, "a recursor failed"),
            }
        }
        Vec::new()
    }

    fn options(&self) -> Arc<Options> {
        self.options.borrow().clone()
    }

    fn responder(&self) -> std::sync::MutexGuard<'_, Responder> {
        // A panic under the lock cannot leave a responder that lies: its cache entries are whole or not there.
        self.responder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Unpredictable, so that nobody answers in a recursor's place.
    fn random_id(&self) -> u16 {
        let random = self.clock.random();
        u16::from_be_bytes([random[0], random[1]])
    }
}
