//! /v1/operator/keyring: the keys of gossip encryption, which is off. Missing: encryption.

use super::selection::parse_bool;
use crate::http::call::Call;
use crate::http::error::Error;
use crate::http::json::Object;
use crate::http::reply::Answer;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;

/// Nodes through which a request may be relayed, at most.
const RELAY_FACTOR_MAX: i64 = 5;

/// All methods: list, install, use and remove a key.
pub(super) async fn keyring(mut call: Call) -> Result<Answer, Error> {
    let list = call.method == Method::GET;
    if !list {
        let text = call.text().await?;
        let body = Object::parse(&text, "keyringArgs", "agent.keyringArgs").map_err(decode)?;
        check_key(&call, body.text("Key").map_err(decode)?)?;
    }
    check_relay_factor(&call)?;
    let local_only = local_only(&call)?;
    if local_only && !list {
        return Err(bad_request("Invalid use of local-only: local-only can only be set for list requests"));
    }
    let why = match list {
        true => "Keyring is empty (encryption not enabled)",
        false => "No keyring to modify (encryption not enabled)",
    };
    let facts = call.gateway.facts();
    let (node, datacenter) = (&facts.node_name, &facts.datacenter);
    let failed = |pool: String, node: String| {
        vec![format!("{pool} error: 1/1 nodes reported failure"), format!("{node}: {why}")]
    };
    let mut errors = if local_only { Vec::new() } else { failed("WAN".to_owned(), format!("{node}.{datacenter}")) };
    errors.extend(failed(format!("{datacenter} (LAN)"), node.clone()));
    Err(several(&errors))
}

fn check_key(call: &Call, key: &str) -> Result<(), Error> {
    let Err(error) = STANDARD.decode(key) else { return Ok(()) };
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
