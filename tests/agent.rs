//! What the agent of the real binary does for its node: checks that run, registrations that survive, and its end.

mod common;

use common::Server;
use common::http::Response;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// An HTTP server that answers every request with the status it is told.
struct Target {
    addr: SocketAddr,
    status: Arc<AtomicUsize>,
}

impl Target {
    fn start() -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let addr = listener.local_addr().expect("an address");
        let status = Arc::new(AtomicUsize::new(200));
        let told = status.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let mut request = [0; 4096];
                let _ = stream.read(&mut request);
                let status = told.load(Ordering::SeqCst);
                let _ = write!(stream, "HTTP/1.1 {status} Told\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
            }
        });
        Target { addr, status }
    }
}

/// Asks again, each time blocking until something changed, until the answer is as wanted.
fn until(server: &Server, target: &str, wanted: impl Fn(&Response) -> bool) -> Response {
    let joint = if target.contains('?') { '&' } else { '?' };
    let mut reply = server.get(target).ok();
    for _ in 0..200 {
        if wanted(&reply) {
            return reply;
        }
        reply = server.get(&format!("{target}{joint}index={}&wait=30s", reply.index())).ok();
    }
    panic!("{target} stays at {}", reply.text());
}

fn count(reply: &Response) -> usize {
    reply.json().as_array().map_or(0, Vec::len)
}

#[test]
fn an_http_check_takes_an_instance_in_and_out_of_service() {
    let (server, target) = (Server::dev(), Target::start());
    let body = serde_json::json!({
        "ID": "w1", "Name": "web", "Port": 80,
        "Check": {"HTTP": format!("http://{}/", target.addr), "Interval": "1s", "Timeout": "20s"},
    });
    server.put("/v1/agent/service/register", body.to_string()).ok();
    assert_eq!(count(&server.get("/v1/health/service/web").ok()), 1, "the catalog has it at once");
    let healthy = until(&server, "/v1/health/service/web?passing", |r| count(r) == 1);
    let output = format!("HTTP GET http://{}/: 200 Told Output: hi", target.addr);
    assert_eq!(healthy.json()[0]["Checks"][1]["Output"], output);
    assert_eq!(healthy.json()[0]["Checks"][1]["Type"], "http");
    target.status.store(500, Ordering::SeqCst);
    until(&server, "/v1/health/service/web?passing", |r| count(r) == 0);
    target.status.store(429, Ordering::SeqCst);
    until(&server, "/v1/health/service/web", |r| r.json()[0]["Checks"][1]["Status"] == "warning");
    server.put("/v1/agent/service/deregister/w1", "").ok();
    until(&server, "/v1/health/service/web", |r| count(r) == 0);
}

#[test]
fn a_ttl_check_that_is_not_renewed_expires() {
    let server = Server::dev();
    let body = r#"{"ID":"w1","Name":"web","Check":{"TTL":"1s","Status":"passing"}}"#;
    server.put("/v1/agent/service/register", body).ok();
    let expired = |output: &'static str| {
        move |r: &Response| {
            let check = &r.json()[0]["Checks"][1];
            check["Status"] == "critical" && check["Output"] == output
        }
    };
    until(&server, "/v1/health/service/web", expired("TTL expired"));
    server.put("/v1/agent/check/pass/service:w1?note=fine", "").ok();
    until(&server, "/v1/health/service/web", expired("TTL expired (last output before timeout follows): fine"));
}

#[test]
fn registrations_survive_a_crash() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut server = Server::durable(dir.path());
    let body = r#"{"ID":"w1","Name":"web","Port":80,"Checks":[{"CheckID":"told","TTL":"1h"},{"CheckID":"silent","TTL":"1h"}]}"#;
    server.put("/v1/agent/service/register", body).ok();
    server.put("/v1/agent/service/register", r#"{"ID":"gone","Name":"web"}"#).ok();
    server.put("/v1/agent/service/deregister/gone", "").ok();
    server.put("/v1/agent/check/pass/told?note=fine", "").ok();
    // It is stored after the report, which nobody waits for.
    server.put("/v1/agent/maintenance?enable=true&reason=disk", "").ok();
    server.kill9();
    server.restart();
    let services = server.get("/v1/agent/services").ok().json();
    assert_eq!(services.as_object().map(|s| s.keys().cloned().collect::<Vec<_>>()), Some(vec!["w1".to_owned()]));
    let checks = server.get("/v1/agent/checks").ok().json();
    assert_eq!((&checks["told"]["Status"], &checks["told"]["Output"]), (&"passing".into(), &"fine".into()));
    assert_eq!(checks["silent"]["Status"], "critical");
    assert_eq!(checks["_node_maintenance"]["Notes"], "disk");
    let shown = server.get("/v1/health/service/web").ok().json();
    assert_eq!(shown.as_array().map(Vec::len), Some(1));
}

#[test]
fn a_read_by_hash_waits_for_its_service() {
    let server = Server::dev();
    server.put("/v1/agent/service/register", r#"{"Name":"web","Port":1}"#).ok();
    let first = server.get("/v1/agent/service/web").ok();
    let hash = first.header("X-Consul-Contenthash").expect("a hash").to_owned();
    assert_eq!(first.json()["ContentHash"], hash.as_str());
    let addr = server.http_addr();
    let target = format!("/v1/agent/service/web?hash={hash}&wait=50s");
    let poll = std::thread::spawn(move || common::http::request(addr, "GET", &target, &[], b"").expect("an answer"));
    server.put("/v1/agent/service/register", r#"{"Name":"other"}"#).ok();
    assert!(!poll.is_finished(), "woken by another service");
    server.put("/v1/agent/service/register", r#"{"Name":"web","Port":2}"#).ok();
    let woken = poll.join().expect("the poll").ok();
    assert_eq!(woken.json()["Port"], 2);
    let timed_out = server.get(&format!(
        "/v1/agent/service/web?hash={}&wait=10ms",
        woken.json()["ContentHash"].as_str().expect("a hash")
    ));
    assert_eq!(timed_out.ok().json()["Port"], 2);
}

#[test]
fn the_agent_describes_itself() {
    let server = Server::dev();
    let host = server.get("/v1/agent/host").ok().json();
    assert!(host["Memory"]["total"].as_u64().is_some_and(|bytes| bytes > 0), "{host}");
    assert_eq!(host["Host"]["os"], "linux");
    let metrics = server.get("/v1/agent/metrics").ok().json();
    let names: Vec<_> = metrics["Counters"].as_array().expect("counters").iter().map(|c| &c["Name"]).collect();
    assert!(names.iter().any(|name| **name == "lictor_http_requests_total"), "{metrics}");
    let reload = server.put("/v1/agent/reload", "");
    assert!(reload.status == 200 || reload.status == 500, "{}", reload.text());
    assert_eq!(server.put("/v1/agent/join/127.0.0.1", "").status, 200, "its own address");
    assert_eq!(server.put("/v1/agent/join/127.0.0.1:1", "").status, 500);
    server.put(&format!("/v1/agent/force-leave/{}", server.node()), "").ok();
    let own = server.get("/v1/agent/self").ok().json();
    assert_eq!(own["Stats"]["agent"]["services"], "0");
}

#[test]
fn an_agent_that_is_asked_to_leave_ends() {
    let mut server = Server::dev();
    let mut idle = TcpStream::connect(server.http_addr()).expect("connect");
    idle.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    server.put("/v1/agent/leave", "").ok();
    assert_eq!(idle.read(&mut [0]).expect("the end of the connection"), 0);
    assert!(server.sigterm().success());
}

const SIDECAR: &str = r#"{"ID":"w1","Name":"web","Port":80,"Connect":{"SidecarService":{}}}"#;

/// Id and port of each service of the agent.
fn ports(server: &Server) -> Vec<(String, u64)> {
    let services = server.get("/v1/agent/services").ok().json();
    let services = services.as_object().expect("a map");
    services.iter().map(|(id, service)| (id.clone(), service["Port"].as_u64().expect("a port"))).collect()
}

#[test]
fn sidecars_survive_a_crash_and_go_with_their_service() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("web.hcl");
    let range = "ports { sidecar_min_port = 30000 sidecar_max_port = 30001 }";
    let service = r#"service { name = "file" port = 81 connect { sidecar_service { tags = ["s"] } } }"#;
    std::fs::write(&file, format!("{range}\n{service}")).expect("a file");
    let data = dir.path().join("data");
    let mut server = Server::durable_with(&data, &[&format!("-config-file={}", file.display())]);
    server.put("/v1/agent/service/register", SIDECAR).ok();
    let all = [("file", 81), ("file-sidecar-proxy", 30000), ("w1", 80), ("w1-sidecar-proxy", 30001)];
    let all = all.map(|(id, port)| (id.to_owned(), port));
    assert_eq!(ports(&server), all);
    let full = server.put("/v1/agent/service/register", SIDECAR.replace("w1", "w2"));
    assert_eq!(full.status, 500, "{}", full.text());
    server.kill9();
    server.restart();
    assert_eq!(ports(&server), all);
    let proxies = until(&server, "/v1/catalog/connect/web", |r| count(r) == 1);
    assert_eq!(proxies.json()[0]["ServiceProxy"]["DestinationServiceID"], "w1");
    // A reload without the service takes its sidecar along; with it back, it gets the port that is free.
    std::fs::write(&file, range).expect("a file");
    server.put("/v1/agent/reload", "").ok();
    assert_eq!(ports(&server), all[2..]);
    server.put("/v1/agent/service/register", SIDECAR.replace("w1", "w2")).ok();
    server.put("/v1/agent/service/deregister/w1", "").ok();
    assert_eq!(ports(&server), [("w2".to_owned(), 80), ("w2-sidecar-proxy".to_owned(), 30000)]);
    until(&server, "/v1/health/connect/web", |r| count(r) == 1 && r.json()[0]["Service"]["Port"] == 30000);
}

#[test]
fn a_sidecar_is_critical_until_its_proxy_listens_and_its_service_is_well() {
    let proxy = TcpListener::bind("127.0.0.1:0").expect("a port");
    let server = Server::dev();
    let body = serde_json::json!({
        "ID": "w1", "Name": "web", "Port": 80, "Check": {"TTL": "1h"},
        "Connect": {"SidecarService": {"Port": proxy.local_addr().expect("an address").port()}},
    });
    server.put("/v1/agent/service/register", body.to_string()).ok();
    let status = |name: &'static str, wanted: &'static str| {
        move |r: &Response| {
            let checks = r.json();
            checks.as_array().expect("checks").iter().any(|c| c["Name"] == name && c["Status"] == wanted)
        }
    };
    let checks = "/v1/health/checks/web-sidecar-proxy";
    until(&server, checks, status("Connect Sidecar Listening", "passing"));
    until(&server, checks, status("Connect Sidecar Aliasing w1", "critical"));
    server.put("/v1/agent/check/pass/service:w1", "").ok();
    until(&server, checks, status("Connect Sidecar Aliasing w1", "passing"));
}

#[test]
fn a_watch_of_a_service_of_the_agent_runs_at_each_change() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("watch.json");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let watch = serde_json::json!({
        "service": {"name": "web", "port": 1},
        "watches": [{"type": "agent_service", "service_id": "web", "handler_type": "http",
            "http_handler_config": {"path": url, "method": "POST"}}],
    });
    std::fs::write(&file, watch.to_string()).expect("a file");
    let server = Server::dev_with(&[&format!("-config-file={}", file.display())]);
    let told = || {
        let (mut stream, _) = listener.accept().expect("a call of the handler");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        let mut request = Vec::new();
        while !request.ends_with(b"}\n") {
            let mut piece = [0; 4096];
            let read = stream.read(&mut piece).expect("a request");
            assert!(read > 0, "{}", String::from_utf8_lossy(&request));
            request.extend_from_slice(&piece[..read]);
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").expect("answered");
        let text = String::from_utf8(request).expect("UTF-8");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.to_ascii_lowercase().contains("x-consul-index: 0"), "{head}");
        serde_json::from_str::<serde_json::Value>(body).expect("JSON")
    };
    assert_eq!(told()["Port"], 1);
    for port in [2, 3] {
        server.put("/v1/agent/service/register", r#"{"Name":"other"}"#).ok();
        server.put("/v1/agent/service/register", format!(r#"{{"Name":"web","Port":{port}}}"#)).ok();
        let document = told();
        assert_eq!((&document["Port"], document["ContentHash"].is_string()), (&port.into(), true), "{document}");
    }
}
