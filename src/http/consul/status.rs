//! /v1/status: what raft knows, whatever the state of the cluster.

use crate::http::call::Call;
use crate::http::error::Error;
use crate::http::gateway::Gateway;
use crate::http::reply::Answer;
use std::net::SocketAddr;

/// The address of a server; a single server may have no listener for peers, and is then known by its own facts.
pub(super) fn address(gateway: &Gateway, known: &str) -> String {
    let facts = gateway.facts();
    if known.is_empty() { SocketAddr::new(facts.advertise, facts.server_port).to_string() } else { known.to_owned() }
}

/// GET status/leader
pub(super) async fn leader(call: Call) -> Result<Answer, Error> {
    call.check_place()?;
    let status = call.core.raft_status();
    let leader = status.leader.map(|(_, node)| address(&call.gateway, &node.address)).unwrap_or_default();
    Answer::json(&leader, call.layout())
}

/// GET status/peers
pub(super) async fn peers(call: Call) -> Result<Answer, Error> {
    call.check_place()?;
    let status = call.core.raft_status();
    let voters = status.members.iter().filter(|member| member.voter);
    let peers: Vec<String> = voters.map(|member| address(&call.gateway, &member.node.address)).collect();
    Answer::json(&peers, call.layout())
}
