//! What is left of an answer when everything is replaced that a server chooses for itself.

use super::common::http::Response;
use super::op::Order;
use regex::Regex;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

static UUID: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}").expect("a regex")
});

/// Positions in the log: both servers count, but not the same things.
const INDEXES: &[&str] = &["CreateIndex", "ModifyIndex", "Index"];
/// What says nothing about behaviour: the time, the version, ports, distances.
const IGNORED: &[&str] = &["RTT", "Version", "LastContact"];

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
                let mut indexes = BTreeSet::new();
                collect(&json, &mut indexes);
                let ranks: BTreeMap<u64, usize> = indexes.into_iter().zip(1..).collect();
                replace(&mut json, names, &ranks, order);
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

fn collect(json: &Value, indexes: &mut BTreeSet<u64>) {
    match json {
        Value::Array(items) => items.iter().for_each(|item| collect(item, indexes)),
        Value::Object(fields) => {
            for (key, value) in fields {
                match value.as_u64() {
                    Some(index) if INDEXES.contains(&key.as_str()) => drop(indexes.insert(index)),
                    _ => collect(value, indexes),
                }
            }
        }
        _ => {}
    }
}

/// Replaces names and ids in strings, and each index by its rank among those of the answer.
fn replace(json: &mut Value, names: &BTreeMap<String, String>, ranks: &BTreeMap<u64, usize>, order: Order) {
    match json {
        Value::String(string) => *string = text(string, names),
        Value::Array(items) => {
            items.iter_mut().for_each(|item| replace(item, names, ranks, order));
            if order == Order::Free {
                items.sort_by_cached_key(Value::to_string);
            }
        }
        Value::Object(fields) => {
            let old = std::mem::take(fields);
            *fields = old
                .into_iter()
                .filter(|(key, _)| !IGNORED.contains(&key.as_str()))
                .map(|(key, value)| field(key, value, names, ranks, order))
                .collect::<Map<_, _>>();
        }
        _ => {}
    }
}

fn field(
    key: String,
    mut value: Value,
    names: &BTreeMap<String, String>,
    ranks: &BTreeMap<u64, usize>,
    order: Order,
) -> (String, Value) {
    match value.as_u64().filter(|_| INDEXES.contains(&key.as_str())).and_then(|index| ranks.get(&index)) {
        Some(rank) => (key, Value::from(format!("<{rank}>"))),
        None => {
            replace(&mut value, names, ranks, order);
            (text(&key, names), value)
        }
    }
}
