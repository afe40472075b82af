//! /v1/operator/keyring: the keys of gossip encryption, on all nodes. Nodes are asked directly, so a relay factor changes
//! nothing. In the pool between datacenters a server is alone, with the keys of its datacenter.

use super::selection::parse_bool;
use crate::gossip::{KeyReport, KeyVerb};
use crate::http::call::Call;
use crate::http::error::Error;
use crate::http::json::Object;
use crate::http::reply::Answer;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use std::collections::BTreeMap;

/// Nodes through which a request may be relayed, at most.
const RELAY_FACTOR_MAX: i64 = 5;

/// All methods: list, install, use and remove a key.
pub(super) async fn keyring(mut call: Call) -> Result<Answer, Error> {
    let verb = match call.method {
        Method::GET => KeyVerb::List,
        Method::POST => KeyVerb::Install,
        Method::DELETE => KeyVerb::Remove,
        _ => KeyVerb::Use,
    };
    let list = verb == KeyVerb::List;
    let mut key = Vec::new();
    if !list {
        let text = call.text().await?;
        let body = Object::parse(&text, "keyringArgs", "agent.keyringArgs").map_err(decode)?;
        key = check_key(&call, body.text("Key").map_err(decode)?)?;
    }
    check_relay_factor(&call)?;
    let local_only = local_only(&call)?;
    if local_only && !list {
        return Err(bad_request("Invalid use of local-only: local-only can only be set for list requests"));
    }
    let gossip = call.gateway.gossip().ok_or_else(|| Error::server("this agent does not gossip"))?;
    let facts = call.gateway.facts();
    let lan = gossip.keys(verb, key, local_only).await;
    // What this server has answered for itself stands for its pool between datacenters.
    let own = |(name, _): &&(String, String)| *name == facts.node_name;
    let wan = KeyReport { nodes: 1, errors: lan.errors.iter().filter(own).cloned().collect(), ..lan.clone() };
    let mut errors = Vec::new();
    if !local_only {
        let name = format!("{}.{}", facts.node_name, facts.datacenter);
        errors.extend(failures("WAN", &wan, Some(&name)));
    }
    errors.extend(failures(&format!("{} (LAN)", facts.datacenter), &lan, None));
    if !errors.is_empty() {
        return Err(several(&errors));
    }
    if !list {
        return Ok(Answer::empty(StatusCode::OK));
    }
    let own = gossip.keys(KeyVerb::List, Vec::new(), true).await;
    let mut rings = Vec::new();
    if !local_only {
        rings.push(Ring::of(true, &facts.datacenter, &own));
    }
    rings.push(Ring::of(false, &facts.datacenter, &lan));
    Answer::json(&rings, call.layout())
}

/// The keys of one pool.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct Ring<'a> {
    #[serde(rename = "WAN")]
    wan: bool,
    datacenter: &'a str,
    segment: &'static str,
    keys: BTreeMap<String, usize>,
    primary_keys: BTreeMap<String, usize>,
    num_nodes: usize,
}

impl<'a> Ring<'a> {
    fn of(wan: bool, datacenter: &'a str, report: &KeyReport) -> Ring<'a> {
        let shown = |keys: &BTreeMap<Vec<u8>, usize>| keys.iter().map(|(k, n)| (STANDARD.encode(k), *n)).collect();
        Ring {
            wan,
            datacenter,
            segment: "",
            keys: shown(&report.keys),
            primary_keys: shown(&report.primary),
            num_nodes: report.nodes,
        }
    }
}

/// What went wrong in a pool: how often, then why on each node.
fn failures(pool: &str, report: &KeyReport, node: Option<&str>) -> Vec<String> {
    if report.errors.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![format!("{pool} error: {}/{} nodes reported failure", report.errors.len(), report.nodes)];
    lines.extend(report.errors.iter().map(|(name, why)| format!("{}: {why}", node.unwrap_or(name))));
    lines
}

fn check_key(call: &Call, key: &str) -> Result<Vec<u8>, Error> {
    let error = match STANDARD.decode(key) {
        Ok(key) => return Ok(key),
        Err(error) => error,
    };
    // Go names the first byte of the group of four that cannot be read, or the byte that is no digit.
    let at = match error {
        base64::DecodeError::InvalidByte(at, _) => at,
        _ => key.len() / 4 * 4,
    };
    let why = format!("illegal base64 data at input byte {at}");
    let datacenter = &call.gateway.facts().datacenter;
    Err(several(&[format!("WAN error: {why}"), format!("{datacenter} (LAN) error: {why}")]))
}

fn check_relay_factor(call: &Call) -> Result<(), Error> {
    match call.query.get("relay-factor") {
        None | Some("") => Ok(()),
        Some(text) => match text.parse::<i64>() {
            Ok(factor) if (0..=RELAY_FACTOR_MAX).contains(&factor) => Ok(()),
            Ok(_) => Err(bad_request("Invalid relay-factor: Relay factor must be in range: [0, 5]")),
            Err(_) => {
                Err(bad_request(&format!("Error parsing relay factor: strconv.Atoi: parsing {text:?}: invalid syntax")))
            }
        },
    }
}

fn local_only(call: &Call) -> Result<bool, Error> {
    match call.query.get("local-only") {
        None | Some("") => Ok(false),
        Some(word) => parse_bool(word).ok_or_else(|| {
            bad_request(&format!("Error parsing local-only: strconv.ParseBool: parsing {word:?}: invalid syntax"))
        }),
    }
}

fn decode(error: crate::http::json::DecodeError) -> Error {
    bad_request(&format!("Request decode failed: {error}"))
}

fn bad_request(text: &str) -> Error {
    Error::bad_request(format!("Bad request: {text}"))
}

/// A list of errors in the form of the Go library that Consul uses for it.
fn several(errors: &[String]) -> Error {
    let lines: String = errors.iter().map(|error| format!("\t* {error}\n")).collect();
    let word = if errors.len() == 1 { "error" } else { "errors" };
    Error::server(format!("{} {word} occurred:\n{lines}\n", errors.len()))
}
