//! What is done with a new result.

use super::params::Params;
use crate::config::block::{Block, Faults};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long an HTTP handler may take that names no time.
const HTTP_TIMEOUT: Duration = Duration::from_secs(10);

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

impl WatchHandler {
    /// Takes what names a handler out of the parameters.
    pub(super) fn take(params: &mut Params) -> Result<WatchHandler, String> {
        let kind = params.text("handler_type")?;
        let args = params.texts("args").map_err(|_| "Watch args must be a list of strings")?;
        let line = params.text("handler").map_err(|_| "Watch handler must be a string")?;
        let http = params.take("http_handler_config");
        match (kind.as_str(), http) {
            ("http", None) => Err("Handler type 'http' requires 'http_handler_config' to be set".to_owned()),
            ("http", Some(config)) => http_handler(&config),
            ("" | "script", _) => match (args.is_empty(), line.is_empty()) {
                (false, false) => Err("Only one of 'handler' and 'args' can be set".to_owned()),
                (false, true) => Ok(WatchHandler::Program(args)),
                (true, false) => Ok(WatchHandler::Shell(line)),
                (true, true) => Err("Must define a watch handler".to_owned()),
            },
            (other, _) => Err(format!("Handler type '{other}' not recognized")),
        }
    }
}

fn http_handler(config: &Value) -> Result<WatchHandler, String> {
    let mut faults = Faults::default();
    let handler = Block::read("http_handler_config".to_owned(), config, &mut faults, |block| {
        block.skip("tls_skip_verify");
        let (url, method) = (block.text("path"), block.text("method"));
        let timeout = u64::try_from(block.duration("timeout")).unwrap_or(0);
        let headers = block.text_lists("header").into_iter();
        WatchHandler::Http {
            url,
            method: if method.is_empty() { "POST".to_owned() } else { method },
            headers: headers.map(|(k, v)| (k, v.into_iter().map(String::from).collect())).collect(),
            timeout: if timeout == 0 { HTTP_TIMEOUT } else { Duration::from_nanos(timeout) },
        }
    });
    // Unknown keys are no fault here, as in Consul.
    if let Some(fault) = faults.types.into_iter().chain(faults.values).next() {
        return Err(format!("Failed to parse 'http_handler_config': {fault}"));
    }
    match handler {
        Some(WatchHandler::Http { url, .. }) if url.is_empty() => {
            Err("Requires 'path' to be set in 'http_handler_config'".to_owned())
        }
        Some(WatchHandler::Http { url, .. }) if !url.starts_with("http://") => {
            Err(format!("http_handler_config.path: only http:// is spoken in this version: {url}"))
        }
        Some(handler) => Ok(handler),
        None => Err("Failed to parse 'http_handler_config'".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn take(value: Value) -> Result<WatchHandler, String> {
        let Value::Object(params) = value else { panic!("an object") };
        WatchHandler::take(&mut Params::new(params))
    }

    #[test]
    fn handlers() {
        assert_eq!(take(json!({"args": ["a", "b"]})), Ok(WatchHandler::Program(vec!["a".into(), "b".into()])));
        assert_eq!(take(json!({"args": "a"})), Ok(WatchHandler::Program(vec!["a".into()])));
        assert_eq!(take(json!({"handler": "a | b"})), Ok(WatchHandler::Shell("a | b".into())));
        let http = json!({"handler_type": "http", "http_handler_config": [{"path": "http://x", "timeout": "1s",
            "header": {"A": ["b"]}, "not_known": 1}]});
        let expected = WatchHandler::Http {
            url: "http://x".into(),
            method: "POST".into(),
            headers: [("A".to_owned(), vec!["b".to_owned()])].into(),
            timeout: Duration::from_secs(1),
        };
        assert_eq!(take(http), Ok(expected));
    }

    #[test]
    fn refusals() {
        for (value, expected) in [
            (json!({"args": ["a", 1]}), "Watch args must be a list of strings"),
            (json!({"handler": 5}), "Watch handler must be a string"),
            (json!({"args": ["a"], "handler": "b"}), "Only one of 'handler' and 'args' can be set"),
            (json!({"handler_type": "x"}), "Handler type 'x' not recognized"),
            (json!({"handler_type": "http"}), "Handler type 'http' requires 'http_handler_config' to be set"),
            (
                json!({"handler_type": "http", "http_handler_config": {}}),
                "Requires 'path' to be set in 'http_handler_config'",
            ),
            (
                json!({"handler_type": "http", "http_handler_config": "x"}),
                "Failed to parse 'http_handler_config': 'http_handler_config' expected a map, got 'string'",
            ),
        ] {
            assert_eq!(take(value), Err(expected.to_owned()));
        }
    }
}
