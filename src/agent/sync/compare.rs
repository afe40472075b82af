//! What the catalog shows of this node, beside what the agent owns.

use crate::agent::local::{Local, OwnCheck};
use crate::agent::{SERF_HEALTH, SERVER_SERVICE};
use crate::machine::State;
use crate::model::{Check, DEFAULT_NAMESPACE, Instance, NodeRecord, Text, fold};
use std::sync::Arc;

/// The instance that the catalog has under this id on a node.
pub(super) fn instance_in<'a>(state: &'a State, node: &str, id: &str) -> Option<&'a Arc<Instance>> {
    let node = state.node(node)?;
    let service = node.services.get(&fold(id))?;
    state
        .service(service)?
        .instances
        .get(&crate::machine::catalog::Slot { node: node.record.name.clone(), id: id.into() })
}

/// The check that the catalog has under this id on a node, or on one of its services.
pub(in crate::agent) fn check_in(state: &State, node: &str, service: &str, id: &str) -> Option<Check> {
    let find = |checks: &[Check]| checks.iter().find(|c| c.id.eq_ignore_ascii_case(id)).cloned();
    match service {
        "" => find(&state.node(node)?.record.checks),
        service => find(&instance_in(state, node, service)?.checks),
    }
}

/// Whether the catalog shows this service as it is here. Checks are not part of it.
pub(super) fn shows_service(state: &State, wanted: &Instance) -> bool {
    instance_in(state, &wanted.node, &wanted.id).is_some_and(|shown| shown.same_registration(wanted))
}

/// Whether the catalog shows this check as it is here.
pub(super) fn shows_check(state: &State, node: &str, own: &OwnCheck) -> bool {
    check_in(state, node, own.service_id(), &own.check.id).is_some_and(|shown| shown.same_content(&own.check))
}

/// Whether the catalog shows this node as it is here. Checks are not part of it.
pub(super) fn shows_node(state: &State, wanted: &NodeRecord) -> bool {
    state.node(&wanted.name).is_some_and(|shown| shown.record.same_registration(wanted))
}

impl Local {
    /// Marks everything that differs.
    pub(super) fn compare(&mut self, state: &State, node: &NodeRecord) {
        self.unsynced.node |= !shows_node(state, node);
        if let Some(found) = state.node(&node.name) {
            for shown in state.instances_on(found) {
                self.compare_instance(shown);
            }
            for check in found.record.checks.iter().filter(|c| !c.id.eq_ignore_ascii_case(SERF_HEALTH)) {
                self.expect_check(check, "");
            }
        }
        for (id, own) in &self.services {
            if !shows_service(state, &own.instance) {
                self.unsynced.services.insert(id.clone());
            }
        }
        for (id, own) in &self.checks {
            let shown = check_in(state, &node.name, own.service_id(), &own.check.id);
            let same = shown.is_some_and(|mut shown| {
                // An output that waits is no difference yet.
                if own.deferred.is_some() {
                    shown.output = own.check.output.clone();
                }
                shown.same_content(&own.check)
            });
            if !same {
                self.unsynced.checks.insert(id.clone());
            }
        }
    }

    /// One that the catalog shows: it is ours, or a stranger's, who has to go.
    fn compare_instance(&mut self, shown: &Arc<Instance>) {
        // Those of our own API live with their session, and the server's own service is not the agent's.
        let foreign = shown.session.is_some() || shown.service.namespace != DEFAULT_NAMESPACE;
        if foreign || shown.id.eq_ignore_ascii_case(SERVER_SERVICE) {
            return;
        }
        let key = fold(&shown.id);
        let Some(own) = self.services.get_mut(&key) else {
            self.unsynced.gone_services.insert(key);
            return;
        };
        let overridable = own.instance.extra.as_ref().is_some_and(|e| e.enable_tag_override);
        if overridable && own.instance.tags != shown.tags {
            // Somebody else decides on the tags; everything else is still ours.
            Arc::make_mut(&mut own.instance).tags = shown.tags.clone();
        }
        for check in &shown.checks {
            self.expect_check(check, &key);
        }
    }

    /// A check that the catalog shows under this service has to be ours.
    fn expect_check(&mut self, check: &Check, service: &str) {
        let key = fold(&check.id);
        if self.checks.get(&key).is_none_or(|own| fold(own.service_id()) != service) {
            self.unsynced.gone_checks.insert((key, Text::from(service)));
        }
    }
}
