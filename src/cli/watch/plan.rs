//! The parameters of a watch, in the names and with the errors of Consul.

use crate::config::WatchTarget;
use serde_json::{Map, Value};

/// A checked watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WatchPlan {
    /// What is watched.
    pub(super) target: WatchTarget,
    /// Whether any server may answer.
    pub(super) stale: bool,
}

impl WatchPlan {
    /// Checks parameters.
    ///
    /// # Errors
    /// The first thing that is wrong, in Consul's words.
    pub(super) fn parse(params: Map<String, Value>) -> Result<WatchPlan, String> {
        let mut params = Params(params);
        let type_name = params.text("type")?;
        if type_name.is_empty() {
            return Err("Watch type must be specified".to_owned());
        }
        if type_name.starts_with("connect_") || type_name.starts_with("agent_") {
            return Err(format!("Type {type_name} is not supported in the CLI tool"));
        }
        let (target, stale) = params.target(&type_name)?;
        if !params.0.is_empty() {
            let names: Vec<&str> = params.0.keys().map(String::as_str).collect();
            return Err(format!("Invalid parameters: [{}]", names.join(" ")));
        }
        Ok(WatchPlan { target, stale })
    }

    /// The path of the request and its parameters, without `index`, `wait`, `dc` and consistency.
    pub(super) fn request(&self) -> (String, Vec<(&'static str, String)>) {
        let key = |key: &str| format!("/v1/kv/{}", key.strip_prefix('/').unwrap_or(key));
        match &self.target {
            WatchTarget::Key(name) => (key(name), Vec::new()),
            WatchTarget::KeyPrefix(prefix) => (key(prefix), vec![("recurse", String::new())]),
            WatchTarget::Services => ("/v1/catalog/services".to_owned(), Vec::new()),
            WatchTarget::Nodes => ("/v1/catalog/nodes".to_owned(), Vec::new()),
            WatchTarget::Service { service, tags, passing } => {
                let passing = passing.then(|| ("passing", "1".to_owned()));
                let tags = tags.iter().map(|tag| ("tag", tag.clone()));
                (format!("/v1/health/service/{service}"), passing.into_iter().chain(tags).collect())
            }
            WatchTarget::ChecksOfService(service) => (format!("/v1/health/checks/{service}"), Vec::new()),
            WatchTarget::ChecksInState(state) => (format!("/v1/health/state/{state}"), Vec::new()),
            WatchTarget::Event(name) if name.is_empty() => ("/v1/event/list".to_owned(), Vec::new()),
            WatchTarget::Event(name) => ("/v1/event/list".to_owned(), vec![("name", name.clone())]),
        }
    }
}

/// Parameters that are taken out one by one, so that what is left is what nobody knows.
struct Params(Map<String, Value>);

impl Params {
    fn text(&mut self, name: &str) -> Result<String, String> {
        match self.0.remove(name) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(format!("Expecting {name} to be a string")),
        }
    }

    fn switch(&mut self, name: &str) -> Result<bool, String> {
        match self.0.remove(name) {
            None => Ok(false),
            Some(Value::Bool(on)) => Ok(on),
            Some(_) => Err(format!("Expecting {name} to be a boolean")),
        }
    }

    fn texts(&mut self, name: &str) -> Result<Vec<String>, String> {
        match self.0.remove(name) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![text]),
            Some(Value::Array(items)) => {
                let texts = items.into_iter().enumerate().map(|(index, item)| match item {
                    Value::String(text) => Ok(text),
                    _ => Err(format!("Index {index} of {name} expected to be string")),
                });
                texts.collect()
            }
            Some(_) => Err(format!("Expecting {name} to be a string or []string")),
        }
    }

    /// What is watched, and whether any server may say so.
    fn target(&mut self, type_name: &str) -> Result<(WatchTarget, bool), String> {
        // User events and the agent's own data have no consistency modes.
        let stale = match type_name {
            "key" | "keyprefix" | "services" | "nodes" | "service" | "checks" => self.switch("stale")?,
            _ => false,
        };
        let target = match type_name {
            "key" => WatchTarget::Key(self.needed("key", "Must specify a single key to watch")?),
            "keyprefix" => WatchTarget::KeyPrefix(self.needed("prefix", "Must specify a single prefix to watch")?),
            "services" => WatchTarget::Services,
            "nodes" => WatchTarget::Nodes,
            "service" => WatchTarget::Service {
                service: self.needed("service", "Must specify a single service to watch")?,
                tags: self.texts("tag")?,
                passing: self.switch("passingonly")?,
            },
            "checks" => match (self.text("service")?, self.text("state")?) {
                (service, state) if service.is_empty() && state.is_empty() => {
                    WatchTarget::ChecksInState("any".to_owned())
                }
                (service, state) if service.is_empty() => WatchTarget::ChecksInState(state),
                (service, state) if state.is_empty() => WatchTarget::ChecksOfService(service),
                _ => return Err("Cannot specify service and state".to_owned()),
            },
            "event" => WatchTarget::Event(self.text("name")?),
            other => return Err(format!("Unsupported watch type: {other}")),
        };
        Ok((target, stale))
    }

    fn needed(&mut self, name: &str, otherwise: &str) -> Result<String, String> {
        self.text(name).and_then(|text| if text.is_empty() { Err(otherwise.to_owned()) } else { Ok(text) })
    }
}
