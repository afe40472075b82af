//! What all use cases share: replication, the hub, the clock, the leases, and facts about this server.

use super::Error;
use super::admission::{Admission, Bounds, Lane};
use super::event::Events;
use super::lease::Leases;
use crate::clock::Clock;
use crate::cluster::Directory;
use crate::command::{Command, Outcome, Rejection};
use crate::gossip::Gossip;
use crate::model::RequestId;
use crate::raft::{Handle, ProposeError};
use crate::watch::Hub;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use tokio::sync::{Semaphore, watch};
use uuid::Uuid;

/// Facts about this server that do not change while it runs.
#[derive(Clone, Debug)]
pub struct Facts {
    /// This node's identity.
    pub node_id: Uuid,
    /// This node's name.
    pub node_name: String,
    /// The datacenter's name.
    pub datacenter: String,
    /// The DNS domain, without the final dot.
    pub domain: String,
    /// A second DNS domain.
    pub alt_domain: Option<String>,
    /// Version of the software.
    pub version: &'static str,
    /// The address that others reach this node by.
    pub advertise: IpAddr,
    /// Port of server to server traffic.
    pub server_port: u16,
    /// Port of LAN gossip.
    pub serf_lan_port: u16,
    /// Port of WAN gossip.
    pub serf_wan_port: u16,
    /// Port of gRPC; 0: off.
    pub grpc_port: u16,
    /// Port of HTTP; 0: off.
    pub http_port: u16,
    /// Port of DNS; 0: off.
    pub dns_port: u16,
    /// Metadata of this node.
    pub node_meta: BTreeMap<String, String>,
    /// Started with `-dev`.
    pub dev: bool,
}

/// A server, as clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its identity.
    pub node_id: String,
    /// gRPC addresses, host:port.
    pub endpoints: Vec<String>,
    /// It leads.
    pub leader: bool,
    /// It takes requests.
    pub ready: bool,
    /// Version of its software.
    pub version: String,
}

/// The result of a write and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Written<T> {
    /// Revision of the log entry; for a write that changed nothing, the revision at which that was found.
    pub revision: u64,
    /// The result.
    pub value: T,
}

/// Lost streams of which the leader is told at a time.
const LOSSES_MAX: usize = 64;

/// All use cases. Cheap to clone.
#[derive(Clone)]
pub struct Core {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) raft: Handle,
    pub(super) hub: Arc<Hub>,
    pub(super) clock: Clock,
    pub(super) facts: Facts,
    pub(super) leases: Leases,
    pub(super) events: Events,
    /// The servers that gossip knows.
    pub(super) directory: OnceLock<Directory>,
    gossip: OnceLock<Gossip>,
    drain: watch::Sender<bool>,
    /// Who is let in when there is more to do than can be done.
    pub(super) admission: Admission,
    /// Streams that were lost, of which the leader is told.
    pub(super) losses: Semaphore,
    /// How often each command was done and not done: a write must not look its counter up by name.
    counters: papaya::HashMap<&'static str, [metrics::Counter; 2]>,
    pub(super) started_ms: u64,
}

impl Core {
    /// Puts the parts together; call [`Core::run_expiry`] on a task of its own.
    pub fn new(raft: Handle, hub: Arc<Hub>, clock: Clock, facts: Facts) -> Core {
        let leases = Leases::new(clock.clone());
        let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
        let admission = Admission::new(&clock, threads, Bounds::default());
        let inner = Inner {
            raft,
            hub,
            started_ms: clock.now_ms(),
            clock,
            facts,
            leases,
            events: Events::default(),
            directory: OnceLock::new(),
            gossip: OnceLock::new(),
            drain: watch::Sender::new(false),
            admission,
            losses: Semaphore::new(LOSSES_MAX),
            counters: papaya::HashMap::new(),
        };
        let inner = Arc::new(inner);
        inner.raft.answer_with(Core::answering(&inner));
        Core { inner }
    }

    /// The cluster's identity; `None` while this server is in none.
    pub fn cluster_id(&self) -> Option<Uuid> {
        self.inner.raft.cluster()
    }

    /// Facts about this server.
    pub fn facts(&self) -> &Facts {
        &self.inner.facts
    }

    /// Time and randomness.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// Sets what spreads events and knows the members; the first one stays.
    pub fn set_gossip(&self, gossip: Gossip) {
        // A second one would be a fault of the only caller, and changes nothing.
        let _ = self.inner.gossip.set(gossip);
    }

    /// Gossip of this process, if it gossips.
    pub fn gossip(&self) -> Option<&Gossip> {
        self.inner.gossip.get()
    }

    /// Whether this server leads a cluster of itself.
    pub fn leads_alone(&self) -> bool {
        self.inner.raft.leads_alone()
    }

    /// Whether this server leads.
    pub fn leads(&self) -> bool {
        self.inner.raft.leadership().leads
    }

    /// Where changes are waited for.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.inner.hub
    }

    /// When this server started, milliseconds since the epoch.
    pub fn started_ms(&self) -> u64 {
        self.inner.started_ms
    }

    /// Replication's own view of the cluster.
    pub fn raft_status(&self) -> crate::raft::Status {
        self.inner.raft.status()
    }

    /// Begins to stop: streams end, new requests are refused.
    pub fn drain(&self) {
        self.inner.drain.send_replace(true);
        self.inner.hub.wake_all();
    }

    /// Whether this server is stopping.
    pub fn is_draining(&self) -> bool {
        *self.inner.drain.borrow()
    }

    /// Resolves when this server begins to stop.
    pub async fn drained(&self) {
        let mut drain = self.inner.drain.subscribe();
        // The sender lives as long as `self`, so this ends by the value only.
        let _ = drain.wait_for(|stopping| *stopping).await;
    }

    /// [`Core::drained`] for several who wait.
    pub fn ending(&self) -> Shared<BoxFuture<'static, ()>> {
        let core = self.clone();
        async move { core.drained().await }.boxed().shared()
    }

    /// The servers, in order of raft id.
    pub fn members(&self) -> Vec<Member> {
        let status = self.inner.raft.status();
        let leader = status.leader.as_ref().map(|(id, _)| *id);
        let member = |member: crate::raft::Member| {
            let own = member.id == status.id;
            Member {
                node_id: member.node.id.to_string(),
                endpoints: Some(member.node.grpc).filter(|e| !e.is_empty()).into_iter().collect(),
                leader: leader == Some(member.id),
                ready: !(own && self.is_draining()),
                version: member.node.version,
            }
        };
        status.members.into_iter().map(member).collect()
    }

    /// Resolves when [`Core::members`] may have changed since `seen`.
    pub async fn members_changed(&self, seen: &[Member]) {
        let mut status = self.inner.raft.subscribe_status();
        while self.members() == seen {
            if status.changed().await.is_err() {
                // Replication has stopped; the fatal path ends the process.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Who is let in when there is more to do than can be done.
    pub fn admission(&self) -> &Admission {
        &self.inner.admission
    }

    /// Proposes a command that a client asked for; `Err` if it was refused or its outcome is unknown.
    pub(super) fn propose(
        &self,
        request_id: Option<RequestId>,
        command: Command,
    ) -> impl Future<Output = Result<Written<Outcome>, Error>> + Send {
        // Not an async fn, which would have room for the command twice.
        self.propose_in(Lane::of(&command), request_id, command)
    }

    /// The same in the lane of whoever asks.
    pub(super) async fn propose_in(
        &self,
        lane: Lane,
        request_id: Option<RequestId>,
        command: Command,
    ) -> Result<Written<Outcome>, Error> {
        if self.is_draining() {
            return Err(Error::Draining);
        }
        let op = command.op();
        let _place = self.inner.admission.command(lane, &command).await?;
        let result = self.inner.raft.propose(request_id, command).await;
        let result = match result {
            Ok((revision, Ok(value))) => Ok(Written { revision, value }),
            Ok((_, Err(rejection))) => Err(Error::Rejected(rejection)),
            Err(error) => Err(Error::from(error)),
        };
        let outcome = |outcome| metrics::counter!("lictor_commands_total", "op" => op, "outcome" => outcome);
        let counters = self.inner.counters.pin();
        let [ok, error] = counters.get_or_insert_with(op, || ["ok", "error"].map(outcome));
        if result.is_ok() {
            ok.increment(1)
        } else {
            error.increment(1)
        }
        result
    }
}

impl From<ProposeError> for Error {
    fn from(error: ProposeError) -> Error {
        match error {
            ProposeError::NoLeader { .. } => Error::NoLeader,
            ProposeError::OutcomeUnknown => Error::OutcomeUnknown,
            ProposeError::Refused(reason) => Error::Rejected(Rejection::Refused(reason)),
            ProposeError::TooLarge { size, limit } => {
                Error::invalid("request", format!("has {size} bytes as a log entry, at most {limit} are allowed"))
            }
            // It may be in the log: the caller must not take it for undone.
            ProposeError::Fatal(reason) => {
                tracing::error!(reason, "write failed: this server is stopping");
                Error::OutcomeUnknown
            }
        }
    }
}

impl<T> Written<T> {
    /// The same write with another value.
    pub(super) fn map<U>(self, f: impl FnOnce(T) -> U) -> Written<U> {
        Written { revision: self.revision, value: f(self.value) }
    }
}

/// A command got the outcome of another one: a fault in the machine.
pub(super) fn unexpected(outcome: &Outcome) -> Error {
    Error::Internal(format!("unexpected outcome {outcome:?}"))
}
