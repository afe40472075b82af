//! A service as clients write it, in catalog registrations and in the agent's.

use super::{check_body, proxy_body};
use crate::http::error::Error;
use crate::http::json::{DecodeError, Json, Layout, Object, encode};
use crate::model::definition::{NATIVE, ServiceDefinition, TaggedAddressDefinition, WeightsDefinition};
use crate::model::{Instance, Invalid};
use crate::service;

/// Go's name of the type of a service in an agent's registration, which clients may see in an error.
pub(super) const GO_TYPE: &str = "struct { EnableTagOverrideSnake bool \"json:\\\"enable_tag_override\\\"\"; \
                                  TaggedAddressesSnake map[string]structs.ServiceAddress \
                                  \"json:\\\"tagged_addresses\\\"\"; *structs.Alias }";
/// The same of what holds a sidecar.
const GO_CONNECT: &str = "struct { SidecarServiceSnake *structs.ServiceDefinition \
                          \"json:\\\"sidecar_service\\\"\"; *structs.Alias }";

/// Errors of the model, seen from the request.
pub(super) fn invalid(error: Invalid) -> Error {
    service::Error::from(error).into()
}

/// A service as it came. Nothing is validated here but types.
#[derive(Debug)]
pub(super) struct ServiceBody(pub(super) ServiceDefinition);

impl ServiceBody {
    /// Reads the fields; `name` is the field that holds the service's name. Checks are not read, but for those of a
    /// sidecar.
    pub(super) fn decode(body: &Object<'_>, name: &str) -> Result<ServiceBody, DecodeError> {
        let mut service = fields(body, name)?;
        let connect = body.object("Connect", "ServiceConnect", GO_CONNECT)?;
        if let Some(connect) = connect {
            let within = |error| body.outside("Connect", error);
            service.connect = connect.boolean("Native").map_err(within)?.then(|| NATIVE.into());
            service.sidecar = sidecar(&connect).map_err(within)?.map(Box::new);
        }
        Ok(ServiceBody(service))
    }

    /// The same of a registration in the catalog, which keeps what an agent makes another service of.
    pub(super) fn decode_kept(body: &Object<'_>) -> Result<ServiceBody, Error> {
        let mut service = ServiceBody::decode(body, "Service")?;
        service.0.connect = stored(body, "Connect")?;
        Ok(service)
    }

    /// The instance, if its names, sizes and numbers are within the limits. Its node is set by the registration.
    pub(super) fn into_instance(self) -> Result<Instance, Error> {
        self.0.instance().map_err(|error| match error.field.as_ref() {
            "Service.Weights" => Error::bad_request("Invalid Weights: DNS Weight must be between 0 and 65535"),
            _ => invalid(error),
        })
    }
}

/// The fields but those of the mesh that hold another service.
fn fields(body: &Object<'_>, name: &str) -> Result<ServiceDefinition, DecodeError> {
    let weights = body.object("Weights", "Weights", "structs.Weights")?;
    let weights = weights.map(|w| -> Result<_, DecodeError> {
        Ok(WeightsDefinition { passing: w.integer("Passing")?, warning: w.integer("Warning")? })
    });
    let mut tagged_addresses = Vec::new();
    for field in ["tagged_addresses", "TaggedAddresses"] {
        for (tag, address) in body.map_of_objects(field, "ServiceAddress", "structs.ServiceAddress")? {
            let (port, address) = (address.integer("Port")?, address.text("Address")?.into());
            tagged_addresses.push(TaggedAddressDefinition { tag: tag.into(), address, port });
        }
    }
    Ok(ServiceDefinition {
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
        proxy: proxy_body::of_service(body)?.text(),
        ..ServiceDefinition::default()
    })
}

/// A service of an agent's registration, with its checks; of the mesh nothing but the proxy.
pub(super) fn with_checks(body: &Object<'_>) -> Result<ServiceDefinition, DecodeError> {
    let (check, checks) = check_body::of_service(body)?;
    Ok(ServiceDefinition { check, checks, token: body.text("Token")?.into(), ..fields(body, "Name")? })
}

/// The sidecar that a service asks for. Of one within it, which is refused, nothing is read.
fn sidecar(connect: &Object<'_>) -> Result<Option<ServiceDefinition>, DecodeError> {
    let Some(body) = either(connect)? else { return Ok(None) };
    let mut sidecar = with_checks(&body)?;
    if let Some(connect) = body.object("Connect", "ServiceConnect", GO_CONNECT)? {
        sidecar.connect = connect.boolean("Native")?.then(|| NATIVE.into());
        sidecar.sidecar = either(&connect)?.map(|_| Box::default());
    }
    Ok(Some(sidecar))
}

fn either<'a>(connect: &'a Object<'_>) -> Result<Option<Object<'a>>, DecodeError> {
    match connect.object("SidecarService", "ServiceDefinition", GO_TYPE)? {
        Some(body) => Ok(Some(body)),
        None => connect.object("sidecar_service", "ServiceDefinition", GO_TYPE),
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
