//! The definition of a service, and the instance that it asks for.

use super::{CheckDefinition, Refused};
use crate::model::limits::{CHECKS_MAX, META_PAIRS_MAX, TAGS_MAX};
use crate::model::{Extra, Instance, InstanceKey, Invalid, ServiceKey, TaggedAddress, Text, names};
use compact_str::format_compact;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

const META_KEY_CHARS_MAX: usize = 128;
const META_VALUE_CHARS_MAX: usize = 512;

/// `weights`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightsDefinition {
    /// `passing`, 1 by default.
    pub passing: i64,
    /// `warning`, 1 by default.
    pub warning: i64,
}

/// One of `tagged_addresses`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaggedAddressDefinition {
    /// `lan`, `wan`, …
    pub tag: Text,
    /// `address`.
    pub address: Text,
    /// `port`.
    pub port: i64,
}

/// A service of this node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceDefinition {
    /// `id`, unique on this node; the name by default.
    pub id: Text,
    /// `name`.
    pub name: Text,
    /// `tags`, in the order given.
    pub tags: Vec<Text>,
    /// `address`; empty: that of the node.
    pub address: Text,
    /// `port`; its range is not checked, as in Consul.
    pub port: i64,
    /// `meta`, in order of key.
    pub meta: Vec<(Text, Text)>,
    /// `tagged_addresses`; the first of a tag counts.
    pub tagged_addresses: Vec<TaggedAddressDefinition>,
    /// `enable_tag_override`: the catalog's tags win over these.
    pub enable_tag_override: bool,
    /// `weights`.
    pub weights: Option<WeightsDefinition>,
    /// `check`.
    pub check: Option<CheckDefinition>,
    /// `checks`.
    pub checks: Vec<CheckDefinition>,
    /// `token`.
    pub token: Text,
    /// `kind` of a mesh proxy.
    pub kind: Text,
    /// `proxy` as JSON with the names that the HTTP API has.
    pub proxy: Option<Box<str>>,
    /// `connect` as JSON with the names that the HTTP API has.
    pub connect: Option<Box<str>>,
}

impl ServiceDefinition {
    /// Its id on this node.
    pub fn own_id(&self) -> &Text {
        if self.id.is_empty() { &self.name } else { &self.id }
    }

    /// Its checks with their ids and names filled in: `service:ID` for an only one, else `service:ID:N` by position,
    /// where one with an id of its own counts too.
    pub fn own_checks(&self) -> Vec<CheckDefinition> {
        let single = self.check.iter().filter(|check| !check.is_empty());
        let mut checks: Vec<CheckDefinition> = single.chain(&self.checks).cloned().collect();
        let only = checks.len() == 1;
        for (at, check) in checks.iter_mut().enumerate() {
            let id = self.own_id();
            if check.id.is_empty() {
                check.id =
                    if only { format_compact!("service:{id}") } else { format_compact!("service:{id}:{}", at + 1) };
            }
            if check.name.is_empty() {
                check.name = format_compact!("Service '{}' check", self.name);
            }
            if check.token.is_empty() {
                check.token = self.token.clone();
            }
            check.service_id = id.clone();
        }
        checks
    }

    /// Whether it can be registered.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn validate(&self) -> Result<(), Refused> {
        if self.name.is_empty() {
            return Err(Refused::because("Missing service name"));
        }
        if matches!(self.address.as_str(), "0.0.0.0" | "::" | "[::]") {
            return Err(Refused::because("Invalid service address"));
        }
        self.validate_weights()?;
        self.validate_meta()?;
        let checks = self.own_checks();
        for check in &checks {
            check.validate().map_err(|e| Refused::because(format!("Invalid check: {e}")))?;
        }
        for check in &checks {
            check.initial().map_err(|_| Refused::because("Status for checks must 'passing', 'warning', 'critical'"))?;
        }
        if checks.len() > CHECKS_MAX {
            let many = checks.len();
            return Err(Refused::because(format!("Invalid check: {many} checks, at most {CHECKS_MAX} are allowed")));
        }
        Ok(())
    }

    fn validate_weights(&self) -> Result<(), Refused> {
        let Some(weights) = self.weights else { return Ok(()) };
        let refuse = |why: &str| Err(Refused::because(format!("Invalid Weights: {why}")));
        if weights.passing < 1 {
            refuse("Passing must be greater than 0")
        } else if weights.warning < 0 {
            refuse("Warning must be greater or equal than 0")
        } else if weights.passing > 65535 || weights.warning > 65535 {
            refuse("DNS Weight must be between 0 and 65535")
        } else {
            Ok(())
        }
    }

    fn validate_meta(&self) -> Result<(), Refused> {
        let refuse = |why: String| Err(Refused::because(format!("Invalid Service Meta: {why}")));
        if self.meta.len() > META_PAIRS_MAX {
            return refuse(format!("Node metadata cannot contain more than {META_PAIRS_MAX} key/value pairs"));
        }
        for (key, value) in &self.meta {
            let why = if key.is_empty() {
                "Key cannot be blank".to_owned()
            } else if !key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) {
                "Key contains invalid characters".to_owned()
            } else if key.len() > META_KEY_CHARS_MAX {
                format!("Key is too long (limit: {META_KEY_CHARS_MAX} characters)")
            } else if key.starts_with("consul-") {
                "Key prefix 'consul-' is reserved for internal use".to_owned()
            } else if value.len() > META_VALUE_CHARS_MAX {
                format!("Value is too long (limit: {META_VALUE_CHARS_MAX} characters)")
            } else {
                continue;
            };
            return refuse(format!("Couldn't load metadata pair ('{key}', '{value}'): {why}"));
        }
        Ok(())
    }

    /// Adds what Consul adds on an agent: an IP address is also the service's address of its family, in both networks.
    pub fn add_default_addresses(&mut self) {
        let tags = match self.address.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => ["lan_ipv4", "wan_ipv4"],
            Ok(IpAddr::V6(_)) => ["lan_ipv6", "wan_ipv6"],
            Err(_) => return,
        };
        for tag in tags {
            if !self.tagged_addresses.iter().any(|given| given.tag == tag) {
                let address = self.address.clone();
                self.tagged_addresses.push(TaggedAddressDefinition { tag: tag.into(), address, port: self.port });
            }
        }
    }

    /// The instance that it asks for, without checks; its node is set by whoever registers it.
    ///
    /// # Errors
    /// A name, size or number beyond the limits of the model.
    pub fn instance(&self) -> Result<Instance, Invalid> {
        names::name("Service.Service", &self.name)?;
        names::optional_name("Service.ID", &self.id)?;
        names::optional_name("Service.Address", &self.address)?;
        names::optional_name("Service.Kind", &self.kind)?;
        if self.tags.len() > TAGS_MAX {
            let reason = format!("has {} entries, at most {TAGS_MAX} are allowed", self.tags.len());
            return Err(Invalid::new("Service.Tags", reason));
        }
        for tag in &self.tags {
            names::optional_name("Service.Tags", tag)?;
        }
        let pairs = self.meta.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        names::pairs("Service.Meta", META_PAIRS_MAX, pairs)?;
        let extra = self.extra()?;
        let key = InstanceKey { service: ServiceKey::of(&self.name), node: Text::default(), id: self.own_id().clone() };
        Ok(Instance {
            tags: self.tags.clone().into(),
            meta: self.meta.clone().into(),
            extra: (extra != Extra::default()).then(|| Box::new(extra)),
            ..Instance::new(key, self.address.clone(), port("Service.Port", self.port)?)
        })
    }

    fn extra(&self) -> Result<Extra, Invalid> {
        let mut tagged_addresses = Vec::with_capacity(self.tagged_addresses.len());
        for given in &self.tagged_addresses {
            names::name("Service.TaggedAddresses", &given.tag)?;
            names::optional_name("Service.TaggedAddresses.Address", &given.address)?;
            let port = port("Service.TaggedAddresses.Port", given.port)?;
            tagged_addresses.push(TaggedAddress { tag: given.tag.clone(), address: given.address.clone(), port });
        }
        tagged_addresses.sort_by(|a, b| a.tag.cmp(&b.tag));
        tagged_addresses.dedup_by(|a, b| a.tag == b.tag);
        if tagged_addresses.len() > META_PAIRS_MAX {
            let reason = format!("has {} entries, at most {META_PAIRS_MAX} are allowed", tagged_addresses.len());
            return Err(Invalid::new("Service.TaggedAddresses", reason));
        }
        let weight = |number: i64| {
            u16::try_from(number).map_err(|_| Invalid::new("Service.Weights", "must be between 0 and 65535"))
        };
        // 1 is what an instance without weights has, so equal content is stored in one way.
        let unless_one = |weight: u16| (weight != 1).then_some(weight);
        let given = self.weights.filter(|w| (w.passing, w.warning) != (0, 0));
        Ok(Extra {
            weight: given.map(|w| weight(w.passing)).transpose()?.and_then(unless_one),
            weight_warning: given.map(|w| weight(w.warning)).transpose()?.and_then(unless_one),
            enable_tag_override: self.enable_tag_override,
            tagged_addresses: tagged_addresses.into(),
            kind: self.kind.clone(),
            proxy: self.proxy.clone(),
            connect: self.connect.clone(),
            ..Extra::default()
        })
    }
}

/// Consul does not check ports; we keep what fits the field.
fn port(field: &'static str, number: i64) -> Result<i32, Invalid> {
    i32::try_from(number).map_err(|_| Invalid::new(field, format!("{number} does not fit in 32 bits")))
}
