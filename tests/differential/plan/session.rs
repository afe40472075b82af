//! Sessions. Their times are so long that none ends by itself.

use super::catalog::NODES;
use super::{once_in, pick};
use crate::common::Random;
use crate::op::{NODE, Op};
use serde_json::{Value, json};

const SLOTS: u64 = 4;

/// One of the sessions of the plan, or one that never was.
pub(crate) fn session(random: &mut Random) -> String {
    if once_in(random, 12) {
        return "00000000-0000-0000-0000-000000000000".into();
    }
    format!("<<session{}>>", random.below(SLOTS))
}

pub(crate) fn create(random: &mut Random) -> Op {
    let mut body = json!({});
    if once_in(random, 2) {
        body["Name"] = pick(random, &["first", "second"]).into();
    }
    if once_in(random, 2) {
        body["Behavior"] = pick(random, &["release", "delete"]).into();
    }
    // Either no delay at all or one that outlasts the test.
    body["LockDelay"] = pick(random, &["0s", "60s"]).into();
    if once_in(random, 3) {
        body["TTL"] = "3600s".into();
    }
    if once_in(random, 3) {
        body["Node"] = pick(random, &[NODE, NODES[0], NODES[1], "none"]).into();
        body["Checks"] = if once_in(random, 2) { json!([]) } else { json!([pick(random, &["alive", "serfHealth"])]) };
    }
    let remembered = format!("session{}", random.below(SLOTS));
    Op::put("/v1/session/create", Value::to_string(&body)).remember(remembered)
}

pub(crate) fn end(random: &mut Random) -> Op {
    let verb = pick(random, &["destroy", "destroy", "renew"]);
    Op::put(format!("/v1/session/{verb}/{}", session(random)), "")
}

pub(crate) fn read(random: &mut Random) -> Op {
    Op::get(match random.below(3) {
        0 => format!("/v1/session/info/{}", session(random)),
        1 => format!("/v1/session/node/{}", pick(random, &[NODE, NODES[0], "none"])),
        _ => "/v1/session/list".into(),
    })
    .in_any_order()
}
