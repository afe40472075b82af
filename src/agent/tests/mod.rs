//! The agent on a real log and store in memory.

mod keeping;
mod sidecar;
mod syncing;

use super::*;
use crate::clock::Clock;
use crate::command::CatalogRegister;
use crate::model::{CheckDefinition, Definitions, Health, Instance, InstanceKey, ServiceDefinition, ServiceKey};
use crate::service::Core;
use crate::service::tests::started;
use crate::store::Medium;
use std::path::Path;
use std::sync::Arc;

const NODE: &str = "one";

/// A server without its edges.
async fn core(clock: &Clock) -> Core {
    started(Medium::Memory, clock).await.0
}

/// An agent that syncs only when it is told to.
async fn agent_in(data_dir: Option<&Path>, files: Definitions) -> (Agent, Clock) {
    let clock = Clock::manual(1_000_000, 1);
    (agent_on(core(&clock).await, data_dir, files).await, clock)
}

async fn agent_on(core: Core, data_dir: Option<&Path>, files: Definitions) -> Agent {
    let settings = Settings { data_dir: data_dir.map(Into::into), remote_scripts: true, ..Settings::default() };
    Agent::start(Arc::new(core), settings, files).await.expect("starts")
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
    let state = agent.inner.catalog.known(NODE);
    let node = state.node(NODE)?;
    state.instances_on(node).find(|i| i.id == id).cloned()
}

/// The state and the output that the catalog has of a check.
fn shown_check(agent: &Agent, service: &str, id: &str) -> Option<(Health, String)> {
    let state = agent.inner.catalog.known(NODE);
    super::sync::check_in(&state, NODE, service, id).map(|check| (check.health, check.output.to_string()))
}

fn revision(agent: &Agent) -> u64 {
    agent.inner.catalog.known(NODE).revision()
}
