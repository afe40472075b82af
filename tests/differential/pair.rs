//! Both servers, and one request to both.

use super::common::Server;
use super::common::http::{self, Response};
use super::consul::Consul;
use super::deviations;
use super::normal::{Body, Normal};
use super::op::{NODE, Op};
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
    seen: BTreeMap<String, (u64, Body)>,
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

    /// Asks both; what differs, if anything.
    pub(crate) fn run(&mut self, op: &Op) -> Option<String> {
        let (mut ours, mut theirs) = (self.ours.ask(op), self.theirs.ask(op));
        let start = Instant::now();
        // 501: it will not come to be by waiting.
        while op.reads() && ours.1 != theirs.1 && ours.0.status != 501 && start.elapsed() < SETTLES_WITHIN {
            if deviations::reason(op, &ours.1, &theirs.1).is_some() {
                break;
            }
            std::thread::sleep(ASK_AGAIN);
            (ours, theirs) = (self.ours.ask(op), self.theirs.ask(op));
        }
        if let Some(name) = &op.remember {
            self.ours.remember(name, &ours.0);
            self.theirs.remember(name, &theirs.0);
        }
        let difference = (ours.1 != theirs.1 && deviations::reason(op, &ours.1, &theirs.1).is_none())
            .then(|| format!("{op}\n    ours:   {}\n    Consul: {}", ours.1, theirs.1));
        difference.or_else(|| self.index_grew(op, &ours.0, &ours.1, &theirs.0))
    }

    /// A watcher that holds an old index must be woken when the answer changes.
    fn index_grew(&mut self, op: &Op, ours: &Response, normal: &Normal, theirs: &Response) -> Option<String> {
        // On an error Consul sends an index at times; it means nothing.
        if !op.reads() || ![200, 404].contains(&ours.status) {
            return None;
        }
        let (index, consul) = (ours.header("X-Consul-Index"), theirs.header("X-Consul-Index"));
        if index.is_some() != consul.is_some() {
            return Some(format!("{op}: X-Consul-Index: ours {index:?}, Consul {consul:?}"));
        }
        let index: u64 = index?.parse().ok()?;
        let (before, body) = self.seen.insert(op.path.clone(), (index, normal.body.clone()))?;
        let missed = body != normal.body && index <= before;
        missed.then(|| format!("{op}: the answer has changed, and X-Consul-Index went from {before} to {index}"))
    }
}

impl Side {
    fn ask(&self, op: &Op) -> (Response, Normal) {
        let (path, body) = (self.fill(&op.path), self.fill(&op.body));
        let answer =
            http::request(self.http, op.method, &path, &[], body.as_bytes()).unwrap_or_else(|e| panic!("{op}: {e}"));
        let normal = Normal::of(&answer, &self.known, op.order);
        (answer, normal)
    }

    fn remember(&mut self, name: &str, answer: &Response) {
        let id = serde_json::from_slice(&answer.body).ok().and_then(|json: serde_json::Value| {
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
        let answer = http::request(self.http, "GET", &format!("/v1/kv/{key}"), &[], b"").expect("an answer");
        let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        json[0]["ModifyIndex"].as_u64().unwrap_or(0)
    }
}
