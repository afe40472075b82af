//! Which agent a command talks to, and as whom: flags first, then the environment.

use super::console::{Console, Exit};
use super::tree::Flags;
use crate::config::parse_bool;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::ArgMatches;
use std::path::PathBuf;

/// The address of an agent's HTTP API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// `host:port`.
    Tcp(String),
    Unix(PathBuf),
}

/// An agent and the credentials for it.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) target: Target,
    pub(crate) token: Option<String>,
    /// Value of the Authorization header.
    pub(crate) authorization: Option<String>,
    /// Datacenter to ask, if not the agent's.
    pub(crate) datacenter: Option<String>,
    pub(crate) stale: bool,
}

impl Endpoint {
    pub(crate) fn new(flags: &ArgMatches, console: &Console<'_>) -> Result<Endpoint, Exit> {
        let refuse = |what: &str, why: &str| Err(Exit::failed(format!("{what} is not built yet: {why}")));
        for tls in ["ca-file", "ca-path", "client-cert", "client-key", "tls-server-name"] {
            if flags.text(tls).is_some_and(|v| !v.is_empty()) {
                return refuse(&format!("-{tls}"), "this version speaks plain HTTP only");
            }
        }
        if console.variable("HTTP_SSL").is_some_and(|v| parse_bool(&v) == Some(true)) {
            return refuse("CONSUL_HTTP_SSL", "this version speaks plain HTTP only");
        }
        let namespace = flags.text("namespace").map(str::to_owned).or_else(|| console.variable("NAMESPACE"));
        if namespace.is_some_and(|n| !matches!(n.as_str(), "" | "default")) {
            return refuse("-namespace", "this version has the default namespace only");
        }
        let address = flags.text("http-addr").filter(|a| !a.is_empty()).map(str::to_owned);
        let address = address.or_else(|| console.variable("HTTP_ADDR"));
        Ok(Endpoint {
            target: target(address.as_deref().unwrap_or("127.0.0.1:8500"))?,
            token: token(flags, console)?,
            authorization: console.variable("HTTP_AUTH").map(|a| format!("Basic {}", STANDARD.encode(a))),
            datacenter: flags.text("datacenter").filter(|d| !d.is_empty()).map(str::to_owned),
            stale: flags.on("stale"),
        })
    }
}

fn token(flags: &ArgMatches, console: &Console<'_>) -> Result<Option<String>, Exit> {
    if let Some(token) = flags.text("token").filter(|t| !t.is_empty()) {
        return Ok(Some(token.to_owned()));
    }
    let file = flags.text("token-file").map(str::to_owned).or_else(|| console.variable("HTTP_TOKEN_FILE"));
    match file.filter(|f| !f.is_empty()) {
        Some(file) => match std::fs::read_to_string(&file) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(error) => Err(Exit::failed(format!("Error loading token file {file:?}: {error}"))),
        },
        None => Ok(console.variable("HTTP_TOKEN")),
    }
}

fn target(address: &str) -> Result<Target, Exit> {
    let (scheme, rest) = address.split_once("://").unwrap_or(("http", address));
    match scheme {
        "http" => {
            let authority = rest.trim_end_matches('/');
            let bare = !authority.ends_with(']') && authority.contains(':');
            Ok(Target::Tcp(if bare { authority.to_owned() } else { format!("{authority}:80") }))
        }
        "unix" => Ok(Target::Unix(PathBuf::from(rest))),
        "https" => {
            Err(Exit::failed(format!("{address} is not built yet: this version speaks plain HTTP only, use http://")))
        }
        _ => Err(Exit::failed(format!("Error connecting to Consul agent: Unknown protocol scheme: {scheme}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(target("1.2.3.4:5").expect("tcp"), Target::Tcp("1.2.3.4:5".to_owned()));
        assert_eq!(target("http://[::1]:5/").expect("tcp"), Target::Tcp("[::1]:5".to_owned()));
        assert_eq!(target("http://[::1]").expect("tcp"), Target::Tcp("[::1]:80".to_owned()));
        assert_eq!(target("host").expect("tcp"), Target::Tcp("host:80".to_owned()));
        assert_eq!(target("unix:///run/x").expect("unix"), Target::Unix("/run/x".into()));
        assert!(target("https://x").expect_err("refused").message.contains("https://x is not built yet"));
        assert!(target("ftp://x").expect_err("refused").message.ends_with("Unknown protocol scheme: ftp"));
    }
}
