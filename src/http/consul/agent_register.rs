//! PUTs of /v1/agent/service. Missing: health checks run by the agent, sidecars, maintenance.

use super::service_body::ServiceBody;
use crate::agent;
use crate::command::{CatalogDeregister, CatalogRegister};
use crate::http::call::Call;
use crate::http::error::Error;
use crate::http::json::{Json, Object};
use crate::http::reply::Answer;
use crate::model::Text;
use http::StatusCode;
use std::net::IpAddr;

const META_PAIRS_MAX: usize = 64;
const META_KEY_CHARS_MAX: usize = 128;
const META_VALUE_CHARS_MAX: usize = 512;

/// PUT agent/service/register
pub(super) async fn register(mut call: Call) -> Result<Answer, Error> {
    call.check_namespace()?;
    let text = call.text().await?;
    let body = Object::parse(&text, "", GO_TYPE)?;
    let mut service = ServiceBody::decode(&body, "Name")?;
    if service.name.is_empty() {
        return Err(Error::bad_request("Missing service name"));
    }
    if matches!(service.address.as_str(), "0.0.0.0" | "::" | "[::]") {
        return Err(Error::bad_request("Invalid service address"));
    }
    check_weights(&service)?;
    check_meta(&service.meta)?;
    refuse_what_is_not_built(&body)?;
    add_default_addresses(&mut service);
    let core = &call.gateway.core;
    let node = agent::own_node(core.facts());
    let service = Some(service.into_instance()?);
    core.catalog_register(CatalogRegister { node, skip_node_update: true, service, checks: Vec::new() }).await?;
    Ok(Answer::empty(StatusCode::OK))
}

/// PUT agent/service/deregister/:id
pub(super) async fn deregister(call: Call) -> Result<Answer, Error> {
    call.check_namespace()?;
    let service_id: Text = match call.variable() {
        b"" => return Err(Error::server("ServiceID missing")),
        id => String::from_utf8_lossy(id).as_ref().into(),
    };
    let core = &call.gateway.core;
    if service_id.eq_ignore_ascii_case(agent::SERVER_SERVICE) {
        return Err(Error::bad_request("Bad request: the service consul is this server itself"));
    }
    let node = core.facts().node_name.as_str().into();
    core.catalog_deregister(CatalogDeregister { node, service_id, check_id: Text::default() }).await?;
    Ok(Answer::empty(StatusCode::OK))
}

/// Go's name of the body's type, which clients may see in an error.
const GO_TYPE: &str = "struct { EnableTagOverrideSnake bool \"json:\\\"enable_tag_override\\\"\"; \
                       TaggedAddressesSnake map[string]structs.ServiceAddress \"json:\\\"tagged_addresses\\\"\"; \
                       *structs.Alias }";

fn check_weights(service: &ServiceBody) -> Result<(), Error> {
    let Some(weights) = service.weights else { return Ok(()) };
    let bad = |why: &str| Err(Error::bad_request(format!("Invalid Weights: {why}")));
    if weights.passing < 1 {
        bad("Passing must be greater than 0")
    } else if weights.warning < 0 {
        bad("Warning must be greater or equal than 0")
    } else if weights.passing > 65535 || weights.warning > 65535 {
        bad("DNS Weight must be between 0 and 65535")
    } else {
        Ok(())
    }
}

fn check_meta(meta: &[(Text, Text)]) -> Result<(), Error> {
    let bad = |why: String| Err(Error::bad_request(format!("Invalid Service Meta: {why}")));
    if meta.len() > META_PAIRS_MAX {
        return bad(format!("Node metadata cannot contain more than {META_PAIRS_MAX} key/value pairs"));
    }
    for (key, value) in meta {
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
        return bad(format!("Couldn't load metadata pair ('{key}', '{value}'): {why}"));
    }
    Ok(())
}

/// What would be lost without a word otherwise.
fn refuse_what_is_not_built(body: &Object<'_>) -> Result<(), Error> {
    let checks = match body.get("Checks") {
        Some(Json::Array(checks)) => !checks.is_empty(),
        other => other.is_some(),
    };
    if checks || body.get("Check").is_some() {
        return Err(Error::bad_request("Invalid check: health checks run by the agent are not built yet"));
    }
    let connect = body.object("Connect", "ServiceConnect", "structs.ServiceConnect")?;
    if connect.is_some_and(|connect| connect.get("SidecarService").is_some()) {
        return Err(Error::bad_request("Invalid SidecarService: sidecar registration is not built yet"));
    }
    Ok(())
}

/// An IP address is also the service's address of its family, in both networks.
fn add_default_addresses(service: &mut ServiceBody) {
    let tags = match service.address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => ["lan_ipv4", "wan_ipv4"],
        Ok(IpAddr::V6(_)) => ["lan_ipv6", "wan_ipv6"],
        Err(_) => return,
    };
    for tag in tags {
        if !service.tagged_addresses.iter().any(|(given, _, _)| given == tag) {
            service.tagged_addresses.push((tag.into(), service.address.clone(), service.port));
        }
    }
}
