//! The Consul-compatible HTTP API of the real binary: beside the recorded answers of a Consul 1.8.7, and where a
//! recording cannot go: blocking queries, broken requests, many requests on one connection, the end of the server.

mod common;

use common::Server;
use common::http::Response;
use regex::Regex;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

const REGISTER: &str = "/v1/catalog/register";

/// What differs from run to run, as tests/golden/record.py replaces it.
struct Normal {
    uuid: Regex,
    index: Regex,
    hash: Regex,
    refused: Regex,
    version: Regex,
}

impl Normal {
    fn new() -> Normal {
        let regex = |text| Regex::new(text).expect("a regex");
        Normal {
            uuid: regex("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
            index: regex(r#""(CreateIndex|ModifyIndex)":( ?)[1-9][0-9]*"#),
            hash: regex(r#""ContentHash":( ?)"[0-9a-f]+""#),
            refused: regex(r#""Output":( ?)"dial tcp [^"]*""#),
            version: regex(r#""([vV]ersion|build)":( ?)"[0-9][^"]*""#),
        }
    }

    fn text(&self, text: &str) -> String {
        let text = self.uuid.replace_all(text, "<uuid>");
        let text = self.index.replace_all(&text, r#""$1":$2"<index>""#);
        let text = self.hash.replace_all(&text, r#""ContentHash":$1"<hash>""#);
        let text = self.refused.replace_all(&text, r#""Output":$1"""#);
        self.version.replace_all(&text, r#""$1":$2"<version>""#).into_owned()
    }
}

/// The part of a case's answer that is ours if it differs, else Consul's.
fn expected<'a>(case: &'a Value, part: &str) -> &'a Value {
    let ours = &case["lictor"][part];
    if ours.is_null() { &case["response"][part] } else { ours }
}

fn body_of(request: &Value) -> Vec<u8> {
    match &request["body"] {
        Value::String(text) => text.clone().into_bytes(),
        Value::Object(repeated) => {
            let times = repeated["times"].as_u64().expect("times") as usize;
            repeated["repeat"].as_str().expect("repeat").repeat(times).into_bytes()
        }
        _ => Vec::new(),
    }
}

/// Runs one case; what is wrong with the answer, if anything.
fn check(
    server: &Server,
    case: &Value,
    normal: &Normal,
    ports: &[(&str, u64)],
    captured: &mut BTreeMap<String, String>,
) -> Vec<String> {
    let request = &case["request"];
    let mut target = request["target"].as_str().expect("target").to_owned();
    let mut body = body_of(request);
    for (name, value) in captured.iter() {
        let name = format!("{{{name}}}");
        target = target.replace(&name, value);
        if request["body"].as_str().is_some_and(|text| text.contains(&name)) {
            body = String::from_utf8_lossy(&body).replace(&name, value).into_bytes();
        }
    }
    let method = request["method"].as_str().expect("method");
    let headers: BTreeMap<String, String> = serde_json::from_value(request["headers"].clone()).unwrap_or_default();
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut reply = server.request(method, &target, &headers, &body);
    if reply.header("Content-Encoding") == Some("gzip") {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&reply.body[..]).read_to_end(&mut plain).expect("gzip");
        reply.body = plain;
    }
    if let Some(name) = case["capture"].as_str() {
        captured.insert(name.to_owned(), reply.index().to_string());
    }
    if let Some(name) = case["capture_id"].as_str() {
        // Absent where we refuse on purpose.
        let id =
            serde_json::from_slice::<Value>(&reply.body).ok().and_then(|body| Some(body["ID"].as_str()?.to_owned()));
        captured.insert(name.to_owned(), id.unwrap_or_default());
    }
    let mut wrong = Vec::new();
    if u64::from(reply.status) != expected(case, "status").as_u64().expect("status") {
        wrong.push(format!("status {} instead of {}", reply.status, expected(case, "status")));
    }
    let wanted: BTreeMap<String, String> =
        serde_json::from_value(expected(case, "headers").clone()).expect("headers are a map");
    for name in KEPT_HEADERS {
        let found = reply.header(name).map(|value| match *name {
            "X-Consul-Index" if value != "0" => "<index>",
            _ => value,
        });
        if found != wanted.get(*name).map(String::as_str) {
            wrong.push(format!("header {name}: {found:?} instead of {:?}", wanted.get(*name)));
        }
    }
    let mut body = expected(case, "body").as_str().expect("body").to_owned();
    for (name, port) in ports {
        body = body.replace(&format!("<{name}>"), &port.to_string());
    }
    let found = normal.text(&reply.text());
    if found != body {
        wrong.push(format!("body\n     {found}\n  instead of\n     {body}"));
    }
    wrong
}

/// Those that tests/golden/record.py keeps.
const KEPT_HEADERS: &[&str] = &[
    "Content-Type",
    "Vary",
    "Allow",
    "Location",
    "X-Consul-Index",
    "X-Consul-Knownleader",
    "X-Consul-Lastcontact",
    "X-Consul-Effective-Consistency",
    "X-Content-Type-Options",
    "Content-Security-Policy",
    "Content-Encoding",
    "X-Cache",
    "Age",
];

#[test]
fn answers_are_those_of_a_real_consul() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::durable_with(dir.path(), &["-node=golden"]);
    for (filter, count) in [("Status==1+and+Tags.role==consul", 1), ("Name!=x+and+nope+in+Tags", 0)] {
        let reply = server.get(&format!("/v1/agent/members?filter={filter}")).ok().json();
        assert_eq!(reply.as_array().map(Vec::len), Some(count), "{filter}");
    }
    assert_eq!(server.get("/v1/agent/members?filter=Bogus==1").status, 500, "an unknown field");
    let member = server.get("/v1/agent/members").ok().json();
    let tag = |name: &str| member[0]["Tags"][name].as_str().and_then(|t| t.parse().ok()).expect("a port");
    let ports =
        [("server", tag("port")), ("lan", member[0]["Port"].as_u64().expect("a port")), ("wan", tag("wan_join_port"))];
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/consul");
    let mut files: Vec<_> = golden.read_dir().expect("golden cases").map(|f| f.expect("a file").path()).collect();
    files.sort();
    let normal = Normal::new();
    let (mut run, mut failed) = (0, Vec::new());
    for file in files {
        let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).expect("a golden file");
        let cases: Vec<Value> = serde_json::from_str(&text).expect("golden cases");
        let mut captured = BTreeMap::new();
        for case in &cases {
            run += 1;
            for wrong in check(&server, case, &normal, &ports, &mut captured) {
                failed.push(format!("{name}: {} ({}): {wrong}", case["name"], case["request"]["target"]));
            }
        }
    }
    assert!(run >= 400, "only {run} cases were found");
    assert!(failed.is_empty(), "{} of {run} cases differ:\n{}", failed.len(), failed.join("\n"));
}

/// A GET from another thread than the server's own.
fn get(addr: SocketAddr, target: &str) -> Response {
    common::http::request(addr, "GET", target, &[], b"").expect("an answer")
}

fn web(id: usize, port: usize) -> String {
    serde_json::json!({
        "Node": format!("node-{id}"), "Address": format!("10.0.0.{id}"), "SkipNodeUpdate": true,
        "Service": {"ID": format!("web-{id}"), "Service": "web", "Port": port},
        "Check": {"CheckID": format!("service:web-{id}"), "Name": "tcp", "Status": "passing", "ServiceID": format!("web-{id}")}
    })
    .to_string()
}

#[test]
fn a_blocking_query_waits_for_its_own_service_only() {
    let server = Server::dev();
    server.put(REGISTER, web(1, 80)).ok();
    let first = server.get("/v1/health/service/web?passing").ok();
    let addr = server.http_addr();
    let target = format!("/v1/health/service/web?passing&index={}&wait=60s", first.index());
    std::thread::scope(|scope| {
        let poll = scope.spawn(|| get(addr, &target));
        let other = web(2, 80).replace("\"web\"", "\"other\"");
        server.put(REGISTER, other).ok();
        server.put("/v1/kv/unrelated", "x").ok();
        assert!(!poll.is_finished(), "woken by another service");
        server.put(REGISTER, web(1, 81)).ok();
        let woken = poll.join().expect("the poll").ok();
        assert!(woken.index() > first.index());
        assert_eq!(woken.json()[0]["Service"]["Port"], 81);
    });
}

#[test]
fn every_kind_of_read_is_woken_by_its_subject() {
    let server = Server::dev();
    server.put(REGISTER, web(1, 80)).ok();
    let addr = server.http_addr();
    let change = |n: usize| {
        server.put(REGISTER, web(1, 1000 + n)).ok();
        let node = format!("{{\"Node\":\"node-1\",\"Address\":\"10.1.1.{n}\"}}");
        server.put(REGISTER, node).ok();
        let check = format!(
            r#"{{"CheckID":"service:web-1","Name":"tcp","ServiceID":"web-1","Status":"passing","Output":"{n}"}}"#
        );
        server.put(REGISTER, format!(r#"{{"Node":"node-1","SkipNodeUpdate":true,"Check":{check}}}"#)).ok();
        server.put("/v1/session/create", r#"{"Node":"node-1","NodeChecks":[]}"#).ok();
        let place = format!(r#"{{"Node":"node-1","Coord":{{"Vec":[{n},0,0,0,0,0,0,0]}}}}"#);
        server.put("/v1/coordinate/update", place).ok();
        server.put("/v1/kv/tree/leaf", format!("{n}")).ok();
    };
    for (n, target) in [
        "/v1/health/service/web?",
        "/v1/catalog/service/web?",
        "/v1/catalog/services?",
        "/v1/catalog/services?node-meta=a:b&",
        "/v1/catalog/nodes?",
        "/v1/catalog/node/node-1?",
        "/v1/kv/tree/leaf?",
        "/v1/kv/tree/?recurse&",
        "/v1/kv/tree?keys&",
        "/v1/kv/tree/leaf?raw&",
        "/v1/catalog/node-services/node-1?",
        "/v1/catalog/connect/web?",
        "/v1/health/connect/web?",
        "/v1/health/node/node-1?",
        "/v1/health/checks/web?",
        "/v1/health/state/any?",
        "/v1/health/state/passing?node-meta=a:b&",
        "/v1/health/service/web?near=_agent&",
        "/v1/session/list?",
        "/v1/session/node/node-1?",
        "/v1/coordinate/nodes?",
        "/v1/coordinate/node/node-1?",
        "/v1/internal/ui/nodes?",
        "/v1/internal/ui/node/node-1?",
        "/v1/internal/ui/services?",
    ]
    .into_iter()
    .enumerate()
    {
        let index = server.get(target).index();
        let started = Instant::now();
        std::thread::scope(|scope| {
            let poll = scope.spawn(|| get(addr, &format!("{target}index={index}&wait=50s")));
            change(n);
            assert!(poll.join().expect("the poll").index() > index, "{target}");
        });
        assert!(started.elapsed() < Duration::from_secs(40), "{target} waited for its end");
    }
}

#[test]
fn an_event_wakes_those_who_wait_for_one_of_its_name() {
    let server = Server::dev();
    let addr = server.http_addr();
    assert_eq!(server.get("/v1/event/list").ok().index(), 1);
    std::thread::scope(|scope| {
        let poll = scope.spawn(|| get(addr, "/v1/event/list?name=deploy&index=1&wait=60s"));
        server.put("/v1/event/fire/other", "x").ok();
        let fired = server.put("/v1/event/fire/deploy", "x").ok().json();
        let woken = poll.join().expect("the poll").ok();
        assert_eq!(woken.json()[0]["ID"], fired["ID"]);
        let again = server.get(&format!("/v1/event/list?name=deploy&index={}&wait=10ms", woken.index()));
        assert_eq!(again.index(), woken.index(), "the same event is no news");
    });
}

#[test]
fn the_end_of_a_session_wakes_those_who_wait_for_its_key() {
    let server = Server::dev();
    let addr = server.http_addr();
    let session = server.put("/v1/session/create", r#"{"LockDelay":"0s"}"#).ok().json();
    let id = session["ID"].as_str().expect("an id").to_owned();
    server.put(&format!("/v1/kv/lock?acquire={id}"), "mine").ok();
    let held = server.get("/v1/kv/lock").ok();
    assert_eq!(held.json()[0]["Session"].as_str(), Some(id.as_str()));
    std::thread::scope(|scope| {
        let poll = scope.spawn(|| get(addr, &format!("/v1/kv/lock?index={}&wait=60s", held.index())));
        server.put(&format!("/v1/session/destroy/{id}"), "").ok();
        let woken = poll.join().expect("the poll").ok();
        assert_eq!((woken.json()[0]["Session"].as_str(), woken.json()[0]["LockIndex"].as_u64()), (None, Some(1)));
    });
}

#[test]
fn services_are_filtered_by_their_instances() {
    let server = Server::dev();
    server.put(REGISTER, web(1, 80)).ok();
    let services = |filter: &str| server.get(&format!("/v1/catalog/services?filter={filter}"));
    assert_eq!(services("ServicePort==80").ok().json(), serde_json::json!({"web": []}));
    assert_eq!(services("ServicePort==81").ok().json(), serde_json::json!({}));
    assert_eq!(services("Bogus==1").status, 500);
}

#[test]
fn packed_answers_are_those_of_the_present_state() {
    let server = Server::dev();
    for n in 0..20 {
        server.put(REGISTER, web(1, n)).ok();
        for _ in 0..2 {
            let packed = server.request("GET", "/v1/health/service/web", &[("Accept-Encoding", "gzip")], b"").ok();
            let mut plain = String::new();
            flate2::read::GzDecoder::new(&packed.body[..]).read_to_string(&mut plain).expect("gzip");
            assert_eq!(plain, server.get("/v1/health/service/web").ok().text());
        }
    }
}

#[test]
fn an_absent_key_answers_when_it_is_written_and_when_the_wait_ends() {
    let server = Server::dev();
    let addr = server.http_addr();
    let absent = server.get("/v1/kv/new");
    assert_eq!(absent.status, 404);
    let waited = server.get(&format!("/v1/kv/new?index={}&wait=10ms", absent.index()));
    assert_eq!((waited.status, waited.index()), (404, absent.index()));
    std::thread::scope(|scope| {
        let poll = scope.spawn(|| get(addr, &format!("/v1/kv/new?index={}&wait=60s", absent.index())));
        server.put("/v1/kv/new", "x").ok();
        assert_eq!(poll.join().expect("the poll").ok().json()[0]["Value"], "eA==");
    });
}

#[test]
fn a_repeated_question_gets_the_new_state() {
    let server = Server::dev();
    for n in 0..50 {
        server.put(REGISTER, web(1, n)).ok();
        server.put("/v1/kv/k", n.to_string()).ok();
        for _ in 0..2 {
            assert_eq!(server.get("/v1/health/service/web").ok().json()[0]["Service"]["Port"], n);
            assert_eq!(server.get("/v1/catalog/service/web").ok().json()[0]["ServicePort"], n);
            assert_eq!(server.get("/v1/kv/k?raw").ok().text(), n.to_string());
        }
    }
}

/// Sends bytes, on request ends the sending side, and reads until the server ends the connection.
fn talk(server: &Server, bytes: &[u8], cut_off: bool) -> String {
    let mut stream = TcpStream::connect(server.http_addr()).expect("connect");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    // The server may close before it has read everything.
    let _ = stream.write_all(bytes);
    if cut_off {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn requests_on_one_connection_are_answered_in_order() {
    let server = Server::dev();
    server.put("/v1/kv/a", "1").ok();
    let get = |key: &str| format!("GET /v1/kv/{key}?raw HTTP/1.1\r\nHost: x\r\n\r\n");
    let last = "GET /v1/kv/a?raw HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let put = "PUT /v1/kv/b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\ntwo!";
    let all = [get("a"), put.to_owned(), get("b"), get("none"), last.to_owned()].concat();
    let answer = talk(&server, all.as_bytes(), false);
    let codes: Vec<&str> = answer.split("HTTP/1.1 ").skip(1).map(|reply| &reply[..3]).collect();
    assert_eq!(codes, ["200", "200", "200", "404", "200"], "{answer}");
    let (one, two) = (answer.find("\r\n\r\n1").expect("a"), answer.find("\r\n\r\ntwo!").expect("b"));
    assert!(one < two);
}

#[test]
fn broken_requests_do_no_harm() {
    let server = Server::dev();
    for bytes in [
        "PUT /v1/kv/cut HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nshort",
        "PUT /v1/catalog/register HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"Node\":\"cut\"",
        "PUT /v1/kv/cut HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nbody",
        "GARBAGE\r\n\r\n",
        "GET /v1/kv/cut HTTP/9.9\r\n\r\n",
        "\u{0}\u{1}\u{2}",
        "GET /v1/kv/",
    ] {
        let answer = talk(&server, bytes.as_bytes(), true);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{bytes:?}: {answer}");
    }
    assert_eq!(server.get("/v1/kv/cut").status, 404, "a body that was cut off was stored");
    let long = format!("GET /v1/kv/{} HTTP/1.1\r\nHost: x\r\n\r\n", "k".repeat(200_000));
    let answer = talk(&server, long.as_bytes(), false);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert_eq!(server.get("/v1/status/leader").status, 200);
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let server = Server::dev();
    let name = "n".repeat(256);
    let tags: Vec<String> = (0..65).map(|n| n.to_string()).collect();
    let service = |service: Value| serde_json::json!({"Node": "n", "Address": "1.1.1.1", "Service": service});
    for (body, field) in [
        (serde_json::json!({"Node": name, "Address": "1.1.1.1"}), "Node:"),
        (serde_json::json!({"Node": "a\u{7}b", "Address": "1.1.1.1"}), "Node:"),
        (serde_json::json!({"Node": "n", "Address": name}), "Address:"),
        (serde_json::json!({"Node": "n", "Address": "a", "NodeMeta": {"": "x"}}), "NodeMeta:"),
        (serde_json::json!({"Node": "n", "Address": "a", "Check": {"Name": ""}}), "Check.CheckID:"),
        (service(serde_json::json!({"Service": name})), "Service.Service:"),
        (service(serde_json::json!({"Service": "s", "Tags": tags})), "Service.Tags:"),
        (service(serde_json::json!({"Service": "s", "Port": 1u64 << 40})), "Service.Port:"),
        (service(serde_json::json!({"Service": "s", "Weights": {"Passing": 65536, "Warning": 1}})), "Weights:"),
        (service(serde_json::json!({"Service": "s", "Meta": {"k": "v".repeat(513)}})), "Service.Meta:"),
        (service(serde_json::json!({"Service": "s", "TaggedAddresses": {"": {}}})), "Service.TaggedAddresses:"),
    ] {
        let reply = server.put(REGISTER, body.to_string());
        assert_eq!(reply.status, 400, "{field}: {}", reply.text());
        assert!(reply.text().contains(field), "{field}: {}", reply.text());
    }
    let big = server.put(REGISTER, format!("{{\"Node\":\"{}\"}}", "n".repeat(600_000)));
    assert_eq!(big.status, 413, "{}", big.text());
    let key = server.put(&format!("/v1/kv/{}", "k".repeat(1025)), "x");
    assert_eq!((key.status, key.text().contains("key")), (400, true), "{}", key.text());
    assert_eq!(server.get("/v1/catalog/nodes").ok().json().as_array().map(Vec::len), Some(1));
}

#[test]
fn excess_connections_of_a_client_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = dir.path().join("limits.json");
    std::fs::write(&config, r#"{"limits": {"http_max_conns_per_client": 3}}"#).expect("a config file");
    let server = Server::dev_with(&[&format!("-config-file={}", config.display())]);
    let request = "GET /v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\n";
    let open = || {
        let mut stream = TcpStream::connect(server.http_addr()).expect("connect");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        let _ = stream.write_all(request.as_bytes());
        let mut start = [0; 12];
        // One too many is told so with a 429.
        stream.read_exact(&mut start).ok().filter(|()| &start == b"HTTP/1.1 200").map(|()| stream)
    };
    let mut held: Vec<_> = (0..3).map(|_| open().expect("within the limit")).collect();
    assert!(open().is_none(), "one too many was served");
    held.pop();
    // The server learns of the end of a connection a moment after we do.
    let deadline = Instant::now() + Duration::from_secs(30);
    while open().is_none() {
        assert!(Instant::now() < deadline, "a freed place was not given again");
    }
}

#[test]
fn metrics_are_shown() {
    let server = Server::dev();
    server.get("/v1/catalog/nodes").ok();
    let metrics = server.get("/metrics").ok();
    assert!(metrics.header("Content-Type").is_some_and(|t| t.starts_with("text/plain; version=0.0.4")));
    assert!(metrics.text().contains("lictor_http_requests_total{op=\"catalog_nodes\""), "{}", metrics.text());
}

#[test]
fn long_polls_are_answered_when_the_server_stops() {
    let mut server = Server::dev();
    server.put(REGISTER, web(1, 80)).ok();
    let index = server.get("/v1/health/service/web").index();
    let mut stream = TcpStream::connect(server.http_addr()).expect("connect");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    // The answer to the first request shows that the connection is being served when the second one comes.
    stream.write_all(b"GET /v1/kv/none HTTP/1.1\r\nHost: x\r\n\r\n").expect("send");
    let mut start = [0; 12];
    stream.read_exact(&mut start).expect("an answer");
    let poll = format!("GET /v1/health/service/web?index={index}&wait=300s HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.write_all(poll.as_bytes()).expect("send");
    // A request on another connection is read after the poll has been: both go through the same server.
    server.get("/v1/status/leader").ok();
    assert!(server.sigterm().success());
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    let rest = String::from_utf8_lossy(&rest);
    assert!(rest.contains("\"ServiceID\":\"web-1\"") || rest.contains("\"ServiceID\": \"web-1\""), "{rest}");
}
