//! Watches of configuration files: what they look at is asked of the agent's own HTTP API, and their handlers run at
//! the start and at every change, one at a time per watch.
//!
//! Must never: hold up the agent, or keep more than the last result of each watch.

mod client;
mod handler;

use crate::config::{Seen, Watch, WatchPlan, WatchTarget};
use client::Answer;
pub use client::Api;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

/// Pause after a first failure; it grows with the square of the failures in a row, as in Consul.
const RETRY: Duration = Duration::from_secs(5);
/// The longest pause.
const RETRY_MAX: Duration = Duration::from_secs(180);
/// What need not be escaped in a path or query.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// The watches that run. They end when this is dropped.
#[derive(Debug)]
pub struct Watches {
    api: Option<Api>,
    running: Mutex<Vec<AbortOnDropHandle<()>>>,
}

impl Watches {
    /// None yet; they will ask this API.
    pub fn new(api: Option<Api>) -> Watches {
        Watches { api, running: Mutex::default() }
    }

    /// Ends those that run, and starts these. Needs a tokio runtime.
    pub fn set(&self, plans: &[WatchPlan]) {
        let started = match &self.api {
            Some(api) => plans.iter().map(|plan| start(api.clone(), plan.clone())).collect(),
            None => {
                if !plans.is_empty() {
                    warn!("watches need the HTTP API, which is off: they do not run");
                }
                Vec::new()
            }
        };
        // The value is whole after every statement, so a panic elsewhere cannot have broken it.
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = started;
    }
}

fn start(api: Api, plan: WatchPlan) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move { run(&api, &plan).await }))
}

/// What a watch has heard.
#[derive(Default)]
struct Heard {
    /// `None`: nothing yet, or what counts no more.
    seen: Option<Seen>,
    document: Option<Value>,
    /// Id of the last event.
    event: String,
}

async fn run(api: &Api, plan: &WatchPlan) {
    let mut heard = Heard::default();
    let mut failures: u32 = 0;
    loop {
        match client::get(api, &path(&plan.watch, heard.seen.as_ref())).await {
            Ok(answer) => {
                failures = 0;
                let index = answer.seen.index();
                if let Some(document) = heard.take_up(&plan.watch.target, answer) {
                    handler::run(&plan.handler, index, &document).await;
                }
            }
            Err(reason) => {
                failures = failures.saturating_add(1);
                let pause = RETRY.saturating_mul(failures.saturating_mul(failures)).min(RETRY_MAX);
                warn!(target = ?plan.watch.target, %reason, retry = ?pause, "a watch failed");
                tokio::time::sleep(pause).await;
            }
        }
    }
}

impl Heard {
    /// Notes an answer, and gives the document for the handler if it is new.
    fn take_up(&mut self, target: &WatchTarget, answer: Answer) -> Option<Value> {
        let Answer { seen, document } = answer;
        let same = self.seen.as_ref() == Some(&seen) && self.document.is_some();
        // An index that goes back means another history: all is new again.
        let back = self.seen.as_ref().is_some_and(|before| seen.index() < before.index());
        self.seen = Some(seen).filter(|_| !back);
        if same {
            return None;
        }
        let document = match (target, document) {
            (WatchTarget::Key(_), Value::Array(mut pairs)) if !pairs.is_empty() => pairs.remove(0),
            (WatchTarget::Event(_), Value::Array(events)) => self.new_events(events),
            (_, document) => document,
        };
        if self.document.as_ref() == Some(&document) {
            return None;
        }
        self.document = Some(document.clone());
        Some(document)
    }

    fn new_events(&mut self, mut events: Vec<Value>) -> Value {
        let id = |event: &Value| event.get("ID").and_then(Value::as_str).unwrap_or_default().to_owned();
        let last = events.last().map(id).unwrap_or_default();
        if let Some(at) = events.iter().position(|event| id(event) == self.event) {
            events.drain(..=at);
        }
        self.event = last;
        Value::Array(events)
    }
}

/// The request for something else than what was seen.
fn path(watch: &Watch, seen: Option<&Seen>) -> String {
    let plain = |text: &str| utf8_percent_encode(text, PLAIN).to_string();
    let (path, query) = watch.request();
    let (name, value) = seen.map_or(("index", "0".to_owned()), Seen::parameter);
    let query: String = query.iter().map(|(name, value)| format!("&{name}={}", plain(value))).collect();
    format!("{}?{name}={}{query}", plain(&path), plain(&value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn requests_are_escaped() {
        let service =
            WatchTarget::Service { service: "we b".to_owned(), tags: vec!["a".into(), "b&".into()], passing: true };
        for (target, expected) in [
            (WatchTarget::Key("a/b c?".to_owned()), "/v1/kv/a/b%20c%3F?index=7&stale="),
            (service, "/v1/health/service/we%20b?index=7&passing=1&tag=a&tag=b%26&stale="),
        ] {
            assert_eq!(path(&Watch { target, stale: true }, Some(&Seen::Index(7))), expected);
        }
        assert_eq!(path(&Watch { target: WatchTarget::Nodes, stale: false }, None), "/v1/catalog/nodes?index=0");
        let own = Watch { target: WatchTarget::AgentService("w 1".to_owned()), stale: false };
        assert_eq!(path(&own, Some(&Seen::Hash("a1".to_owned()))), "/v1/agent/service/w%201?hash=a1");
    }

    #[test]
    fn handlers_see_what_is_new() {
        let answer = |index, document| Answer { seen: Seen::Index(index), document };
        let key = WatchTarget::Key("a".to_owned());
        let mut heard = Heard::default();
        assert_eq!(heard.take_up(&key, answer(1, Value::Null)), Some(Value::Null));
        assert_eq!(heard.take_up(&key, answer(1, Value::Null)), None);
        assert_eq!(heard.take_up(&key, answer(2, Value::Null)), None);
        assert_eq!(heard.take_up(&key, answer(3, json!([{"Key": "a"}]))), Some(json!({"Key": "a"})));
        assert_eq!(heard.take_up(&key, answer(2, json!([{"Key": "b"}]))), Some(json!({"Key": "b"})));
        assert_eq!(heard.seen, None);
        let own = WatchTarget::AgentService("w1".to_owned());
        let hashed = |hash: &str| Answer { seen: Seen::Hash(hash.to_owned()), document: json!({"ContentHash": hash}) };
        let mut heard = Heard::default();
        assert_eq!(heard.take_up(&own, hashed("a")), Some(json!({"ContentHash": "a"})));
        assert_eq!(heard.take_up(&own, hashed("a")), None);
        assert_eq!(heard.take_up(&own, hashed("b")), Some(json!({"ContentHash": "b"})));
        let event = WatchTarget::Event(String::new());
        let mut heard = Heard::default();
        assert_eq!(heard.take_up(&event, answer(1, json!([{"ID": "x"}]))), Some(json!([{"ID": "x"}])));
        let both = json!([{"ID": "x"}, {"ID": "y"}]);
        assert_eq!(heard.take_up(&event, answer(2, both)), Some(json!([{"ID": "y"}])));
    }
}
