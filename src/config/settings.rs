//! The merged settings, read one by one: defaults that depend on other settings, and what is asked of each value.

use super::address::{self, Host};
use super::error::ConfigError;
use super::template::{self, Interface};
use crate::model::duration::parse_duration;
use crate::model::limits::META_PAIRS_MAX;
use crate::model::names;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// A number of servers from here on is a mistake: each one makes every write wait for more of them.
const BOOTSTRAP_EXPECT_MAX: i64 = 16;

/// The merged tree, whose keys are known and of the right type, and what templates are filled with. An empty text is
/// the same as none.
pub(super) struct Settings {
    pub(super) tree: Value,
    pub(super) interfaces: Vec<Interface>,
}

impl Settings {
    pub(super) fn get(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(&self.tree, |at, key| at.get(key))
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.get(path)?.as_str().filter(|t| !t.is_empty())
    }

    pub(super) fn texts(&self, path: &str) -> Vec<String> {
        let items = self.get(path).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
    }

    pub(super) fn choice(&self, path: &str) -> Option<bool> {
        self.get(path)?.as_bool()
    }

    pub(super) fn switch(&self, path: &str) -> bool {
        self.choice(path).unwrap_or(false)
    }

    pub(super) fn duration(&self, path: &str, default: Duration) -> Result<Duration, ConfigError> {
        self.text(path).map_or(Ok(default), |text| duration(path, text))
    }

    /// A text with its templates filled in; one that gives nothing is an error.
    pub(super) fn filled(&self, key: &str, text: &str) -> Result<String, ConfigError> {
        let filled = template::fill(text, &self.interfaces)
            .map_err(|e| ConfigError::at(key, format_args!("unable to parse address template {text:?}: {e}")))?;
        if filled.trim().is_empty() {
            let text = format!("{key} cannot be empty: the template {text:?} finds no address on this machine");
            return Err(ConfigError::invalid(text));
        }
        Ok(filled)
    }

    fn ip(&self, key: &str, text: &str) -> Result<IpAddr, ConfigError> {
        address::ip(key, self.filled(key, text)?.trim())
    }

    pub(super) fn int(&self, path: &str) -> Option<i64> {
        self.get(path)?.as_i64()
    }

    pub(super) fn number(&self, path: &str) -> Option<f64> {
        self.get(path)?.as_f64()
    }

    pub(super) fn port(&self, path: &str, default: u16) -> Result<Option<u16>, ConfigError> {
        self.int(path).map_or(Ok(Some(default)), |n| address::port(path, n))
    }

    /// Where sidecars get their ports; `None` when either end turns that off.
    pub(super) fn sidecar_ports(&self) -> Result<Option<RangeInclusive<u16>>, ConfigError> {
        let end = |key: &str, default| Ok(self.port(key, default)?.filter(|port| *port != 0));
        let first: Option<u16> = end("ports.sidecar_min_port", 21000)?;
        let last: Option<u16> = end("ports.sidecar_max_port", 21255)?;
        match (first.map_or(0, i32::from), last.map_or(0, i32::from)) {
            (first, last) if first > last => Err(ConfigError::invalid(
                "sidecar_min_port must be less than sidecar_max_port. To disable, set both to zero.",
            )),
            _ => Ok(first.zip(last).map(|(first, last)| first..=last)),
        }
    }

    pub(super) fn needed_port(&self, path: &str, default: u16) -> Result<u16, ConfigError> {
        self.port(path, default)?
            .ok_or_else(|| ConfigError::at(path, "a server needs this port: give one, or 0 for a free one"))
    }

    /// Whether this is a server, and how many servers found its cluster; 0: it joins one that is there.
    pub(super) fn role(&self, dev: bool) -> Result<(bool, u32), ConfigError> {
        let expect = self.int("bootstrap_expect").unwrap_or(0);
        let bootstrap = self.switch("bootstrap");
        // As in Consul, expecting one server is the same as bootstrapping.
        let (server, bootstraps) = (dev || self.switch("server"), bootstrap || expect == 1);
        let refuse = |text: &str| Err(ConfigError::invalid(text));
        match expect {
            ..0 => {
                return refuse(&format!("bootstrap_expect cannot be {expect}. Must be greater than or equal to zero"));
            }
            2.. if bootstrap => {
                return refuse("'bootstrap_expect > 0' and 'bootstrap = true' are mutually exclusive");
            }
            2.. if !server => return refuse("'bootstrap_expect > 0' requires 'server = true'"),
            BOOTSTRAP_EXPECT_MAX.. => return refuse("bootstrap_expect cannot be more than 15 servers"),
            2.. if dev => return refuse("'bootstrap_expect > 1' cannot be used with -dev, which is a cluster of one"),
            _ if bootstraps && !server => return refuse("'bootstrap = true' requires 'server = true'"),
            _ => {}
        }
        Ok((server, if dev || bootstraps { 1 } else { expect as u32 }))
    }

    pub(super) fn node_name(&self, host: &Host) -> Result<String, ConfigError> {
        let name = self.text("node_name").unwrap_or(&host.hostname);
        names::name("node_name", name).map_err(|e| ConfigError::at(&e.field, e.reason))?;
        Ok(name.to_owned())
    }

    pub(super) fn node_meta(&self) -> Result<BTreeMap<String, String>, ConfigError> {
        let entries = self.get("node_meta").and_then(Value::as_object).into_iter().flatten();
        let meta: BTreeMap<String, String> =
            entries.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect();
        for (key, value) in &meta {
            let fault = if key.to_ascii_lowercase().starts_with("consul-") {
                "Key prefix 'consul-' is reserved for internal use"
            } else if !key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
                "Key contains invalid characters"
            } else {
                continue;
            };
            let pair = format!("Couldn't load metadata pair ('{key}', '{value}')");
            return Err(ConfigError::invalid(format!("node_meta invalid: {pair}: {fault}")));
        }
        names::pairs("node_meta", META_PAIRS_MAX, meta.iter().map(|(k, v)| (k.as_str(), v.as_str())))
            .map_err(|e| ConfigError::at(&e.field, e.reason))?;
        Ok(meta)
    }

    pub(super) fn datacenter(&self) -> Result<String, ConfigError> {
        let given = self.text("datacenter").unwrap_or("dc1").to_lowercase();
        if !given.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_') {
            let text = format!("datacenter cannot be {given:?}. Please use only [a-z0-9-_]");
            return Err(ConfigError::invalid(text));
        }
        match self.text("primary_datacenter") {
            Some(primary) if primary.to_lowercase() != given => Err(ConfigError::NotBuilt {
                name: format!("primary_datacenter {primary:?} beside datacenter {given:?}"),
                why: "this version knows one datacenter".to_owned(),
            }),
            _ => Ok(given),
        }
    }

    pub(super) fn cluster_addresses(&self, host: &Host, dev: bool) -> Result<(IpAddr, IpAddr), ConfigError> {
        let default = if dev { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
        let bind = self.text("bind_addr").map_or(Ok(default.into()), |t| self.ip("bind_addr", t))?;
        let advertise = match self.text("advertise_addr") {
            Some(text) => self.ip("advertise_addr", text)?,
            None if bind.is_unspecified() => host.advertised()?,
            None => bind,
        };
        if advertise.is_unspecified() {
            return Err(ConfigError::invalid("Advertise address cannot be 0.0.0.0, :: or [::]"));
        }
        Ok((bind, advertise))
    }

    pub(super) fn listeners(&self, what: &str, default: u16) -> Result<Vec<SocketAddr>, ConfigError> {
        let (ips, sockets) = self.client_addresses(what)?;
        let port = self.port(&format!("ports.{what}"), default)?;
        if let (false, "grpc" | "dns", Some(_)) = (sockets.is_empty(), what, port) {
            let why = "only HTTP listens on Unix sockets in this version".to_owned();
            return Err(ConfigError::NotBuilt { name: format!("addresses.{what}: {}", sockets[0].display()), why });
        }
        Ok(port.map_or_else(Vec::new, |port| ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect()))
    }

    /// The IP addresses and Unix sockets of a listener for clients.
    pub(super) fn client_addresses(&self, what: &str) -> Result<(Vec<IpAddr>, Vec<PathBuf>), ConfigError> {
        let own = format!("addresses.{what}");
        let (key, text) = match (self.text(&own), self.text("client_addr")) {
            (Some(text), _) => (own.as_str(), text),
            (None, Some(text)) => ("client_addr", text),
            (None, None) => return Ok((vec![Ipv4Addr::LOCALHOST.into()], Vec::new())),
        };
        let filled = self.filled(key, text)?;
        let (sockets, ips): (Vec<&str>, Vec<&str>) = filled.split_whitespace().partition(|t| t.starts_with("unix:"));
        if key == "client_addr" && !sockets.is_empty() {
            return Err(ConfigError::at(key, format_args!("client_addr cannot be a unix socket: {}", sockets[0])));
        }
        let ips = ips.iter().map(|t| address::ip(key, t)).collect::<Result<_, _>>()?;
        let path = |t: &str| PathBuf::from(t.trim_start_matches("unix:").trim_start_matches("//"));
        Ok((ips, sockets.into_iter().map(path).collect()))
    }
}

/// A duration in Go's notation, not negative.
pub(super) fn duration(key: &str, text: &str) -> Result<Duration, ConfigError> {
    let invalid = |e| ConfigError::at(key, format_args!("invalid duration: {text:?}: {e}"));
    let ns = parse_duration(text).map_err(invalid)?;
    let ns = u64::try_from(ns).map_err(|_| ConfigError::at(key, format_args!("must not be negative: {text:?}")))?;
    Ok(Duration::from_nanos(ns))
}

/// A DNS domain in lower case with one dot at the end.
pub(super) fn domain(key: &str, text: &str) -> Result<String, ConfigError> {
    let bare = text.trim_matches('.').to_ascii_lowercase();
    let label =
        |l: &str| (1..=63).contains(&l.len()) && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if bare.len() > 200 || !bare.split('.').all(label) {
        return Err(ConfigError::at(key, format_args!("not a DNS domain: {text}")));
    }
    Ok(format!("{bare}."))
}
