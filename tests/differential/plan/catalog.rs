//! Registrations of foreign nodes, and every read of catalog and health.

use super::{name_of, once_in, pick};
use crate::common::Random;
use crate::op::{NODE, Op};
use serde_json::{Map, Value, json};

pub(crate) const NODES: &[&str] = &["n1", "n2", "n3"];
pub(crate) const SERVICES: &[&str] = &["web", "db", "Cache"];
const IDS: &[&str] = &["web", "web-1", "db-1", "c"];
const CHECKS: &[&str] = &["alive", "disk", "service:web-1"];
const STATUSES: &[&str] = &["passing", "warning", "critical"];
const TAGS: &[&str] = &["a", "B", "v1"];

fn tags(random: &mut Random) -> Vec<&'static str> {
    TAGS.iter().copied().filter(|_| once_in(random, 3)).collect()
}

/// The `Service` of a registration.
pub(crate) fn service(random: &mut Random) -> Value {
    let mut service = json!({"Service": pick(random, SERVICES), "Port": 80 + random.below(3)});
    if !once_in(random, 3) {
        let id = pick(random, IDS);
        service["ID"] = id.into();
        if let Some(name) = name_of(id) {
            service["Service"] = name.into();
        }
    }
    let tags = tags(random);
    // An empty list and none are the same to all but Consul's comparison of a registration with the one before it.
    if !tags.is_empty() {
        service["Tags"] = json!(tags);
    }
    if once_in(random, 3) {
        service["Address"] = pick(random, &["127.0.0.7", "10.1.1.1", "host.example", "::1"]).into();
    }
    if once_in(random, 3) {
        service["Meta"] = json!({"team": pick(random, &["blue", "red"])});
    }
    if once_in(random, 4) {
        service["Weights"] = json!({"Passing": 1 + random.below(5), "Warning": random.below(3)});
    }
    if once_in(random, 6) {
        service["EnableTagOverride"] = true.into();
    }
    if once_in(random, 6) {
        service["TaggedAddresses"] = json!({"lan": {"Address": "127.0.0.8", "Port": 81}});
    }
    service
}

/// A check; of the node, or of the service with `id`.
pub(crate) fn check(random: &mut Random, node: &str, id: Option<&str>) -> Value {
    let mut check = json!({"Node": node, "CheckID": pick(random, CHECKS), "Status": pick(random, STATUSES)});
    if once_in(random, 2) {
        check["Name"] = "a check".into();
        check["Output"] = pick(random, &["", "fine", "line\nline"]).into();
    }
    if once_in(random, 3) {
        check["Notes"] = "note".into();
    }
    if let Some(id) = id {
        check["ServiceID"] = id.into();
    }
    if once_in(random, 5) {
        check["Definition"] = json!({"TCP": "127.0.0.1:1", "Interval": "10s", "Timeout": "1s"});
    }
    check
}

pub(crate) fn node(random: &mut Random) -> Map<String, Value> {
    let name = pick(random, NODES);
    let mut node = Map::new();
    node.insert("Node".into(), name.into());
    node.insert("Address".into(), pick(random, &["127.0.0.2", "127.0.0.3", "host.example"]).into());
    if once_in(random, 3) {
        node.insert("NodeMeta".into(), json!({"rack": pick(random, &["1", "2"])}));
    }
    if once_in(random, 4) {
        node.insert("TaggedAddresses".into(), json!({"lan": "127.0.0.2", "wan": "198.18.0.2"}));
    }
    node
}

pub(crate) fn register(random: &mut Random) -> Op {
    let mut body = node(random);
    let name = body["Node"].as_str().unwrap_or_default().to_owned();
    let mut id = None;
    if !once_in(random, 3) {
        let service = service(random);
        id = Some(service["ID"].as_str().or(service["Service"].as_str()).unwrap_or_default().to_owned());
        body.insert("Service".into(), service);
    }
    match random.below(4) {
        0 => drop(body.insert("Check".into(), check(random, &name, id.as_deref()))),
        1 => {
            // Of a service that may not be there.
            let of = if once_in(random, 2) { id } else { Some(pick(random, IDS).to_owned()) };
            let checks = json!([check(random, &name, of.as_deref()), check(random, &name, None)]);
            body.insert("Checks".into(), checks);
        }
        _ => {}
    }
    if once_in(random, 6) {
        body.insert("SkipNodeUpdate".into(), true.into());
    }
    Op::put("/v1/catalog/register", Value::Object(body).to_string())
}

pub(crate) fn deregister(random: &mut Random) -> Op {
    let mut body = json!({"Node": pick(random, NODES)});
    match random.below(5) {
        0 | 1 => body["ServiceID"] = pick(random, IDS).into(),
        2 | 3 => body["CheckID"] = pick(random, CHECKS).into(),
        _ => {}
    }
    Op::put("/v1/catalog/deregister", body.to_string())
}

/// Selects among services; every field of it exists in the answer of `catalog/service` and `health/service`.
fn selection(random: &mut Random, health: bool) -> String {
    let mut all = Vec::new();
    if once_in(random, 3) {
        all.push(format!("tag={}", pick(random, TAGS)));
    }
    if once_in(random, 6) {
        all.push(format!("tag={}", pick(random, TAGS)));
    }
    if once_in(random, 5) {
        all.push(format!("node-meta=rack:{}", pick(random, &["1", "2"])));
    }
    if once_in(random, 6) {
        all.push(format!("near={}", pick(random, &["_agent", "n1", "none"])));
    }
    if health && once_in(random, 3) {
        all.push(pick(random, &["passing", "passing=1", "passing=false"]).to_owned());
    }
    if once_in(random, 4) {
        let (node, meta, tags) = if health {
            ("Node.Node", "Service.Meta.team", "Service.Tags")
        } else {
            ("Node", "ServiceMeta.team", "ServiceTags")
        };
        let filter = match random.below(6) {
            0 => format!("{node} == \"n1\""),
            1 => format!("{meta} == blue"),
            2 => format!("a in {tags} or {node} != n2"),
            3 => format!("not ({tags} is empty) and {node} matches \"^n[12]$\""),
            4 => format!("{tags} contains B"),
            _ => "NoSuchField == 1".to_owned(),
        };
        all.push(format!("filter={}", crate::plan::encode(&filter)));
    }
    if once_in(random, 8) {
        all.push(pick(random, &["stale", "consistent", "cached"]).to_owned());
    }
    all.join("&")
}

pub(crate) fn read(random: &mut Random) -> Op {
    let service = pick(random, &["web", "db", "Cache", "cache", "consul", "none"]);
    let node = pick(random, &["n1", "n2", "N3", NODE, "none"]);
    let of_nodes = pick(random, &["", "node-meta=rack:1", "near=n1", "filter=Meta.rack==1", "filter=Node!=n1"]);
    let of_checks = pick(random, &["", "node-meta=rack:2", "filter=Status==passing", "filter=ServiceName!=web"]);
    let status = pick(random, &["any", "passing", "warning", "critical", "bogus"]);
    let which = random.below(12);
    let op = Op::get(match which {
        0 => format!("/v1/catalog/nodes?{of_nodes}"),
        1 => format!("/v1/catalog/services?{}", pick(random, &["", "node-meta=rack:1"])),
        2 => format!("/v1/catalog/service/{service}?{}", selection(random, false)),
        3 => format!("/v1/catalog/node/{node}?{}", pick(random, &["", "filter=Service==web", "filter=a+in+Tags"])),
        4 => format!("/v1/catalog/node-services/{node}"),
        5 => format!("/v1/health/node/{node}?{}", pick(random, &["", "filter=Status==passing"])),
        6 => format!("/v1/health/checks/{service}?{of_checks}"),
        7 => format!("/v1/health/state/{status}?{of_checks}"),
        8 => format!("/v1/catalog/connect/{service}"),
        _ => format!("/v1/health/service/{service}?{}", selection(random, true)),
    });
    // What Consul has in its cache follows the state a little later.
    let op = if op.path.contains("cached") { op.settles() } else { op };
    // The tags of a service come in any order.
    if which == 1 { op.in_any_order() } else { op }
}
