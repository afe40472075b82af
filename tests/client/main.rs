//! Agents of the real binary that are no servers: what they register is seen everywhere, they answer and take
//! registrations while no server is there, and equal questions of their clients are asked once.

#[path = "../common/mod.rs"]
mod common;
mod servers;
mod streams;

use common::dns::{kind, udp};
use common::grpc::{Clients, selector};
use common::http::Response;
use common::{PATIENCE, Server};
use lictor::proto::v1::watch_response::{Cause, Update};
use lictor::proto::v1::{ResolveRequest, WatchRequest, WatchResponse};
use serde_json::json;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tonic::Streaming;

/// What DNS answers.
const NAME_ERROR: u8 = 3;
const SERVER_FAILURE: u8 = 2;
/// Between two looks at what cannot be waited for.
const LOOK: Duration = Duration::from_millis(50);

/// One server and two agents.
struct Cluster {
    server: Server,
    agents: [Server; 2],
    dirs: [TempDir; 3],
}

impl Cluster {
    fn start() -> Cluster {
        let dirs = [(); 3].map(|()| tempfile::tempdir().expect("temporary directory"));
        let server = Server::durable_with(dirs[0].path(), &["-node=server"]);
        let join = server.gossip_addr();
        let agents = [("a", &dirs[1]), ("b", &dirs[2])].map(|(node, dir)| Server::client(dir.path(), node, join));
        let cluster = Cluster { server, agents, dirs };
        for agent in &cluster.agents {
            until(agent, "/v1/catalog/nodes", |r| r.status == 200 && count(r) == 3);
        }
        cluster
    }
}

/// Asks again until the answer is as wanted.
#[track_caller]
fn until(server: &Server, target: &str, wanted: impl Fn(&Response) -> bool) -> Response {
    let end = Instant::now() + PATIENCE;
    loop {
        let reply = server.get(target);
        if wanted(&reply) {
            return reply;
        }
        assert!(Instant::now() < end, "{target} stays at {} {}\n{}", reply.status, reply.text(), server.log());
        std::thread::sleep(LOOK);
    }
}

fn count(reply: &Response) -> usize {
    reply.json().as_array().map_or(0, Vec::len)
}

fn register(agent: &Server, name: &str) {
    let body = json!({"Name": name, "Address": "10.1.2.3", "Port": 80, "Check": {"CheckID": name, "TTL": "1h"}});
    agent.put("/v1/agent/service/register", body.to_string()).ok();
    agent.put(&format!("/v1/agent/check/pass/{name}"), "").ok();
}

fn healthy(name: &str) -> String {
    format!("/v1/health/service/{name}?passing")
}

async fn next(stream: &mut Streaming<WatchResponse>) -> WatchResponse {
    let message = tokio::time::timeout(PATIENCE, stream.message()).await;
    message.expect("a message in time").expect("no error").expect("no end")
}

/// Waits for a delta that adds an instance, and takes everything else on the way.
async fn addition(stream: &mut Streaming<WatchResponse>) -> String {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Some(Update::Delta(delta)) = next(stream).await.update
            && let Some(key) = delta.upserts.into_iter().find_map(|i| i.key)
        {
            return key.node;
        }
    }
    panic!("no delta within {PATIENCE:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_registers_is_seen_everywhere() {
    let cluster = Cluster::start();
    let [a, b] = &cluster.agents;
    register(a, "web");
    for seen_by in [&cluster.server, a, b] {
        let reply = until(seen_by, &healthy("web"), |r| r.status == 200 && count(r) == 1);
        assert_eq!(reply.json()[0]["Node"]["Node"], "a");
    }
    let answer = udp(b.dns_addr(), "web.service.consul.", kind::A, None).expect("an answer");
    assert_eq!(answer.addresses(), ["10.1.2.3".parse::<std::net::IpAddr>().expect("an address")]);
    let mut clients = Clients::connect(b.grpc_addr()).await;
    let request = ResolveRequest { selector: Some(selector("web")), ..Default::default() };
    let resolved = clients.discovery.resolve(request).await.expect("resolved").into_inner();
    assert_eq!(resolved.instances.len(), 1);
    // What is of this agent alone, and what is of the state.
    assert_eq!(b.get("/v1/agent/services").ok().json(), json!({}));
    assert_eq!(a.get("/v1/agent/self").ok().json()["Config"]["Server"], false);
    b.put("/v1/kv/x?flags=7", "value").ok();
    assert_eq!(a.get("/v1/kv/x?raw").ok().body, b"value");
    assert_eq!(a.request("POST", "/v1/kv/x", &[], b"").status, 405);
    let session = a.put("/v1/session/create", "{}").ok().json()["ID"].clone();
    let info = b.get(&format!("/v1/session/info/{}", session.as_str().expect("an id"))).ok().json();
    assert_eq!(info[0]["Node"], "a", "a session of an agent's client is bound to the agent's node");
    a.put("/v1/agent/service/deregister/web", "").ok();
    until(b, &healthy("web"), |r| r.status == 200 && count(r) == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_goes_on_while_servers_are_away() {
    let mut cluster = Cluster::start();
    let [a, b] = &cluster.agents;
    register(b, "web");
    let web = healthy("web");
    until(a, &web, |r| r.status == 200 && count(r) == 1);
    let asked = || udp(a.dns_addr(), "web.service.consul.", kind::A, None).expect("an answer").addresses();
    let address = asked();
    assert_eq!(address.len(), 1);
    let rcode = |name: &str| udp(a.dns_addr(), name, kind::A, None).expect("an answer").rcode;
    assert_eq!(rcode("unknown.service.consul."), NAME_ERROR);
    let mut clients = Clients::connect(a.grpc_addr()).await;
    let request = WatchRequest {
        selector: Some(selector("later")),
        progress_interval: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
        ..Default::default()
    };
    let mut stream = clients.discovery.watch(request).await.expect("a stream").into_inner();
    assert!(matches!(next(&mut stream).await.update, Some(Update::Snapshot(s)) if s.complete));

    // The server comes back at another address: it joins those whom it has noted.
    let note = cluster.dirs[0].path().join("serf/members");
    let end = Instant::now() + PATIENCE;
    while std::fs::read_to_string(&note).unwrap_or_default().matches("alive ").count() < 2 {
        assert!(Instant::now() < end, "the server does not note its members");
        std::thread::sleep(LOOK);
    }
    cluster.server.kill9();
    let reply = until(a, &web, |r| r.status == 200 && r.header("X-Cache") == Some("HIT"));
    assert_eq!((count(&reply), reply.header("X-Consul-KnownLeader")), (1, Some("false")));
    assert!(reply.header("Age").is_some() && reply.header("X-Consul-LastContact").is_some_and(|ms| ms != "0"));
    let refused = a.get(&format!("{web}&consistent"));
    assert_eq!((refused.status, refused.text().as_str()), (500, "No known Consul servers"));
    assert_eq!(a.put("/v1/kv/x", "1").status, 500);
    assert_eq!(asked(), address);
    assert_eq!(rcode("unknown.service.consul."), NAME_ERROR, "what is not there is kept, too");
    assert_eq!(rcode("another.service.consul."), SERVER_FAILURE, "what nobody has said is not made up");
    register(a, "later");
    assert!(a.get("/v1/agent/services").ok().json().get("later").is_some());
    assert!(matches!(next(&mut stream).await.update, Some(Update::Progress(_))), "the stream stays open");

    cluster.server.restart();
    assert_eq!(addition(&mut stream).await, "a");
    for seen_by in [&cluster.server, a, b] {
        until(seen_by, &healthy("later"), |r| r.status == 200 && count(r) == 1 && r.header("X-Cache").is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_questions_are_asked_once() {
    let cluster = Cluster::start();
    let (server, [a, b]) = (&cluster.server, &cluster.agents);
    register(b, "web");
    let index = until(a, &healthy("web"), |r| r.status == 200 && count(r) == 1).index();

    let polls = || server.counter("lictor_http_requests_total", &["op=\"health_service\"", "outcome=\"ok\""]);
    let (before, poll) = (polls(), format!("{}&index={index}&wait=5m", healthy("web")));
    std::thread::scope(|scope| {
        let (at, poll) = (a.http_addr(), &poll);
        let ask = move || common::http::request(at, "GET", poll, &[], b"").expect("an answer").ok();
        let waiting: Vec<_> = (0..20).map(|_| scope.spawn(ask)).collect();
        let end = Instant::now() + PATIENCE;
        while a.counter("lictor_client_polls_shared_total", &[]) < 19 {
            assert!(Instant::now() < end, "the polls are not shared");
            std::thread::sleep(LOOK);
        }
        b.put("/v1/agent/check/fail/web", "").ok();
        for waiting in waiting {
            assert_eq!(count(&waiting.join().expect("an answer")), 0);
        }
    });
    assert_eq!(polls() - before, 1);

    let watches = || server.counter("lictor_grpc_requests_total", &["op=\"watch\"", "code=\"Ok\""]);
    let before = watches();
    let mut clients = Clients::connect(a.grpc_addr()).await;
    let request = WatchRequest { selector: Some(selector("web")), ..Default::default() };
    let mut streams = Vec::new();
    for _ in 0..10 {
        let mut stream = clients.discovery.watch(request.clone()).await.expect("a stream").into_inner();
        let first = next(&mut stream).await;
        assert!(matches!(&first.update, Some(Update::Snapshot(s)) if s.complete && s.cause() == Cause::Initial));
        assert!(!first.resume_token.is_empty());
        streams.push(stream);
    }
    register(a, "web");
    for stream in &mut streams {
        assert_eq!(addition(stream).await, "a");
    }
    assert_eq!(watches() - before, 1);
}

#[test]
fn places_of_agents_reach_the_servers() {
    let cluster = Cluster::start();
    let [_, b] = &cluster.agents;
    let known = |r: &Response| {
        let nodes: Vec<_> = r.json().as_array().into_iter().flatten().map(|entry| entry["Node"].clone()).collect();
        ["a", "b", "server"].iter().all(|node| nodes.iter().any(|found| found == node))
    };
    until(b, "/v1/coordinate/nodes", |r| r.status == 200 && known(r));
    let nodes = |at: &Server, near: &str| -> Vec<String> {
        let list = at.get(&format!("/v1/catalog/nodes?near={near}")).ok().json();
        list.as_array().expect("a list").iter().map(|node| node["Node"].to_string()).collect()
    };
    // Places move while they are asked for, so two answers may differ once in a while.
    let end = Instant::now() + PATIENCE;
    while nodes(b, "_agent") != nodes(&cluster.server, "b") {
        assert!(Instant::now() < end, "near=_agent is not near the agent's node");
        std::thread::sleep(LOOK);
    }
    let mut rtt = std::process::Command::new(env!("CARGO_BIN_EXE_lictor"));
    let said = rtt.args(["rtt", &format!("-http-addr={}", b.http_addr()), "a", "b"]).output().expect("run rtt");
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success() && text.starts_with("Estimated a <-> b rtt"), "{said:?}");
}
