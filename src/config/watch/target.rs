//! What a watch looks at: its parameters, in the names and with the errors of Consul, and the request that answers it.
//! One reading for configuration files and the command line.

use super::params::Params;

/// What is looked at, and who may answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// What is looked at.
    pub target: WatchTarget,
    /// Whether any server may answer.
    pub stale: bool,
}

/// What a watch looks at; each gives the document of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchTarget {
    /// One key.
    Key(String),
    /// All keys that begin so.
    KeyPrefix(String),
    /// The names of all services.
    Services,
    /// All nodes.
    Nodes,
    /// The instances of a service.
    Service {
        /// Its name.
        service: String,
        /// Tags that instances must have, all of them.
        tags: Vec<String>,
        /// Only instances whose checks are passing.
        passing: bool,
    },
    /// The checks of a service.
    ChecksOfService(String),
    /// The checks in a state, or `any`.
    ChecksInState(String),
    /// User events with this name, or all.
    Event(String),
    /// The service of the agent with this id.
    AgentService(String),
}

/// What was seen of a target: the next request waits for something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// An index; it grows.
    Index(u64),
    /// The hash of the content.
    Hash(String),
}

impl Seen {
    /// What the headers of an answer say.
    pub fn of(index: Option<u64>, hash: Option<&str>) -> Option<Seen> {
        index.map(Seen::Index).or_else(|| hash.map(|hash| Seen::Hash(hash.to_owned())))
    }

    /// The index that handlers are told; 0 where there is none, as in Consul.
    pub fn index(&self) -> u64 {
        match self {
            Seen::Index(index) => *index,
            Seen::Hash(_) => 0,
        }
    }

    /// What to ask with, so that only something else is answered at once.
    pub fn parameter(&self) -> (&'static str, String) {
        match self {
            Seen::Index(index) => ("index", index.to_string()),
            Seen::Hash(hash) => ("hash", hash.clone()),
        }
    }
}

impl Watch {
    /// Takes the parameters of the target, without the type, out of those that were given.
    ///
    /// # Errors
    /// The first thing that is wrong, in Consul's words. Parameters that are left are the caller's to judge.
    pub fn take(type_name: &str, params: &mut Params) -> Result<Watch, String> {
        // Of what an agent has itself, there are no consistency modes.
        let stale = match type_name {
            "key" | "keyprefix" | "services" | "nodes" | "service" | "checks" => params.switch("stale")?,
            _ => false,
        };
        let target = match type_name {
            "key" => WatchTarget::Key(needed(params, "key", "key")?),
            "keyprefix" => WatchTarget::KeyPrefix(needed(params, "prefix", "prefix")?),
            "services" => WatchTarget::Services,
            "nodes" => WatchTarget::Nodes,
            "service" => WatchTarget::Service {
                service: needed(params, "service", "service")?,
                tags: params.texts("tag")?,
                passing: params.switch("passingonly")?,
            },
            "checks" => match (params.text("service")?, params.text("state")?) {
                (service, state) if service.is_empty() && state.is_empty() => {
                    WatchTarget::ChecksInState("any".to_owned())
                }
                (service, state) if service.is_empty() => WatchTarget::ChecksInState(state),
                (service, state) if state.is_empty() => WatchTarget::ChecksOfService(service),
                _ => return Err("Cannot specify service and state".to_owned()),
            },
            "event" => WatchTarget::Event(params.text("name")?),
            // Consul takes one without an id, and then asks for nothing for ever.
            "agent_service" => WatchTarget::AgentService(needed(params, "service_id", "service ID")?),
            other => return Err(format!("Unsupported watch type: {other}")),
        };
        Ok(Watch { target, stale })
    }

    /// The path of the request and its parameters, unescaped and without `wait`, `dc` and what was seen.
    pub fn request(&self) -> (String, Vec<(&'static str, String)>) {
        let key = |key: &str| format!("/v1/kv/{}", key.strip_prefix('/').unwrap_or(key));
        let (path, mut query) = match &self.target {
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
            WatchTarget::AgentService(id) => (format!("/v1/agent/service/{id}"), Vec::new()),
        };
        if self.stale {
            query.push(("stale", String::new()));
        }
        (path, query)
    }
}

fn needed(params: &mut Params, name: &str, what: &str) -> Result<String, String> {
    match params.text(name)? {
        text if text.is_empty() => Err(format!("Must specify a single {what} to watch")),
        text => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn take(params: Value) -> Result<Watch, String> {
        let Value::Object(params) = params else { panic!("an object") };
        let mut params = Params::new(params);
        let type_name = params.text("type")?;
        let watch = Watch::take(&type_name, &mut params)?;
        params.end().map(|()| watch)
    }

    #[test]
    fn each_target_has_its_request() {
        for (params, expected) in [
            (json!({"type": "key", "key": "/a/b"}), "/v1/kv/a/b"),
            (json!({"type": "keyprefix", "prefix": "a/"}), "/v1/kv/a/?recurse="),
            (json!({"type": "services", "stale": true}), "/v1/catalog/services?stale="),
            (json!({"type": "nodes"}), "/v1/catalog/nodes"),
            (json!({"type": "service", "service": "w"}), "/v1/health/service/w"),
            (
                json!({"type": "service", "service": "w", "tag": ["a", "b"], "passingonly": true, "stale": true}),
                "/v1/health/service/w?passing=1&tag=a&tag=b&stale=",
            ),
            (json!({"type": "service", "service": "w", "tag": "a"}), "/v1/health/service/w?tag=a"),
            (json!({"type": "checks"}), "/v1/health/state/any"),
            (json!({"type": "checks", "state": "passing"}), "/v1/health/state/passing"),
            (json!({"type": "checks", "service": "w"}), "/v1/health/checks/w"),
            (json!({"type": "event"}), "/v1/event/list"),
            (json!({"type": "agent_service", "service_id": "w1"}), "/v1/agent/service/w1"),
            (json!({"type": "event", "name": "deploy"}), "/v1/event/list?name=deploy"),
        ] {
            let (path, query) = take(params).expect("accepted").request();
            let query: Vec<String> = query.iter().map(|(k, v)| format!("{k}={v}")).collect();
            let request = if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) };
            assert_eq!(request, expected);
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_consuls_words() {
        for (params, expected) in [
            (json!({"type": 1}), "Expecting type to be a string"),
            (json!({"type": "bogus"}), "Unsupported watch type: bogus"),
            (json!({"type": "key"}), "Must specify a single key to watch"),
            (json!({"type": "keyprefix"}), "Must specify a single prefix to watch"),
            (json!({"type": "service"}), "Must specify a single service to watch"),
            (json!({"type": "service", "service": "w", "tag": [1]}), "Index 0 of tag expected to be string"),
            (json!({"type": "service", "service": "w", "tag": 1}), "Expecting tag to be a string or []string"),
            (json!({"type": "service", "service": "w", "passingonly": "x"}), "Expecting passingonly to be a boolean"),
            (json!({"type": "checks", "service": "w", "state": "any"}), "Cannot specify service and state"),
            (json!({"type": "nodes", "zz": 1, "aa": 2}), "Invalid parameters: [aa zz]"),
            (json!({"type": "event", "stale": true}), "Invalid parameters: [stale]"),
            (json!({"type": "agent_service"}), "Must specify a single service ID to watch"),
            (json!({"type": "agent_service", "service_id": 5}), "Expecting service_id to be a string"),
            (json!({"type": "agent_service", "service_id": "w", "stale": true}), "Invalid parameters: [stale]"),
        ] {
            assert_eq!(take(params).expect_err("refused"), expected);
        }
    }

    proptest! {
        #[test]
        fn any_parameters_are_judged(
            names in proptest::collection::vec("(type|key|prefix|service|tag|state|name|stale|.{0,5})", 0..5),
            value in "(key|service|checks|event|http|.{0,5})",
        ) {
            let params = names.into_iter().map(|n| (n, Value::String(value.clone()))).collect();
            let _ = take(Value::Object(params));
        }
    }
}
