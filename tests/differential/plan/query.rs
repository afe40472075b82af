//! Prepared queries over the services of the catalog plan.

use super::catalog::SERVICES;
use super::{once_in, pick};
use crate::common::Random;
use crate::op::Op;
use serde_json::{Value, json};

const SLOTS: u64 = 3;
const NAMES: &[&str] = &["q1", "q2", "geo-", ""];

fn definition(random: &mut Random) -> Value {
    let name = pick(random, NAMES);
    let mut query = json!({"Name": name, "Service": {"Service": pick(random, SERVICES)}});
    if name.ends_with('-') {
        query["Template"] = json!({"Type": "name_prefix_match", "Regexp": "^geo-(.+)$"});
        query["Service"]["Service"] = "${match(1)}".into();
    }
    if once_in(random, 3) {
        query["Service"]["OnlyPassing"] = true.into();
    }
    if once_in(random, 3) {
        query["Service"]["Tags"] = json!([pick(random, &["a", "!a", "v1"])]);
    }
    if once_in(random, 4) {
        query["Service"]["NodeMeta"] = json!({"rack": "1"});
    }
    if once_in(random, 4) {
        query["Service"]["ServiceMeta"] = json!({"team": "blue"});
    }
    if once_in(random, 4) {
        query["Service"]["Near"] = "_agent".into();
    }
    if once_in(random, 5) {
        query["Service"]["Failover"] = json!({"NearestN": 1});
    }
    if once_in(random, 4) {
        query["DNS"] = json!({"TTL": "10s"});
    }
    query
}

fn id(random: &mut Random) -> String {
    format!("<<query{}>>", random.below(SLOTS))
}

pub(crate) fn write(random: &mut Random) -> Op {
    let body = definition(random).to_string();
    if once_in(random, 3) {
        return Op::put(format!("/v1/query/{}", id(random)), body);
    }
    let slot = format!("query{}", random.below(SLOTS));
    Op { method: "POST", ..Op::put("/v1/query", body) }.remember(slot)
}

pub(crate) fn delete(random: &mut Random) -> Op {
    Op::delete(format!("/v1/query/{}", id(random)))
}

pub(crate) fn read(random: &mut Random) -> Op {
    let name = pick(random, &["q1", "q2", "geo-web", "geo-db", "none"]);
    let which = if once_in(random, 3) { id(random) } else { name.to_owned() };
    let limit = pick(random, &["", "limit=1", "limit=0"]);
    let kind = random.below(5);
    let op = Op::get(match kind {
        0 => "/v1/query".to_owned(),
        1 => format!("/v1/query/{}", id(random)),
        2 => format!("/v1/query/{which}/explain"),
        _ => format!("/v1/query/{which}/execute?{limit}"),
    });
    if kind > 2 && limit == "limit=1" { op.chosen() } else { op.in_any_order() }
}
