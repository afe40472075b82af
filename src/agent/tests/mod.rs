//! The agent on a real log and store in memory.

mod keeping;
mod syncing;

use super::*;
use crate::clock::Clock;
use crate::command::CatalogRegister;
use crate::model::{CheckDefinition, Definitions, Health, Instance, InstanceKey, ServiceDefinition, ServiceKey};
use crate::raft::{Options, start_on};
use crate::service::{Core, Facts};
use crate::store::Medium;
use crate::watch::Hub;
use std::path::Path;
use std::sync::Arc;

const NODE: &str = "one";

/// A server without its edges.
async fn core(clock: &Clock) -> Core {
    let hub = Arc::new(Hub::new());
    let options =
        Options { data_dir: None, node_name: NODE.into(), advertise: "127.0.0.1:8300".into(), clock: clock.clone() };
    let raft = start_on(Medium::Memory, options, hub.clone()).await.expect("starts");
    let facts = Facts {
        cluster_id: raft.status().cluster.to_string(),
        node_id: uuid::Uuid::from_u128(1),
        node_name: NODE.into(),
        datacenter: "dc1".into(),
        domain: "consul".into(),
        alt_domain: None,
        version: "0",
        advertise: [127, 0, 0, 1].into(),
        server_port: 8300,
        serf_lan_port: 8301,
        serf_wan_port: 8302,
        grpc_port: 8502,
        http_port: 8500,
        dns_port: 8600,
        node_meta: Default::default(),
        dev: true,
    };
    Core::new(raft, hub, clock.clone(), facts)
}

/// An agent that syncs only when it is told to.
async fn agent_in(data_dir: Option<&Path>, files: Definitions) -> (Agent, Clock) {
    let clock = Clock::manual(1_000_000, 1);
    let settings = Settings { data_dir: data_dir.map(Into::into), remote_scripts: true, ..Settings::default() };
    (Agent::start(core(&clock).await, settings, files).await.expect("starts"), clock)
}

async fn agent() -> (Agent, Clock) {
    agent_in(None, Definitions::default()).await
}

fn service(id: &str) -> ServiceDefinition {
    ServiceDefinition { id: id.into(), name: "web".into(), port: 80, ..ServiceDefinition::default() }
}

fn ttl(id: &str, service: &str) -> CheckDefinition {
    CheckDefinition {
        id: id.into(),
        name: id.into(),
        service_id: service.into(),
        ttl: 3_600_000_000_000,
        ..CheckDefinition::default()
    }
}

async fn register(agent: &Agent, service: ServiceDefinition) {
    agent.register_service(service, Source::Api, false).await.expect("registered");
}

/// What the catalog has under an id on the agent's node.
fn shown(agent: &Agent, id: &str) -> Option<Arc<Instance>> {
    let state = agent.inner.core.local().state;
    let node = state.node(NODE)?;
    state.instances_on(node).find(|i| i.id == id).cloned()
}

/// The state and the output that the catalog has of a check.
fn shown_check(agent: &Agent, service: &str, id: &str) -> Option<(Health, String)> {
    let state = agent.inner.core.local().state;
    super::sync::check_in(&state, NODE, service, id).map(|check| (check.health, check.output.to_string()))
}

fn revision(agent: &Agent) -> u64 {
    agent.inner.core.local().state.revision()
}
