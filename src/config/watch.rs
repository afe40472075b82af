//! Watches: what is looked at, and what is run when it changes. One reading for the `watches` of configuration files;
//! the runner is [`crate::agent`]'s.

use super::block::{Block, Faults};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long an HTTP handler may take that names no time.
const HTTP_TIMEOUT: Duration = Duration::from_secs(10);

/// One watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchPlan {
    /// What is looked at.
    pub target: WatchTarget,
    /// Answers may be stale.
    pub stale: bool,
    /// What is done with a new result.
    pub handler: WatchHandler,
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
}

/// What is done with a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchHandler {
    /// A program with its arguments.
    Program(Vec<String>),
    /// A line for the shell.
    Shell(String),
    /// An HTTP request with the result as its body.
    Http {
        /// Where to.
        url: String,
        /// POST by default.
        method: String,
        /// Further headers.
        headers: BTreeMap<String, Vec<String>>,
        /// How long it may take.
        timeout: Duration,
    },
}

/// Reads one of the `watches`; the error names the key, in Consul's words where it has some.
pub(super) fn parse(value: &Value) -> Result<WatchPlan, String> {
    let mut faults = Faults::default();
    let plan = Block::read("watches".to_owned(), value, &mut faults, plan).unwrap_or_else(|| Err(String::new()));
    if let Some(fault) = faults.types.into_iter().chain(faults.values).next() {
        return Err(fault);
    }
    let plan = plan?;
    match faults.unknown.first() {
        Some(key) => Err(format!("Invalid parameters: [{}]", key.trim_start_matches("watches."))),
        None => Ok(plan),
    }
}

fn plan(block: &mut Block<'_>) -> Result<WatchPlan, String> {
    // There is one datacenter, and no access control.
    for name in ["datacenter", "token", "token_file"] {
        block.skip(name);
    }
    let stale = block.switch("stale");
    let target = target(block)?;
    Ok(WatchPlan { target, stale, handler: handler(block)? })
}

fn target(block: &mut Block<'_>) -> Result<WatchTarget, String> {
    let needed = |text: String, what: &str| {
        if text.is_empty() { Err(format!("Must specify a single {what} to watch")) } else { Ok(text) }
    };
    Ok(match block.text("type").as_str() {
        "" => return Err("Watch type must be specified".to_owned()),
        "key" => WatchTarget::Key(needed(block.text("key"), "key")?),
        "keyprefix" => WatchTarget::KeyPrefix(needed(block.text("prefix"), "prefix")?),
        "services" => WatchTarget::Services,
        "nodes" => WatchTarget::Nodes,
        "service" => WatchTarget::Service {
            service: needed(block.text("service"), "service")?,
            tags: block.text_or_texts("tag"),
            passing: block.switch("passingonly"),
        },
        "checks" => match (block.text("service"), block.text("state")) {
            (service, state) if !service.is_empty() && !state.is_empty() => {
                return Err("Cannot specify service and state".to_owned());
            }
            (service, _) if !service.is_empty() => WatchTarget::ChecksOfService(service),
            (_, state) if !state.is_empty() => WatchTarget::ChecksInState(state),
            _ => WatchTarget::ChecksInState("any".to_owned()),
        },
        "event" => WatchTarget::Event(block.text("name")),
        other => return Err(format!("Unsupported watch type: {other}")),
    })
}

fn handler(block: &mut Block<'_>) -> Result<WatchHandler, String> {
    let (kind, args, line) = (block.text("handler_type"), block.texts("args"), block.text("handler"));
    let http = block.block("http_handler_config", |inner| {
        inner.skip("tls_skip_verify");
        let (url, method) = (inner.text("path"), inner.text("method"));
        let timeout = u64::try_from(inner.duration("timeout")).unwrap_or(0);
        let headers = inner.text_lists("header").into_iter();
        WatchHandler::Http {
            url,
            method: if method.is_empty() { "POST".to_owned() } else { method },
            headers: headers.map(|(k, v)| (k, v.into_iter().map(String::from).collect())).collect(),
            timeout: if timeout == 0 { HTTP_TIMEOUT } else { Duration::from_nanos(timeout) },
        }
    });
    match (kind.as_str(), http) {
        ("http", Some(WatchHandler::Http { url, .. })) if url.is_empty() => {
            Err("Requires 'path' to be set in 'http_handler_config'".to_owned())
        }
        ("http", Some(WatchHandler::Http { url, .. })) if !url.starts_with("http://") => {
            Err(format!("http_handler_config.path: only http:// is spoken in this version: {url}"))
        }
        ("http", Some(handler)) => Ok(handler),
        ("http", None) => Err("Handler type 'http' requires 'http_handler_config' to be set".to_owned()),
        ("" | "script", _) if !args.is_empty() && !line.is_empty() => {
            Err("Only one of 'handler' and 'args' can be set".to_owned())
        }
        ("" | "script", _) if !args.is_empty() => Ok(WatchHandler::Program(args)),
        ("" | "script", _) if !line.is_empty() => Ok(WatchHandler::Shell(line)),
        ("" | "script", _) => Err("Must define a watch handler: 'args', 'handler' or 'http_handler_config'".to_owned()),
        (other, _) => Err(format!("Handler type '{other}' not recognized")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_type_is_read() {
        let target = |mut value: Value| {
            value["args"] = json!(["true"]);
            parse(&value).map(|p| p.target)
        };
        let service = |tags: &[&str]| WatchTarget::Service {
            service: "web".into(),
            tags: tags.iter().map(|t| (*t).to_owned()).collect(),
            passing: true,
        };
        for (value, expected) in [
            (json!({"type": "key", "key": "a"}), WatchTarget::Key("a".into())),
            (json!({"type": "keyprefix", "prefix": "a/"}), WatchTarget::KeyPrefix("a/".into())),
            (json!({"type": "services", "stale": true}), WatchTarget::Services),
            (json!({"type": "nodes", "datacenter": "dc1", "token": "x"}), WatchTarget::Nodes),
            (json!({"type": "service", "service": "web", "tag": "t", "passingonly": true}), service(&["t"])),
            (
                json!({"type": "service", "service": "web", "tag": ["t", "u"], "passingonly": true}),
                service(&["t", "u"]),
            ),
            (json!({"type": "checks"}), WatchTarget::ChecksInState("any".into())),
            (json!({"type": "checks", "service": "web"}), WatchTarget::ChecksOfService("web".into())),
            (json!({"type": "event", "name": "e"}), WatchTarget::Event("e".into())),
        ] {
            assert_eq!(target(value), Ok(expected));
        }
    }

    #[test]
    fn handlers() {
        let handler = |mut value: Value| {
            value["type"] = json!("nodes");
            parse(&value).map(|p| p.handler)
        };
        assert_eq!(handler(json!({"args": ["a", "b"]})), Ok(WatchHandler::Program(vec!["a".into(), "b".into()])));
        assert_eq!(handler(json!({"handler": "a | b"})), Ok(WatchHandler::Shell("a | b".into())));
        let http = json!({"handler_type": "http", "http_handler_config": [{"path": "http://x", "timeout": "1s",
            "header": {"A": ["b"]}}]});
        let expected = WatchHandler::Http {
            url: "http://x".into(),
            method: "POST".into(),
            headers: [("A".to_owned(), vec!["b".to_owned()])].into(),
            timeout: Duration::from_secs(1),
        };
        assert_eq!(handler(http), Ok(expected));
    }

    #[test]
    fn refusals() {
        for (value, expected) in [
            (json!({"type": "bogus"}), "Unsupported watch type: bogus"),
            (json!({"args": ["a"]}), "Watch type must be specified"),
            (json!({"type": "key"}), "Must specify a single key to watch"),
            (json!({"type": "nodes"}), "Must define a watch handler: 'args', 'handler' or 'http_handler_config'"),
            (json!({"type": "nodes", "args": ["a"], "x": 1}), "Invalid parameters: [x]"),
            (
                json!({"type": "nodes", "args": "a"}),
                "'watches.args': source data must be an array or slice, got string",
            ),
            (json!({"type": "checks", "service": "a", "state": "b"}), "Cannot specify service and state"),
            (json!({"type": "nodes", "handler_type": "x"}), "Handler type 'x' not recognized"),
            (json!(["a"]), "'watches' expected a map, got 'slice'"),
        ] {
            assert_eq!(parse(&value), Err(expected.to_owned()));
        }
    }
}
