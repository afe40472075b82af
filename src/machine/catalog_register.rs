//! Consul's catalog registration and deregistration: a node, and with it a service and checks, in one revision.

use super::catalog::find_check;
use super::writer::Writer;
use crate::command::{CatalogCheck, CatalogDeregister, CatalogRegister, Outcome, Rejection, Reply};
use crate::model::limits::CHECKS_MAX;
use crate::model::{Check, Health, Instance, InstanceKey, NodeRecord, fold};
use std::sync::Arc;

impl Writer<'_> {
    pub(super) fn catalog_register(&mut self, command: &CatalogRegister) -> Reply {
        self.may_use_node(&command.node)?;
        for check in &command.checks {
            self.may_check(command, check)?;
        }
        // Those that come first, up to one of something else, are stored with the service at once.
        let of_service = |check: &&CatalogCheck| {
            let id = &check.service_id;
            !id.is_empty() && command.service.as_ref().is_some_and(|service| service.id.eq_ignore_ascii_case(id))
        };
        let (with_service, others) = command.checks.split_at(command.checks.iter().take_while(of_service).count());
        let node = &command.node.name;
        let all = |w: &mut Writer<'_>| {
            w.upsert_node(command);
            if let Some(service) = &command.service {
                w.upsert_on_node(service.clone(), node, with_service)?;
            }
            others.iter().try_for_each(|check| w.upsert_check(node, check))
        };
        match self.have_room_for_checks(command) {
            true => all(self)?,
            false => self.atomically(all)?,
        }
        Ok(Outcome::Cataloged)
    }

    /// Whether nothing that the command changes can get too many checks: the only thing left that could stop it half way.
    fn have_room_for_checks(&self, command: &CatalogRegister) -> bool {
        command.checks.iter().all(|check| {
            let known = self.checks_of(&command.node.name, &check.service_id).map_or(0, |(checks, _)| checks.len());
            known + command.checks.len() <= CHECKS_MAX
        })
    }

    /// A node name belongs to the first node id that took it, while that node is known to be alive.
    pub(super) fn may_use_node(&self, node: &NodeRecord) -> Result<(), Rejection> {
        let Some(wanted) = node.id else { return Ok(()) };
        let Some(found) = self.state.node(&node.name).map(|found| &found.record) else { return Ok(()) };
        match found.id {
            Some(owner) if wanted != owner && is_alive(found) => Err(Rejection::NodeConflict(format!(
                "failed inserting node: Error while renaming Node ID: \"{wanted}\": Node name {} is reserved by node \
                 {owner} with name {} ({})",
                node.name, found.name, found.address
            ))),
            _ => Ok(()),
        }
    }

    fn may_check(&self, command: &CatalogRegister, check: &CatalogCheck) -> Result<(), Rejection> {
        let id = &check.service_id;
        let given = command.service.as_ref().is_some_and(|s| s.id.eq_ignore_ascii_case(id));
        let stored = || self.state.node(&command.node.name).is_some_and(|n| n.services.contains_key(&fold(id)));
        if id.is_empty() || given || stored() {
            Ok(())
        } else {
            Err(Rejection::MissingService(command.node.name.to_string()))
        }
    }

    pub(super) fn upsert_node(&mut self, command: &CatalogRegister) {
        let revision = self.revision();
        let mut wanted = command.node.clone();
        (wanted.create_revision, wanted.modify_revision) = (revision, revision);
        wanted.checks = Box::default();
        if let Some(found) = self.state.node(&wanted.name) {
            if command.skip_node_update {
                return;
            }
            // A registration without an id does not take the id away.
            wanted.id = wanted.id.or(found.record.id);
            if found.record.same_registration(&wanted) {
                return;
            }
            wanted.create_revision = found.record.create_revision;
            wanted.checks = found.record.checks.clone();
        } else if let Some(id) = wanted.id {
            // The same id under a new name is a rename: the old name goes.
            let old = self.state.nodes().find(|n| n.record.id == Some(id)).map(|n| n.record.name.clone());
            if let Some(old) = old {
                self.remove_node(&old);
            }
        }
        self.store_node(wanted, true);
    }

    /// On a node an id names one instance: under a new service name it stays what it was, with its checks. These are
    /// merged into them.
    pub(super) fn upsert_on_node(
        &mut self,
        mut service: Instance,
        node: &str,
        checks: &[CatalogCheck],
    ) -> Result<(), Rejection> {
        let found = self.state.node(node);
        // One spelling of the node's name everywhere: the node's own.
        service.node = found.map_or_else(|| node.into(), |n| n.record.name.clone());
        let key = service.key();
        let old = found.and_then(|found| found.key_of(&key.id));
        let before = match old.filter(|old| old.service.folded() != key.service.folded()) {
            Some(old) => self.remove_instance(&old),
            None => self.state.instance(&key).cloned(),
        };
        let mut merged: Option<Box<[Check]>> = None;
        for check in checks {
            let known = merged.as_deref().or(before.as_deref().map(|before| &before.checks[..])).unwrap_or_default();
            if let Some(checks) = self.merge_check(node, known, check)? {
                merged = Some(checks);
            }
        }
        self.upsert_over(service, None, before, merged);
        Ok(())
    }

    /// The instance with this id on this node.
    pub(super) fn key_on_node(&self, node: &str, id: &str) -> Option<InstanceKey> {
        self.state.node(node)?.key_of(id)
    }

    /// Stores a check of the node or of one of its services.
    pub(super) fn upsert_check(&mut self, node: &str, new: &CatalogCheck) -> Result<(), Rejection> {
        let (checks, instance) = self.checks_of(node, &new.service_id)?;
        let (checks, instance) = (checks.to_vec(), instance.cloned());
        if let Some(merged) = self.merge_check(node, &checks, new)? {
            self.store_checks(node, instance, merged);
        }
        Ok(())
    }

    /// These checks with another; `None` if nothing differs. Check ids are unique per node in Consul: the check comes
    /// here from wherever on the node it was.
    fn merge_check(
        &mut self,
        node: &str,
        known: &[Check],
        new: &CatalogCheck,
    ) -> Result<Option<Box<[Check]>>, Rejection> {
        let moved = self.take_check(node, &new.check.id, Some(&new.service_id));
        let Some(mut merged) = self.merge_checks(known, std::slice::from_ref(&new.check))? else { return Ok(None) };
        let stored = merged.iter_mut().find(|check| check.id.eq_ignore_ascii_case(&new.check.id));
        if let (Some(stored), Some(moved)) = (stored, moved) {
            stored.create_revision = moved.create_revision;
            if stored.health == moved.health {
                stored.changed_ms = moved.changed_ms;
            }
        }
        Ok(Some(merged))
    }

    /// The checks of a service on a node, or of the node itself.
    fn checks_of(&self, node: &str, id: &str) -> Result<(&[Check], Option<&Arc<Instance>>), Rejection> {
        let missing = || Rejection::MissingService(node.to_owned());
        if id.is_empty() {
            return Ok((&self.state.node(node).ok_or_else(missing)?.record.checks, None));
        }
        let key = self.key_on_node(node, id).ok_or_else(missing)?;
        let instance = self.state.instance(&key).ok_or_else(missing)?;
        Ok((&instance.checks, Some(instance)))
    }

    fn store_checks(&mut self, node: &str, instance: Option<Arc<Instance>>, checks: Box<[Check]>) {
        match instance {
            Some(instance) => {
                self.store_instance(Instance { checks, ..(*instance).clone() }, false);
            }
            None => {
                if let Some(found) = self.state.node(node).cloned() {
                    self.store_node(NodeRecord { checks, ..(*found.record).clone() }, false);
                }
            }
        }
    }

    pub(super) fn catalog_deregister(&mut self, command: &CatalogDeregister) -> Reply {
        if !command.service_id.is_empty() {
            if let Some(key) = self.key_on_node(&command.node, &command.service_id) {
                self.remove_instance(&key);
            }
        } else if !command.check_id.is_empty() {
            self.take_check(&command.node, &command.check_id, None);
        } else {
            self.remove_node(&command.node);
        }
        Ok(Outcome::Cataloged)
    }

    /// Removes a check wherever on the node it is. With `keep` it stays with the service of that id (empty: with the
    /// node), and with instances that live with a session: those are their client's, who names its checks for itself.
    pub(super) fn take_check(&mut self, node: &str, id: &str, keep: Option<&str>) -> Option<Check> {
        let found = self.state.node(node)?.clone();
        let without = |checks: &[Check]| -> Box<[Check]> {
            checks.iter().filter(|c| !c.id.eq_ignore_ascii_case(id)).cloned().collect()
        };
        let mut taken = None;
        if let Some(check) = find_check(&found.record.checks, id)
            && keep != Some("")
        {
            taken = Some(check.clone());
            self.store_checks(node, None, without(&found.record.checks));
        }
        let others = found.instances_with_check(id);
        for other in others.filter(|other| keep.is_none_or(|keep| !keep.eq_ignore_ascii_case(other))) {
            let Some(instance) = found.key_of(other).and_then(|key| self.state.instance(&key).cloned()) else {
                continue;
            };
            if keep.is_some() && instance.session.is_some() {
                continue;
            }
            let Some(check) = find_check(&instance.checks, id) else { continue };
            taken.get_or_insert_with(|| check.clone());
            let kept = without(&instance.checks);
            self.store_checks(node, Some(instance), kept);
        }
        taken
    }
}

/// Whether the membership of the cluster vouches for a node.
fn is_alive(node: &NodeRecord) -> bool {
    node.checks.iter().any(|check| check.id == "serfHealth" && check.health != Health::Critical)
}
