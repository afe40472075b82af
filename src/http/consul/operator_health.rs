//! /v1/operator/autopilot/health: how the servers are.

use crate::http::call::Call;
use crate::http::error::Error;
use crate::http::json::format_duration;
use crate::http::reply::Answer;
use crate::service::{Presence, ServerHealth};
use http::StatusCode;

/// What is said of a server that never answered.
const NEVER_NS: i64 = -1_000_000;

#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct Health {
    healthy: bool,
    failure_tolerance: u64,
    servers: Vec<Server>,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct Server {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    address: String,
    serf_status: &'static str,
    version: String,
    leader: bool,
    last_contact: String,
    last_term: u64,
    last_index: u64,
    healthy: bool,
    voter: bool,
    stable_since: String,
}

/// GET operator/autopilot/health
pub(super) async fn autopilot_health(call: Call) -> Result<Answer, Error> {
    call.check_place()?;
    let core = &call.core;
    let (term, leader_known) = (core.raft_status().term, core.local().leader_known);
    // As far back as this server can tell.
    let seconds = i64::try_from(core.started_ms() / 1000).unwrap_or_default();
    let stable_since = prost_types::Timestamp { seconds, nanos: 0 }.to_string();
    let peers = core.peers();
    let server = |(health, peer): (ServerHealth, crate::service::Peer)| Server {
        healthy: health.healthy && leader_known,
        id: peer.id,
        name: peer.name,
        address: peer.address,
        serf_status: match health.presence {
            Some(Presence::Failed) => "failed",
            Some(Presence::Left) => "left",
            Some(Presence::Alive) => "alive",
            None if health.contact_ms.is_some() => "alive",
            None => "none",
        },
        version: health.member.node.version,
        leader: health.leader,
        last_contact: format_duration(health.contact_ms.map_or(NEVER_NS, |ms| ms as i64 * 1_000_000)),
        last_term: term,
        last_index: health.last_log,
        voter: health.member.voter,
        stable_since: stable_since.clone(),
    };
    // Both are in the order of the membership.
    let servers: Vec<Server> = core.server_health().await.into_iter().zip(peers).map(server).collect();
    let voters = servers.iter().filter(|server| server.voter).count() as u64;
    let well = servers.iter().filter(|server| server.voter && server.healthy).count() as u64;
    let healthy = !servers.is_empty() && servers.iter().all(|server| server.healthy);
    let failure_tolerance = well.saturating_sub(voters / 2 + 1);
    let mut answer = Answer::json(&Health { healthy, failure_tolerance, servers }, call.layout())?;
    if !healthy {
        answer.status = StatusCode::TOO_MANY_REQUESTS;
    }
    Ok(answer)
}
