//! The agent's own services and checks, and what becomes of them in the catalog.

use super::{name_of, once_in, pick};
use crate::common::Random;
use crate::op::{NODE, Op};
use serde_json::{Value, json};

const SERVICES: &[&str] = &["api", "api-1", "job"];
/// Ids of TTL checks: those of services with one check and with several, and those registered alone.
const CHECKS: &[&str] = &["service:api", "service:api-1", "service:job:1", "service:job:2", "ttl", "owned"];

fn ttl(random: &mut Random) -> Value {
    // So long that none expires.
    let mut check = json!({"TTL": "1h"});
    if once_in(random, 2) {
        check["Status"] = pick(random, &["passing", "warning", "critical"]).into();
    }
    if once_in(random, 3) {
        check["Notes"] = "note".into();
    }
    check
}

pub(crate) fn register(random: &mut Random) -> Op {
    let id = pick(random, SERVICES);
    let mut body =
        json!({"Name": name_of(id).unwrap_or(pick(random, &["api", "job"])), "ID": id, "Port": 8000 + random.below(2)});
    if once_in(random, 2) {
        body["Tags"] = json!(["t1", "t2"][..random.below(3) as usize]);
    }
    if once_in(random, 3) {
        body["Meta"] = json!({"k": pick(random, &["v", "w"])});
    }
    if once_in(random, 3) {
        body["Address"] = pick(random, &["127.0.0.5", "::1", "name.example"]).into();
    }
    if once_in(random, 5) {
        body["Weights"] = json!({"Passing": 2, "Warning": 1});
    }
    if once_in(random, 6) {
        body["EnableTagOverride"] = true.into();
    }
    match random.below(4) {
        0 => body["Check"] = ttl(random),
        1 => body["Checks"] = json!([ttl(random), ttl(random)]),
        _ => {}
    }
    // With Consul it also ends the maintenance of the service; here an operator's word is no check of the definition.
    // So the service that it is done to is not the one that is maintained.
    let replace = if id == "job" && once_in(random, 2) { "?replace-existing-checks=true" } else { "" };
    Op::put(format!("/v1/agent/service/register{replace}"), body.to_string())
}

pub(crate) fn deregister(random: &mut Random) -> Op {
    if once_in(random, 2) {
        return Op::put(format!("/v1/agent/check/deregister/{}", pick(random, CHECKS)), "");
    }
    Op::put(format!("/v1/agent/service/deregister/{}", pick(random, SERVICES)), "")
}

pub(crate) fn check(random: &mut Random) -> Op {
    let id = pick(random, CHECKS);
    match random.below(4) {
        0 => {
            let mut body = ttl(random);
            body["Name"] = "a check".into();
            body["ID"] = pick(random, &["ttl", "owned"]).into();
            if body["ID"] == "owned" {
                body["ServiceID"] = pick(random, SERVICES).into();
            }
            Op::put("/v1/agent/check/register", body.to_string())
        }
        1 => {
            let status = pick(random, &["passing", "warning", "critical", "bogus"]);
            let body = json!({"Status": status, "Output": pick(random, &["", "out"])});
            Op::put(format!("/v1/agent/check/update/{id}"), body.to_string())
        }
        _ => {
            let verb = pick(random, &["pass", "warn", "fail"]);
            let note = pick(random, &["", "?note=noted", "?note=a%20b"]);
            Op::put(format!("/v1/agent/check/{verb}/{id}{note}"), "")
        }
    }
}

pub(crate) fn maintenance(random: &mut Random) -> Op {
    let how = pick(random, &["enable=true", "enable=true&reason=why", "enable=false", "enable=bad", ""]);
    if once_in(random, 2) {
        return Op::put(format!("/v1/agent/maintenance?{how}"), "");
    }
    Op::put(format!("/v1/agent/service/maintenance/{}?{how}", pick(random, &["api", "api-1", "none"])), "")
}

pub(crate) fn read(random: &mut Random) -> Op {
    let service = pick(random, &["api", "job", "none"]);
    Op::get(match random.below(5) {
        0 => format!("/v1/agent/services?{}", pick(random, &["", "filter=Service==api", "filter=t1+in+Tags"])),
        1 => format!("/v1/agent/checks?{}", pick(random, &["", "filter=Status==passing"])),
        2 => format!("/v1/agent/service/{}", pick(random, SERVICES)),
        3 => format!("/v1/agent/health/service/name/{service}"),
        _ => format!("/v1/agent/health/service/id/{}", pick(random, SERVICES)),
    })
    .in_any_order()
}

pub(crate) fn catalog_read(random: &mut Random) -> Op {
    let service = pick(random, &["api", "job"]);
    Op::get(match random.below(5) {
        0 => format!("/v1/catalog/node/{NODE}"),
        1 => format!("/v1/health/node/{NODE}"),
        2 => format!("/v1/health/checks/{service}"),
        3 => format!("/v1/catalog/service/{service}"),
        _ => format!("/v1/health/service/{service}?{}", pick(random, &["", "passing"])),
    })
    .settles()
}
