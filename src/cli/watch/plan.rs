//! The parameters of a watch, in the names and with the errors of Consul.

use serde_json::{Map, Value};

/// What is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WatchKind {
    /// One key.
    Key(String),
    /// All keys with a prefix.
    KeyPrefix(String),
    /// The names of services and their tags.
    Services,
    /// The nodes of the catalog.
    Nodes,
    /// The instances of a service.
    Service {
        /// Its name.
        service: String,
        /// All of these must be there.
        tags: Vec<String>,
        /// Only those whose checks pass.
        passing_only: bool,
    },
    /// The checks of a service.
    ChecksOfService(String),
    /// The checks in a state, or in `any`.
    ChecksInState(String),
    /// User events, of one name unless that is empty.
    Event(String),
}

/// A checked watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WatchPlan {
    /// What is watched.
    pub(super) kind: WatchKind,
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
        let (kind, stale) = params.kind(&type_name)?;
        if !params.0.is_empty() {
            let names: Vec<&str> = params.0.keys().map(String::as_str).collect();
            return Err(format!("Invalid parameters: [{}]", names.join(" ")));
        }
        Ok(WatchPlan { kind, stale })
    }

    /// The path of the request and its parameters, without `index`, `wait`, `dc` and consistency.
    pub(super) fn request(&self) -> (String, Vec<(&'static str, String)>) {
        let key = |key: &str| format!("/v1/kv/{}", key.strip_prefix('/').unwrap_or(key));
        match &self.kind {
            WatchKind::Key(name) => (key(name), Vec::new()),
            WatchKind::KeyPrefix(prefix) => (key(prefix), vec![("recurse", String::new())]),
            WatchKind::Services => ("/v1/catalog/services".to_owned(), Vec::new()),
            WatchKind::Nodes => ("/v1/catalog/nodes".to_owned(), Vec::new()),
            WatchKind::Service { service, tags, passing_only } => {
                let passing = passing_only.then(|| ("passing", "1".to_owned()));
                let tags = tags.iter().map(|tag| ("tag", tag.clone()));
                (format!("/v1/health/service/{service}"), passing.into_iter().chain(tags).collect())
            }
            WatchKind::ChecksOfService(service) => (format!("/v1/health/checks/{service}"), Vec::new()),
            WatchKind::ChecksInState(state) => (format!("/v1/health/state/{state}"), Vec::new()),
            WatchKind::Event(name) if name.is_empty() => ("/v1/event/list".to_owned(), Vec::new()),
            WatchKind::Event(name) => ("/v1/event/list".to_owned(), vec![("name", name.clone())]),
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
    fn kind(&mut self, type_name: &str) -> Result<(WatchKind, bool), String> {
        // User events and the agent's own data have no consistency modes.
        let stale = match type_name {
            "key" | "keyprefix" | "services" | "nodes" | "service" | "checks" => self.switch("stale")?,
            _ => false,
        };
        let kind = match type_name {
            "key" => WatchKind::Key(self.needed("key", "Must specify a single key to watch")?),
            "keyprefix" => WatchKind::KeyPrefix(self.needed("prefix", "Must specify a single prefix to watch")?),
            "services" => WatchKind::Services,
            "nodes" => WatchKind::Nodes,
            "service" => WatchKind::Service {
                service: self.needed("service", "Must specify a single service to watch")?,
                tags: self.texts("tag")?,
                passing_only: self.switch("passingonly")?,
            },
            "checks" => match (self.text("service")?, self.text("state")?) {
                (service, state) if service.is_empty() && state.is_empty() => {
                    WatchKind::ChecksInState("any".to_owned())
                }
                (service, state) if service.is_empty() => WatchKind::ChecksInState(state),
                (service, state) if state.is_empty() => WatchKind::ChecksOfService(service),
                _ => return Err("Cannot specify service and state".to_owned()),
            },
            "event" => WatchKind::Event(self.text("name")?),
            other => return Err(format!("Unsupported watch type: {other}")),
        };
        Ok((kind, stale))
    }

    fn needed(&mut self, name: &str, otherwise: &str) -> Result<String, String> {
        self.text(name).and_then(|text| if text.is_empty() { Err(otherwise.to_owned()) } else { Ok(text) })
    }
}
