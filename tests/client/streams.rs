//! Streams of equal requests at one agent share one at the servers, and each reader gets what it would get there.

use crate::common::grpc::Clients;
use crate::common::keys::{KeyReader, ask, list};
use crate::common::{PATIENCE, Random, soon};
use crate::{Cluster, LOOK};
use lictor::proto::v1::watch_keys_request::Start;
use lictor::proto::v1::{
    CampaignRequest, CreateSessionRequest, DeleteRequest, ObserveElectionRequest, PutRequest, WatchKeysRequest,
    WatchMembersRequest, delete_request,
};
use std::time::Instant;

/// Far below what a topic keeps, far above one message.
const WRITES: u64 = 400;

async fn put(clients: &mut Clients, key: &str, value: &str) -> u64 {
    let request = PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), ..Default::default() };
    clients.kv.put(request).await.expect("put").into_inner().header.expect("header").revision
}

/// Puts and deletions at random among a few keys, and a last one.
async fn write(mut clients: Clients) {
    let mut random = Random::new(7);
    for number in 0..WRITES {
        let key = format!("k/{}", random.below(5));
        if random.below(4) == 0 {
            let target = Some(delete_request::Target::Key(key.into()));
            clients.kv.delete(DeleteRequest { target, ..Default::default() }).await.expect("delete");
        } else {
            put(&mut clients, &key, &number.to_string()).await;
        }
    }
    put(&mut clients, "k/end", "done").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_keys_share_a_stream_and_each_gets_every_event() {
    let cluster = Cluster::start();
    let (server, [a, _]) = (&cluster.server, &cluster.agents);
    let mut direct = Clients::connect(server.grpc_addr()).await;
    let mut clients = Clients::connect(a.grpc_addr()).await;
    let first = put(&mut direct, "k/0", "first").await;
    let before = list(&mut direct, "k/").await;
    let writing = tokio::spawn(write(direct.clone()));

    let progress_interval = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    let request = WatchKeysRequest { progress_interval, ..ask("k/", Some(Start::AfterRevision(first))) };
    let mut all = KeyReader::open(&mut clients, request, Some(before)).await;
    let mut readers = Vec::new();
    for number in 0..9 {
        // They come while changes are on their way.
        all.read().await.expect("a message");
        readers.push(match number % 3 {
            0 => KeyReader::snapshot(&mut clients, "k/").await,
            1 => KeyReader::open(&mut clients, ask("k/", None), None).await,
            _ => {
                let start = Some(Start::ResumeToken(all.token.clone()));
                KeyReader::open(&mut clients, ask("k/", start), Some(all.keys.clone())).await
            }
        });
    }
    all.until("k/end", "done").await;
    soon("the writer", writing).await.expect("it writes");
    all.assert_same(&mut direct, "k/").await;
    for reader in &mut readers {
        reader.until("k/end", "done").await;
        let rest = all.events.len().checked_sub(reader.events.len()).expect("no more than there were");
        assert_eq!(reader.events, all.events[rest..]);
    }
    let shared = || a.counter("lictor_client_watches_shared_total", &[]);
    let end = Instant::now() + PATIENCE;
    while shared() < 9 {
        assert!(Instant::now() < end, "{} of 9 readers share a stream", shared());
        std::thread::sleep(LOOK);
    }
    // Who comes back after all is over hears where it is, and what comes then.
    let mut late = KeyReader::open(&mut clients, ask("k/", Some(Start::ResumeToken(all.token.clone()))), None).await;
    put(&mut direct, "k/end", "really").await;
    late.until("k/end", "really").await;
    assert_eq!(late.events.len(), 1);
    // A start that cannot be served is refused in the server's words.
    let far = clients.kv.watch_keys(ask("k/", Some(Start::ResumeToken("x".into())))).await.expect_err("no token");
    assert_eq!((far.code(), far.message()), (tonic::Code::InvalidArgument, "resume_token: is not a token of this rpc"));
}

#[tokio::test(flavor = "multi_thread")]
async fn observers_of_an_election_and_of_the_servers_share_streams() {
    let cluster = Cluster::start();
    let (server, [a, b]) = (&cluster.server, &cluster.agents);
    let mut clients = Clients::connect(a.grpc_addr()).await;
    let mut observers = Vec::new();
    for _ in 0..5 {
        let request = ObserveElectionRequest { election: "boss".into() };
        let mut stream = clients.coordination.observe_election(request).await.expect("a stream").into_inner();
        let nobody = soon("who leads", stream.message()).await.expect("no error").expect("no end");
        assert_eq!(nobody.session_id, None);
        observers.push(stream);
    }
    let mut other = Clients::connect(b.grpc_addr()).await;
    let created = other.session.create_session(CreateSessionRequest::default()).await.expect("created").into_inner();
    let session_id = created.session.expect("a session").session_id;
    let campaign = CampaignRequest {
        election: "boss".into(),
        session_id: session_id.clone(),
        secret: created.secret,
        value: "b".into(),
    };
    other.coordination.campaign(campaign).await.expect("leads");
    for stream in &mut observers {
        let leader = soon("who leads", stream.message()).await.expect("no error").expect("no end");
        assert_eq!((leader.session_id.as_deref(), &leader.value[..]), (Some(&session_id[..]), &b"b"[..]));
    }
    let mut watchers = Vec::new();
    for _ in 0..5 {
        let mut stream = clients.cluster.watch_members(WatchMembersRequest {}).await.expect("a stream").into_inner();
        let members = soon("the servers", stream.message()).await.expect("no error").expect("no end");
        assert_eq!(members.members.len(), 1);
        assert!(members.header.expect("header").staleness.is_some());
        watchers.push(stream);
    }
    let opened = |op: &str| server.counter("lictor_grpc_requests_total", &[&format!("op=\"{op}\""), "code=\"Ok\""]);
    assert_eq!((opened("observe_election"), opened("watch_members")), (1, 1));
}
