//! One test per limit: what whoever exceeds it is told, and that there is room again when others go.

use crate::common::Server;
use crate::common::grpc::{Clients, reason, selector};
use crate::{PATIENCE, hint, limits, start, write};
use lictor::proto::internal::CallRequest;
use lictor::proto::internal::peer_service_client::PeerServiceClient;
use lictor::proto::v1::{GetRequest, ObserveElectionRequest, WatchRequest};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

/// Between two looks at what cannot be waited for.
const LOOK: Duration = Duration::from_millis(20);

/// Asks until it is so.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(LOOK);
    }
}

/// A connection to HTTP that was answered and stays open.
fn kept_open(addr: SocketAddr) -> TcpStream {
    let mut tcp = TcpStream::connect(addr).expect("a connection");
    tcp.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    tcp.write_all(b"GET /v1/status/leader HTTP/1.1\r\nHost: a\r\n\r\n").expect("a request");
    let mut head = [0; 12];
    tcp.read_exact(&mut head).expect("an answer");
    assert_eq!(&head, b"HTTP/1.1 200");
    tcp
}

/// What a server says to a silent connection until it closes it.
fn said(addr: SocketAddr) -> String {
    let mut tcp = TcpStream::connect(addr).expect("a connection");
    tcp.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut all = Vec::new();
    // A reset says as much as an end.
    let _ = tcp.read_to_end(&mut all);
    String::from_utf8_lossy(&all).into_owned()
}

async fn channel(addr: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{addr}")).expect("an address");
    endpoint.connect().await.expect("a connection")
}

#[track_caller]
fn is_limited(status: &Status, limit: &str, text: &str) {
    assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, text));
    assert_eq!(reason(status), "ERROR_REASON_RATE_LIMITED");
    let info = tonic_types::StatusExt::get_details_error_info(status).expect("a reason");
    assert_eq!(info.metadata["limit"], limit);
    assert!(hint(status).is_some_and(|after| after > Duration::ZERO), "{status:?}");
    assert!(status.metadata().contains_key("grpc-retry-pushback-ms"), "{status:?}");
}

#[test]
fn connections_to_http() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = start(dir.path(), "http_max_conns_per_client = 2");
    let mut open = vec![kept_open(server.http_addr()), kept_open(server.http_addr())];
    let refused = server.get("/v1/status/leader");
    let text = "too many connections from 127.0.0.1: at most 2 are allowed (limits.http_max_conns_per_client)";
    assert_eq!((refused.status, refused.text().as_str()), (429, text));
    let seconds = refused.header("Retry-After").and_then(|s| s.parse::<u64>().ok());
    assert!(seconds.is_some_and(|s| s >= 1), "{refused:?}");
    open.pop();
    until("a place", || server.get("/v1/status/leader").status == 200);
    // A reload changes the share. Connections of answered requests may be counted for a moment longer.
    write(dir.path(), "limits { http_max_conns_per_client = 4 }");
    until("the reload", || server.put("/v1/agent/reload", "").status == 200);
    let _more: Vec<_> = (0..2).map(|_| kept_open(server.http_addr())).collect();
    until("a place beside three", || server.get("/v1/status/leader").status == 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_grpc() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = start(dir.path(), "grpc_max_conns_per_client = 1");
    let addr = server.grpc_addr();
    let mut first = Clients::connect(addr).await;
    first.kv.get(GetRequest { key: "k".into(), ..Default::default() }).await.expect("answered");
    let goodbye = tokio::task::spawn_blocking(move || said(addr)).await.expect("joins");
    let text = "too many connections from 127.0.0.1: at most 1 are allowed (limits.grpc_max_conns_per_client)";
    assert!(goodbye.ends_with(text), "{goodbye:?}");
    drop(first);
    let ask = async |addr| {
        let mut kv = lictor::proto::v1::kv_service_client::KvServiceClient::new(channel(addr).await);
        kv.get(GetRequest { key: "k".into(), ..Default::default() }).await
    };
    let end = Instant::now() + PATIENCE;
    while let Err(status) = ask(addr).await {
        assert!(Instant::now() < end, "no place: {status:?}");
        tokio::time::sleep(LOOK).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_the_server_port() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = start(dir.path(), "rpc_max_conns_per_client = 1");
    let addr = server.server_addr();
    let get = || GetRequest { key: "k".into(), ..Default::default() };
    let kv = lictor::proto::v1::kv_service_client::KvServiceClient::new;
    let mut first = kv(channel(addr).await);
    first.get(get()).await.expect("answered");
    let excess = channel(addr).await;
    let status = kv(excess.clone()).get(get()).await.expect_err("too many");
    let text = "too many connections from 127.0.0.1: at most 1 are allowed (limits.rpc_max_conns_per_client)";
    is_limited(&status, "limits.rpc_max_conns_per_client", text);
    // Servers are heard all the same: what is wrong with this question is its cluster.
    let mut peer = PeerServiceClient::new(excess.clone());
    peer.call(CallRequest::default()).await.expect("servers are always heard");
    drop(first);
    let end = Instant::now() + PATIENCE;
    while let Err(status) = kv(excess.clone()).get(get()).await {
        assert!(Instant::now() < end, "no place: {status:?}");
        tokio::time::sleep(LOOK).await;
    }
}

#[test]
fn who_connects_and_says_nothing_is_cut_off() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = start(dir.path(), "rpc_handshake_timeout = \"50ms\"");
    for addr in [server.grpc_addr(), server.server_addr()] {
        // It would wait for ever without the limit; what is said is the server's half of the greeting at most.
        assert!(said(addr).len() < 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_on_a_connection() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = start(dir.path(), "watches_per_connection = 2");
    let mut clients = Clients::connect(server.grpc_addr()).await;
    let request = WatchRequest { selector: Some(selector("web")), ..Default::default() };
    let first = clients.discovery.watch(request.clone()).await.expect("one");
    let observed = ObserveElectionRequest { election: "e".into() };
    let _second = clients.coordination.observe_election(observed).await.expect("two");
    let status = clients.discovery.watch(request.clone()).await.expect_err("three");
    let text = "too many watches on this connection: at most 2 are allowed (limits.watches_per_connection)";
    is_limited(&status, "limits.watches_per_connection", text);
    clients.kv.get(GetRequest { key: "k".into(), ..Default::default() }).await.expect("other calls have room");
    let mut others = Clients::connect(server.grpc_addr()).await;
    others.discovery.watch(request.clone()).await.expect("another connection has its own share");
    drop(first);
    let end = Instant::now() + PATIENCE;
    while let Err(status) = clients.discovery.watch(request.clone()).await {
        assert!(Instant::now() < end, "no place: {status:?}");
        tokio::time::sleep(LOOK).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_an_agent_passes_on() {
    let dirs = [(); 3].map(|()| tempfile::tempdir().expect("a directory"));
    let server = Server::durable(dirs[0].path());
    let config = limits(dirs[1].path(), "");
    let agent = Server::client_with(dirs[2].path(), "agent", server.gossip_addr(), &[&config]);
    until("a server", || agent.get("/v1/status/leader").status == 200);
    let created = agent.put("/v1/session/create", "{\"TTL\": \"60s\"}").ok().json();
    let renew = format!("/v1/session/renew/{}", created["ID"].as_str().expect("an id"));
    // Slow enough that nothing comes back while this test runs.
    write(dirs[1].path(), "limits { rpc_rate = 0.0001 rpc_max_burst = 3 }");
    agent.put("/v1/agent/reload", "").ok();
    for _ in 0..3 {
        agent.put("/v1/kv/k", "v").ok();
    }
    for refused in [agent.put("/v1/kv/k", "v"), agent.get("/v1/kv/k"), agent.get("/v1/catalog/nodes?stale")] {
        assert_eq!((refused.status, refused.text().as_str()), (429, "RPC rate limit exceeded"));
        assert!(refused.header("Retry-After").is_some(), "{refused:?}");
    }
    let mut clients = Clients::connect(agent.grpc_addr()).await;
    let status = clients.kv.get(GetRequest { key: "k".into(), ..Default::default() }).await.expect_err("too fast");
    is_limited(&status, "limits.rpc_rate", "RPC rate limit exceeded");
    // What is not a client's request, and heartbeats, go on.
    agent.put(&renew, "").ok();
    agent.put("/v1/agent/service/register", "{\"Name\": \"own\", \"Port\": 1}").ok();
    until("the registration", || {
        server.get("/v1/catalog/service/own").ok().json().as_array().is_some_and(|a| a.len() == 1)
    });
    write(dirs[1].path(), "limits { }");
    agent.put("/v1/agent/reload", "").ok();
    agent.get("/v1/kv/k").ok();
}
