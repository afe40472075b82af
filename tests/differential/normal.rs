//! What is left of an answer when everything is replaced that a server chooses for itself.

use super::common::http::Response;
use super::op::{NODE, Order};
use regex::Regex;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::LazyLock;

static UUID: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}").expect("a regex")
});

/// What says nothing about behaviour: distances, and since when the leader was not heard of.
const IGNORED: &[&str] = &["RTT", "LastContact"];

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
    pub(crate) fn of(answer: &Response, names: &BTreeMap<String, String>, order: Order) -> Normal {
        let content_type = answer.header("Content-Type").unwrap_or_default().to_owned();
        let json = content_type.starts_with("application/json").then(|| serde_json::from_slice(&answer.body).ok());
        let body = match json.flatten() {
            Some(mut json) => {
                replace(&mut json, names, order);
                Body::Json(json)
            }
            None => Body::Text(text(&answer.text(), names)),
        };
        Normal { status: answer.status, content_type, body }
    }
}

/// Every hop between servers puts these words before an error.
fn text(text: &str, names: &BTreeMap<String, String>) -> String {
    let mut text = text.replace("rpc error making call: ", "");
    for (name, value) in names {
        text = text.replace(value, name);
    }
    UUID.replace_all(&text, "<uuid>").into_owned()
}

/// Replaces names and ids in strings, and what a server chooses in objects.
fn replace(json: &mut Value, names: &BTreeMap<String, String>, order: Order) {
    match json {
        Value::String(string) => *string = text(string, names),
        Value::Array(items) => {
            items.iter_mut().for_each(|item| replace(item, names, order));
            if order == Order::Free {
                items.sort_by_cached_key(Value::to_string);
            }
        }
        Value::Object(fields) => {
            indexes(fields);
            of_the_server_itself(fields);
            let old = std::mem::take(fields);
            let kept = old.into_iter().filter(|(key, _)| !IGNORED.contains(&key.as_str()));
            *fields = kept
                .map(|(key, mut value)| {
                    replace(&mut value, names, order);
                    (text(&key, names), value)
                })
                .collect();
        }
        _ => {}
    }
}

/// Positions in the log: both servers count, but not the same things. What is left is whether a row was changed since
/// it was created; of the agent's own node that is a matter of its sync.
fn indexes(fields: &mut Map<String, Value>) {
    let own = fields.get("Node").is_some_and(|node| node == NODE) && fields.contains_key("TaggedAddresses");
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
