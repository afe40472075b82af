//! Definitions in the spellings that Consul takes, and what is said about those it does not.

use super::*;
use serde_json::json;

fn read_blocks(kind: &str, blocks: Value) -> Result<Definitions, String> {
    let mut into = Definitions::default();
    let Value::Array(blocks) = blocks else { return Err("not a list".to_owned()) };
    read(&Origin::File("f.json".into()), kind, &blocks, &mut into).map_err(|e| e.to_string())?;
    Ok(into)
}

#[test]
fn a_service_in_both_spellings() {
    let snake = json!({"id": "w1", "name": "web", "tags": ["a", "b"], "address": "10.0.0.1", "port": 80,
        "meta": {"k": "v"}, "tagged_addresses": {"lan": {"address": "10.0.0.2", "port": 81}},
        "enable_tag_override": true, "weights": {"passing": 5},
        "check": {"id": "c", "http": "http://x", "interval": "10s", "tls_skip_verify": true, "header": {"A": ["b"]},
            "deregister_critical_service_after": "2m"}});
    let api = json!({"ID": "w1", "Name": "web", "Tags": ["a", "b"], "Address": "10.0.0.1", "Port": 80,
        "Meta": {"k": "v"}, "TaggedAddresses": {"lan": {"Address": "10.0.0.2", "Port": 81}},
        "EnableTagOverride": true, "Weights": {"Passing": 5},
        "Check": {"CheckID": "c", "HTTP": "http://x", "Interval": "10s", "TLSSkipVerify": true, "Header": {"A": ["b"]},
            "DeregisterCriticalServiceAfter": "2m"}});
    let found = read_blocks("service", json!([snake])).expect("accepted");
    assert_eq!(found, read_blocks("service", json!([api])).expect("accepted"));
    let service = &found.services[0];
    assert_eq!((service.own_id().as_str(), service.port, service.enable_tag_override), ("w1", 80, true));
    assert_eq!(service.weights, Some(WeightsDefinition { passing: 5, warning: 1 }));
    let check = service.check.as_ref().expect("a check");
    assert_eq!((check.interval, check.deregister_critical_service_after), (10_000_000_000, 120_000_000_000));
    assert_eq!(check.header["A"], ["b"]);
}

#[test]
fn blocks_of_hcl_are_lists_of_one_map() {
    let found = read_blocks(
        "service",
        json!([{"name": "a", "meta": [{"k": "v"}], "check": [{"ttl": "5s"}], "checks": {"tcp": "x:1", "interval": "1s"}}]),
    );
    let service = found.expect("accepted").services.remove(0);
    assert_eq!(service.meta, [("k".into(), "v".into())]);
    assert_eq!(service.own_checks().len(), 2);
}

#[test]
fn mesh_fields_get_the_names_of_the_api() {
    let found = read_blocks(
        "service",
        json!([{"name": "p", "kind": "connect-proxy", "port": 1, "proxy": {"destination_service_id": "w", "mode": "direct",
            "config": {"bind_port": 1}, "upstreams": [{"local_bind_port": 2, "destination_name": "db"}],
            "DestinationServiceName": "web"}},
            {"name": "n", "connect": {"native": true}}]),
    );
    let services = found.expect("accepted").services;
    let proxy = concat!(
        r#"{"DestinationServiceName":"web","DestinationServiceID":"w","Config":{"bind_port":1},"Upstreams":"#,
        r#"[{"DestinationType":"","DestinationName":"db","LocalBindPort":2,"MeshGateway":{}}],"MeshGateway":{},"#,
        r#""Expose":{},"Mode":"direct"}"#
    );
    assert_eq!(services[0].proxy.as_deref(), Some(proxy));
    assert_eq!(services[1].connect.as_deref(), Some(r#"{"Native":true}"#));
}

#[test]
fn checks_have_their_name_as_id() {
    let found = read_blocks("check", json!([{"name": "mem", "script_args": ["free"], "interval": "1m"}]));
    let check = found.expect("accepted").checks.remove(0);
    assert_eq!((check.id.as_str(), &check.args[..]), ("mem", &["free".to_owned()][..]));
}

#[test]
fn refusals() {
    for (kind, blocks, expected) in [
        ("service", json!([{"name": "a", "bogus": 1}]), "1 error occurred:\n\t* invalid config key service.bogus\n"),
        (
            "check",
            json!([{"name": "a", "script": "x", "ttl": "1s"}, {"name": "b", "ttl": "1s"}]),
            "1 error occurred:\n\t* invalid config key checks[0].script\n",
        ),
        (
            "service",
            json!([{"name": "a", "port": "80", "check": {"timeout": 5}}]),
            "2 error(s) decoding:\n\n* 'service.port' expected type 'int', got unconvertible type 'string'\n\
             * 'service.check.timeout' expected type 'string', got unconvertible type 'float64'",
        ),
        (
            "service",
            json!([{"name": "a", "connect": {"sidecar_service": 5}}]),
            "1 error(s) decoding:\n\n* 'service.connect.sidecar_service' expected a map, got 'float64'",
        ),
        (
            "service",
            json!([{"name": "a", "connect": {"sidecar_service": {"port": "x"}}}]),
            "1 error(s) decoding:\n\n* 'service.connect.sidecar_service.port' expected type 'int', got unconvertible type \
             'string'",
        ),
        (
            "service",
            json!([{"name": "a", "tags": "x"}]),
            "1 error(s) decoding:\n\n* 'service.tags': source data must be an array or slice, got string",
        ),
    ] {
        let error = read_blocks(kind, blocks).expect_err("refused");
        assert_eq!(error, format!("failed to parse f.json: {expected}"));
    }
    for (kind, blocks, expected) in [
        (
            "service",
            json!([{"name": "a", "check": {"ttl": "x"}}]),
            "service.check.ttl: invalid duration: \"x\": time: invalid duration \"x\"",
        ),
        ("service", json!([{"name": "a", "address": "0.0.0.0"}]), "service \"a\": Invalid service address"),
        (
            "service",
            json!([{"name": "a", "connect": {"sidecar_service": {"checks": [{"http": "x"}]}}}]),
            "service \"a\": Invalid check in sidecar_service: Interval must be > 0 for Script, HTTP, or TCP checks",
        ),
        (
            "service",
            json!([{"name": "a", "connect": {"sidecar_service": {"id": "x"}}}]),
            "service \"a\": 1 error occurred:\n\t* A SidecarService cannot specify an ID as this is managed by the \
             agent\n\n",
        ),
        ("check", json!([{"ttl": "1s"}]), "check \"\": it has neither id nor name"),
        ("check", json!([{"name": "a"}]), "check \"a\": TTL must be > 0 for TTL checks"),
    ] {
        let error = read_blocks(kind, blocks).expect_err("refused");
        assert_eq!(error, format!("1 error occurred:\n\t* f.json: {expected}\n"));
    }
}

#[test]
fn a_sidecar_is_a_service_within() {
    let blocks = json!([{"name": "a", "connect": {"native": false, "sidecar_service": [{"port": 7, "enable_tag_override": true,
        "check": {"ttl": "10s"}, "proxy": [{"local_service_address": "127.0.0.2", "expose": [{"paths": [{"path": "/x"}]}]}],
        "connect": {"sidecar_service": {}}}]}}]);
    let refused = read_blocks("service", blocks.clone()).expect_err("nested");
    assert!(refused.contains("A SidecarService cannot have a nested SidecarService"), "{refused}");
    let mut blocks = blocks;
    blocks[0]["connect"]["sidecar_service"][0].as_object_mut().expect("a block").remove("connect");
    let service = read_blocks("service", blocks).expect("accepted").services.remove(0);
    assert_eq!(service.connect, None);
    let sidecar = service.sidecar.expect("a sidecar");
    assert_eq!((sidecar.port, sidecar.enable_tag_override, sidecar.own_checks().len()), (7, true, 1));
    let proxy = sidecar.proxy_definition().expect("a proxy");
    assert_eq!((proxy.local_service_address.as_str(), proxy.expose.paths[0].path.as_str()), ("127.0.0.2", "/x"));
    let unknown =
        read_blocks("service", json!([{"name": "a", "connect": {"sidecar_service": {"bogus": 1}}, "proxy": {"x": 1}}]));
    let unknown = unknown.expect_err("unknown keys");
    assert!(
        unknown.contains("service.connect.sidecar_service.bogus") && unknown.contains("service.proxy.x"),
        "{unknown}"
    );
}
