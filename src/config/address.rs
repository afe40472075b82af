//! Addresses in settings, and those of this machine.

use super::error::ConfigError;
use super::template::{Interface, is_private};
use std::net::{IpAddr, SocketAddr};

/// What the configuration takes from the machine when nothing else is given.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) hostname: String,
    /// In the order in which the machine lists them.
    pub(crate) interfaces: Vec<Interface>,
}

impl Host {
    pub(crate) fn current() -> Host {
        let default = default_interface();
        let interfaces = if_addrs::get_if_addrs().unwrap_or_default().into_iter().map(|i| Interface {
            address: i.ip(),
            // Where the routes are not known, any may be the one.
            default: default.as_ref().is_none_or(|name| *name == i.name),
            name: i.name,
        });
        let hostname = gethostname::gethostname().to_string_lossy().into_owned();
        Host { hostname, interfaces: interfaces.collect() }
    }

    fn private(&self) -> Vec<IpAddr> {
        self.interfaces.iter().map(|i| i.address).filter(|a| a.is_ipv4() && is_private(*a)).collect()
    }

    /// The address to tell others when the agent listens everywhere: the private one, if it is the only one.
    pub(crate) fn advertised(&self) -> Result<IpAddr, ConfigError> {
        match self.private()[..] {
            [ip] => Ok(ip),
            [] => Err(ConfigError::invalid(
                "No private IPv4 address found. Please configure one with 'bind' and/or 'advertise'.",
            )),
            _ => Err(ConfigError::invalid(
                "Multiple private IPv4 addresses found. Please configure one with 'bind' and/or 'advertise'.",
            )),
        }
    }
}

/// The interface of the route to everywhere, where the system says it.
fn default_interface() -> Option<String> {
    let routes = std::fs::read_to_string("/proc/net/route").ok()?;
    routes.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace();
        let (name, destination) = (fields.next()?, fields.next()?);
        (destination == "00000000").then(|| name.to_owned())
    })
}

/// One IP address.
pub(crate) fn ip(key: &str, text: &str) -> Result<IpAddr, ConfigError> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    bare.parse().map_err(|_| ConfigError::at(key, format_args!("invalid ip address: {text}")))
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
