//! GETs of what this node owns: /v1/agent/services, service/:id, checks, health/service.

use super::agent_shapes::{AgentCheck, AgentService};
use super::filter;
use crate::agent::{Aggregate, CheckView, aggregate};
use crate::http::call::Call;
use crate::http::error::Error;
use crate::http::json::{Layout, encode, parse_duration};
use crate::http::reply::Answer;
use crate::model::Instance;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

const X_CONSUL_CONTENTHASH: HeaderName = HeaderName::from_static("x-consul-contenthash");
const X_CONSUL_REASON: HeaderName = HeaderName::from_static("x-consul-reason");

/// GET agent/services
pub(super) async fn services(call: Call<()>) -> Result<Answer, Error> {
    call.check_namespace()?;
    let filter = filter::of(&call, filter::SERVICE)?;
    let services = call.gateway.options.agent.services();
    let shown: BTreeMap<&str, AgentService<'_>> = services
        .iter()
        .map(|instance| (instance.id.as_str(), AgentService::of(instance)))
        .filter(|(_, service)| filter.matches(service))
        .collect();
    Answer::json(&shown, call.layout())
}

/// GET agent/service/:id
pub(super) async fn service(call: Call<()>) -> Result<Answer, Error> {
    let wait = match call.query.get("wait").filter(|text| !text.is_empty()) {
        Some(text) => parse_duration(text).map_err(|_| Error::bad_request("Invalid wait time"))?,
        None => 0,
    };
    call.check_namespace()?;
    let wait = u64::try_from(wait).map_or(Duration::ZERO, Duration::from_nanos);
    let options = &call.gateway.options;
    let wait = if wait.is_zero() { options.wait_default } else { wait.min(options.wait_max) };
    let deadline = Instant::now() + wait;
    let seen = call.query.get("hash").unwrap_or_default();
    let agent = &call.gateway.options.agent;
    let mut changes = agent.changes();
    let id = String::from_utf8_lossy(call.variable());
    loop {
        changes.mark_unchanged();
        let unknown = || Error::new(StatusCode::NOT_FOUND, format!("unknown service ID: {id}"));
        let service = agent.service(&id).ok_or_else(unknown)?;
        let hash = content_hash(&service)?;
        if hash != seen || Instant::now() >= deadline || call.gateway.draining.is_cancelled() {
            let shown = AgentService::of(&service).with_hash(hash.clone());
            let header = HeaderValue::from_str(&hash).map_err(|e| Error::server(e.to_string()))?;
            return Ok(Answer::json(&shown, call.layout())?.with(X_CONSUL_CONTENTHASH, header));
        }
        tokio::select! {
            // The sender lives as long as the agent.
            _ = changes.changed() => {}
            () = tokio::time::sleep_until(deadline) => {}
            () = call.gateway.draining.cancelled() => {}
        }
    }
}

/// 16 hexadecimal digits, equal for equal content.
fn content_hash(service: &Instance) -> Result<String, Error> {
    let bytes = encode(&AgentService::of(service), Layout::Compact);
    let digest = Sha256::digest(bytes.map_err(|e| Error::server(e.to_string()))?);
    Ok(digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

/// GET agent/checks
pub(super) async fn checks(call: Call<()>) -> Result<Answer, Error> {
    call.check_namespace()?;
    let agent = &call.gateway.options.agent;
    // Here Consul says of an unknown field what is wrong with it, and nothing more.
    let filter = filter::of(&call, filter::CHECK).map_err(|error| match error.text.rsplit_once("evaluator: ") {
        Some((_, selector)) if selector.starts_with("Selector ") => Error::server(selector.to_owned()),
        _ => error,
    })?;
    let (node, checks) = (agent.node(), agent.checks());
    let shown: BTreeMap<&str, AgentCheck<'_>> = checks
        .iter()
        .map(|view| (view.check.id.as_str(), AgentCheck { node: &node.name, view, spelled_out: false }))
        .filter(|(_, check)| filter.matches(check))
        .collect();
    Answer::json(&shown, call.layout())
}

/// A service with its health, as load balancers ask for it.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct ServiceHealth<'a> {
    aggregated_status: &'static str,
    service: Option<AgentService<'a>>,
    checks: Option<Vec<AgentCheck<'a>>>,
}

impl<'a> ServiceHealth<'a> {
    fn of(found: &'a Aggregate, node: &'a str) -> ServiceHealth<'a> {
        let shown = |view: &'a CheckView| AgentCheck { node, view, spelled_out: true };
        ServiceHealth {
            aggregated_status: found.status,
            service: Some(AgentService::of(&found.service)),
            checks: Some(found.checks.iter().map(shown).collect()),
        }
    }
}

fn code(status: &str) -> StatusCode {
    match status {
        "passing" => StatusCode::OK,
        "warning" => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn reason(answer: Answer, status: StatusCode, reason: &str) -> Result<Answer, Error> {
    let header = HeaderValue::from_str(reason).map_err(|_| Error::bad_request("the name cannot be printed"))?;
    Ok(Answer { status, ..answer.with(X_CONSUL_REASON, header) })
}

fn wants_text(call: &Call<()>) -> bool {
    call.query.get("format") == Some("text")
}

fn text(status: StatusCode, body: &str) -> Answer {
    Answer::text(status, body.to_owned()).with(CONTENT_TYPE, HeaderValue::from_static("text/plain"))
}

/// GET agent/health/service/id/:id
pub(super) async fn health_by_id(call: Call<()>) -> Result<Answer, Error> {
    call.check_namespace()?;
    if call.variable().is_empty() {
        return Err(Error::server("Bad request: Missing serviceID"));
    }
    let id = String::from_utf8_lossy(call.variable());
    let agent = &call.gateway.options.agent;
    let Some(found) = agent.aggregate(&id) else {
        let why = format!("ServiceId {id} not found");
        let answer = if wants_text(&call) {
            Answer::json(&why, call.layout())?
        } else {
            let none = ServiceHealth { aggregated_status: "critical", service: None, checks: None };
            Answer::json(&none, call.layout())?
        };
        return reason(answer, StatusCode::NOT_FOUND, &why);
    };
    let answer = if wants_text(&call) {
        text(StatusCode::OK, found.status)
    } else {
        Answer::json(&ServiceHealth::of(&found, &agent.node().name), call.layout())?
    };
    reason(answer, code(found.status), found.status)
}

/// GET agent/health/service/name/:name
pub(super) async fn health_by_name(call: Call<()>) -> Result<Answer, Error> {
    call.check_namespace()?;
    if call.variable().is_empty() {
        return Err(Error::server("Bad request: Missing service Name"));
    }
    let name = String::from_utf8_lossy(call.variable());
    let agent = &call.gateway.options.agent;
    let found = agent.aggregates(&name);
    let node = agent.node();
    let list: Vec<ServiceHealth<'_>> = found.iter().map(|one| ServiceHealth::of(one, &node.name)).collect();
    let (status, why) = if found.is_empty() {
        (StatusCode::NOT_FOUND, format!("ServiceName {name} Not Found"))
    } else {
        let worst = aggregate(found.iter().flat_map(|one| &one.checks));
        (code(worst), worst.to_owned())
    };
    let answer = if wants_text(&call) { text(status, &why) } else { Answer::json(&list, call.layout())? };
    reason(answer, status, &why)
}
