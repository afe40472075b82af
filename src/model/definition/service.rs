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
    /// `connect` as JSON with the names that the HTTP API has, without the sidecar.
    pub connect: Option<Box<str>>,
    /// `connect.sidecar_service`: a proxy that is registered beside it. It is taken out for that, and never stored here.
    #[serde(skip)]
    pub sidecar: Option<Box<ServiceDefinition>>,
    /// It is the sidecar that the service beside it asked for, and goes with it.
    #[serde(skip_serializing_if = "is_false")]
    pub is_sidecar: bool,
}

fn is_false(on: &bool) -> bool {
    !on
}

/// What is read of `connect`.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Connect {
    native: bool,
}

/// `connect` of a service that speaks the mesh's protocol itself.
pub const NATIVE: &str = r#"{"Native":true}"#;

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

    /// Whether it speaks the mesh's protocol itself: `connect.native`.
    pub fn is_native(&self) -> bool {
        // What was no such object when it came was refused, or is kept from before and says nothing.
        self.connect.as_deref().is_some_and(|text| serde_json::from_str::<Connect>(text).is_ok_and(|c| c.native))
    }

    /// Whether it can be registered, its sidecar apart: that is looked at when it is taken out.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn validate(&self) -> Result<(), Refused> {
        if self.name.is_empty() {
            return Err(Refused::because("Missing service name"));
        }
        // Of a sidecar, Consul asks neither.
        if !self.is_sidecar && matches!(self.address.as_str(), "0.0.0.0" | "::" | "[::]") {
            return Err(Refused::because("Invalid service address"));
        }
        if let Some(why) = self.weights_fault() {
            return Err(Refused::because(format!("Invalid Weights: {why}")));
        }
        if let Some(why) = self.meta_fault() {
            return Err(Refused::because(format!("Invalid Service Meta: {why}")));
        }
        if !self.is_sidecar {
            self.validate_mesh()?;
        }
        self.validate_checks("Invalid check")
    }

    pub(super) fn validate_checks(&self, invalid: &str) -> Result<(), Refused> {
        let checks = self.own_checks();
        for check in &checks {
            check.validate().map_err(|e| Refused::because(format!("{invalid}: {e}")))?;
        }
        for check in &checks {
            check.initial().map_err(|_| Refused::because("Status for checks must 'passing', 'warning', 'critical'"))?;
        }
        if checks.len() > CHECKS_MAX {
            let many = checks.len();
            return Err(Refused::because(format!("{invalid}: {many} checks, at most {CHECKS_MAX} are allowed")));
        }
        Ok(())
    }

    pub(super) fn weights_fault(&self) -> Option<&'static str> {
        let weights = self.weights?;
        if weights.passing < 1 {
            Some("Passing must be greater than 0")
        } else if weights.warning < 0 {
            Some("Warning must be greater or equal than 0")
        } else if weights.passing > 65535 || weights.warning > 65535 {
            Some("DNS Weight must be between 0 and 65535")
        } else {
            None
        }
    }

    pub(super) fn meta_fault(&self) -> Option<String> {
        if self.meta.len() > META_PAIRS_MAX {
            return Some(format!("Node metadata cannot contain more than {META_PAIRS_MAX} key/value pairs"));
        }
        self.meta.iter().find_map(|(key, value)| {
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
                return None;
            };
            Some(format!("Couldn't load metadata pair ('{key}', '{value}'): {why}"))
        })
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
