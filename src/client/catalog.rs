//! The catalog as servers have it, for the agent of this node.

use super::backoff::Backoff;
use super::servers::{Server, Servers};
use crate::agent::{Catalog, CatalogWrite};
use crate::clock::Clock;
use crate::command::{Command, Record, Rejection, UpdateCoordinates};
use crate::grpc::peer::{MESSAGE_MAX, row_digest};
use crate::machine::State;
use crate::machine::rows::Loader;
use crate::model::{Coordinate, Text, fold};
use crate::proto::internal as pb;
use crate::proto::internal::agent_service_client::AgentServiceClient;
use crate::service::{Error, Facts};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::transport::Channel;

/// A server waits so long for a change of a node before it answers that there is none.
const WATCH_MS: u32 = 60_000;
/// How long a server may take.
const LIMIT: Duration = Duration::from_secs(12);
/// Writes that are on their way at once: a thousand agents that begin at the same time do not wait too long for each other.
const WRITES_AT_ONCE: usize = 16;
/// Nodes that are kept: this one, and those that alias checks follow.
const NODES_MAX: usize = 1024;

/// The servers' catalog. Clones share everything.
#[derive(Clone)]
pub struct Remote(Arc<Inner>);

struct Inner {
    servers: Servers,
    facts: Facts,
    clock: Clock,
    stop: CancellationToken,
    /// What was last heard of each node.
    known: Mutex<HashMap<Text, Known>>,
    nodes: AtomicUsize,
}

/// A node as a server has told it.
#[derive(Clone, Default)]
struct Known {
    revision: u64,
    /// By digest.
    rows: Arc<HashMap<u64, pb::Row>>,
    /// What they make.
    state: Arc<State>,
}

impl Known {
    /// With what a server has answered.
    fn updated(&self, answer: pb::NodeViewResponse) -> Result<Known, Error> {
        let mut rows = if answer.partial { (*self.rows).clone() } else { HashMap::new() };
        for gone in &answer.gone {
            rows.remove(gone);
        }
        rows.extend(answer.rows.into_iter().map(|row| (row_digest(&row), row)));
        let mut loader = Loader::new();
        for row in rows.values() {
            let table = u8::try_from(row.table).map_err(|_| Error::Internal("a row of no table".to_owned()))?;
            loader.push(table, &row.key, &row.value).map_err(|e| Error::Internal(e.to_string()))?;
        }
        let state = Arc::new(loader.finish().state);
        Ok(Known { revision: answer.revision, rows: Arc::new(rows), state })
    }
}

impl Remote {
    /// `stop`: this process begins to stop.
    pub fn new(servers: Servers, facts: Facts, clock: Clock, stop: CancellationToken) -> Remote {
        let (known, nodes) = (Mutex::default(), AtomicUsize::new(1));
        Remote(Arc::new(Inner { servers, facts, clock, stop, known, nodes }))
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<Text, Known>> {
        // Every change of it is a single call.
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn client(server: &Server) -> AgentServiceClient<Channel> {
        let client = AgentServiceClient::new(server.channel.clone());
        client.max_decoding_message_size(MESSAGE_MAX).max_encoding_message_size(MESSAGE_MAX)
    }

    /// What went wrong; a connection that broke is given up.
    fn failed(&self, server: &Server, status: &Status) -> Error {
        if std::error::Error::source(status).is_some() {
            self.0.servers.failed(server);
        }
        tracing::debug!(server = %server.address, %status, "a server did not do what was asked");
        Error::NoLeader
    }

    /// Asks for a node's rows; `wait_ms`: as soon as they differ from what is known.
    async fn ask(&self, node: Text, wait_ms: u32) -> Result<Arc<State>, Error> {
        let server = self.0.servers.pick().await.ok_or(Error::NoLeader)?;
        let key = fold(&node);
        let before = self.locked().get(&key).cloned().unwrap_or_default();
        let have = before.rows.keys().copied().collect();
        let request = pb::NodeViewRequest { node: node.to_string(), wait_ms, seen: before.revision, have };
        let limit = LIMIT + Duration::from_millis(wait_ms.into());
        let mut client = Remote::client(&server);
        let answer = tokio::time::timeout(limit, client.node_view(request)).await.map_err(|_| Error::NoLeader)?;
        let answer = answer.map_err(|status| self.failed(&server, &status))?.into_inner();
        self.0.nodes.store(answer.nodes as usize, Ordering::Relaxed);
        if answer.revision == before.revision {
            return Ok(before.state);
        }
        let now = before.updated(answer)?;
        let state = now.state.clone();
        let mut known = self.locked();
        if known.len() >= NODES_MAX {
            known.clear();
        }
        known.insert(key, now);
        Ok(state)
    }

    /// Tells where this node is in the space of round trip times.
    ///
    /// # Errors
    /// No server has taken it.
    pub async fn place(&self, coordinate: Coordinate) -> Result<(), Error> {
        self.propose(Command::UpdateCoordinates(UpdateCoordinates { coordinates: vec![coordinate] })).await
    }

    async fn propose(&self, command: Command) -> Result<(), Error> {
        let server = self.0.servers.pick().await.ok_or(Error::NoLeader)?;
        let record = Record { time_ms: 0, request_id: None, command }.encode().into();
        let mut client = Remote::client(&server);
        let sent = client.write_catalog(pb::WriteCatalogRequest { record });
        let answer = tokio::time::timeout(LIMIT, sent).await.map_err(|_| Error::OutcomeUnknown)?;
        let answer = answer.map_err(|status| self.failed(&server, &status))?.into_inner();
        match answer.refusal.is_empty() {
            true => Ok(()),
            false => Err(Error::Rejected(Rejection::Refused(answer.refusal))),
        }
    }
}

impl Catalog for Remote {
    fn facts(&self) -> &Facts {
        &self.0.facts
    }

    fn clock(&self) -> &Clock {
        &self.0.clock
    }

    fn drained(&self) -> BoxFuture<'static, ()> {
        Box::pin(self.0.stop.clone().cancelled_owned())
    }

    fn is_ready(&self) -> bool {
        false
    }

    fn enter(&self) -> BoxFuture<'static, Result<(), Error>> {
        // The first full comparison registers the node; its health is for servers to say.
        Box::pin(std::future::ready(Ok(())))
    }

    fn known(&self, node: &str) -> Arc<State> {
        self.locked().get(&fold(node)).map(|known| known.state.clone()).unwrap_or_default()
    }

    fn view(&self, node: &str) -> BoxFuture<'static, Result<Arc<State>, Error>> {
        let (this, node) = (self.clone(), Text::from(node));
        Box::pin(async move { this.ask(node, 0).await })
    }

    fn changes(&self, node: &str) -> BoxStream<'static, ()> {
        let first = (self.clone(), Text::from(node));
        stream::unfold(first, |(this, node)| async move {
            let before = this.known(&node);
            let mut backoff = Backoff::new(this.0.clock.clone());
            loop {
                match this.ask(node.clone(), WATCH_MS).await {
                    Ok(now) if Arc::ptr_eq(&before, &now) => backoff.succeeded(),
                    Ok(_) => return Some(((), (this, node))),
                    Err(_) => tokio::time::sleep(backoff.failed(None)).await,
                }
            }
        })
        .boxed()
    }

    fn write(&self, write: CatalogWrite) -> BoxFuture<'static, Result<(), Error>> {
        let this = self.clone();
        let command = match write {
            CatalogWrite::Register(command) => Command::CatalogRegister(command),
            CatalogWrite::Deregister(command) => Command::CatalogDeregister(command),
        };
        Box::pin(async move { this.propose(command).await })
    }

    fn writes_at_once(&self) -> usize {
        WRITES_AT_ONCE
    }

    fn nodes(&self) -> usize {
        self.0.nodes.load(Ordering::Relaxed)
    }

    fn back(&self) -> BoxFuture<'static, ()> {
        let servers = self.0.servers.clone();
        Box::pin(async move {
            // A server that is there and could not do it will not be able to at once.
            if servers.pick().await.is_some() {
                std::future::pending::<()>().await;
            }
            servers.up().await;
        })
    }
}
