//! The do-nothing server: Lictor's answers as fixed bytes from a bare h2 loop, and append + fdatasync with group
//! commit for writes. What it reaches is what the kernel, the disk and the protocol library leave to any server on
//! one core.
//!
//! It runs as a process of its own (this program again), so that it can be pinned and its CPU time read.

use crate::catalog;
use crate::client::frame;
use crate::dialect;
use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use lictor::proto::v1::{
    DeleteResponse, DeregisterInstancesResponse, GetResponse, Instance, KeyValue, PutResponse,
    RegisterInstancesResponse, ResolveRequest, ResolveResponse, ResponseHeader, ServiceState, WatchResponse,
    service_selector::Name, watch_response,
};
use prost::Message;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Seek, Write};
use std::path::Path;
use std::rc::Rc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::LocalSet;

/// Size of the log, all of it written once beforehand: later syncs carry data only.
const LOG: u64 = 64 << 20;

struct Null {
    services: HashMap<String, Bytes>,
    snapshot: Bytes,
    delta: Bytes,
    put: Bytes,
    get: Bytes,
    registered_one: Bytes,
    registered_many: Bytes,
    deregistered: Bytes,
    deleted: Bytes,
    changed: watch::Sender<u64>,
    disk: mpsc::Sender<(Bytes, oneshot::Sender<()>)>,
}

/// Serves until it is killed; prints the ready line once it listens.
pub(crate) fn serve(dir: &Path) -> Result<()> {
    let (disk, waiting) = mpsc::channel(4096);
    let mut log = File::create(dir.join("null.log"))?;
    let zeros = vec![0; 1 << 20];
    for _ in 0..LOG >> 20 {
        log.write_all(&zeros)?;
    }
    log.sync_all()?;
    log.rewind()?;
    std::thread::spawn(move || group_commit(log, waiting));
    let null = Rc::new(Null::new(disk));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("bind")?;
        println!("==> Lictor ready: grpc={} pid={}", listener.local_addr()?, std::process::id());
        loop {
            let (tcp, _) = listener.accept().await?;
            tcp.set_nodelay(true)?;
            tokio::task::spawn_local(connection(tcp, null.clone()));
        }
    })
}

/// Everything that waits is written with one write and one fdatasync.
fn group_commit(mut log: File, mut waiting: mpsc::Receiver<(Bytes, oneshot::Sender<()>)>) {
    while let Some((first, done)) = waiting.blocking_recv() {
        let mut batch = first.to_vec();
        let mut callers = vec![done];
        while let Ok((next, done)) = waiting.try_recv() {
            batch.extend_from_slice(&next);
            callers.push(done);
        }
        let full = log.stream_position().is_ok_and(|at| at + batch.len() as u64 > LOG);
        let written = if full { log.rewind() } else { Ok(()) };
        if written.and_then(|()| log.write_all(&batch)).and_then(|()| log.sync_data()).is_err() {
            return; // The callers see their channel close and fail.
        }
        for caller in callers {
            let _ = caller.send(());
        }
    }
}

impl Null {
    fn new(disk: mpsc::Sender<(Bytes, oneshot::Sender<()>)>) -> Self {
        let resolved = |(name, instances): (String, Vec<Instance>)| {
            let instances = instances.into_iter().map(routing).collect();
            let state = Some(state(&name));
            let message = ResolveResponse { header: header(), state, instances, resume_token: token() };
            (name, frame(&message))
        };
        let stored = |n| (0..n).map(|i| stored(catalog::addition(i))).collect::<Vec<_>>();
        let kv = |value: Vec<u8>| KeyValue {
            key: catalog::key(1).into(),
            value: value.into(),
            create_revision: 100_000,
            modify_revision: 200_000,
            version: 20,
            ..Default::default()
        };
        let update = |update| frame(&WatchResponse { header: header(), resume_token: token(), update: Some(update) });
        let service = catalog::service(0);
        let set = (0..catalog::INSTANCES).map(|i| routing(catalog::instance(&service, i))).collect();
        let snapshot = watch_response::Snapshot {
            cause: watch_response::Cause::Initial.into(),
            services: vec![state(&service)],
            instances: set,
            complete: true,
        };
        let upserts = vec![routing(catalog::instance(&service, 0))];
        let delta = watch_response::Delta { upserts, services: vec![state(&service)], ..Default::default() };
        let registered = |n| frame(&RegisterInstancesResponse { header: header(), instances: stored(n) });
        Null {
            services: catalog::seeded_services().into_iter().map(resolved).collect(),
            snapshot: update(watch_response::Update::Snapshot(snapshot)),
            delta: update(watch_response::Update::Delta(delta)),
            put: frame(&PutResponse { header: header(), kv: Some(kv(Vec::new())), previous: None }),
            get: frame(&GetResponse { header: header(), kv: Some(kv(catalog::value(1))) }),
            registered_one: registered(1),
            registered_many: registered(dialect::BATCH as u64),
            deregistered: frame(&DeregisterInstancesResponse { header: header(), removed: 1 }),
            deleted: frame(&DeleteResponse { header: header(), deleted: 1, previous: Vec::new() }),
            changed: watch::channel(0).0,
            disk,
        }
    }

    async fn persist(&self, bytes: Bytes) -> Result<()> {
        let (done, written) = oneshot::channel();
        self.disk.send((bytes, done)).await?;
        Ok(written.await?)
    }

    async fn answer(&self, path: &str, body: Bytes) -> Result<Bytes> {
        let many = body.len() > 4096;
        Ok(match path {
            dialect::RESOLVE => {
                let request = ResolveRequest::decode(body.get(5..).unwrap_or_default())?;
                match request.selector.and_then(|s| s.name) {
                    Some(Name::Service(name)) => self.services.get(&name).context("service")?.clone(),
                    _ => anyhow::bail!("a service is needed"),
                }
            }
            dialect::GET => self.get.clone(),
            dialect::PUT => {
                self.persist(body).await?;
                self.put.clone()
            }
            dialect::REGISTER => {
                self.persist(body).await?;
                self.changed.send_modify(|n| *n += 1);
                if many { &self.registered_many } else { &self.registered_one }.clone()
            }
            dialect::DEREGISTER => self.deregistered.clone(),
            dialect::DELETE => self.deleted.clone(),
            _ => anyhow::bail!("no method {path}"),
        })
    }
}

async fn connection(tcp: TcpStream, null: Rc<Null>) {
    let server = h2::server::Builder::new().initial_connection_window_size(16 << 20).handshake::<_, Bytes>(tcp);
    let Ok(mut connection) = server.await else { return };
    while let Some(Ok((request, reply))) = connection.accept().await {
        let null = null.clone();
        tokio::task::spawn_local(async move {
            // A caller that is gone needs no answer; a failed call is reset when `reply` drops.
            let _ = call(request, reply, &null).await;
        });
    }
}

async fn call(
    request: http::Request<h2::RecvStream>,
    mut reply: h2::server::SendResponse<Bytes>,
    null: &Null,
) -> Result<()> {
    let (parts, mut body) = request.into_parts();
    let mut message = Bytes::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        message = if message.is_empty() { chunk } else { [message, chunk].concat().into() };
    }
    let mut head = Response::new(());
    head.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    if parts.uri.path() == dialect::WATCH {
        let mut changed = null.changed.subscribe();
        let mut out = reply.send_response(head, false)?;
        out.send_data(null.snapshot.clone(), false)?;
        while changed.changed().await.is_ok() {
            out.send_data(null.delta.clone(), false)?;
        }
        return Ok(());
    }
    let answer = null.answer(parts.uri.path(), message).await?;
    let mut out = reply.send_response(head, false)?;
    out.send_data(answer, false)?;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    out.send_trailers(trailers)?;
    Ok(())
}

fn header() -> Option<ResponseHeader> {
    Some(ResponseHeader {
        cluster_id: uuid::Uuid::nil().to_string(),
        node_id: uuid::Uuid::nil().to_string(),
        revision: 100_000,
        term: 2,
        staleness: None,
        leader: "127.0.0.1:8502".into(),
    })
}

fn token() -> Bytes {
    Bytes::from_static(&[7; 32])
}

fn state(service: &str) -> ServiceState {
    ServiceState {
        service: service.into(),
        exists: true,
        total: 10,
        passing: 10,
        modify_revision: 100_000,
        ..Default::default()
    }
}

/// As a server stores it.
fn stored(mut instance: Instance) -> Instance {
    instance.health = 1;
    instance.create_revision = 100_000;
    instance.modify_revision = 100_000;
    instance
}

/// As a lookup shows it.
fn routing(instance: Instance) -> Instance {
    let mut instance = stored(instance);
    instance.metadata.clear();
    instance
}
