//! A service as clients write it, in catalog registrations and in the agent's.

use crate::http::error::Error;
use crate::http::json::{Json, Layout, Object, encode};
use crate::model::limits::{META_PAIRS_MAX, TAGS_MAX};
use crate::model::{Extra, Instance, Invalid, ServiceKey, TaggedAddress, Text, names};
use crate::service;

/// Errors of the model, seen from the request.
pub(super) fn invalid(error: Invalid) -> Error {
    service::Error::from(error).into()
}

/// Weights as they are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WeightsBody {
    pub(super) passing: i64,
    pub(super) warning: i64,
}

/// The fields that both kinds of registration share. Nothing is validated here but types.
#[derive(Debug)]
pub(super) struct ServiceBody {
    pub(super) name: Text,
    pub(super) id: Text,
    pub(super) address: Text,
    pub(super) tags: Vec<Text>,
    pub(super) meta: Vec<(Text, Text)>,
    pub(super) tagged_addresses: Vec<(Text, Text, i64)>,
    pub(super) weights: Option<WeightsBody>,
    pub(super) port: i64,
    kind: Text,
    enable_tag_override: bool,
    proxy: Option<Box<str>>,
    connect: Option<Box<str>>,
}

impl ServiceBody {
    /// Reads the fields; `name` is the field that holds the service's name.
    pub(super) fn decode(body: &Object<'_>, name: &str) -> Result<ServiceBody, Error> {
        let weights = body.object("Weights", "Weights", "structs.Weights")?;
        let weights = weights.map(|w| -> Result<_, Error> {
            Ok(WeightsBody { passing: w.integer("Passing")?, warning: w.integer("Warning")? })
        });
        let mut tagged_addresses = Vec::new();
        for field in ["tagged_addresses", "TaggedAddresses"] {
            for (tag, address) in body.map_of_objects(field, "ServiceAddress", "structs.ServiceAddress")? {
                tagged_addresses.push((tag.into(), address.text("Address")?.into(), address.integer("Port")?));
            }
        }
        if let Some(connect) = body.object("Connect", "ServiceConnect", "structs.ServiceConnect")? {
            connect.boolean("Native")?;
        }
        body.object("Proxy", "ConnectProxyConfig", "structs.ConnectProxyConfig")?;
        Ok(ServiceBody {
            name: body.text(name)?.into(),
            id: body.text("ID")?.into(),
            address: body.text("Address")?.into(),
            tags: body.texts("Tags")?,
            meta: body.pairs("Meta")?.unwrap_or_default(),
            tagged_addresses,
            weights: weights.transpose()?,
            port: body.integer("Port")?,
            kind: body.text_of_type("Kind", "structs.ServiceKind")?.into(),
            enable_tag_override: body.boolean("EnableTagOverride")? || body.boolean("enable_tag_override")?,
            proxy: stored(body, "Proxy")?,
            connect: stored(body, "Connect")?,
        })
    }

    /// The instance, if its names, sizes and numbers are within the limits. Its node is set by the registration.
    pub(super) fn into_instance(self) -> Result<Instance, Error> {
        names::name("Service.Service", &self.name).map_err(invalid)?;
        names::optional_name("Service.ID", &self.id).map_err(invalid)?;
        names::optional_name("Service.Address", &self.address).map_err(invalid)?;
        names::optional_name("Service.Kind", &self.kind).map_err(invalid)?;
        if self.tags.len() > TAGS_MAX {
            let reason = format!("has {} entries, at most {TAGS_MAX} are allowed", self.tags.len());
            return Err(invalid(Invalid::new("Service.Tags", reason)));
        }
        for tag in &self.tags {
            names::optional_name("Service.Tags", tag).map_err(invalid)?;
        }
        let pairs = self.meta.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        names::pairs("Service.Meta", META_PAIRS_MAX, pairs).map_err(invalid)?;
        let extra = self.extra()?;
        Ok(Instance {
            tags: self.tags.into(),
            meta: self.meta.into(),
            extra: (extra != Extra::default()).then(|| Box::new(extra)),
            address: self.address,
            port: port("Service.Port", self.port)?,
            ..Instance::new(
                crate::model::InstanceKey {
                    service: ServiceKey::of(&self.name),
                    node: Text::default(),
                    id: if self.id.is_empty() { self.name } else { self.id },
                },
                Text::default(),
                0,
            )
        })
    }

    fn extra(&self) -> Result<Extra, Error> {
        let mut tagged_addresses = Vec::with_capacity(self.tagged_addresses.len());
        for (tag, address, number) in &self.tagged_addresses {
            names::name("Service.TaggedAddresses", tag).map_err(invalid)?;
            names::optional_name("Service.TaggedAddresses.Address", address).map_err(invalid)?;
            let port = port("Service.TaggedAddresses.Port", *number)?;
            tagged_addresses.push(TaggedAddress { tag: tag.clone(), address: address.clone(), port });
        }
        tagged_addresses.sort_by(|a, b| a.tag.cmp(&b.tag));
        tagged_addresses.dedup_by(|a, b| a.tag == b.tag);
        if tagged_addresses.len() > META_PAIRS_MAX {
            let reason = format!("has {} entries, at most {META_PAIRS_MAX} are allowed", tagged_addresses.len());
            return Err(invalid(Invalid::new("Service.TaggedAddresses", reason)));
        }
        let weight = |number: i64| {
            let error = || Error::bad_request("Invalid Weights: DNS Weight must be between 0 and 65535");
            u16::try_from(number).map_err(|_| error())
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
fn port(field: &'static str, number: i64) -> Result<i32, Error> {
    i32::try_from(number).map_err(|_| invalid(Invalid::new(field, format!("{number} does not fit in 32 bits"))))
}

/// An object kept as it came; an empty one is none.
fn stored(body: &Object<'_>, field: &str) -> Result<Option<Box<str>>, Error> {
    match body.get(field) {
        Some(value @ Json::Object(members)) if !members.is_empty() => {
            let bytes = encode(value, Layout::Compact).map_err(|e| Error::bad_request(format!("{field}: {e}")))?;
            let text = String::from_utf8(bytes).map_err(|e| Error::bad_request(format!("{field}: {e}")))?;
            Ok(Some(text.into()))
        }
        _ => Ok(None),
    }
}
