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

/// PUT agent/service/register
pub(super) async fn register(mut call: Call) -> Result<Answer, Error> {
    call.check_namespace()?;
    let text = call.text().await?;
    let body = Object::parse(&text, "", GO_TYPE)?;
    let mut service = ServiceBody::decode(&body, "Name")?;
    service.0.validate().map_err(|refused| Error::bad_request(refused.0))?;
    refuse_what_is_not_built(&body)?;
    service.0.add_default_addresses();
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
