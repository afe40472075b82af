//! A service as clients write it, in catalog registrations and in the agent's.

use crate::http::error::Error;
use crate::http::json::{Json, Layout, Object, encode};
use crate::model::definition::{ServiceDefinition, TaggedAddressDefinition, WeightsDefinition};
use crate::model::{Instance, Invalid};
use crate::service;

/// Errors of the model, seen from the request.
pub(super) fn invalid(error: Invalid) -> Error {
    service::Error::from(error).into()
}

/// A service as it came. Nothing is validated here but types.
#[derive(Debug)]
pub(super) struct ServiceBody(pub(super) ServiceDefinition);

impl ServiceBody {
    /// Reads the fields; `name` is the field that holds the service's name. Checks are not read.
    pub(super) fn decode(body: &Object<'_>, name: &str) -> Result<ServiceBody, Error> {
        let weights = body.object("Weights", "Weights", "structs.Weights")?;
        let weights = weights.map(|w| -> Result<_, Error> {
            Ok(WeightsDefinition { passing: w.integer("Passing")?, warning: w.integer("Warning")? })
        });
        let mut tagged_addresses = Vec::new();
        for field in ["tagged_addresses", "TaggedAddresses"] {
            for (tag, address) in body.map_of_objects(field, "ServiceAddress", "structs.ServiceAddress")? {
                let (port, address) = (address.integer("Port")?, address.text("Address")?.into());
                tagged_addresses.push(TaggedAddressDefinition { tag: tag.into(), address, port });
            }
        }
        if let Some(connect) = body.object("Connect", "ServiceConnect", "structs.ServiceConnect")? {
            connect.boolean("Native")?;
        }
        body.object("Proxy", "ConnectProxyConfig", "structs.ConnectProxyConfig")?;
        Ok(ServiceBody(ServiceDefinition {
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
            ..ServiceDefinition::default()
        }))
    }

    /// The instance, if its names, sizes and numbers are within the limits. Its node is set by the registration.
    pub(super) fn into_instance(self) -> Result<Instance, Error> {
        self.0.instance().map_err(|error| match error.field.as_ref() {
            "Service.Weights" => Error::bad_request("Invalid Weights: DNS Weight must be between 0 and 65535"),
            _ => invalid(error),
        })
    }
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
