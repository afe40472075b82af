//! Transactions: every verb, in lists that are often refused as a whole.

use super::catalog::{NODES, check, node, service};
use super::kv::KEYS;
use super::session::session;
use super::{once_in, pick};
use crate::common::Random;
use crate::op::Op;
use serde_json::{Value, json};

const KV_VERBS: &[&str] = &[
    "set",
    "set",
    "set",
    "get",
    "get-tree",
    "cas",
    "delete",
    "delete-cas",
    "delete-tree",
    "check-index",
    "check-not-exists",
    "check-session",
    "lock",
    "unlock",
];
/// Escaped keys of the other plan are of no use in a body.
const BODY_KEYS: usize = 5;
const LOCKED: &str = "<<run>>lock";

fn body(operations: &[Value]) -> Op {
    // An index stands in the body as a number.
    let text = json!(operations).to_string().replace("\"<<index:", "<<index:").replace(">>!\"", ">>");
    Op::put("/v1/txn", text)
}

fn kv_operation(random: &mut Random) -> Value {
    let verb = pick(random, KV_VERBS);
    // Writing a key that was locked is a change to Consul in any case, so no index is asked for of such a key.
    let key = match verb {
        "lock" | "unlock" | "check-session" => LOCKED,
        "set" | "delete" if once_in(random, 4) => LOCKED,
        _ => pick(random, &KEYS[..BODY_KEYS]),
    };
    let mut operation = json!({"Verb": verb, "Key": key});
    if matches!(verb, "set" | "cas" | "lock" | "unlock") {
        operation["Value"] = pick(random, &["", "b25l", "dHdv"]).into();
    }
    if once_in(random, 3) {
        operation["Flags"] = 42.into();
    }
    if matches!(verb, "cas" | "delete-cas" | "check-index") {
        operation["Index"] = match random.below(4) {
            0 => 0.into(),
            1 => 1.into(),
            _ => format!("<<index:{key}>>!").into(),
        };
    }
    if matches!(verb, "lock" | "unlock" | "check-session") {
        operation["Session"] = session(random).into();
    }
    json!({"KV": operation})
}

pub(crate) fn kv(random: &mut Random) -> Op {
    let count = 1 + random.below(4);
    body(&(0..count).map(|_| kv_operation(random)).collect::<Vec<_>>())
}

pub(crate) fn catalog(random: &mut Random) -> Op {
    let count = 1 + random.below(3);
    let operations: Vec<Value> = (0..count).map(|_| catalog_operation(random)).collect();
    body(&operations)
}

fn catalog_operation(random: &mut Random) -> Value {
    let verb = pick(random, &["set", "set", "set", "get", "delete", "cas", "delete-cas"]);
    match random.below(3) {
        0 => {
            let mut node = node(random);
            if let Some(meta) = node.remove("NodeMeta") {
                node.insert("Meta".into(), meta);
            }
            if verb.ends_with("cas") {
                node.insert("ModifyIndex".into(), 1.into());
            }
            json!({"Node": {"Verb": verb, "Node": node}})
        }
        1 => {
            let mut service = service(random);
            // Consul loses them on the way through a transaction.
            service.as_object_mut().expect("an object").remove("TaggedAddresses");
            if verb.ends_with("cas") {
                service["ModifyIndex"] = 1.into();
            }
            json!({"Service": {"Verb": verb, "Node": pick(random, NODES), "Service": service}})
        }
        _ => {
            let node = pick(random, NODES);
            let mut check = check(random, node, None);
            if verb.ends_with("cas") {
                check["ModifyIndex"] = 1.into();
            }
            json!({"Check": {"Verb": verb, "Check": check}})
        }
    }
}
