//! Checks that follow those of a service or a node.
//!
//! On this node they follow what the agent owns, elsewhere what the catalog shows. An alias of a node does not count
//! other aliases of the same node: two of them would hold each other up.

use super::Report;
use crate::agent::handle::Agent;
use crate::model::{Check, CheckDefinition, Health, Text};
use compact_str::format_compact;
use futures::StreamExt;
use std::sync::Arc;

/// What is said of a check that counts.
struct Seen {
    name: Text,
    health: Health,
    output: Text,
}

impl Seen {
    fn of(check: &Check) -> Seen {
        Seen { name: check.name.clone(), health: check.health, output: check.output.clone() }
    }
}

pub(super) async fn run(agent: Agent, definition: Arc<CheckDefinition>, generation: u64) {
    let node = definition.alias_node.as_str();
    let here = node.is_empty() || node.eq_ignore_ascii_case(&agent.node().name);
    let mut local = agent.changes();
    let mut catalog = agent.inner.catalog.changes(node);
    if !here {
        // Where it fails, what was known before decides.
        let _ = agent.inner.catalog.view(node).await;
    }
    loop {
        let seen = if here { seen_here(&agent, &definition) } else { seen_elsewhere(&agent, &definition) };
        agent.take(&definition.id, generation, judge(seen, &definition));
        if here {
            if local.changed().await.is_err() {
                return;
            }
        } else {
            // It has no end.
            let _ = catalog.next().await;
        }
    }
}

/// The checks that count, in order of id; `None` if the service is not there.
fn seen_here(agent: &Agent, definition: &CheckDefinition) -> Option<Vec<Seen>> {
    let service = definition.alias_service.as_str();
    let local = agent.local();
    if !service.is_empty() {
        local.service(service)?;
    }
    let of_node = local.checks_of("");
    let of_service = if service.is_empty() { Vec::new() } else { local.checks_of(service) };
    let own = of_node.into_iter().chain(of_service).filter_map(|id| local.checks.get(&id));
    let counts = own.filter(|own| {
        let other_alias = own.check.kind == "alias" && own.service_id().is_empty();
        !own.check.id.eq_ignore_ascii_case(&definition.id) && !other_alias
    });
    Some(counts.map(|own| Seen::of(&own.check)).collect())
}

fn seen_elsewhere(agent: &Agent, definition: &CheckDefinition) -> Option<Vec<Seen>> {
    let state = agent.inner.catalog.known(&definition.alias_node);
    let node = state.node(&definition.alias_node);
    let mut seen: Vec<Seen> = node.into_iter().flat_map(|n| n.record.checks.iter()).map(Seen::of).collect();
    if !definition.alias_service.is_empty() {
        let instance = state.instances_on(node?).find(|i| i.id.eq_ignore_ascii_case(&definition.alias_service))?;
        seen.extend(instance.checks.iter().map(Seen::of));
    }
    Some(seen)
}

/// The first critical one decides, else the last warning.
fn judge(seen: Option<Vec<Seen>>, definition: &CheckDefinition) -> Report {
    let Some(seen) = seen else {
        let (service, node) = (&definition.alias_service, &definition.alias_node);
        return Report::critical(format_compact!("Service {service} could not be found on node {node}"));
    };
    let critical = seen.iter().find(|check| check.health == Health::Critical);
    match critical.or_else(|| seen.iter().rev().find(|check| check.health == Health::Warning)) {
        Some(Seen { name, health, output }) => {
            let output = format_compact!("Aliased check {:?} failing: {output}", name.as_str());
            Report { health: *health, output }
        }
        None if seen.is_empty() => Report::passing("No checks found."),
        None => Report::passing("All checks passing."),
    }
}
