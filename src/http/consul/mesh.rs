//! The service mesh, which is off: as in a Consul without `connect.enabled`, what needs its certificates says so. What
//! a Consul would store all the same is refused here, because it would have no effect; so there never is any, and the
//! reads say that. The mesh fields of registrations are kept and shown. Missing: the mesh.

use super::filter;
use crate::http::call::Call;
use crate::http::error::Error;
use crate::http::json::{Json, Object, parse};
use crate::http::reply::Answer;
use crate::model::filter::{Field, Kind};
use http::{Method, StatusCode};
use std::collections::BTreeMap;
use uuid::Uuid;

const OFF: &str = "Connect must be enabled in order to use this endpoint";

const KINDS: &[&str] = &[
    "service-defaults",
    "proxy-defaults",
    "service-router",
    "service-splitter",
    "service-resolver",
    "ingress-gateway",
    "terminating-gateway",
];

/// What filters select in intentions.
const INTENTION: &[Field] = &[
    Field::new("ID", Kind::Text),
    Field::new("Description", Kind::Text),
    Field::new("SourceNS", Kind::Text),
    Field::new("SourceName", Kind::Text),
    Field::new("DestinationNS", Kind::Text),
    Field::new("DestinationName", Kind::Text),
    Field::new("SourceType", Kind::Text),
    Field::new("Action", Kind::Text),
    Field::new("Precedence", Kind::Int),
    Field::new("Meta", Kind::Map(&Kind::Text)),
];

fn off() -> Error {
    Error::server(OFF)
}

/// GET connect/ca/roots, agent/connect/ca/roots, agent/connect/ca/leaf/:service
pub(super) async fn authority(call: Call) -> Result<Answer, Error> {
    call.quiet_read()?;
    Err(off())
}

/// GET and PUT connect/ca/configuration
pub(super) async fn authority_configuration(mut call: Call) -> Result<Answer, Error> {
    if call.method == Method::PUT {
        let text = call.text().await?;
        parse(&text).map_err(|e| Error::bad_request(format!("Bad request: Request decode failed: {e}")))?;
    }
    Err(off())
}

/// GET and POST discovery-chain/:service
pub(super) async fn discovery_chain(mut call: Call) -> Result<Answer, Error> {
    call.quiet_read()?;
    if call.variable().is_empty() {
        return Err(Error::bad_request("Bad request: Missing chain name"));
    }
    if call.method == Method::POST {
        let text = call.text().await?;
        parse(&text).map_err(|e| Error::bad_request(format!("Bad request: Request decoding failed: {e}")))?;
    }
    Err(off())
}

/// POST agent/connect/authorize
pub(super) async fn authorize(mut call: Call) -> Result<Answer, Error> {
    let text = call.text().await?;
    let decoded = |e| Error::bad_request(format!("Bad request: Request decode failed: {e}"));
    let body = Object::parse(&text, "ConnectAuthorizeRequest", "structs.ConnectAuthorizeRequest").map_err(decoded)?;
    if body.text("Target").map_err(decoded)?.is_empty() {
        return Err(Error::bad_request("Bad request: Target service must be specified"));
    }
    if !body.text("ClientCertURI").map_err(decoded)?.starts_with("spiffe://") {
        return Err(Error::bad_request("Bad request: ClientCertURI not a valid Connect identifier"));
    }
    Err(off())
}

/// PUT config
pub(super) async fn put_config(mut call: Call) -> Result<Answer, Error> {
    call.check_place()?;
    let text = call.text().await?;
    let bad = |why: &str| Error::bad_request(format!("Bad request: Request decoding failed: {why}"));
    let body = match parse(&text).map_err(|e| bad(&e.to_string()))? {
        Json::Object(members) => members,
        other => return Err(bad(&format!("expected a map, got {}", other.kind()))),
    };
    let kind = body.iter().find(|(name, _)| name.eq_ignore_ascii_case("Kind"));
    match kind {
        Some((_, Json::String(kind))) if KINDS.contains(&kind.as_ref()) => Err(off()),
        Some((_, Json::String(kind))) => Err(bad(&format!("invalid config entry kind: {kind}"))),
        Some(_) => Err(bad("Kind value in payload is not a string")),
        None => Err(bad("Payload does not contain a kind/Kind key at the top level")),
    }
}

/// GET and DELETE config/:kind/:name
pub(super) async fn config(call: Call) -> Result<Answer, Error> {
    let place = call.name("").map(|name| name.into_owned()).unwrap_or_default();
    let (kind, name) = place.split_once('/').map_or((place.as_str(), None), |(kind, name)| (kind, Some(name)));
    let unknown = || format!("invalid config entry kind: {kind}");
    if call.method == Method::DELETE {
        call.check_place()?;
        return match name {
            None => Err(Error::new(StatusCode::NOT_FOUND, "Must provide both a kind and name to delete")),
            Some(_) if !KINDS.contains(&kind) => Err(Error::bad_request(unknown())),
            Some(_) => Answer::json(&BTreeMap::<(), ()>::new(), call.layout()),
        };
    }
    call.quiet_read()?;
    if !kind.is_empty() && !KINDS.contains(&kind) {
        return Err(Error::server(unknown()));
    }
    match name {
        Some(name) => {
            let text = format!("Config entry not found for {kind:?} / {name:?}");
            Err(Error::new(StatusCode::NOT_FOUND, text))
        }
        None => none(call).await,
    }
}

/// GET and POST connect/intentions
pub(super) async fn intentions(mut call: Call) -> Result<Answer, Error> {
    if call.method == Method::GET {
        filter::of(&call, INTENTION)?;
        return none(call).await;
    }
    call.check_place()?;
    let text = call.text().await?;
    parse(&text).map_err(|e| Error::server(format!("Failed to decode request body: {e}")))?;
    Err(off())
}

/// GET, PUT and DELETE connect/intentions/:id
pub(super) async fn intention(call: Call) -> Result<Answer, Error> {
    call.check_place()?;
    let id = String::from_utf8_lossy(call.variable()).into_owned();
    let bad = (id.len() != 36 || Uuid::try_parse(&id).is_err()).then(|| {
        let why = if id.len() == 36 { "Invalid UUID" } else { "UUID must be 36 characters" };
        format!("failed intention lookup: index error: {why}")
    });
    Err(match (&call.method, bad) {
        (&Method::GET, Some(why)) => Error::bad_request(format!("Bad request: {why}")),
        (&Method::GET, None) => Error::new(StatusCode::NOT_FOUND, "Intention not found"),
        (_, Some(why)) => Error::server(format!("Intention lookup failed: {why}")),
        (&Method::DELETE, None) => Error::server(format!("Cannot delete non-existent intention: '{id}'")),
        (_, None) => Error::server(format!("Cannot modify non-existent intention: '{id}'")),
    })
}

/// GET connect/intentions/match: none matches.
pub(super) async fn match_intentions(call: Call) -> Result<Answer, Error> {
    call.check_place()?;
    match call.query.get("by") {
        None => return Err(missing("by")),
        Some("source" | "destination") => {}
        Some(_) => return Err(Error::server("'by' parameter must be one of 'source' or 'destination'")),
    }
    let mut matches = BTreeMap::new();
    for name in call.query.all("name") {
        if name.matches('/').count() > 1 {
            return Err(Error::server(format!("name {name:?} is invalid: input can contain at most one '/'")));
        }
        matches.insert(name, None::<()>);
    }
    if matches.is_empty() { Err(missing("name")) } else { Answer::json(&matches, call.layout()) }
}

/// GET connect/intentions/check: without an intention it is the default of access control that counts, and with that
/// off everything is allowed.
pub(super) async fn check_intention(call: Call) -> Result<Answer, Error> {
    #[derive(serde::Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Verdict {
        allowed: bool,
    }
    call.check_place()?;
    for parameter in ["source", "destination"] {
        if call.query.get(parameter).is_none() {
            return Err(missing(parameter));
        }
    }
    match call.query.get("source-type") {
        None | Some("" | "consul") => Answer::json(&Verdict { allowed: true }, call.layout()),
        Some(other) => Err(Error::server(format!("unsupported SourceType: {other:?}"))),
    }
}

fn missing(parameter: &str) -> Error {
    Error::server(format!("required query parameter '{parameter}' not set"))
}

/// GET internal/federation-states
pub(super) async fn federation_states(call: Call) -> Result<Answer, Error> {
    none(call).await
}

/// GET internal/federation-states/mesh-gateways
pub(super) async fn mesh_gateways(call: Call) -> Result<Answer, Error> {
    super::catalog::nothing(call, false, |layout| Answer::json(&BTreeMap::<(), ()>::new(), layout)).await
}

/// GET internal/federation-state/:datacenter
pub(super) async fn federation_state(call: Call) -> Result<Answer, Error> {
    call.name("Bad request: Missing datacenter name")?;
    call.quiet_read()?;
    Ok(Answer::empty(StatusCode::NOT_FOUND))
}

/// An empty list in the form of a read that does not announce its consistency.
pub(super) async fn none(call: Call) -> Result<Answer, Error> {
    super::catalog::nothing(call, false, |layout| Answer::json::<[(); 0]>(&[], layout)).await
}
