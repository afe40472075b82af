//! What this server answers for: its zones, its data center, and the names that it makes.

use super::name::{self, Name};
use super::options::{self, InvalidOption, Options};
use crate::model::{Text, fold};
use std::net::IpAddr;

/// Who answers, as names and addresses in DNS.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The data center's name: a label in every name.
    pub datacenter: String,
    /// The server's own node name: the zone's name server while the catalog lists no `consul` service.
    pub node_name: String,
    /// The server's own address.
    pub address: IpAddr,
}

/// The zones and everything about them that does not change while the server runs.
#[derive(Debug)]
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
    pub(super) fn new(identity: &Identity, options: Options) -> Result<Zone, InvalidOption> {
        let (domain, alt_domain) = options.zones()?;
        let datacenter = fold(&identity.datacenter);
        let local = |kind: &str| {
            Name::under(&format!("{kind}.{datacenter}"), domain.wire())
                .ok_or_else(|| InvalidOption { field: "datacenter", value: identity.datacenter.clone() })
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
