//! Several processes that gossip: joining, failing, leaving, events, keys.

use crate::common::Server;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Far more than anything here takes on an idle machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn named(name: &str, flags: &[&str]) -> Server {
    Server::dev_with(&[&[format!("-node={name}").as_str()], flags].concat())
}

/// Where a server gossips.
fn address(server: &Server) -> String {
    let own = server.get("/v1/agent/self").ok().json();
    format!("127.0.0.1:{}", own["Member"]["Port"])
}

fn join(server: &Server, with: &Server) {
    server.put(&format!("/v1/agent/join/{}", address(with)), "").ok();
}

/// There is nothing to wait on but the members themselves.
fn until(what: &str, servers: &[&Server], so: impl Fn() -> bool) {
    let start = Instant::now();
    while !so() {
        if start.elapsed() > PATIENCE {
            let logs: Vec<String> = servers.iter().map(|server| server.log()).collect();
            panic!("it does not happen that {what}\n{}", logs.join("\n----\n"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn status(at: &Server, name: &str) -> Option<u64> {
    let members = at.get("/v1/agent/members").ok().json();
    let found = members.as_array()?.iter().find(|member| member["Name"] == name)?;
    found["Status"].as_u64()
}

const ALIVE: Option<u64> = Some(1);
const LEFT: Option<u64> = Some(3);
const FAILED: Option<u64> = Some(4);

fn serf_health(at: &Server, name: &str) -> Value {
    let checks = at.get(&format!("/v1/health/node/{name}")).ok().json();
    let found = checks.as_array().and_then(|checks| checks.iter().find(|check| check["CheckID"] == "serfHealth"));
    found.map_or(Value::Null, |check| json!([check["Status"], check["Output"]]))
}

#[test]
fn members_come_fail_and_go_and_the_catalog_shows_it() {
    let (a, mut b, mut c) = (named("a", &[]), named("b", &[]), named("c", &[]));
    join(&b, &a);
    join(&c, &a);
    for one in [&a, &b, &c] {
        until("all see all", &[&a, &b, &c], || ["a", "b", "c"].iter().all(|name| status(one, name) == ALIVE));
    }
    let passing = json!(["passing", "Agent alive and reachable"]);
    until("the catalog shows c", &[&a], || serf_health(&a, "c") == passing);

    let fired = a.put("/v1/event/fire/deploy", "now").ok().json();
    until("the event reaches c", &[&a, &c], || {
        let events = c.get("/v1/event/list?name=deploy").ok().json();
        events.as_array().is_some_and(|events| events.iter().any(|event| event["ID"] == fired["ID"]))
    });

    c.kill9();
    until("c has failed", &[&a, &b], || status(&a, "c") == FAILED && status(&b, "c") == FAILED);
    let critical = json!(["critical", "Agent not live or unreachable"]);
    until("the catalog shows that c has failed", &[&a], || serf_health(&a, "c") == critical);
    assert_eq!(a.put("/v1/agent/force-leave/nobody", "").status, 500);
    b.put("/v1/agent/force-leave/c", "").ok();
    until("c is gone", &[&a, &b], || status(&a, "c") == LEFT && a.get("/v1/catalog/node/c").json().is_null());
    a.put("/v1/agent/force-leave/c?prune", "").ok();
    until("c is forgotten", &[&a, &b], || status(&a, "c").is_none() && status(&b, "c").is_none());

    b.put("/v1/agent/leave", "").ok();
    until("b has left", &[&a], || status(&a, "b") == LEFT && a.get("/v1/catalog/node/b").json().is_null());
    b.kill9();
}

#[test]
fn a_client_that_leaves_is_shown_as_one_that_has_left() {
    let dirs = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let server = Server::durable_with(dirs[0].path(), &["-node=server"]);
    let mut client = Server::client(dirs[1].path(), "client", server.gossip_addr());
    let in_catalog = || !server.get("/v1/catalog/node/client").json().is_null();
    until("the client is there", &[&server, &client], || status(&server, "client") == ALIVE && in_catalog());
    client.put("/v1/agent/leave", "").ok();
    until("the client has left", &[&server, &client], || status(&server, "client") == LEFT && !in_catalog());
    client.kill9();
    assert_eq!(status(&server, "client"), LEFT, "until it is forgotten");
    // It may come back.
    client.restart();
    until("the client is back", &[&server, &client], || status(&server, "client") == ALIVE && in_catalog());
}

#[test]
fn a_member_that_starts_again_finds_the_others() {
    let dir = tempfile::tempdir().expect("a directory");
    let a = named("a", &[]);
    let with = format!("-retry-join={}", address(&a));
    let mut d = Server::durable_with(dir.path(), &["-node=d", &with]);
    until("d is there", &[&a, &d], || status(&a, "d") == ALIVE);
    let note = dir.path().join("serf/members");
    until("d has noted a", &[&d], || std::fs::read_to_string(&note).is_ok_and(|text| text.contains("alive 127.0.0.1")));
    d.kill9();
    until("d has failed", &[&a], || status(&a, "d") == FAILED);
    d.restart();
    until("d is there again", &[&a, &d], || status(&a, "d") == ALIVE && status(&d, "a") == ALIVE);
}

#[test]
fn keys_are_changed_on_all_nodes() {
    const OLD: &str = "pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s=";
    const NEW: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let flag = format!("-encrypt={OLD}");
    let (a, b, plain) = (named("a", &[&flag]), named("b", &[&flag]), named("plain", &[]));
    join(&b, &a);
    assert_eq!(plain.put(&format!("/v1/agent/join/{}", address(&a)), "").status, 500);
    until("both see each other", &[&a, &b], || status(&a, "b") == ALIVE && status(&b, "a") == ALIVE);
    let ask = |method: &str, key: &str| {
        let reply = a.request(method, "/v1/operator/keyring", &[], json!({ "Key": key }).to_string().as_bytes());
        (reply.status, reply.text())
    };
    let unknown = "Requested key is not in the keyring";
    let (code, text) = ask("PUT", NEW);
    assert!(code == 500 && text.contains("2/2 nodes reported failure") && text.contains(unknown), "{text}");
    assert_eq!(ask("POST", NEW), (200, String::new()));
    assert_eq!(ask("PUT", NEW), (200, String::new()));
    assert!(ask("DELETE", NEW).1.contains("Removing the primary key is not allowed"));
    let rings = b.get("/v1/operator/keyring").ok().json();
    let lan = &rings[1];
    assert_eq!((&lan["WAN"], &lan["NumNodes"]), (&json!(false), &json!(2)));
    assert_eq!((&lan["Keys"], &lan["PrimaryKeys"]), (&json!({ NEW: 2, OLD: 2 }), &json!({ NEW: 2 })));
    assert_eq!(ask("DELETE", OLD), (200, String::new()));
    assert_eq!(b.get("/v1/operator/keyring?local-only=true").ok().json()[0]["Keys"], json!({ NEW: 1 }));
    assert_eq!(status(&a, "b"), ALIVE);
}
