//! Both servers, and one request to both.

use super::common::Server;
use super::common::http::{self, Response};
use super::consul::Consul;
use super::deviations;
use super::normal::{Normal, difference};
use super::op::{NODE, Op};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

/// An agent brings what it knows to the catalog in its own time, so a read that differs is asked again so long.
const SETTLES_WITHIN: Duration = Duration::from_secs(4);
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// What one server has answered so far.
struct Side {
    http: SocketAddr,
    /// By the name under which the plan knows it.
    known: BTreeMap<String, String>,
}

pub(crate) struct Pair {
    ours: Side,
    theirs: Side,
    /// Index and body that ours answered a read with: a body that changes needs an index that grows.
    seen: BTreeMap<String, (u64, Vec<u8>)>,
    /// Held so that they run.
    _servers: (Server, Consul),
}

impl Pair {
    pub(crate) fn start(consul: &Path) -> Pair {
        let consul = Consul::start(consul);
        let server = Server::dev_with(&[&format!("-node={NODE}")]);
        let side = |http| Side { http, known: BTreeMap::new() };
        let (ours, theirs) = (side(server.http_addr()), side(consul.http));
        Pair { ours, theirs, seen: BTreeMap::new(), _servers: (server, consul) }
    }

    /// Removes what earlier seeds have left on both, which costs less than to start both.
    pub(crate) fn begin(&mut self, seed: u64) {
        for side in [&mut self.ours, &mut self.theirs] {
            side.clear();
            side.known = BTreeMap::from([("run".to_owned(), format!("run{seed}x"))]);
        }
        self.seen.clear();
    }

    /// Asks both; what differs, if anything.
    pub(crate) fn run(&mut self, op: &Op) -> Option<String> {
        let (mut ours, mut theirs) = (self.ours.ask(op), self.theirs.ask(op));
        let start = Instant::now();
        let why = |ours: &Normal, theirs: &Normal| deviations::reason(op, ours, theirs);
        // 501: it will not come to be by waiting.
        while op.settles && ours.1 != theirs.1 && ours.0.status != 501 && start.elapsed() < SETTLES_WITHIN {
            if why(&ours.1, &theirs.1).is_some() {
                break;
            }
            std::thread::sleep(ASK_AGAIN);
            (ours, theirs) = (self.ours.ask(op), self.theirs.ask(op));
        }
        if let Some(name) = &op.remember {
            self.ours.remember(name, &ours.0);
            self.theirs.remember(name, &theirs.0);
        }
        if ours.1 != theirs.1 && why(&ours.1, &theirs.1).is_none() {
            return Some(format!("{op}\n{}", difference(&ours.1, &theirs.1)));
        }
        self.index_grew(op, &ours.0, &theirs.0)
    }

    /// A watcher that holds an old index must be woken when the answer changes.
    fn index_grew(&mut self, op: &Op, ours: &Response, theirs: &Response) -> Option<String> {
        // On an error Consul sends an index at times; it means nothing.
        if !op.reads() || ![200, 404].contains(&ours.status) {
            return None;
        }
        let (index, consul) = (ours.header("X-Consul-Index"), theirs.header("X-Consul-Index"));
        if index.is_some() != consul.is_some() {
            return Some(format!("{op}: X-Consul-Index: ours {index:?}, Consul {consul:?}"));
        }
        let index: u64 = index?.parse().ok()?;
        // What never waits has no index of its own.
        if consul == Some("1") {
            return None;
        }
        let (before, body) = self.seen.insert(op.path.clone(), (index, ours.body.clone()))?;
        let missed = body != ours.body && index <= before;
        missed.then(|| format!("{op}: the answer has changed, and X-Consul-Index went from {before} to {index}"))
    }
}

impl Side {
    /// Leaves nothing but the node itself.
    fn clear(&self) {
        self.each("/v1/agent/services", "ID", |id| format!("/v1/agent/service/deregister/{id}"));
        self.each("/v1/agent/checks", "CheckID", |id| format!("/v1/agent/check/deregister/{id}"));
        self.change("PUT", "/v1/agent/maintenance?enable=false", "");
        self.each("/v1/session/list", "ID", |id| format!("/v1/session/destroy/{id}"));
        self.change("DELETE", "/v1/kv/?recurse", "");
        for query in self.list("/v1/query", "ID") {
            self.change("DELETE", &format!("/v1/query/{query}"), "");
        }
        for node in self.list("/v1/catalog/nodes", "Node").iter().filter(|node| *node != NODE) {
            self.change("PUT", "/v1/catalog/deregister", &json!({"Node": node}).to_string());
        }
    }

    fn each(&self, list: &str, field: &str, path: impl Fn(&str) -> String) {
        for id in self.list(list, field) {
            self.change("PUT", &path(&id), "");
        }
    }

    /// A field of every object of a list or map.
    fn list(&self, path: &str, field: &str) -> Vec<String> {
        let objects = match self.request("GET", path, "").json() {
            Value::Array(objects) => objects,
            Value::Object(fields) => fields.into_iter().map(|(_, object)| object).collect(),
            _ => Vec::new(),
        };
        objects.iter().filter_map(|object| Some(object[field].as_str()?.to_owned())).collect()
    }

    fn change(&self, method: &str, path: &str, body: &str) {
        self.request(method, path, body).ok();
    }

    fn request(&self, method: &str, path: &str, body: &str) -> Response {
        http::request(self.http, method, path, &[], body.as_bytes()).unwrap_or_else(|e| panic!("{method} {path}: {e}"))
    }

    fn ask(&self, op: &Op) -> (Response, Normal) {
        let (path, body) = (self.fill(&op.path), self.fill(&op.body));
        let answer = self.request(op.method, &path, &body);
        let normal = Normal::of(&answer, &self.known, op);
        (answer, normal)
    }

    fn remember(&mut self, name: &str, answer: &Response) {
        let id = serde_json::from_slice(&answer.body).ok().and_then(|json: Value| {
            let id = json.get("ID")?.as_str()?;
            Some(id.to_owned())
        });
        if let Some(id) = id {
            self.known.insert(name.to_owned(), id);
        }
    }

    /// Puts the server's own values for the placeholders of a plan. One that is not known stays: it is nobody's id.
    fn fill(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.known {
            text = text.replace(&format!("<<{name}>>"), value);
        }
        while let Some((before, rest)) = text.split_once("<<index:") {
            let (key, after) = rest.split_once(">>").expect("a placeholder has an end");
            text = format!("{before}{}{after}", self.index_of(key));
        }
        text.replace("<<", "%3C%3C").replace(">>", "%3E%3E")
    }

    fn index_of(&self, key: &str) -> u64 {
        let answer = self.request("GET", &format!("/v1/kv/{key}"), "");
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        json[0]["ModifyIndex"].as_u64().unwrap_or(0)
    }
}
