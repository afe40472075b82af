//! An agent of three servers: what its clients are told while servers go and come back.

use crate::common::Server;
use crate::common::dns::{kind, udp};
use crate::common::grpc::{Clients, selector};
use crate::common::keys::KeyReader;
use crate::common::set::{self, SetReader};
use crate::{LOOK, PATIENCE, count, healthy, until};
use lictor::proto::v1::PutRequest;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tempfile::TempDir;

const OLD: &str = "pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s=";
const NEW: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

struct Cluster {
    servers: Vec<Server>,
    agent: Server,
    dirs: Vec<TempDir>,
}

impl Cluster {
    fn start(flags: &[&str]) -> Cluster {
        let dirs: Vec<TempDir> = (0..4).map(|_| tempfile::tempdir().expect("temporary directory")).collect();
        let first = Server::one_of_three(dirs[0].path(), "s0", None, flags);
        let join = first.gossip_addr();
        let other = |n: usize| Server::one_of_three(dirs[n].path(), &format!("s{n}"), Some(join), flags);
        let servers = vec![first, other(1), other(2)];
        let agent = Server::client_with(dirs[3].path(), "client", join, flags);
        let cluster = Cluster { servers, agent, dirs };
        cluster.settled();
        cluster
    }

    /// All are there, know each other, and have written down whom they know.
    fn settled(&self) {
        for at in self.servers.iter().chain([&self.agent]) {
            until(at, "/v1/health/state/passing", |r| {
                r.status == 200 && count(r) == 4 && r.header("X-Cache").is_none()
            });
        }
        for dir in &self.dirs[..3] {
            let note = dir.path().join("serf/members");
            eventually("the servers note their members", || {
                std::fs::read_to_string(&note).unwrap_or_default().matches("alive ").count() == 3
            });
        }
    }

    /// The server that the agent asks.
    fn asked(&self) -> usize {
        let log = self.agent.log();
        let line = log.lines().rfind(|line| line.contains("asking this server from now on")).expect("it asks one");
        let address = line.split("server=").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("an address");
        let port = address.trim_matches('"').rsplit(':').next().expect("a port");
        let own = |server: &Server| server.get("/v1/agent/self").ok().json()["Member"]["Tags"]["port"].clone();
        self.servers.iter().position(|server| own(server) == port).expect("one of the three")
    }
}

fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(LOOK);
    }
}

fn register(agent: &Server, id: &str) {
    let body = json!({"ID": id, "Name": "web", "Address": "10.1.2.3", "Port": 80});
    agent.put("/v1/agent/service/register", body.to_string()).ok();
}

/// Numbers, one after the other, each until it is acknowledged; an equal value again would change nothing.
async fn write(mut clients: Clients, stop: Arc<AtomicBool>) -> u64 {
    let mut number = 0;
    loop {
        let last = stop.load(Ordering::Relaxed);
        let (key, value) = match last {
            true => ("k/end".to_owned(), "done".to_owned()),
            false => (format!("k/{}", number % 5), number.to_string()),
        };
        let request = PutRequest { key: key.into(), value: value.into(), ..Default::default() };
        while clients.kv.put(request.clone()).await.is_err() {
            tokio::time::sleep(LOOK).await;
        }
        if last {
            return number;
        }
        number += 1;
    }
}

/// Long polls, one after the other, until there are so many instances.
fn poll(at: std::net::SocketAddr, wanted: usize) {
    let (mut index, mut seen) = (0, BTreeSet::new());
    let end = Instant::now() + PATIENCE * 4;
    while seen.len() < wanted {
        assert!(Instant::now() < end, "the polls show {seen:?}");
        let path = format!("{}&index={index}&wait=10s", healthy("web"));
        let reply = crate::common::http::request(at, "GET", &path, &[], b"").expect("an answer").ok();
        assert!(reply.index() >= index, "from {index} back to {}", reply.index());
        index = reply.index();
        let list = reply.json();
        let now = list.as_array().expect("a list").iter().map(|i| i["Service"]["ID"].to_string()).collect();
        assert!(seen.is_subset(&now), "{seen:?} was there, and then only {now:?}");
        seen = now;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn registrations_and_watches_survive_new_keys_and_restarts_of_servers() {
    let encrypt = format!("-encrypt={OLD}");
    let mut cluster = Cluster::start(&[&encrypt]);
    let mut clients = Clients::connect(cluster.agent.grpc_addr()).await;
    register(&cluster.agent, "first");
    until(&cluster.agent, &healthy("web"), |r| r.status == 200 && count(r) == 1);
    let mut keys = KeyReader::snapshot(&mut clients, "k/").await;
    let mut set = SetReader::begin(&mut clients, set::ask(selector("web"))).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn(write(clients.clone(), stop.clone()));
    let reading = tokio::spawn(async move {
        keys.until("k/end", "done").await;
        keys
    });
    let watching = tokio::spawn(async move {
        set.until(|reader| reader.set.len() == 7).await;
        set
    });
    let at = cluster.agent.http_addr();
    let polling = std::thread::spawn(move || poll(at, 7));

    let steps = [("POST", NEW), ("PUT", NEW), ("DELETE", OLD)];
    for (round, (method, key)) in steps.into_iter().enumerate() {
        // One of the steps of a rotation before each restart: the server comes back with what it has noted.
        eventually("all nodes take the key", || {
            let body = json!({ "Key": key }).to_string();
            let reply = cluster.agent.request(method, "/v1/operator/keyring", &[], body.as_bytes());
            reply.status == 200 || (method == "DELETE" && reply.text().contains("is not in the keyring"))
        });
        let asked = cluster.asked();
        register(&cluster.agent, &format!("before-{round}"));
        cluster.servers[asked].kill9();
        register(&cluster.agent, &format!("while-away-{round}"));
        cluster.servers[asked].restart();
        cluster.settled();
    }
    for server in cluster.servers.iter().chain([&cluster.agent]) {
        until(server, &healthy("web"), |r| r.status == 200 && count(r) == 7 && r.header("X-Cache").is_none());
    }
    let rings = cluster.agent.get("/v1/operator/keyring").ok().json();
    assert_eq!((&rings[1]["Keys"], &rings[1]["NumNodes"]), (&json!({ NEW: 4 }), &json!(4)), "{rings}");

    stop.store(true, Ordering::Relaxed);
    let written = writing.await.expect("it writes");
    let keys = reading.await.expect("every event");
    let mut direct = Clients::connect(cluster.servers[0].grpc_addr()).await;
    keys.assert_same(&mut direct, "k/").await;
    let values = keys.events.iter().map(|event| event.current.as_ref().expect("no deletion").value.clone());
    let wanted = (0..written).map(|number| number.to_string()).chain(["done".to_owned()]).map(bytes::Bytes::from);
    assert!(values.eq(wanted), "every value once, in order, of {written}: {} events", keys.events.len());
    watching.await.expect("every instance").assert_same(&mut direct).await;
    polling.join().expect("the polls");
}

#[test]
fn a_server_that_knows_no_leader_takes_nothing_from_what_was_said() {
    let mut cluster = Cluster::start(&[]);
    register(&cluster.agent, "one");
    let web = healthy("web");
    until(&cluster.agent, &web, |r| r.status == 200 && count(r) == 1);
    let resolve = |agent: &Server| udp(agent.dns_addr(), "web.service.consul.", kind::A, None).expect("an answer");
    let address = resolve(&cluster.agent).addresses();
    let asked = cluster.asked();
    for other in (0..3).filter(|n| *n != asked) {
        cluster.servers[other].kill9();
    }
    let reply = until(&cluster.agent, &web, |r| r.header("X-Cache") == Some("HIT"));
    assert_eq!((reply.status, count(&reply), reply.header("X-Consul-KnownLeader")), (200, 1, Some("false")));
    let refused = cluster.agent.get(&format!("{web}&consistent"));
    assert_eq!((refused.status, refused.text().as_str()), (500, "No cluster leader"));
    let unasked = cluster.agent.get("/v1/catalog/service/never-asked");
    assert_eq!((unasked.status, unasked.text().as_str()), (500, "No cluster leader"), "nothing is made up");
    assert_eq!(resolve(&cluster.agent).addresses(), address);
    for other in (0..3).filter(|n| *n != asked) {
        cluster.servers[other].restart();
    }
    until(&cluster.agent, &web, |r| r.status == 200 && count(r) == 1 && r.header("X-Cache").is_none());
}
