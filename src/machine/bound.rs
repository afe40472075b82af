//! Sessions that depend on a node and on checks: when they may begin, and what ends them.

use super::catalog::{Node, find_check};
use super::change::What;
use super::writer::Writer;
use crate::command::Rejection;
use crate::model::{Check, Health, Instance, NodeBinding, SessionId, Text};
use std::sync::Arc;

impl Writer<'_> {
    /// The node must be there, with all the checks, and none of them critical.
    pub(super) fn may_bind(&self, binding: &NodeBinding) -> Result<(), Rejection> {
        let refused = |why: String| Err(Rejection::UnfitBinding(why));
        let Some(node) = self.state.node(&binding.node) else {
            return refused("Missing node registration".to_owned());
        };
        for id in binding.check_ids() {
            match self.check_on(node, id) {
                None => return refused(format!("Missing check '{id}' registration")),
                Some(Health::Critical) => return refused(format!("Check '{id}' is in critical state")),
                Some(Health::Passing | Health::Warning) => {}
            }
        }
        Ok(())
    }

    /// The state of a check of the node or of an instance on it; the worst one if several have the id.
    fn check_on(&self, node: &Node, id: &str) -> Option<Health> {
        let own = find_check(&node.record.checks, id).map(|check| check.health);
        let others = node.instances_with_check(id).filter_map(|instance| {
            let key = self.key_on_node(&node.record.name, instance)?;
            Some(find_check(&self.state.instance(&key)?.checks, id)?.health)
        });
        own.into_iter().chain(others).max()
    }

    /// Ends the sessions whose node or checks the changes made so far have taken away.
    pub(super) fn end_broken_sessions(&mut self) {
        let mut at = 0;
        while let Some(what) = self.change(at) {
            at += 1;
            if self.state.bound_sessions.is_empty() {
                return;
            }
            if let Some(node) = troubled(what) {
                let broken: Vec<SessionId> = self.broken_sessions(&node);
                for id in broken {
                    self.end_session(&id);
                }
            }
        }
    }

    fn broken_sessions(&self, node: &str) -> Vec<SessionId> {
        let sessions = self.state.sessions_bound_to(node);
        let broken = sessions.filter(|s| s.binding.as_ref().is_some_and(|binding| self.may_bind(binding).is_err()));
        broken.map(|session| session.id).collect()
    }
}

/// The node on which a change may have ended a session: it is gone, or has lost a check or its health.
fn troubled(what: &What) -> Option<Text> {
    let (node, before, after): (&Text, &[Check], &[Check]) = match what {
        What::Node { before: Some(before), after: None } => return Some(before.name.clone()),
        What::Node { before, after: Some(after) } => {
            (&after.name, before.as_ref().map_or(&[], |node| &node.checks), &after.checks)
        }
        What::Instance { before, after } => {
            let node = &after.as_ref().or(before.as_ref())?.node;
            (node, checks_of(before), checks_of(after))
        }
        _ => return None,
    };
    let lost = before.iter().any(|old| !after.iter().any(|new| new.id == old.id));
    let critical = after.iter().any(|check| check.health == Health::Critical);
    (!node.is_empty() && (lost || critical)).then(|| node.clone())
}

fn checks_of(instance: &Option<Arc<Instance>>) -> &[Check] {
    instance.as_ref().map_or(&[], |instance| &instance.checks)
}
