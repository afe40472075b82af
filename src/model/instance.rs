//! Services, their instances, and the nodes under them.

use super::{Check, Health, Lifecycle, NodeId, SessionId, Text, fold};
use std::sync::Arc;

/// Identity of a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    /// Namespace; `default` for Consul's API and DNS.
    pub namespace: Text,
    /// Name as it was written.
    pub name: Text,
}

impl ServiceKey {
    /// A service of the default namespace.
    pub fn of(name: &str) -> ServiceKey {
        ServiceKey { namespace: Text::const_new(super::DEFAULT_NAMESPACE), name: name.into() }
    }

    /// The form that is compared.
    pub fn folded(&self) -> ServiceKey {
        ServiceKey { namespace: fold(&self.namespace), name: fold(&self.name) }
    }
}

/// Identity of an instance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceKey {
    /// The service.
    pub service: ServiceKey,
    /// The node; empty for an instance that stands for itself.
    pub node: Text,
    /// Unique within service and node; unique within the node when there is one.
    pub id: Text,
}

/// Where something is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Locality {
    /// Region.
    pub region: Text,
    /// Zone.
    pub zone: Text,
    /// Part of a zone.
    pub sub_zone: Text,
}

impl Locality {
    /// How near the other one is: 0 for the same sub-zone, up to 3 for elsewhere.
    pub fn distance(&self, other: &Locality) -> u8 {
        if self.region != other.region || self.region.is_empty() {
            3
        } else if self.zone != other.zone {
            2
        } else if self.sub_zone != other.sub_zone {
            1
        } else {
            0
        }
    }
}

/// An operator's word on an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Override {
    /// Out of traffic.
    pub drain: bool,
    /// Replaces the weight.
    pub weight: Option<u16>,
    /// Why.
    pub reason: Text,
    /// Who.
    pub author: Text,
    /// Ends then, milliseconds since the epoch.
    pub expire_ms: Option<u64>,
}

/// A further address of a service, by network name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaggedAddress {
    /// `lan`, `wan`, …
    pub tag: Text,
    /// Address.
    pub address: Text,
    /// Port.
    pub port: i32,
}

/// What few instances have; kept apart so that the others stay small.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extra {
    /// Where it is.
    pub locality: Locality,
    /// Further ports, in order of name.
    pub named_ports: Box<[(Text, u16)]>,
    /// Version of the software.
    pub version: Text,
    /// Share of traffic; unset: 1. Consul's `Weights.Passing`.
    pub weight: Option<u16>,
    /// Consul's `Weights.Warning`; unset: 1.
    pub weight_warning: Option<u16>,
    /// Consul's `EnableTagOverride`.
    pub enable_tag_override: bool,
    /// Consul's `TaggedAddresses`, in order of tag.
    pub tagged_addresses: Box<[TaggedAddress]>,
    /// Consul's `Kind`.
    pub kind: Text,
    /// Consul's `Proxy` as JSON, kept as it came.
    pub proxy: Option<Box<str>>,
    /// Consul's `Connect` as JSON, kept as it came.
    pub connect: Option<Box<str>>,
    /// The operator's word.
    pub overriding: Option<Override>,
}

/// One process that offers a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// The service.
    pub service: Arc<ServiceKey>,
    /// See [`InstanceKey::node`].
    pub node: Text,
    /// See [`InstanceKey::id`].
    pub id: Text,
    /// IP address or host name; empty in Consul's API: that of the node.
    pub address: Text,
    /// Consul does not check its range; outside 0-65535 it is no port.
    pub port: i32,
    /// Said by the instance.
    pub lifecycle: Lifecycle,
    /// In the order given.
    pub tags: Box<[Text]>,
    /// In order of key.
    pub meta: Box<[(Text, Text)]>,
    /// In order of folded id.
    pub checks: Box<[Check]>,
    /// The session it lives with.
    pub session: Option<SessionId>,
    /// What few have.
    pub extra: Option<Box<Extra>>,
    /// Revision of the first registration.
    pub create_revision: u64,
    /// Revision of the last change of anything but checks.
    pub modify_revision: u64,
}

impl Instance {
    /// A new instance with nothing but its identity and address.
    pub fn new(key: InstanceKey, address: Text, port: i32) -> Instance {
        Instance {
            service: Arc::new(key.service),
            node: key.node,
            id: key.id,
            address,
            port,
            lifecycle: Lifecycle::Serving,
            tags: Box::default(),
            meta: Box::default(),
            checks: Box::default(),
            session: None,
            extra: None,
            create_revision: 0,
            modify_revision: 0,
        }
    }

    /// Its identity.
    pub fn key(&self) -> InstanceKey {
        InstanceKey { service: (*self.service).clone(), node: self.node.clone(), id: self.id.clone() }
    }

    /// Revision of its last change, checks included.
    pub fn revision(&self) -> u64 {
        self.checks.iter().map(|c| c.modify_revision).fold(self.modify_revision, u64::max)
    }

    /// Worst of its own checks; its node's are not known here.
    pub fn own_health(&self) -> Health {
        self.checks.iter().map(|c| c.health).max().unwrap_or_default()
    }

    /// The operator's word, if there is one.
    pub fn overriding(&self) -> Option<&Override> {
        self.extra.as_ref().and_then(|e| e.overriding.as_ref())
    }

    /// Whether it takes traffic, health apart.
    pub fn is_serving(&self) -> bool {
        self.lifecycle == Lifecycle::Serving && !self.overriding().is_some_and(|o| o.drain)
    }

    /// Share of traffic that counts: the operator's word, else its own, else 1.
    pub fn weight(&self) -> u16 {
        let own = self.extra.as_ref().and_then(|e| e.weight).unwrap_or(1);
        self.overriding().and_then(|o| o.weight).unwrap_or(own)
    }

    /// Value of a metadata key.
    pub fn meta(&self, key: &str) -> Option<&str> {
        self.meta.binary_search_by(|(k, _)| k.as_str().cmp(key)).ok().map(|at| self.meta[at].1.as_str())
    }

    /// Whether it has this tag, without case.
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|t| t.eq_ignore_ascii_case(tag))
    }

    /// Its id in Consul's API, where an id is unique per node: qualified by the service when it has no node.
    pub fn consul_id(&self) -> Text {
        if self.node.is_empty() {
            compact_str::format_compact!("{}:{}", self.service.name, self.id)
        } else {
            self.id.clone()
        }
    }

    /// Whether both were registered with the same content, whenever that was; checks and what the operator said are
    /// not part of a registration.
    pub fn same_registration(&self, other: &Instance) -> bool {
        let plain = |i: &Instance| {
            let mut extra = i.extra.as_deref().cloned().unwrap_or_default();
            extra.overriding = None;
            extra
        };
        self.service == other.service
            && self.node == other.node
            && self.id == other.id
            && self.address == other.address
            && self.port == other.port
            && self.lifecycle == other.lifecycle
            && self.tags == other.tags
            && self.meta == other.meta
            && self.session == other.session
            && ((self.extra.is_none() && other.extra.is_none()) || plain(self) == plain(other))
    }
}

/// A host, as Consul's catalog has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeRecord {
    /// Name as it was written; unique without case.
    pub name: Text,
    /// UUID, if it has one.
    pub id: Option<NodeId>,
    /// Address.
    pub address: Text,
    /// `lan`, `wan`, … in order; `None` prints as null.
    pub tagged_addresses: Option<Box<[(Text, Text)]>>,
    /// In order of key; `None` prints as null.
    pub meta: Option<Box<[(Text, Text)]>>,
    /// In order of folded id.
    pub checks: Box<[Check]>,
    /// Revision of its creation.
    pub create_revision: u64,
    /// Revision of its last change but of checks.
    pub modify_revision: u64,
}

impl NodeRecord {
    /// Worst of its checks.
    pub fn health(&self) -> Health {
        self.checks.iter().map(|c| c.health).max().unwrap_or_default()
    }

    /// Whether both were registered with the same content; checks are not part of it.
    pub fn same_registration(&self, other: &NodeRecord) -> bool {
        self.name == other.name
            && self.id == other.id
            && self.address == other.address
            && self.tagged_addresses == other.tagged_addresses
            && self.meta == other.meta
    }
}
