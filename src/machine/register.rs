//! Register, update and deregister instances.

use super::writer::Writer;
use crate::command::{Deregister, Field, Outcome, Register, Rejection, Reply, Update};
use crate::model::{Check, Instance, InstanceKey, NodeRecord, SessionId, fold};
use std::sync::Arc;

impl Writer<'_> {
    pub(super) fn register(&mut self, command: &Register) -> Reply {
        if let Some(session) = &command.session {
            self.require_session(session)?;
        }
        let upsert = |w: &mut Writer<'_>, instance: &Instance| {
            w.may_register(instance, command.session)?;
            Ok(w.upsert(instance.clone(), command.session))
        };
        let stored = match &command.instances[..] {
            [one] => vec![upsert(self, one)?],
            // One by one, because an instance may collide with one before it in the same command.
            several => {
                self.atomically(|w| several.iter().map(|one| upsert(w, one)).collect::<Result<Vec<_>, Rejection>>())?
            }
        };
        Ok(Outcome::Registered(stored))
    }

    pub(super) fn require_session(&self, session: &SessionId) -> Result<(), Rejection> {
        match self.state.session(session) {
            Some(_) => Ok(()),
            None => Err(Rejection::SessionExpired(*session)),
        }
    }

    fn may_register(&self, wanted: &Instance, session: Option<SessionId>) -> Result<(), Rejection> {
        let key = wanted.key();
        if let Some(owner) = self.state.instance(&key).and_then(|i| i.session)
            && Some(owner) != session
        {
            return Err(Rejection::InstanceOwned { id: key.id.to_string(), session: owner });
        }
        let taken = self.state.node(&key.node).and_then(|n| n.services.get(&fold(&key.id)));
        match taken {
            Some(service) if service.folded() != key.service.folded() => Err(Rejection::InstanceIdTaken {
                id: key.id.to_string(),
                node: key.node.to_string(),
                service: service.name.to_string(),
            }),
            _ => Ok(()),
        }
    }

    /// Stores what is wanted; what the instance does not say itself (checks, the operator's word, its first revision)
    /// stays. Equal content changes nothing.
    pub(super) fn upsert(&mut self, wanted: Instance, session: Option<SessionId>) -> Arc<Instance> {
        let before = self.state.instance(&wanted.key()).cloned();
        self.upsert_over(wanted, session, before, None)
    }

    /// The same for an instance that takes the place of this one, which may have been of another service. `checks`: what
    /// its checks become, if that differs.
    pub(super) fn upsert_over(
        &mut self,
        mut wanted: Instance,
        session: Option<SessionId>,
        before: Option<Arc<Instance>>,
        checks: Option<Box<[Check]>>,
    ) -> Arc<Instance> {
        let revision = self.revision();
        wanted.session = session;
        wanted.create_revision = revision;
        wanted.modify_revision = revision;
        wanted.checks = Box::default();
        if let Some(extra) = &mut wanted.extra {
            extra.overriding = None;
        }
        let new = before.is_none();
        if let Some(before) = before {
            if before.same_registration(&wanted) {
                let Some(checks) = checks else { return before };
                return self.store_instance(Instance { checks, ..(*before).clone() }, false);
            }
            wanted.create_revision = before.create_revision;
            wanted.checks = before.checks.clone();
            if let Some(word) = before.overriding()
                && before.service.folded() == wanted.service.folded()
            {
                wanted.extra.get_or_insert_default().overriding = Some(word.clone());
            }
        }
        // What was there before has a node.
        if new && !wanted.node.is_empty() && self.state.node(&wanted.node).is_none() {
            let record = NodeRecord {
                name: wanted.node.clone(),
                address: wanted.address.clone(),
                create_revision: revision,
                modify_revision: revision,
                ..NodeRecord::default()
            };
            self.store_node(record, true);
        }
        if let Some(checks) = checks {
            wanted.checks = checks;
            self.state.meta.checks_revision = revision;
        }
        self.store_instance(wanted, true)
    }

    pub(super) fn update(&mut self, command: &Update) -> Reply {
        let key = command.instance.key();
        let before = self.find(&key)?;
        expect(command.expected_revision, before.revision())?;
        let mut after = (*before).clone();
        patch(&mut after, &command.instance, command.mask);
        if after == *before {
            return Ok(Outcome::Updated(before));
        }
        after.modify_revision = self.revision();
        Ok(Outcome::Updated(self.store_instance(after, true)))
    }

    pub(super) fn find(&self, key: &InstanceKey) -> Result<Arc<Instance>, Rejection> {
        let missing = || Rejection::InstanceNotFound(format!("{}/{}", key.service.name, key.id));
        self.state.instance(key).cloned().ok_or_else(missing)
    }

    pub(super) fn deregister(&mut self, command: &Deregister) -> Reply {
        if let (Some(expected), [key]) = (command.expected_revision, &command.keys[..]) {
            let current = self.state.instance(key).map_or(0, |i| i.revision());
            expect(Some(expected), current)?;
        }
        let mut removed = 0;
        for key in &command.keys {
            let Some(found) = self.state.instance(key) else { continue };
            if command.session.is_none() || found.session == command.session {
                removed += u32::from(self.remove_instance(key).is_some());
            }
        }
        Ok(Outcome::Deregistered(removed))
    }
}

/// An optional precondition on a revision.
pub(super) fn expect(expected: Option<u64>, current: u64) -> Result<(), Rejection> {
    match expected {
        Some(expected) if expected != current => Err(Rejection::RevisionMismatch { current }),
        _ => Ok(()),
    }
}

fn patch(after: &mut Instance, new: &Instance, mask: u32) {
    let has = |field: Field| mask & field as u32 != 0;
    let given = new.extra.as_deref().cloned().unwrap_or_default();
    if has(Field::Address) {
        after.address = new.address.clone();
    }
    if has(Field::Port) {
        after.port = new.port;
    }
    if has(Field::Tags) {
        after.tags = new.tags.clone();
    }
    if has(Field::Metadata) {
        after.meta = new.meta.clone();
    }
    if has(Field::Lifecycle) {
        after.lifecycle = new.lifecycle;
    }
    let mut extra = after.extra.as_deref().cloned().unwrap_or_default();
    if has(Field::NamedPorts) {
        extra.named_ports = given.named_ports;
    }
    if has(Field::Locality) {
        extra.locality = given.locality;
    }
    if has(Field::Weight) {
        extra.weight = given.weight;
    }
    if has(Field::Version) {
        extra.version = given.version;
    }
    after.extra = (extra != Default::default()).then(|| Box::new(extra));
}
