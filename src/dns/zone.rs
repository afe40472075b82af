//! What this server answers for: its zones, its data center, and the names that it makes.

use super::name::{self, Name};
use super::options::{self, Options};
use crate::model::{Text, fold};
use crate::service::Facts;
use std::net::IpAddr;
use thiserror::Error;

/// A name in the configuration that cannot stand in DNS.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field}: {value:?} is no domain name")]
pub(super) struct InvalidName {
    field: &'static str,
    value: String,
}

/// Who answers, as names and addresses in DNS.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    /// The zone that is answered for and that appears in answers, as in `consul` or `consul.`.
    pub(super) domain: String,
    /// A second zone with the same content.
    pub(super) alt_domain: Option<String>,
    /// The data center's name: a label in every name.
    pub(super) datacenter: String,
    /// The server's own node name: the zone's name server while the catalog lists no `consul` service.
    pub(super) node_name: String,
    /// The server's own address.
    pub(super) address: IpAddr,
}

impl Identity {
    /// Of this server.
    pub(super) fn of(facts: &Facts) -> Identity {
        Identity {
            domain: facts.domain.clone(),
            alt_domain: facts.alt_domain.clone(),
            datacenter: facts.datacenter.clone(),
            node_name: facts.node_name.clone(),
            address: facts.advertise,
        }
    }
}

/// The zones, and how they are answered for.
#[derive(Clone, Debug)]
pub(super) struct Zone {
    /// Operator's choices.
    pub(super) options: Options,
    /// Primary zone, folded: the one that answers name.
    pub(super) domain: Name,
    alt_domain: Option<Name>,
    /// Own data center, folded.
    pub(super) datacenter: Text,
    /// The server's own node name and address.
    pub(super) own: (Text, IpAddr),
    /// Time to live of answers about nodes, seconds.
    pub(super) node_ttl: u32,
    local: [Name; 3],
}

impl Zone {
    /// Checks the names.
    pub(super) fn new(identity: &Identity, options: Options) -> Result<Zone, InvalidName> {
        let domain = zone_name("domain", &identity.domain)?;
        let alt_domain = identity.alt_domain.as_deref().filter(|d| !d.is_empty());
        let alt_domain = alt_domain.map(|d| zone_name("alt_domain", d)).transpose()?;
        let datacenter = fold(&identity.datacenter);
        let local = |kind: &str| {
            Name::under(&format!("{kind}.{datacenter}"), domain.wire())
                .ok_or_else(|| InvalidName { field: "datacenter", value: identity.datacenter.clone() })
        };
        Ok(Zone {
            local: [local("node")?, local("service")?, local("addr")?],
            node_ttl: options::seconds(options.node_ttl),
            domain,
            alt_domain,
            datacenter,
            own: (identity.node_name.as_str().into(), identity.address),
            options,
        })
    }

    /// The same zones with other options.
    pub(super) fn with_options(&self, options: Options) -> Zone {
        Zone { node_ttl: options::seconds(options.node_ttl), options, ..self.clone() }
    }

    /// The part of a folded name that is left of one of the zones; `None` outside of them.
    pub(super) fn within<'a>(&self, question: &'a [u8]) -> Option<&'a [u8]> {
        let zones = [Some(&self.domain), self.alt_domain.as_ref()];
        zones.into_iter().flatten().find_map(|z| name::suffix_at(question, z.wire())).map(|at| &question[..at])
    }

    /// `<node>.node.<dc>.<domain>`; `None` if the node's name is no name in DNS.
    pub(super) fn node_name(&self, node: &str) -> Option<Name> {
        Name::under(node, self.local[0].wire())
    }

    /// `<service>.service.<dc>.<domain>`; `None` if the service's name is no name in DNS.
    pub(super) fn service_name(&self, service: &str) -> Option<Name> {
        Name::under(service, self.local[1].wire())
    }

    /// `<hex>.addr.<dc>.<domain>`.
    pub(super) fn address_name(&self, address: IpAddr) -> Option<Name> {
        Name::under(&name::address_label(address), self.local[2].wire())
    }
}

fn zone_name(field: &'static str, text: &str) -> Result<Name, InvalidName> {
    let valid = Name::parse(text).filter(|_| text.is_ascii());
    valid.map(|n| n.folded()).ok_or_else(|| InvalidName { field, value: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(domain: &str, alt_domain: &str, datacenter: &str) -> Result<Zone, InvalidName> {
        let identity = Identity {
            domain: domain.into(),
            alt_domain: Some(alt_domain.into()),
            datacenter: datacenter.into(),
            node_name: "s1".into(),
            address: [127, 0, 0, 1].into(),
        };
        Zone::new(&identity, Options::default())
    }

    #[test]
    fn zones_are_folded_and_checked() {
        let found = zone("Consul.", "X.y", "DC1").unwrap();
        assert_eq!(found.domain, Name::parse("consul").unwrap());
        assert_eq!(found.within(b"\x01a\x01x\x01y\0"), Some(&b"\x01a"[..]));
        assert_eq!(found.within(b"\x01a\x01x\0"), None);
        assert_eq!(found.service_name("web"), Name::parse("web.service.dc1.consul"));
        assert_eq!(zone("consul", "", "dc1").unwrap().alt_domain, None);
        assert_eq!(zone("a..b", "", "dc1").unwrap_err().to_string(), "domain: \"a..b\" is no domain name");
        assert_eq!(zone("a", "\u{e4}", "dc1").unwrap_err().field, "alt_domain");
        assert_eq!(zone("a", "", "").unwrap_err().field, "datacenter");
    }
}
