//! PUTs of /v1/agent/service and /v1/agent/check: registrations, reports, maintenance.

use super::service_body::ServiceBody;
use super::{check_body, service_body};
use crate::agent::Source;
use crate::http::call::Call;
use crate::http::error::Error;
use crate::http::json::Object;
use crate::http::reply::Answer;
use crate::model::Health;
use http::StatusCode;
use std::borrow::Cow;

fn done() -> Result<Answer, Error> {
    Ok(Answer::empty(StatusCode::OK))
}

fn id(call: &Call<()>) -> Cow<'_, str> {
    String::from_utf8_lossy(call.variable())
}

/// PUT agent/service/register
pub(super) async fn register(mut call: Call<()>) -> Result<Answer, Error> {
    call.check_namespace()?;
    let text = call.text().await?;
    let body = Object::parse(&text, "", service_body::GO_TYPE)?;
    let mut service = ServiceBody::decode(&body, "Name")?.0;
    (service.check, service.checks) = check_body::of_service(&body)?;
    service.token = body.text("Token")?.into();
    // Bare or `true`, but not `1`, as in Consul.
    let replace = matches!(call.query.get("replace-existing-checks"), Some("" | "true"));
    call.gateway.options.agent.register_service(service, Source::Api, replace).await?;
    done()
}

/// PUT agent/service/deregister/:id
pub(super) async fn deregister(call: Call<()>) -> Result<Answer, Error> {
    call.check_namespace()?;
    if call.variable().is_empty() {
        return Err(Error::server("ServiceID missing"));
    }
    call.gateway.options.agent.deregister_service(&id(&call)).await?;
    done()
}

/// PUT agent/check/register
pub(super) async fn register_check(mut call: Call<()>) -> Result<Answer, Error> {
    call.check_namespace()?;
    let text = call.text().await?;
    let body = Object::parse(&text, "", &check_body::go_type())?;
    let check = check_body::decode(&body)?;
    call.gateway.options.agent.register_check(check, Source::Api).await?;
    done()
}

/// PUT agent/check/deregister/:id
pub(super) async fn deregister_check(call: Call<()>) -> Result<Answer, Error> {
    call.check_namespace()?;
    if call.variable().is_empty() {
        return Err(Error::server("CheckID missing"));
    }
    call.gateway.options.agent.deregister_check(&id(&call)).await?;
    done()
}

/// PUT agent/check/pass/:id
pub(super) async fn pass(call: Call<()>) -> Result<Answer, Error> {
    report(&call, Health::Passing).await
}

/// PUT agent/check/warn/:id
pub(super) async fn warn(call: Call<()>) -> Result<Answer, Error> {
    report(&call, Health::Warning).await
}

/// PUT agent/check/fail/:id
pub(super) async fn fail(call: Call<()>) -> Result<Answer, Error> {
    report(&call, Health::Critical).await
}

async fn report(call: &Call<()>, health: Health) -> Result<Answer, Error> {
    call.check_namespace()?;
    let note = call.query.get("note").unwrap_or_default();
    call.gateway.options.agent.report(&id(call), health, note).await?;
    done()
}

/// PUT agent/check/update/:id
pub(super) async fn update(mut call: Call<()>) -> Result<Answer, Error> {
    call.check_namespace()?;
    let text = call.text().await?;
    let body = Object::parse(&text, "checkUpdate", "agent.checkUpdate")?;
    let (status, output) = (body.text("Status")?, body.text("Output")?);
    let health = Health::parse(status);
    let health = health.ok_or_else(|| Error::bad_request(format!("Invalid check status: '{status}'")))?;
    call.gateway.options.agent.report(&id(&call), health, output).await?;
    done()
}

/// PUT agent/service/maintenance/:id
pub(super) async fn service_maintenance(call: Call<()>) -> Result<Answer, Error> {
    if call.variable().is_empty() {
        return Err(Error::bad_request("Missing service ID"));
    }
    let enable = enable(&call)?;
    call.check_namespace()?;
    let reason = call.query.get("reason").unwrap_or_default();
    call.gateway.options.agent.maintain_service(&id(&call), enable, reason).await?;
    done()
}

/// PUT agent/maintenance
pub(super) async fn maintenance(call: Call<()>) -> Result<Answer, Error> {
    let enable = enable(&call)?;
    let reason = call.query.get("reason").unwrap_or_default();
    call.gateway.options.agent.maintain_node(enable, reason).await?;
    done()
}

/// The parameter `enable`, in the spellings of Go's `strconv.ParseBool`.
fn enable(call: &Call<()>) -> Result<bool, Error> {
    match call.query.get("enable") {
        None | Some("") => Err(Error::bad_request("Missing value for enable")),
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
        Some(other) => Err(Error::bad_request(format!("Invalid value for enable: {other:?}"))),
    }
}
