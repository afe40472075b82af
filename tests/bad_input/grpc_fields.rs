//! Well-formed requests for the catalog, sessions and locks whose fields hold what is not allowed.

use crate::common::Server;
use crate::common::grpc::{Clients, instance, reason, selector};
use crate::{assert_grpc_lives, run};
use lictor::proto::v1::*;
use prost_types::{Duration, FieldMask, Timestamp};
use tonic::{Code, Status};
use tonic_types::StatusExt;

const UUID: &str = "6ba7b810-9dad-41d1-80b4-00c04fd430c8";

/// INVALID_ARGUMENT that names just this field, in the message and in BadRequest, with our reason and domain.
#[track_caller]
pub(crate) fn assert_names(status: Status, field: &str) {
    assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status:?}");
    assert_eq!(reason(&status), "ERROR_REASON_INVALID_FIELD", "{field}: {status:?}");
    assert_eq!(status.get_details_error_info().map(|info| info.domain).as_deref(), Some("lictor.v1"), "{field}");
    let violations = status.get_details_bad_request().expect("BadRequest").field_violations;
    let named: Vec<_> = violations.iter().map(|v| v.field.as_str()).collect();
    assert_eq!(named, [field], "{status:?}");
    assert!(!violations[0].description.is_empty() && status.message().contains(field), "{status:?}");
}

/// Each request is refused with the field in front of it, and then the server answers a good one.
macro_rules! refused {
    ($server:expr, $service:ident . $rpc:ident: $($field:literal => $request:expr),+ $(,)?) => {{
        let mut clients = Clients::connect($server.grpc_addr()).await;
        $(
            let status = clients.$service.$rpc($request).await.err();
            assert_names(status.unwrap_or_else(|| panic!("{} was accepted", $field)), $field);
            assert_grpc_lives($server).await;
        )+
    }};
}
pub(crate) use refused;

/// A whole number of seconds.
pub(crate) fn seconds(seconds: i64) -> Option<Duration> {
    Some(Duration { seconds, nanos: 0 })
}

fn long() -> String {
    "n".repeat(256)
}

/// A good instance of which something is changed.
fn changed(change: impl FnOnce(&mut Instance)) -> RegisterInstancesRequest {
    let mut one = instance("web", "1", 80);
    change(&mut one);
    RegisterInstancesRequest { instances: vec![instance("web", "0", 80), one], ..Default::default() }
}

fn with_key(change: impl FnOnce(&mut InstanceKey)) -> RegisterInstancesRequest {
    changed(|i| change(i.key.as_mut().expect("key")))
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn registrations() {
    let server = &Server::dev();
    let register = RegisterInstancesRequest::default;
    run(async {
        refused!(server, registry.register_instances:
            "instances" => register(),
            "instances" => RegisterInstancesRequest { instances: vec![instance("a", "b", 1); 501], ..register() },
            "instances[1].key" => RegisterInstancesRequest { instances: vec![instance("a", "b", 1); 2], ..register() },
            "instances[1].key" => changed(|i| i.key = None),
            "instances[1].key.service" => with_key(|k| k.service.clear()),
            "instances[1].key.service" => with_key(|k| k.service = long()),
            "instances[1].key.service" => with_key(|k| k.service = "a\u{0}b".into()),
            "instances[1].key.service" => with_key(|k| k.service = "a\nb".into()),
            "instances[1].key.instance_id" => with_key(|k| k.instance_id.clear()),
            "instances[1].key.instance_id" => with_key(|k| k.instance_id = "\u{85}".into()),
            "instances[1].key.node" => with_key(|k| k.node = long()),
            "instances[1].key.namespace" => with_key(|k| k.namespace = "\u{7f}".into()),
            "instances[1].address" => changed(|i| i.address.clear()),
            "instances[1].address" => changed(|i| i.address = long()),
            "instances[1].port" => changed(|i| i.port = 65_536),
            "instances[1].port" => changed(|i| i.port = u32::MAX),
            "instances[1].weight" => changed(|i| i.weight = Some(65_536)),
            "instances[1].tags" => changed(|i| i.tags = vec!["t".into(); 65]),
            "instances[1].tags[1]" => changed(|i| i.tags = vec!["t".into(), String::new()]),
            "instances[1].tags[0]" => changed(|i| i.tags = vec![long()]),
            "instances[1].metadata" => changed(|i| i.metadata = (0..65).map(|n| (n.to_string(), String::new())).collect()),
            "instances[1].metadata" => changed(|i| i.metadata = [(String::new(), String::new())].into()),
            "instances[1].metadata" => changed(|i| i.metadata = [("k".repeat(129), String::new())].into()),
            "instances[1].metadata" => changed(|i| i.metadata = [("k".into(), "v".repeat(513))].into()),
            "instances[1].named_ports" => changed(|i| i.named_ports = [("p".into(), 70_000)].into()),
            "instances[1].named_ports" => changed(|i| i.named_ports = (0..17).map(|n| (n.to_string(), 1)).collect()),
            "instances[1].version" => changed(|i| i.version = long()),
            "instances[1].lifecycle" => changed(|i| i.lifecycle = 99),
            "instances[1].lifecycle" => changed(|i| i.lifecycle = i32::MIN),
            "instances[1].locality.zone" => changed(|i| i.locality = Some(Locality { zone: long(), ..Default::default() })),
            "request_id" => RegisterInstancesRequest { request_id: "1".into(), ..changed(|_| ()) },
            "request_id" => RegisterInstancesRequest { request_id: format!("{{{UUID}}}"), ..changed(|_| ()) },
            "request_id" => RegisterInstancesRequest { request_id: UUID.replace('-', ""), ..changed(|_| ()) },
            "request_id" => RegisterInstancesRequest { request_id: "x".repeat(1_000_000), ..changed(|_| ()) },
            "session_id" => RegisterInstancesRequest { session_id: "nobody".into(), secret: "s".into(), ..changed(|_| ()) },
            "secret" => RegisterInstancesRequest { session_id: UUID.into(), ..changed(|_| ()) },
        );
        let key = instance("web", "1", 80).key;
        let report =
            |checks, lifecycle| ReportHealthRequest { key: key.clone(), checks, lifecycle, ..Default::default() };
        let check = |check_id: &str, state| Check { check_id: check_id.into(), state, ..Default::default() };
        refused!(server, registry.report_health:
            "key" => ReportHealthRequest::default(),
            "checks[0].state" => report(vec![check("c", 0)], 0),
            "checks[1].state" => report(vec![check("c", 1), check("d", 4)], 0),
            "checks[0].check_id" => report(vec![check("", 1)], 0),
            "checks[1].check_id" => report(vec![check("c", 1), check("C", 1)], 0),
            "checks" => report(vec![check("c", 1); 33], 0),
            "lifecycle" => report(Vec::new(), -1),
        );
        let word =
            |word: Override| SetOverrideRequest { key: key.clone(), r#override: Some(word), ..Default::default() };
        let until = |seconds, nanos| Override { expire_time: Some(Timestamp { seconds, nanos }), ..Default::default() };
        refused!(server, registry.set_override:
            "key" => SetOverrideRequest::default(),
            "override.weight" => word(Override { weight: Some(1 << 20), ..Default::default() }),
            "override.reason" => word(Override { reason: "r".repeat(513), ..Default::default() }),
            "override.author" => word(Override { author: "\u{1b}".into(), ..Default::default() }),
            "override.expire_time" => word(until(-1, 0)),
            "override.expire_time" => word(until(i64::MAX, 0)),
            "override.expire_time" => word(until(1, 1_000_000_000)),
            "override.expire_time" => word(until(1, -1)),
        );
        let update = |paths: &[&str]| UpdateInstanceRequest {
            instance: Some(instance("web", "1", 80)),
            update_mask: Some(FieldMask { paths: paths.iter().map(|&p| p.into()).collect() }),
            ..Default::default()
        };
        refused!(server, registry.update_instance:
            "update_mask" => UpdateInstanceRequest { update_mask: None, ..update(&[]) },
            "update_mask" => update(&[]),
            "update_mask" => update(&["nonsense"]),
            "instance" => UpdateInstanceRequest { instance: None, ..update(&["port"]) },
        );
        let remove = |count: usize| vec![key.clone().expect("key"); count];
        refused!(server, registry.deregister_instances:
            "keys" => DeregisterInstancesRequest::default(),
            "keys" => DeregisterInstancesRequest { keys: remove(501), ..Default::default() },
            "keys[0].service" => DeregisterInstancesRequest { keys: vec![InstanceKey::default()], ..Default::default() },
            "expected_revision" => DeregisterInstancesRequest { keys: remove(2), expected_revision: Some(1), ..Default::default() },
        );
    });
}

#[test]
fn questions() {
    let server = &Server::dev();
    run(async {
        let of = |selector| ResolveRequest { selector: Some(selector), ..Default::default() };
        let named = |name: &str| ResolveRequest { selector: Some(selector(name)), ..Default::default() };
        let web = || selector("web");
        refused!(server, discovery.resolve:
            "selector" => ResolveRequest::default(),
            "selector.service" => of(ServiceSelector::default()),
            "selector.service" => named(""),
            "selector.service" => named(&long()),
            "selector.service" => named("a\tb"),
            "selector.namespace" => of(ServiceSelector { namespace: long(), ..web() }),
            "selector.tags[0]" => of(ServiceSelector { tags: vec![String::new()], ..web() }),
            "selector.tags" => of(ServiceSelector { tags: vec!["t".into(); 65], ..web() }),
            "selector.metadata" => of(ServiceSelector { metadata: [("k".repeat(129), String::new())].into(), ..web() }),
            "selector.health" => of(ServiceSelector { health: 5, ..web() }),
            "selector.health" => of(ServiceSelector { health: -1, ..web() }),
            "selector.filter" => of(ServiceSelector { filter: "Port ==".into(), ..web() }),
            "selector.filter" => of(ServiceSelector { filter: "Nonsense == 1".into(), ..web() }),
            "selector.filter" => of(ServiceSelector { filter: "(".repeat(8192), ..web() }),
            "selector.filter" => of(ServiceSelector { filter: "not ".repeat(2000) + "Port == 1", ..web() }),
            "selector.filter" => of(ServiceSelector { filter: "x".repeat(8193), ..web() }),
            "view" => ResolveRequest { view: 3, ..of(web()) },
            "read.consistency" => ResolveRequest { read: Some(ReadOptions { consistency: -3, ..Default::default() }), ..of(web()) },
            "client_locality.region" => ResolveRequest { client_locality: Some(Locality { region: long(), ..Default::default() }), ..of(web()) },
        );
        let watch = || WatchRequest { selector: Some(web()), ..Default::default() };
        refused!(server, discovery.watch:
            "selector" => WatchRequest::default(),
            "view" => WatchRequest { view: i32::MAX, ..watch() },
            "progress_interval" => WatchRequest { progress_interval: seconds(-1), ..watch() },
            "min_interval" => WatchRequest { min_interval: seconds(61), ..watch() },
            "min_interval" => WatchRequest { min_interval: seconds(i64::MAX), ..watch() },
        );
        let list = || ListInstancesRequest { selector: Some(web()), ..Default::default() };
        let mask = |path: &str| Some(FieldMask { paths: vec![path.into()] });
        refused!(server, discovery.list_instances:
            "selector" => ListInstancesRequest::default(),
            "read_mask" => ListInstancesRequest { read_mask: mask("no_such_field"), ..list() },
            "page_size" => ListInstancesRequest { page_size: 1001, ..list() },
            "page_token" => ListInstancesRequest { page_token: "AAAA".into(), ..list() },
        );
        refused!(server, discovery.list_services:
            "namespace" => ListServicesRequest { namespace: "\r".into(), ..Default::default() },
            "filter" => ListServicesRequest { filter: "Total > ".into(), ..Default::default() },
            "page_size" => ListServicesRequest { page_size: i32::MIN, ..Default::default() },
        );
    });
}

#[test]
fn sessions_and_locks() {
    let server = &Server::dev();
    run(async {
        let labels = |count: usize| (0..count).map(|n| (n.to_string(), String::new())).collect();
        refused!(server, session.create_session:
            "ttl" => CreateSessionRequest { ttl: seconds(2), ..Default::default() },
            "ttl" => CreateSessionRequest { ttl: seconds(86_401), ..Default::default() },
            "ttl" => CreateSessionRequest { ttl: seconds(i64::MIN), ..Default::default() },
            "labels" => CreateSessionRequest { labels: labels(17), ..Default::default() },
            "request_id" => CreateSessionRequest { request_id: "x".into(), ..Default::default() },
        );
        refused!(server, session.keep_alive_session:
            "session_id" => KeepAliveSessionRequest::default(),
            "session_id" => KeepAliveSessionRequest { session_id: "x".repeat(36), secret: "s".into() },
            "secret" => KeepAliveSessionRequest { session_id: UUID.into(), secret: "".into() },
        );
        let lock = || AcquireLockRequest {
            name: "l".into(),
            session_id: UUID.into(),
            secret: "s".into(),
            ..Default::default()
        };
        refused!(server, coordination.acquire_lock:
            "name" => AcquireLockRequest { name: String::new(), ..lock() },
            "name" => AcquireLockRequest { name: "a\u{1}".into(), ..lock() },
            "value" => AcquireLockRequest { value: vec![0; 4097].into(), ..lock() },
            "permits" => AcquireLockRequest { permits: u32::MAX, ..lock() },
            "wait" => AcquireLockRequest { wait: seconds(-1), ..lock() },
            "wait" => AcquireLockRequest { wait: seconds(86_401), ..lock() },
            "session_id" => AcquireLockRequest { session_id: String::new(), ..lock() },
        );
        refused!(server, coordination.release_lock:
            "name" => ReleaseLockRequest::default(),
            "fencing_token" => ReleaseLockRequest { name: "l".into(), session_id: UUID.into(), secret: "s".into(), ..Default::default() },
        );
    });
}
