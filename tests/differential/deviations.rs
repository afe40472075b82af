//! Where the two servers differ on purpose: what of an answer is not compared, and why.

use super::normal::{Body, Normal};
use super::op::Op;
use super::plan::RENAMED;
use serde_json::Value;

/// One deviation.
struct Deviation {
    /// Whether it may show in the answer to this request.
    concerns: fn(&Op) -> bool,
    /// Takes out what may differ.
    mask: fn(&mut Value),
    /// Why it is so.
    reason: &'static str,
}

const DEVIATIONS: &[Deviation] = &[
    Deviation {
        concerns: |_| true,
        mask: |answer| {
            each_object(answer, &|fields| {
                if fields.contains_key("CheckID") && fields.get("ServiceID").is_some_and(|id| id != "") {
                    fields.remove("ServiceName");
                    fields.remove("ServiceTags");
                }
            })
        },
        reason: "Consul shows a check with the name and tags that its service had when the check was last registered; \
                 here a check has those of its service",
    },
    Deviation {
        concerns: |op| op.path.starts_with("/v1/health/checks/") || op.path.contains("filter=ServiceName"),
        mask: |answer| {
            if let Value::Array(checks) = answer {
                checks.retain(|check| RENAMED.iter().all(|id| check["ServiceID"] != *id));
            }
        },
        reason: "the same, when checks are looked for by the name of their service",
    },
    Deviation {
        concerns: |op| op.path.starts_with("/v1/kv/") || op.path == "/v1/txn",
        mask: |answer| each_object(answer, &|fields| drop(fields.remove("LockIndex"))),
        reason: "Consul forgets how often a key was locked when somebody writes it without the lock",
    },
    Deviation {
        concerns: |op| op.path.starts_with("/v1/health/service/") && op.path.contains("passing"),
        mask: |answer| {
            if let Value::Array(entries) = answer {
                entries.sort_by_cached_key(Value::to_string);
            }
        },
        reason: "Consul fills the place of an instance that is not passing with the last one; here the order stays",
    },
];

fn each_object(value: &mut Value, f: &dyn Fn(&mut serde_json::Map<String, Value>)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| each_object(item, f)),
        Value::Object(fields) => {
            f(fields);
            fields.values_mut().for_each(|value| each_object(value, f));
        }
        _ => {}
    }
}

/// Why the answers differ, if it is on purpose.
pub(crate) fn reason(op: &Op, ours: &Normal, theirs: &Normal) -> Option<&'static str> {
    let (Body::Json(one), Body::Json(other)) = (&ours.body, &theirs.body) else { return None };
    let (mut one, mut other) = (one.clone(), other.clone());
    for deviation in DEVIATIONS.iter().filter(|deviation| (deviation.concerns)(op)) {
        (deviation.mask)(&mut one);
        (deviation.mask)(&mut other);
        if one == other && ours.status == theirs.status {
            return Some(deviation.reason);
        }
    }
    None
}
