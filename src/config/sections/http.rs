//! What the HTTP edge refuses, adds and listens on besides TCP.

use crate::config::error::ConfigError;
use crate::config::settings::Settings;
use crate::model::Network;
use serde_json::Value;
use std::path::PathBuf;

/// `http_config` and its like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpSettings {
    /// Paths that begin so are refused.
    pub block_endpoints: Vec<String>,
    /// Headers of every response; names and values that HTTP allows.
    pub response_headers: Vec<(String, String)>,
    /// Only clients in these networks may do more than read; empty: all may.
    pub allow_write_from: Vec<Network>,
    /// Paths may hold what cannot be printed.
    pub unprintable_paths: bool,
    /// Unix sockets to listen on.
    pub sockets: Vec<UnixSocket>,
}

/// A Unix socket and who may use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixSocket {
    /// Where it is.
    pub path: PathBuf,
    /// Its owner, a name or number; empty: who runs the agent.
    pub user: String,
    /// Its group, a name or number; empty: that of who runs the agent.
    pub group: String,
    /// Its permissions.
    pub mode: Option<u32>,
}

impl Settings {
    pub(in crate::config) fn http(&self) -> Result<HttpSettings, ConfigError> {
        let mut allow_write_from = Vec::new();
        for text in self.texts("http_config.allow_write_http_from") {
            let invalid = || ConfigError::at("allow_write_http_from", format_args!("invalid cidr: {text}"));
            allow_write_from.push(Network::parse(&text).ok_or_else(invalid)?);
        }
        let path = "http_config.response_headers";
        let mut response_headers = Vec::new();
        for (name, value) in self.get(path).and_then(Value::as_object).into_iter().flatten() {
            let value = value.as_str().unwrap_or_default();
            let fits = http::HeaderName::try_from(name.as_str()).is_ok() && http::HeaderValue::try_from(value).is_ok();
            if !fits {
                return Err(ConfigError::at(path, format_args!("not a header of HTTP: {name:?}: {value:?}")));
            }
            response_headers.push((name.clone(), value.to_owned()));
        }
        Ok(HttpSettings {
            block_endpoints: self.texts("http_config.block_endpoints"),
            response_headers,
            allow_write_from,
            unprintable_paths: self.switch("disable_http_unprintable_char_filter"),
            sockets: self.sockets("http")?,
        })
    }

    fn sockets(&self, what: &str) -> Result<Vec<UnixSocket>, ConfigError> {
        if self.port(&format!("ports.{what}"), 1)?.is_none() {
            return Ok(Vec::new());
        }
        let text = |key: &str| self.text(key).unwrap_or_default().to_owned();
        let invalid = |mode: &str| ConfigError::at("unix_sockets.mode", format_args!("not an octal number: {mode}"));
        let mode = self.text("unix_sockets.mode").map(|m| u32::from_str_radix(m, 8).map_err(|_| invalid(m)));
        let mode = mode.transpose()?;
        let paths = self.client_addresses(what)?.1;
        let socket =
            |path| UnixSocket { path, user: text("unix_sockets.user"), group: text("unix_sockets.group"), mode };
        Ok(paths.into_iter().map(socket).collect())
    }
}
