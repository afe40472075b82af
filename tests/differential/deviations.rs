//! Where the two servers differ on purpose: what of an answer is not compared, and why.

use super::normal::{Body, Normal};
use super::op::Op;
use super::plan::RENAMED;
use serde_json::{Map, Value};

/// One deviation.
struct Deviation {
    /// Whether it may show in the answer to this request.
    concerns: fn(&Op) -> bool,
    /// Takes out of our answer and of Consul's what may differ.
    mask: fn(&mut Value, &mut Value),
    /// Why it is so.
    reason: &'static str,
}

const DEVIATIONS: &[Deviation] = &[
    Deviation {
        concerns: |op| op.path.starts_with("/v1/health/checks/") || op.path.contains("filter=ServiceName"),
        mask: |ours, theirs| {
            for checks in [ours, theirs] {
                if let Value::Array(checks) = checks {
                    checks.retain(|check| RENAMED.iter().all(|id| check["ServiceID"] != *id));
                }
            }
        },
        reason: "Consul looks for checks by the name that their service had when they were registered",
    },
    Deviation {
        concerns: |op| op.path.starts_with("/v1/health/service/") && op.path.contains("passing"),
        mask: |ours, theirs| {
            for entries in [ours, theirs] {
                if let Value::Array(entries) = entries {
                    entries.sort_by_cached_key(|entry| format!("{} {}", entry["Node"]["Node"], entry["Service"]["ID"]));
                }
            }
        },
        reason: "Consul fills the place of an instance that is not passing with the last one; here the order stays",
    },
    Deviation {
        concerns: |_| true,
        mask: |ours, theirs| {
            each(ours, theirs, &|check, other| {
                if check.contains_key("CheckID") && check.get("ServiceID").is_some_and(|id| id != "") {
                    drop_fields(check, other, &["ServiceName", "ServiceTags", "ModifyIndex"]);
                }
            });
        },
        reason: "Consul shows a check with the name and tags that its service had when the check was last registered, \
                 and takes new ones for a change of the check; here a check has those of its service",
    },
    Deviation {
        concerns: |op| op.path.starts_with("/v1/kv/") || op.path == "/v1/txn",
        mask: |ours, theirs| {
            each(ours, theirs, &|entry, other| {
                let locks = |entry: &Fields| entry.get("LockIndex").and_then(Value::as_u64);
                if locks(entry) > locks(other) {
                    drop_fields(entry, other, &["LockIndex", "ModifyIndex"]);
                }
            });
        },
        reason: "Consul forgets how often a key was locked when somebody writes it without the lock, which is a change",
    },
    Deviation {
        concerns: |op| op.path.starts_with("/v1/query"),
        mask: |ours, theirs| {
            each(ours, theirs, &|query, other| {
                if query.contains_key("Template") && query.get("ModifyIndex").is_some_and(|word| word == "created") {
                    drop_fields(query, other, &["ModifyIndex"]);
                }
            });
        },
        reason: "an update with the same definition is a change to Consul",
    },
];

type Fields = Map<String, Value>;

/// Calls `f` for each pair of objects that are at the same place.
fn each(ours: &mut Value, theirs: &mut Value, f: &dyn Fn(&mut Fields, &mut Fields)) {
    match (ours, theirs) {
        (Value::Array(ours), Value::Array(theirs)) => {
            ours.iter_mut().zip(theirs).for_each(|(one, other)| each(one, other, f));
        }
        (Value::Object(ours), Value::Object(theirs)) => {
            f(ours, theirs);
            for (key, value) in ours {
                if let Some(other) = theirs.get_mut(key) {
                    each(value, other, f);
                }
            }
        }
        _ => {}
    }
}

fn drop_fields(ours: &mut Fields, theirs: &mut Fields, names: &[&str]) {
    for name in names {
        ours.remove(*name);
        theirs.remove(*name);
    }
}

/// Why the answers differ, if it is on purpose.
pub(crate) fn reason(op: &Op, ours: &Normal, theirs: &Normal) -> Option<&'static str> {
    let (Body::Json(one), Body::Json(other)) = (&ours.body, &theirs.body) else { return None };
    let (mut one, mut other) = (one.clone(), other.clone());
    // What removes and orders comes first: the others look at what is at the same place.
    for deviation in DEVIATIONS.iter().filter(|deviation| (deviation.concerns)(op)) {
        (deviation.mask)(&mut one, &mut other);
        if one == other && ours.status == theirs.status {
            return Some(deviation.reason);
        }
    }
    None
}
