//! Which agent a command talks to, and as whom: flags first, then the environment.

use super::request::QUERY;
use super::tls::{Tls, TlsFiles};
use crate::cli::console::Console;
use crate::cli::flags::Flags;
use crate::config::parse_bool;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::ArgMatches;
use percent_encoding::utf8_percent_encode;
use std::path::PathBuf;

/// The address of an agent's HTTP API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// `host:port`.
    Tcp(String),
    Unix(PathBuf),
}

/// An agent and the credentials for it.
pub(super) struct Endpoint {
    pub(super) target: Target,
    /// For `https`.
    pub(super) tls: Option<Tls>,
    pub(super) token: Option<String>,
    /// Value of the Authorization header.
    pub(super) authorization: Option<String>,
    /// Datacenter to ask, if not the agent's.
    pub(super) datacenter: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) stale: bool,
}

impl Endpoint {
    /// # Errors
    /// Why the agent cannot be spoken to, without a prefix.
    pub(super) fn new(flags: &ArgMatches, console: &Console<'_>) -> Result<Endpoint, String> {
        let given = |flag: &str| flags.text(flag).filter(|v| !v.is_empty()).map(str::to_owned);
        let given_or = |flag: &str, variable: &str| given(flag).or_else(|| console.variable(variable));
        let address = given_or("http-addr", "HTTP_ADDR");
        let ssl = console.variable("HTTP_SSL").is_some_and(|v| parse_bool(&v) == Some(true));
        let (target, secure) = target(address.as_deref().unwrap_or("127.0.0.1:8500"), ssl)?;
        let tls = if secure {
            let verify = console.variable("HTTP_SSL_VERIFY").is_none_or(|v| parse_bool(&v) == Some(true));
            Some(Tls::new(&TlsFiles {
                ca_file: given_or("ca-file", "CACERT"),
                ca_path: given_or("ca-path", "CAPATH"),
                cert: given_or("client-cert", "CLIENT_CERT"),
                key: given_or("client-key", "CLIENT_KEY"),
                server_name: given_or("tls-server-name", "TLS_SERVER_NAME"),
                verify,
            })?)
        } else {
            None
        };
        Ok(Endpoint {
            target,
            tls,
            token: token(flags, console)?,
            authorization: console.variable("HTTP_AUTH").map(|a| {
                // A name without a colon has an empty password.
                let pair = if a.contains(':') { a } else { format!("{a}:") };
                format!("Basic {}", STANDARD.encode(pair))
            }),
            datacenter: given("datacenter"),
            namespace: given_or("namespace", "NAMESPACE"),
            stale: flags.on("stale"),
        })
    }

    /// What goes before the path in a URL.
    pub(super) fn host(&self) -> String {
        match &self.target {
            Target::Tcp(authority) => authority.clone(),
            Target::Unix(path) => utf8_percent_encode(&path.to_string_lossy(), QUERY).to_string(),
        }
    }

    pub(super) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

/// A file with a token comes before a token, wherever either is given.
fn token(flags: &ArgMatches, console: &Console<'_>) -> Result<Option<String>, String> {
    let given = |flag: &str| flags.text(flag).filter(|v| !v.is_empty()).map(str::to_owned);
    let token = given("token").or_else(|| console.variable("HTTP_TOKEN"));
    let Some(file) = given("token-file").or_else(|| console.variable("HTTP_TOKEN_FILE")) else {
        return Ok(token);
    };
    let text = std::fs::read_to_string(&file)
        .map_err(|e| format!("Error loading token file: {}", crate::cli::console::open_error(&file, &e)))?;
    let text = text.trim();
    Ok(if text.is_empty() { token } else { Some(text.to_owned()) })
}

/// The address, and whether TLS is spoken there.
fn target(address: &str, ssl: bool) -> Result<(Target, bool), String> {
    let (scheme, rest) = address.split_once("://").unwrap_or(("http", address));
    let secure = match scheme {
        "http" => ssl,
        "https" => true,
        "unix" => return Ok((Target::Unix(PathBuf::from(rest)), false)),
        _ => return Err(format!("Unknown protocol scheme: {scheme}")),
    };
    let authority = rest.trim_end_matches('/');
    let has_port = !authority.ends_with(']') && authority.contains(':');
    let port = if secure { 443 } else { 80 };
    Ok((Target::Tcp(if has_port { authority.to_owned() } else { format!("{authority}:{port}") }), secure))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let tcp = |address: &str| (Target::Tcp(address.to_owned()), false);
        assert_eq!(target("1.2.3.4:5", false), Ok(tcp("1.2.3.4:5")));
        assert_eq!(target("http://[::1]:5/", false), Ok(tcp("[::1]:5")));
        assert_eq!(target("http://[::1]", false), Ok(tcp("[::1]:80")));
        assert_eq!(target("host", false), Ok(tcp("host:80")));
        assert_eq!(target("unix:///run/x", true), Ok((Target::Unix("/run/x".into()), false)));
        let secure = |address: &str| Ok((Target::Tcp(address.to_owned()), true));
        assert_eq!(target("https://x:1", false), secure("x:1"));
        // TLS that was asked for is never dropped.
        assert_eq!(target("http://x", true), secure("x:443"));
        assert_eq!(target("ftp://x", false), Err("Unknown protocol scheme: ftp".to_owned()));
    }
}
