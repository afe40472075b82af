//! A herd: thousands of watchers come at once, again after a restart, while lists are read, values written and sessions
//! kept alive.

use crate::common::Server;
use crate::common::grpc::{Clients, instance};
use crate::{PATIENCE, hint, limits};
use bytes::Bytes;
use futures::future::try_join_all;
use lictor::proto::v1::service_selector::Name;
use lictor::proto::v1::watch_response::Update;
use lictor::proto::v1::{
    CreateSessionRequest, Instance, KeepAliveSessionRequest, ListInstancesRequest, PutRequest,
    RegisterInstancesRequest, ServiceSelector, WatchRequest, WatchResponse,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tonic::{Code, Status, Streaming};

const WATCHERS: usize = 3_000;
const CONNECTIONS: usize = 30;
/// Different questions, so that not all share one answer.
const QUESTIONS: usize = 500;
const INSTANCES: u32 = 60;
const LISTERS: usize = 40;
const SESSIONS: usize = 20;
const WRITERS: usize = 8;

/// All services, and something that makes this question one of its own.
fn question(number: usize) -> ServiceSelector {
    let name = Some(Name::ServicePrefix("s".into()));
    ServiceSelector { name, filter: format!("Port != {}", 10_000 + number % QUESTIONS), ..Default::default() }
}

/// What the crowd has been through.
#[derive(Default)]
struct Tally {
    /// Times that somebody was told to come back later.
    told: AtomicUsize,
    acknowledged: AtomicUsize,
}

impl Tally {
    /// Takes a refusal for what it says; anything else is a failure.
    async fn heed(&self, status: Status) {
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        let after = hint(&status).expect("every refusal says when to come back");
        self.told.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(after).await;
    }
}

/// Comes until it is served, and reads its first messages. A token has to go on where it was.
async fn watcher(mut clients: Clients, number: usize, token: Bytes, tally: &Tally) -> Seen {
    let request = WatchRequest { selector: Some(question(number)), resume_token: token, ..Default::default() };
    loop {
        match clients.discovery.watch(request.clone()).await {
            Ok(stream) => return Seen::read(stream.into_inner(), !request.resume_token.is_empty()).await,
            Err(status) => tally.heed(status).await,
        }
    }
}

/// A stream that has told its set.
struct Seen {
    stream: Streaming<WatchResponse>,
    token: Bytes,
}

impl Seen {
    async fn read(mut stream: Streaming<WatchResponse>, resumes: bool) -> Seen {
        let mut instances = 0;
        loop {
            let message = stream.message().await.expect("no error").expect("no end");
            let complete = match message.update {
                Some(Update::Snapshot(part)) => {
                    instances += part.instances.len();
                    assert!(!part.complete || instances == INSTANCES as usize, "{instances} instances");
                    part.complete
                }
                _ => resumes,
            };
            if complete {
                return Seen { stream, token: message.resume_token };
            }
        }
    }
}

async fn herd(all: &[Clients], tokens: Vec<Bytes>, tally: &Arc<Tally>) -> Vec<Seen> {
    let come = tokens.into_iter().enumerate().map(|(number, token)| {
        let (clients, tally) = (all[number % all.len()].clone(), tally.clone());
        tokio::spawn(async move { watcher(clients, number, token, &tally).await })
    });
    try_join_all(come).await.expect("every watcher is served")
}

async fn connect(server: &Server, count: usize) -> Vec<Clients> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(Clients::connect(server.grpc_addr()).await);
    }
    all
}

/// Writes until told otherwise. Every write is acknowledged at the first attempt: nobody below stands before it.
async fn writer(mut kv: Clients, writer: usize, stop: watch::Receiver<bool>, tally: Arc<Tally>) {
    for number in 0.. {
        let key = format!("{writer}/{number}").into();
        kv.kv.put(PutRequest { key, value: "v".into(), ..Default::default() }).await.expect("acknowledged");
        tally.acknowledged.fetch_add(1, Ordering::Relaxed);
        if *stop.borrow() {
            return;
        }
    }
}

/// Keeps sessions alive until told otherwise; no heartbeat is refused, and no session is lost.
async fn keeper(mut clients: Clients, stop: watch::Receiver<bool>) {
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        let created = clients.session.create_session(CreateSessionRequest::default()).await.expect("a session");
        sessions.push(created.into_inner());
    }
    loop {
        for created in &sessions {
            let session_id = created.session.as_ref().expect("a session").session_id.clone();
            let request = KeepAliveSessionRequest { session_id, secret: created.secret.clone() };
            clients.session.keep_alive_session(request).await.expect("a heartbeat");
        }
        if *stop.borrow() {
            return;
        }
        // The pace of heartbeats.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Reads the whole catalog until told otherwise, as often as it is let.
async fn lister(mut clients: Clients, number: usize, stop: watch::Receiver<bool>, tally: Arc<Tally>) {
    let mut served = false;
    loop {
        let request = ListInstancesRequest { selector: Some(question(number)), ..Default::default() };
        match clients.discovery.list_instances(request).await {
            Ok(listed) => {
                assert_eq!(listed.into_inner().instances.len(), INSTANCES as usize);
                served = true;
            }
            Err(status) => tally.heed(status).await,
        }
        if served && *stop.borrow() {
            return;
        }
    }
}

#[test]
fn a_herd_is_served_and_holds_nobody_up() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let test = async { tokio::time::timeout(PATIENCE, stampede()).await.expect("everybody is served in time") };
    runtime.expect("a runtime").block_on(test);
}

async fn stampede() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = limits(dir.path(), "watch_starts_waiting = 4 lists_waiting = 2");
    let mut server = Server::durable_with(&dir.path().join("data"), &[&config]);
    let mut one = Clients::connect(server.grpc_addr()).await;
    let instances: Vec<Instance> =
        (0..INSTANCES).map(|n| instance(&format!("s{}", n % 20), &n.to_string(), 1 + n)).collect();
    let request = RegisterInstancesRequest { instances, ..Default::default() };
    one.registry.register_instances(request).await.expect("registered");

    let tally = Arc::new(Tally::default());
    let mut tokens = vec![Bytes::new(); WATCHERS];
    for life in 0..2 {
        let all = connect(&server, CONNECTIONS).await;
        let others = connect(&server, 4).await;
        let stop = watch::Sender::new(false);
        let mut busy = Vec::new();
        for number in 0..WRITERS {
            busy.push(tokio::spawn(writer(
                others[0].clone(),
                life * WRITERS + number,
                stop.subscribe(),
                tally.clone(),
            )));
        }
        busy.push(tokio::spawn(keeper(others[1].clone(), stop.subscribe())));
        for number in 0..LISTERS {
            busy.push(tokio::spawn(lister(others[2].clone(), number, stop.subscribe(), tally.clone())));
        }
        let mut seen = herd(&all, tokens, &tally).await;
        stop.send_replace(true);
        try_join_all(busy).await.expect("nobody who writes, lives or lists fails");
        assert!(tally.acknowledged.load(Ordering::Relaxed) >= WRITERS);
        // The streams live on: all of them hear of a change.
        let changed = Instance { version: format!("life {life}"), ..instance("s0", "0", 1) };
        let request = RegisterInstancesRequest { instances: vec![changed], ..Default::default() };
        let mut clients = others[3].clone();
        clients.registry.register_instances(request).await.expect("registered");
        for seen in &mut seen {
            loop {
                let message = seen.stream.message().await.expect("no error").expect("no end");
                seen.token = message.resume_token;
                if let Some(Update::Delta(delta)) = message.update {
                    assert!(delta.upserts.len() == 1 && delta.removed.is_empty());
                    break;
                }
            }
        }
        tokens = seen.into_iter().map(|seen| seen.token).collect();
        // All come back at once.
        server.restart();
    }
    println!("{} times told to come back later", tally.told.load(Ordering::Relaxed));
}
