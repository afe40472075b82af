//! The real binary answers on all its protocols, and what one of them writes the others show.

mod common;

use common::dns::{self, kind};
use common::grpc::{Clients, instance, selector};
use common::{Random, Server};
use lictor::proto::v1::{GetRequest, PutRequest, RegisterInstancesRequest, ResolveRequest};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime")
}

#[test]
fn an_instance_registered_over_grpc_is_seen_over_grpc_http_and_dns() {
    let server = Server::dev();
    let mut random = Random::new(1);
    assert_eq!(server.get("/v1/catalog/node/agentless").ok().text().trim(), "null");
    runtime().block_on(async {
        let mut clients = Clients::connect(server.grpc_addr()).await;
        let instances = vec![instance("web", "web-1", 8080), instance("web", "web-2", 8081)];
        let request = RegisterInstancesRequest { request_id: random.uuid(), instances, ..Default::default() };
        clients.registry.register_instances(request).await.expect("register");
        let request = ResolveRequest { selector: Some(selector("web")), ..Default::default() };
        let answer = clients.discovery.resolve(request).await.expect("resolve").into_inner();
        let mut ports: Vec<u32> = answer.instances.iter().map(|i| i.port).collect();
        ports.sort();
        assert_eq!(ports, [8080, 8081]);
    });
    let health = server.get("/v1/health/service/web?passing").ok();
    assert!(health.index() > 0);
    assert_eq!(health.json().as_array().map(Vec::len), Some(2), "{}", health.text());
    let node = server.get("/v1/catalog/node/agentless").ok().json();
    assert_eq!(node["Node"]["Node"], "agentless", "{node}");
    assert_eq!(
        (&node["Services"]["web:web-1"]["Port"], &node["Services"]["web:web-2"]["Port"]),
        (&8080.into(), &8081.into())
    );
    let answer = dns::udp(server.dns_addr(), "web.service.consul.", kind::SRV, Some(4096)).expect("answer");
    let mut ports: Vec<u16> = answer.targets().into_iter().map(|(port, _)| port).collect();
    ports.sort();
    assert_eq!((answer.rcode, ports), (0, vec![8080, 8081]), "{answer:?}");
    let answer = dns::tcp(server.dns_addr(), "web.service.consul.", kind::A).expect("answer");
    assert_eq!(answer.addresses(), [std::net::IpAddr::from([127, 0, 0, 1])], "the same address once");
    let absent = dns::udp(server.dns_addr(), "absent.service.consul.", kind::A, None).expect("answer");
    assert_eq!((absent.rcode, absent.counts[1]), (3, 0), "{absent:?}");
}

/// Each of them is 2 MiB, for data of some kilobytes.
#[test]
#[cfg(target_os = "linux")]
fn a_server_holds_no_huge_pages() {
    let server = Server::dev();
    let memory = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", server.pid())).expect("its memory");
    let huge = memory.lines().find_map(|line| line.strip_prefix("AnonHugePages:"));
    assert_eq!(huge.map(str::trim), Some("0 kB"), "{memory}");
}

#[test]
fn a_key_is_the_same_over_http_and_grpc() {
    let server = Server::dev();
    // A development agent indents, and ends with a new line, as Consul does.
    assert_eq!(server.put("/v1/kv/smoke/http", "one").ok().text().trim(), "true");
    runtime().block_on(async {
        let mut clients = Clients::connect(server.grpc_addr()).await;
        let request = GetRequest { key: "smoke/http".into(), ..Default::default() };
        let kv = clients.kv.get(request).await.expect("get").into_inner().kv.expect("the key");
        assert_eq!((&kv.value[..], kv.version), (&b"one"[..], 1));
        let request = PutRequest { key: "smoke/grpc".into(), value: "two".into(), ..Default::default() };
        clients.kv.put(request).await.expect("put");
    });
    assert_eq!(server.get("/v1/kv/smoke/grpc?raw").ok().text(), "two");
    assert_eq!(server.get("/v1/kv/smoke/absent").status, 404);
}

#[test]
fn a_durable_server_comes_back_on_its_ports_with_its_data() {
    let dir = tempfile::tempdir().expect("directory");
    let mut server = Server::durable(dir.path());
    server.put("/v1/kv/smoke/kept", "value").ok();
    let (http, index) = (server.http_addr(), server.get("/v1/kv/smoke/kept").ok().index());
    assert!(server.sigterm().success(), "exit code 0");
    server.restart();
    assert_eq!(server.http_addr(), http);
    let again = server.get("/v1/kv/smoke/kept?raw").ok();
    assert_eq!((again.text().as_str(), again.index()), ("value", index));
}
