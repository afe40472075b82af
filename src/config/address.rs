//! Addresses in settings, and those of this machine.

use super::error::ConfigError;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// What the configuration takes from the machine when nothing else is given.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) hostname: String,
    /// Private IPv4 addresses of the interfaces.
    pub(crate) private: Vec<Ipv4Addr>,
}

impl Host {
    pub(crate) fn current() -> Host {
        let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
        let private = interfaces.iter().filter_map(|i| match i.ip() {
            IpAddr::V4(ip) if is_private(ip) => Some(ip),
            _ => None,
        });
        Host { hostname: gethostname::gethostname().to_string_lossy().into_owned(), private: private.collect() }
    }

    /// The address to tell others when the agent listens everywhere: the private one, if it is the only one.
    pub(crate) fn advertised(&self) -> Result<IpAddr, ConfigError> {
        match self.private[..] {
            [ip] => Ok(ip.into()),
            [] => Err(ConfigError::invalid(
                "No private IPv4 address found. Please configure one with 'bind' and/or 'advertise'.",
            )),
            _ => Err(ConfigError::invalid(
                "Multiple private IPv4 addresses found. Please configure one with 'bind' and/or 'advertise'.",
            )),
        }
    }
}

/// RFC 1918, and the shared space of RFC 6598 that clouds use as private.
fn is_private(ip: Ipv4Addr) -> bool {
    ip.is_private() || (ip.octets()[0] == 100 && ip.octets()[1] & 0xC0 == 64)
}

/// One IP address.
pub(crate) fn ip(key: &str, text: &str) -> Result<IpAddr, ConfigError> {
    if text.contains("{{") {
        let why = "give the IP address itself".to_owned();
        return Err(ConfigError::NotBuilt { name: format!("{key}: the template {text}"), why });
    }
    if text.starts_with("unix:") {
        let why = "listeners are TCP only in this version".to_owned();
        return Err(ConfigError::NotBuilt { name: format!("{key}: the socket {text}"), why });
    }
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    bare.parse().map_err(|_| ConfigError::at(key, format_args!("invalid ip address: {text}")))
}

/// IP addresses parted by spaces, at least one.
pub(crate) fn ips(key: &str, text: &str) -> Result<Vec<IpAddr>, ConfigError> {
    let found: Vec<IpAddr> = text.split_whitespace().map(|t| ip(key, t)).collect::<Result<_, _>>()?;
    if found.is_empty() {
        return Err(ConfigError::at(key, "must name at least one IP address"));
    }
    Ok(found)
}

/// A port: `None` for a negative one, which turns a listener off.
pub(crate) fn port(key: &str, number: i64) -> Result<Option<u16>, ConfigError> {
    if number < 0 {
        return Ok(None);
    }
    u16::try_from(number).map(Some).map_err(|_| ConfigError::at(key, format_args!("invalid port: {number}")))
}

/// Refuses two listeners on one address. Port 0 never clashes, and an address that means all interfaces clashes with
/// each of them.
pub(crate) fn no_clash(listeners: &[(&str, SocketAddr)]) -> Result<(), ConfigError> {
    for (index, (key, addr)) in listeners.iter().enumerate() {
        let clash = listeners[..index].iter().find(|(_, other)| {
            let overlaps = addr.ip() == other.ip() || addr.ip().is_unspecified() || other.ip().is_unspecified();
            addr.port() != 0 && addr.port() == other.port() && overlaps
        });
        if let Some((first, _)) = clash {
            return Err(ConfigError::at(key, format_args!("{addr} is already taken by {first}")));
        }
    }
    Ok(())
}
