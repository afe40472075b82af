//! One round of writes: what has changed is taken, compared with the catalog, written together, and put back where a
//! write failed.

use super::compare::{check_in, instance_in, shows_check, shows_node, shows_service};
use crate::agent::CatalogWrite;
use crate::agent::handle::Agent;
use crate::agent::local::Local;
use crate::command::{CatalogCheck, CatalogDeregister, CatalogRegister};
use crate::machine::State;
use crate::model::{Instance, NodeRecord, Text, fold};
use crate::service::Error;
use futures::stream::{self, StreamExt};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Writes of one round; they are proposed together.
const WRITES_MAX: usize = 256;

/// What was taken.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// Nothing is left after it.
    pub(super) is_last: bool,
    node: bool,
    gone_services: BTreeSet<Text>,
    gone_checks: BTreeSet<(Text, Text)>,
    services: BTreeSet<Text>,
    checks: BTreeSet<Text>,
}

/// One write, and what it brings in step.
struct Write {
    command: CatalogWrite,
    part: Round,
}

impl Round {
    /// Takes what there is, removals first: an id may come back under another service.
    pub(super) fn take(local: &mut Local) -> Option<Round> {
        if local.unsynced.is_empty() {
            return None;
        }
        let unsynced = &mut local.unsynced;
        let mut round = Round::default();
        if !unsynced.gone_services.is_empty() || !unsynced.gone_checks.is_empty() {
            round.gone_services = split(&mut unsynced.gone_services);
            round.gone_checks = split(&mut unsynced.gone_checks);
        } else {
            round.node = std::mem::take(&mut unsynced.node);
            round.services = split(&mut unsynced.services);
            // Those of a service that is written go with it; the others follow when there is room.
            let with_service = |id: &Text| {
                let service = local.checks.get(id).map(|own| fold(own.service_id()));
                service.is_some_and(|service| round.services.contains(&service))
            };
            let (mut with, rest): (BTreeSet<Text>, BTreeSet<Text>) =
                std::mem::take(&mut unsynced.checks).into_iter().partition(with_service);
            let mut rest = rest;
            if round.services.len() < WRITES_MAX {
                with.extend(split(&mut rest));
            }
            unsynced.checks = rest;
            round.checks = with;
        }
        round.is_last = local.unsynced.is_empty();
        Some(round)
    }

    /// Marks everything again.
    pub(super) fn put_back(self, local: &mut Local) {
        let unsynced = &mut local.unsynced;
        unsynced.node |= self.node;
        unsynced.gone_services.extend(self.gone_services);
        unsynced.gone_checks.extend(self.gone_checks);
        unsynced.services.extend(self.services);
        unsynced.checks.extend(self.checks);
    }

    /// Writes it where the catalog differs. A write that is refused is reported and left; one that did not get through
    /// is marked again, and its error is returned.
    pub(super) async fn write(self, agent: &Agent, state: &State) -> Result<(), Error> {
        let writes = {
            let local = agent.local();
            self.writes(&local, state, &agent.node())
        };
        let catalog = &agent.inner.catalog;
        let sending = stream::iter(writes).map(|Write { command, part }| {
            let sent = catalog.write(command);
            async move { (part, sent.await) }
        });
        let mut done = sending.buffer_unordered(catalog.writes_at_once());
        let mut failed = None;
        while let Some((part, result)) = done.next().await {
            match result {
                Ok(()) => {}
                Err(error @ (Error::Rejected(_) | Error::Invalid(_))) => {
                    tracing::error!(services = ?part.services, checks = ?part.checks, %error, "the catalog refuses a registration of this node");
                }
                Err(error) => {
                    part.put_back(&mut agent.local());
                    failed = Some(error);
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn writes(self, local: &Local, state: &State, node: &Arc<NodeRecord>) -> Vec<Write> {
        let mut writes = Vec::new();
        for id in self.gone_services {
            if local.services.contains_key(&id) || instance_in(state, &node.name, &id).is_none() {
                continue;
            }
            let command = CatalogDeregister { node: node.name.clone(), service_id: id.clone(), ..Default::default() };
            let part = Round { gone_services: [id].into(), ..Round::default() };
            writes.push(Write { command: CatalogWrite::Deregister(command), part });
        }
        for (id, service) in self.gone_checks {
            let ours = local.checks.get(&id).is_some_and(|own| fold(own.service_id()) == service);
            if ours || check_in(state, &node.name, &service, &id).is_none() {
                continue;
            }
            let command = CatalogDeregister { node: node.name.clone(), check_id: id.clone(), ..Default::default() };
            let part = Round { gone_checks: [(id, service)].into(), ..Round::default() };
            writes.push(Write { command: CatalogWrite::Deregister(command), part });
        }
        let mut checks = self.checks;
        let register = |service: Option<Instance>, list: Vec<CatalogCheck>| {
            let skip_node_update = shows_node(state, node);
            let node = NodeRecord::clone(node);
            CatalogWrite::Register(Box::new(CatalogRegister { node, skip_node_update, service, checks: list }))
        };
        for id in self.services {
            let Some(own) = local.services.get(&id) else { continue };
            let of_it: BTreeSet<Text> = local.checks_of(&id).into_iter().filter(|check| checks.remove(check)).collect();
            let list = differing(local, state, &node.name, &of_it);
            if list.is_empty() && shows_service(state, &own.instance) {
                continue;
            }
            let part = Round { services: [id].into(), checks: of_it, ..Round::default() };
            writes.push(Write { command: register(Some((*own.instance).clone()), list), part });
        }
        for id in checks {
            let list = differing(local, state, &node.name, &[id.clone()].into());
            if !list.is_empty() {
                let part = Round { checks: [id].into(), ..Round::default() };
                writes.push(Write { command: register(None, list), part });
            }
        }
        if self.node && writes.is_empty() && !shows_node(state, node) {
            writes.push(Write { command: register(None, Vec::new()), part: Round { node: true, ..Round::default() } });
        }
        writes
    }
}

/// Those of the checks that the catalog shows otherwise.
fn differing(local: &Local, state: &State, node: &str, ids: &BTreeSet<Text>) -> Vec<CatalogCheck> {
    let own = ids.iter().filter_map(|id| local.checks.get(id));
    own.filter(|own| !shows_check(state, node, own))
        .map(|own| CatalogCheck { service_id: own.service_id().clone(), check: own.check.clone() })
        .collect()
}

/// The first of a set, as many as fit into one round.
fn split<T: Ord + Clone>(set: &mut BTreeSet<T>) -> BTreeSet<T> {
    match set.iter().nth(WRITES_MAX).cloned() {
        Some(end) => {
            let rest = set.split_off(&end);
            std::mem::replace(set, rest)
        }
        None => std::mem::take(set),
    }
}
