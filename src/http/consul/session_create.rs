//! PUT session/create. What is left out has Consul's defaults: this node, its check `serfHealth`, a lock delay of 15 s,
//! no time to live, keys are released.

use crate::agent::SERF_HEALTH;
use crate::http::call::Call;
use crate::http::error::Error;
use crate::http::json::{DecodeError, Json, Object, format_duration, parse_duration};
use crate::http::reply::Answer;
use crate::model::limits::{SESSION_CHECKS_MAX, SESSION_TTL_MS_MAX};
use crate::model::{Behavior, Invalid, NodeBinding, SessionId, Text, names};
use crate::service::{self, SessionSpec};
use std::time::Duration;

const LOCK_DELAY_NS_DEFAULT: i64 = 15_000_000_000;
/// A smaller number is meant to be seconds.
const LOCK_DELAY_NS_MIN: i64 = 1_000;
const NS_PER_SECOND: i64 = 1_000_000_000;
const NS_PER_MS: u64 = 1_000_000;

/// PUT session/create
pub(super) async fn create(mut call: Call) -> Result<Answer, Error> {
    #[derive(serde::Serialize)]
    struct Created {
        #[serde(rename = "ID")]
        id: SessionId,
    }
    call.check_place()?;
    let text = call.text().await?;
    let body = if text.is_empty() { "{}" } else { &text };
    let body = Object::parse(body, "", "struct { LockDelay interface {}; *structs.Alias }")?;
    let spec = decode(&body, call.own_node(), call.gateway.options.session_ttl_min)?;
    let created = call.core.create_session(None, spec).await?;
    Answer::json(&Created { id: created.value.id }, call.layout())
}

/// All types are checked before any value is, as in Consul.
pub(super) fn decode(body: &Object<'_>, own_node: &str, ttl_min: Duration) -> Result<SessionSpec, Error> {
    let name: Text = body.text("Name")?.into();
    let node: Text = if body.is_given("Node") { body.text("Node")?.into() } else { own_node.into() };
    let checks = checks(body, "Checks", "[]types.CheckID", "types.CheckID")?;
    let node_checks = checks_given(body, "NodeChecks", "[]string", "string")?;
    let service_checks = service_checks(body)?;
    let behavior = body.text_of_type("Behavior", "structs.SessionBehavior")?;
    let ttl: Text = body.text("TTL")?.into();
    let lock_delay_ns = lock_delay(body)?;
    if node.is_empty() {
        return Err(Error::server("Must provide Node"));
    }
    let behavior = match behavior {
        "" | "release" => Behavior::Release,
        "delete" => Behavior::Delete,
        other => return Err(Error::server(format!("Invalid Behavior setting '{other}'"))),
    };
    let ttl_ms = ttl_ms(&ttl, ttl_min)?;
    let lock_delay_ns = u64::try_from(lock_delay_ns)
        .map_err(|_| Error::bad_request("Request decode failed: LockDelay must not be negative"))?;
    names::optional_name("Name", &name).map_err(service::Error::from)?;
    let (node_checks, checks) = settle(checks, node_checks);
    let binding = NodeBinding { node, name, ttl, lock_delay_ns, node_checks, service_checks, checks };
    check_count(&binding)?;
    Ok(SessionSpec { ttl_ms: Some(ttl_ms), behavior, binding: Some(binding), ..SessionSpec::default() })
}

/// A list that is left out is `serfHealth`, one that is null is `None`.
fn checks_given(body: &Object<'_>, field: &str, list: &str, item: &str) -> Result<Option<Vec<Text>>, Error> {
    match body.is_given(field) {
        false => Ok(Some(vec![SERF_HEALTH.into()])),
        true => Ok(body.get(field).map(|_| body.texts_of_type(field, list, item)).transpose()?),
    }
}

fn checks(body: &Object<'_>, field: &str, list: &str, item: &str) -> Result<Vec<Text>, Error> {
    Ok(checks_given(body, field, list, item)?.unwrap_or_default())
}

/// The checks of a node and those in the older field: an empty list of either kind takes away what the other one has
/// by default.
fn settle(mut checks: Vec<Text>, mut node_checks: Option<Vec<Text>>) -> (Option<Box<[Text]>>, Box<[Text]>) {
    if checks.is_empty() {
        node_checks = Some(Vec::new());
    } else if node_checks.as_ref().is_none_or(Vec::is_empty) || checks == [SERF_HEALTH] {
        checks = Vec::new();
    }
    (node_checks.map(Into::into), checks.into())
}

fn service_checks(body: &Object<'_>) -> Result<Option<Box<[(Text, Text)]>>, Error> {
    if body.get("ServiceChecks").is_none() {
        return Ok(None);
    }
    let list = body.objects("ServiceChecks", "ServiceCheck", "[]structs.ServiceCheck", "structs.ServiceCheck")?;
    let pair = |check: &Object<'_>| -> Result<(Text, Text), Error> {
        Ok((check.text("ID")?.into(), check.text("Namespace")?.into()))
    };
    Ok(Some(list.iter().map(pair).collect::<Result<_, _>>()?))
}

/// Nanoseconds of a Go duration, or a number: of seconds if it is small, else of nanoseconds.
fn lock_delay(body: &Object<'_>) -> Result<i64, Error> {
    let ns = match body.get("LockDelay") {
        None => return Ok(LOCK_DELAY_NS_DEFAULT),
        Some(Json::String(text)) => parse_duration(text).map_err(DecodeError::Duration)?,
        Some(Json::Number(digits)) => digits.parse::<f64>().map_or(0, |number| number as i64),
        Some(_) => 0,
    };
    Ok(if ns < LOCK_DELAY_NS_MIN { ns.saturating_mul(NS_PER_SECOND) } else { ns })
}

fn ttl_ms(text: &str, least: Duration) -> Result<u64, Error> {
    if text.is_empty() {
        return Ok(0);
    }
    let ns = parse_duration(text).map_err(|why| Error::server(format!("Session TTL '{text}' invalid: {why}")))?;
    let limits = [least, Duration::from_millis(SESSION_TTL_MS_MAX)];
    let limits = limits.map(|limit| i64::try_from(limit.as_nanos()).unwrap_or(i64::MAX));
    if ns != 0 && !(limits[0]..=limits[1]).contains(&ns) {
        let [least, most] = limits.map(format_duration);
        return Err(Error::server(format!("Invalid Session TTL '{ns}', must be between [{least}={most}]")));
    }
    Ok(ns as u64 / NS_PER_MS)
}

fn check_count(binding: &NodeBinding) -> Result<(), Error> {
    let count = binding.check_ids().count();
    if count > SESSION_CHECKS_MAX {
        let reason = format!("{count} checks are named, at most {SESSION_CHECKS_MAX} are allowed");
        return Err(service::Error::from(Invalid::new("Checks", reason)).into());
    }
    binding.check_ids().try_for_each(|id| names::optional_name("Checks", id)).map_err(service::Error::from)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(body: &str) -> Result<SessionSpec, Error> {
        decode(&Object::parse(body, "", "s")?, "own", Duration::from_secs(10))
    }

    #[test]
    fn small_lock_delays_are_seconds() {
        for (delay, ns) in [
            ("5", 5_000_000_000),
            ("999", 999_000_000_000),
            ("1000", 1_000),
            ("\"5s\"", 5_000_000_000),
            ("\"0s\"", 0),
            ("0", 0),
            ("1.5", 1_000_000_000),
            ("null", 15_000_000_000),
            ("[]", 0),
        ] {
            let binding = spec(&format!("{{\"LockDelay\":{delay}}}")).unwrap().binding.unwrap();
            assert_eq!(binding.lock_delay_ns, ns, "{delay}");
        }
        for bad in ["-1", "\"-5s\"", "\"x\"", "\"5\"", "-1e300"] {
            assert!(spec(&format!("{{\"LockDelay\":{bad}}}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn lists_of_checks_settle_as_in_consul() {
        let settled = |body: &str| {
            let binding = spec(body).unwrap().binding.unwrap();
            (binding.node_checks.map(|list| list.join(",")), binding.checks.join(","))
        };
        let serf = || (Some("serfHealth".to_owned()), String::new());
        let none = || (Some(String::new()), String::new());
        assert_eq!(settled("{}"), serf());
        assert_eq!(settled(r#"{"Checks":["serfHealth"]}"#), serf());
        assert_eq!(settled(r#"{"Checks":[]}"#), none());
        assert_eq!(settled(r#"{"Checks":null}"#), none());
        assert_eq!(settled(r#"{"NodeChecks":[]}"#), none());
        assert_eq!(settled(r#"{"NodeChecks":null}"#), (None, String::new()));
        assert_eq!(settled(r#"{"Checks":["a"]}"#), (Some("serfHealth".to_owned()), "a".to_owned()));
        assert_eq!(settled(r#"{"Checks":["a"],"NodeChecks":[]}"#), none());
    }

    proptest::proptest! {
        #[test]
        fn any_body_is_answered(delay in "[-0-9eE.\"smh]{0,8}", ttl in "\\PC{0,8}", checks in "[\\[\\]\"a,]{0,8}") {
            let ttl = serde_json::to_string(&ttl).unwrap();
            let _ = spec(&format!("{{\"LockDelay\":{delay},\"TTL\":{ttl},\"Checks\":{checks}}}"));
        }
    }
}
