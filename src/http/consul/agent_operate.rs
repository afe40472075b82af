//! What operators ask of one agent: join, leave, reload, metrics, the host. Missing: the pool between
//! datacenters, in which there is nobody to join but this server itself.

use crate::gossip::{self, JoinError};
use crate::http::body::Log;
use crate::http::call::Call;
use crate::http::error::Error;
use crate::http::reply::Answer;
use crate::monitor::Style;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use std::io::ErrorKind;
use std::net::SocketAddr;
use tracing::Level;

fn done() -> Result<Answer, Error> {
    Ok(Answer::empty(StatusCode::OK))
}

/// PUT agent/reload
pub(super) async fn reload(call: Call<()>) -> Result<Answer, Error> {
    call.gateway.options.agent.hooks().reload().await.map_err(Error::server)?;
    done()
}

/// PUT agent/leave: answered when this node has left, as the last thing that it does.
pub(super) async fn leave(call: Call<()>) -> Result<Answer, Error> {
    let agent = &call.gateway.options.agent;
    agent.leave();
    agent.drained().await;
    done()
}

/// PUT agent/force-leave/:node
pub(super) async fn force_leave(call: Call<()>) -> Result<Answer, Error> {
    let name = String::from_utf8_lossy(call.variable());
    let known = match call.gateway.gossip() {
        Some(gossip) => gossip.force_leave(&name, call.query.has("prune")).await,
        None => false,
    };
    if known { done() } else { Err(Error::server(format!("agent: No node found with name '{name}'"))) }
}

/// PUT agent/join/:address
pub(super) async fn join(call: Call<()>) -> Result<Answer, Error> {
    let facts = call.gateway.facts();
    let wan = call.query.get("wan").is_some_and(|value| !value.is_empty());
    let default = if wan { facts.serf_wan_port } else { facts.serf_lan_port };
    let text = String::from_utf8_lossy(call.variable());
    let host = gossip::split(&text, default).0;
    let addresses = match gossip::resolve(&text, default).await {
        Ok(addresses) => addresses,
        Err(_) => return failed(&[format!("Failed to resolve {text}: lookup {host}: no such host")]),
    };
    let Some(gossip) = call.gateway.gossip().filter(|_| !wan) else {
        if addresses.contains(&SocketAddr::new(facts.advertise, default)) {
            return done();
        }
        return failed(&[format!("Failed to join {host}: this version knows one datacenter")]);
    };
    let mut errors = Vec::new();
    for address in addresses {
        match gossip.join(address).await {
            Ok(()) => return done(),
            Err(error) => errors.push(format!("Failed to join {}: {}", address.ip(), why(address, &error))),
        }
    }
    failed(&errors)
}

/// Errors in the form of the Go library that Consul uses for several of them.
fn failed(errors: &[String]) -> Result<Answer, Error> {
    let lines: String = errors.iter().map(|error| format!("\t* {error}\n")).collect();
    let word = if errors.len() == 1 { "error" } else { "errors" };
    Err(Error::server(format!("{} {word} occurred:\n{lines}\n", errors.len())))
}

/// A network's error in Go's words.
fn why(address: SocketAddr, error: &JoinError) -> String {
    match error {
        JoinError::Network(error) => match error.kind() {
            ErrorKind::ConnectionRefused => format!("dial tcp {address}: connect: connection refused"),
            ErrorKind::HostUnreachable => format!("dial tcp {address}: connect: no route to host"),
            ErrorKind::NetworkUnreachable => format!("dial tcp {address}: connect: network is unreachable"),
            ErrorKind::TimedOut => format!("dial tcp {address}: i/o timeout"),
            _ => error.to_string(),
        },
        other => other.to_string(),
    }
}

/// PUT agent/token/:type
pub(super) async fn token(_: Call<()>) -> Result<Answer, Error> {
    Err(Error::new(StatusCode::UNAUTHORIZED, "ACL support disabled"))
}

/// GET agent/host
pub(super) async fn host(call: Call<()>) -> Result<Answer, Error> {
    let now_ms = call.gateway.clock().now_ms();
    let data_dir = call.gateway.options.agent.settings().data_dir.clone();
    let read = tokio::task::spawn_blocking(move || crate::agent::host(data_dir.as_deref(), now_ms));
    let host = read.await.map_err(|e| Error::server(e.to_string()))?;
    Answer::json(&host, call.layout())
}

/// GET agent/monitor: the log from now on, until the client or the server goes.
pub(super) async fn monitor(call: Call<()>) -> Result<Answer, Error> {
    let asked = call.query.get("loglevel").unwrap_or_default();
    let level = match asked.to_ascii_lowercase().as_str() {
        "trace" => Level::TRACE,
        "debug" => Level::DEBUG,
        "" | "info" => Level::INFO,
        "warn" => Level::WARN,
        "err" | "error" => Level::ERROR,
        _ => return Err(Error::bad_request(format!("Bad request: Unknown log level: {asked}"))),
    };
    let style = Style { level, json: call.query.has("logjson") };
    let (monitor, end) = (call.gateway.options.monitor.clone(), call.gateway.draining.clone());
    Ok(Answer { log: Some(Log { monitor, style, end }), ..Answer::empty(StatusCode::OK) })
}

/// GET agent/metrics
pub(super) async fn metrics(call: Call<()>) -> Result<Answer, Error> {
    super::metrics::note_process();
    let text = call.gateway.options.metrics.render();
    if call.query.get("format") == Some("prometheus") {
        if !call.gateway.options.prometheus {
            return Err(Error::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Prometheus is not enabled since its retention time is not positive",
            ));
        }
        let version = HeaderValue::from_static("text/plain; version=0.0.4");
        return Ok(Answer::text(StatusCode::OK, text).with(CONTENT_TYPE, version));
    }
    let clock = call.gateway.clock();
    let report = super::metrics::Report::of(&text, clock.now_ms(), clock.monotonic_ms());
    Answer::json(&report, call.layout())
}
