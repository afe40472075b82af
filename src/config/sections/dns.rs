//! How DNS answers.

use crate::config::error::ConfigError;
use crate::config::settings::Settings;
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The port of a recursor that names none.
const DNS_PORT: u16 = 53;

/// `dns_config` and `recursors`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsSettings {
    /// Servers for names outside of our domains, in the order in which they are asked.
    pub recursors: Vec<SocketAddr>,
    /// How long one of them may take; 2 seconds by default.
    pub recursor_timeout: Duration,
    /// Time to live of answers about nodes.
    pub node_ttl: Duration,
    /// The same of services, by name, prefix with `*`, or `*`.
    pub service_ttl: Vec<(String, Duration)>,
    /// Set the TC bit when an answer over UDP was cut.
    pub enable_truncate: bool,
    /// Leave out instances with a warning too.
    pub only_passing: bool,
    /// Do not compress names.
    pub disable_compression: bool,
    /// Records in an answer over UDP without EDNS; 3 by default.
    pub udp_answer_limit: usize,
    /// Addresses in an answer about a service; 0: no limit.
    pub a_record_limit: usize,
    /// Metadata of nodes as TXT records beside their addresses; on by default.
    pub node_meta_txt: bool,
    /// Values of the SOA record.
    pub soa: SoaSettings,
}

/// Values of the SOA record, seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoaSettings {
    /// 3600 by default.
    pub refresh: u32,
    /// 600 by default.
    pub retry: u32,
    /// 86400 by default.
    pub expire: u32,
    /// Time to live of negative answers; 0 by default.
    pub min_ttl: u32,
}

impl Settings {
    pub(in crate::config) fn dns(&self) -> Result<DnsSettings, ConfigError> {
        let count = |path: &str, default: i64| {
            let number = self.int(path).unwrap_or(default);
            usize::try_from(number).map_err(|_| {
                ConfigError::invalid(format!("{path} cannot be {number}. Must be greater than or equal to zero"))
            })
        };
        let soa = |path: &str, default| self.int(path).and_then(|n| u32::try_from(n).ok()).unwrap_or(default);
        Ok(DnsSettings {
            recursors: self.recursors()?,
            recursor_timeout: self.duration("dns_config.recursor_timeout", Duration::from_secs(2))?,
            node_ttl: self.duration("dns_config.node_ttl", Duration::ZERO)?,
            service_ttl: self.service_ttl()?,
            enable_truncate: self.switch("dns_config.enable_truncate"),
            only_passing: self.switch("dns_config.only_passing"),
            disable_compression: self.switch("dns_config.disable_compression"),
            udp_answer_limit: count("dns_config.udp_answer_limit", 3)?,
            a_record_limit: count("dns_config.a_record_limit", 0)?,
            node_meta_txt: self.choice("dns_config.enable_additional_node_meta_txt").unwrap_or(true),
            soa: SoaSettings {
                refresh: soa("dns_config.soa.refresh", 3600),
                retry: soa("dns_config.soa.retry", 600),
                expire: soa("dns_config.soa.expire", 86400),
                min_ttl: soa("dns_config.soa.min_ttl", 0),
            },
        })
    }

    fn service_ttl(&self) -> Result<Vec<(String, Duration)>, ConfigError> {
        let entries = self.get("dns_config.service_ttl").and_then(Value::as_object).into_iter().flatten();
        let ttl = |(name, value): (&String, &Value)| {
            let key = format!("dns_config.service_ttl[{name:?}]");
            Ok((name.clone(), super::super::settings::duration(&key, value.as_str().unwrap_or_default())?))
        };
        entries.map(ttl).collect()
    }

    fn recursors(&self) -> Result<Vec<SocketAddr>, ConfigError> {
        let mut found = Vec::new();
        for text in self.texts("recursors") {
            let filled = self.filled("recursors", &text)?;
            let bare = filled.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(&filled);
            let address = bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, DNS_PORT)).or_else(|_| bare.parse());
            let wrong =
                |_| ConfigError::at("recursors", format_args!("not an IP address with or without port: {text}"));
            let address = address.map_err(wrong)?;
            if address.ip().is_unspecified() {
                return Err(ConfigError::invalid("DNS recursor address cannot be 0.0.0.0, :: or [::]"));
            }
            if !found.contains(&address) {
                found.push(address);
            }
        }
        Ok(found)
    }
}
