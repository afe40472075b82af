//! What is left of an answer when everything is replaced that a server chooses for itself.

use super::common::http::Response;
use super::op::{NODE, Op, Order};
use regex::Regex;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

static UUID: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}").expect("a regex")
});

static INDEX: LazyLock<Regex> = LazyLock::new(|| Regex::new("current modify index [0-9]+ != [0-9]+").expect("a regex"));

/// What says nothing about behaviour: distances, since when the leader was not heard of, and what is only ever compared
/// with an answer of the same server.
const IGNORED: &[&str] = &["RTT", "LastContact", "ContentHash"];

/// An answer, ready to be compared.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Normal {
    pub(crate) status: u16,
    content_type: String,
    pub(crate) body: Body,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    Json(Value),
    Text(String),
}

impl std::fmt::Display for Normal {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.body {
            Body::Json(json) => write!(out, "{} {json}", self.status),
            Body::Text(text) => write!(out, "{} ({}) {text:?}", self.status, self.content_type),
        }
    }
}

impl Normal {
    /// `names`: what this server has answered, with the names under which the plan knows it.
    pub(crate) fn of(answer: &Response, names: &BTreeMap<String, String>, op: &Op) -> Normal {
        let content_type = answer.header("Content-Type").unwrap_or_default().to_owned();
        let json =
            content_type.starts_with("application/json").then(|| serde_json::from_slice::<Value>(&answer.body).ok());
        let body = match json.flatten() {
            Some(mut json) => {
                if op.order == Order::Chosen
                    && let Some(nodes) = json.get_mut("Nodes")
                {
                    *nodes = nodes.as_array().map_or(0, Vec::len).into();
                }
                replace(&mut json, names, op);
                Body::Json(json)
            }
            None => Body::Text(text(&answer.text(), names)),
        };
        Normal { status: answer.status, content_type, body }
    }
}

/// Where two answers differ: the place, and what each has there.
pub(crate) fn difference(ours: &Normal, theirs: &Normal) -> String {
    match (&ours.body, &theirs.body) {
        (Body::Json(one), Body::Json(other)) if ours.status == theirs.status => {
            let mut places = Vec::new();
            compare("", one, other, &mut places);
            format!("    ours:   {ours}\n    Consul: {theirs}\n    {}", places.join("\n    "))
        }
        _ => format!("    ours:   {ours}\n    Consul: {theirs}"),
    }
}

fn compare(place: &str, ours: &Value, theirs: &Value, places: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (at, (one, other)) in one.iter().zip(other).enumerate() {
                compare(&format!("{place}/{at}"), one, other, places);
            }
        }
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<_> = one.keys().chain(other.keys()).collect();
            for key in keys {
                let of = |fields: &Map<String, Value>| fields.get(key).cloned().unwrap_or_else(|| "(absent)".into());
                compare(&format!("{place}/{key}"), &of(one), &of(other), places);
            }
        }
        _ if ours != theirs => places.push(format!("at {place}: ours {ours}, Consul {theirs}")),
        _ => {}
    }
}

/// Every hop between servers puts these words before an error.
fn text(text: &str, names: &BTreeMap<String, String>) -> String {
    let mut text = text.replace("rpc error making call: ", "");
    for (name, value) in names {
        text = text.replace(value, name);
    }
    let text = UUID.replace_all(&text, "<uuid>");
    INDEX.replace_all(&text, "current modify index <index>").into_owned()
}

/// Replaces names and ids in strings, and what a server chooses in objects.
fn replace(json: &mut Value, names: &BTreeMap<String, String>, op: &Op) {
    match json {
        Value::String(string) => *string = text(string, names),
        Value::Array(items) => {
            items.iter_mut().for_each(|item| replace(item, names, op));
            if op.order == Order::Free {
                items.sort_by_cached_key(Value::to_string);
            }
        }
        Value::Object(fields) => {
            indexes(fields, op);
            of_the_server_itself(fields);
            let old = std::mem::take(fields);
            let kept = old.into_iter().filter(|(key, _)| !IGNORED.contains(&key.as_str()));
            *fields = kept
                .map(|(key, mut value)| {
                    replace(&mut value, names, op);
                    (text(&key, names), value)
                })
                .collect();
        }
        _ => {}
    }
}

/// Positions in the log: both servers count, but not the same things. What is left is whether a row was changed since
/// it was created; of the agent's own node and what is on it that is a matter of its sync.
fn indexes(fields: &mut Map<String, Value>, op: &Op) {
    let own =
        op.settles || fields.get("Node").is_some_and(|node| node == NODE) && fields.contains_key("TaggedAddresses");
    let created = fields.get("CreateIndex").cloned();
    if let Some(changed) = fields.get_mut("ModifyIndex") {
        let word = match &created {
            _ if own || *changed == 0 => "any",
            Some(created) if created == changed => "created",
            _ => "changed",
        };
        *changed = word.into();
    }
    if created.is_some_and(|created| created != 0) {
        fields.insert("CreateIndex".into(), "any".into());
    }
}

/// The service `consul` tells the server's own port and version.
fn of_the_server_itself(fields: &mut Map<String, Value>) {
    if ["Service", "ServiceName"].iter().any(|name| fields.get(*name).is_some_and(|service| service == "consul")) {
        for (port, meta) in [("Port", "Meta"), ("ServicePort", "ServiceMeta")] {
            fields.remove(port);
            fields.remove(meta);
        }
    }
}
