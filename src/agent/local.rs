//! The services and checks of this node, and which of them the catalog does not show yet. Pure data: no task, no disk.
//!
//! Ids are keys without case, as in the catalog: two spellings of one id would fight over one row there.

use super::checks::Runner;
use super::journal::Change;
use crate::model::definition::sidecar_id;
use crate::model::{Check, CheckDefinition, Health, Instance, ServiceDefinition, Text, fold};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio_util::task::AbortOnDropHandle;

/// Who defined something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The HTTP API: kept over restarts.
    Api,
    /// A configuration file: defined again at every start and reload.
    File,
}

/// A service of this node.
#[derive(Clone, Debug)]
pub(super) struct OwnService {
    pub(super) instance: Arc<Instance>,
    pub(super) definition: Arc<ServiceDefinition>,
    pub(super) source: Source,
}

/// A check of this node.
#[derive(Debug)]
pub(super) struct OwnCheck {
    pub(super) check: Check,
    pub(super) definition: Arc<CheckDefinition>,
    pub(super) source: Source,
    /// Tells the reports of this runner from those of one before it.
    pub(super) generation: u64,
    /// Since when it is critical, on the monotonic clock.
    pub(super) critical_since_ms: Option<u64>,
    /// Runs while a change of its output waits to be synced.
    pub(super) deferred: Option<AbortOnDropHandle<()>>,
    pub(super) runner: Runner,
}

impl OwnCheck {
    /// Id of its service; empty: of the node.
    pub(super) fn service_id(&self) -> &Text {
        &self.definition.service_id
    }
}

/// A service as the API shows it.
pub type ServiceView = Arc<Instance>;

/// A check as the API shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckView {
    /// The check; its revisions are 0.
    pub check: Check,
    /// Id of its service; empty: of the node.
    pub service_id: Text,
    /// Its service, if it has one.
    pub service: Option<ServiceView>,
}

/// What the catalog may not show yet, by folded id.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Unsynced {
    pub(super) services: BTreeSet<Text>,
    pub(super) checks: BTreeSet<Text>,
    pub(super) gone_services: BTreeSet<Text>,
    /// With the folded id of the service that it was of.
    pub(super) gone_checks: BTreeSet<(Text, Text)>,
    /// The node itself.
    pub(super) node: bool,
}

/// What went with a service, by folded id.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Removed {
    pub(super) services: Vec<Text>,
    pub(super) checks: Vec<Text>,
}

impl Removed {
    /// The same for the journal, which need not know all of it.
    pub(super) fn changes(self) -> impl Iterator<Item = Change> {
        let services = self.services.into_iter().map(Change::DropService);
        services.chain(self.checks.into_iter().map(Change::DropCheck))
    }
}

impl Unsynced {
    pub(super) fn is_empty(&self) -> bool {
        *self == Unsynced::default()
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Local {
    pub(super) services: BTreeMap<Text, OwnService>,
    pub(super) checks: BTreeMap<Text, OwnCheck>,
    pub(super) unsynced: Unsynced,
    /// Folded ids of checks by that of their service; the node's own are under the empty one.
    by_service: BTreeMap<Text, BTreeSet<Text>>,
    /// Grows with every change.
    pub(super) revision: u64,
    generation: u64,
}

impl Local {
    pub(super) fn service(&self, id: &str) -> Option<&OwnService> {
        self.services.get(&fold(id))
    }

    pub(super) fn check(&self, id: &str) -> Option<&OwnCheck> {
        self.checks.get(&fold(id))
    }

    /// A number that no runner had before.
    pub(super) fn next_generation(&mut self) -> u64 {
        self.generation += 1;
        self.generation
    }

    fn changed(&mut self) {
        self.revision += 1;
    }

    /// Adds a service or replaces the one of its id; what is equal stays as it is.
    pub(super) fn put_service(&mut self, service: OwnService) {
        let key = fold(&service.instance.id);
        self.unsynced.gone_services.remove(&key);
        self.unsynced.services.insert(key.clone());
        self.services.insert(key, service);
        self.changed();
    }

    /// Removes a service with its checks and the sidecar that it asked for, and says what is gone. `None` if there is
    /// no such service.
    pub(super) fn remove_service(&mut self, id: &str) -> Option<Removed> {
        let mut removed = Removed::default();
        let mut next = Some(fold(id)).filter(|id| self.services.contains_key(id));
        while let Some(key) = next {
            self.services.remove(&key);
            let checks = self.checks_of(&key);
            for check in &checks {
                self.checks.remove(check);
                self.unsynced.checks.remove(check);
            }
            self.by_service.remove(&key);
            self.unsynced.services.remove(&key);
            self.unsynced.gone_services.insert(key.clone());
            let sidecar = sidecar_id(&key);
            next = self.services.get(&sidecar).is_some_and(|own| own.definition.is_sidecar).then_some(sidecar);
            removed.services.push(key);
            removed.checks.extend(checks);
        }
        if removed.services.is_empty() {
            return None;
        }
        self.changed();
        Some(removed)
    }

    /// Folded ids of the checks of a service; of the node's own for an empty id.
    pub(super) fn checks_of(&self, service: &str) -> Vec<Text> {
        self.by_service.get(&fold(service)).into_iter().flatten().cloned().collect()
    }

    /// Adds a check or replaces the one of its id.
    pub(super) fn put_check(&mut self, check: OwnCheck) {
        let key = fold(&check.check.id);
        let service = fold(check.service_id());
        self.unsynced.gone_checks.remove(&(key.clone(), service.clone()));
        self.unsynced.checks.insert(key.clone());
        self.by_service.entry(service.clone()).or_default().insert(key.clone());
        if let Some(before) = self.checks.insert(key.clone(), check)
            && fold(before.service_id()) != service
        {
            self.unlink(&key, before.service_id());
            self.unsynced.gone_checks.insert((key, fold(before.service_id())));
        }
        self.changed();
    }

    /// Removes a check; `false` if there is none.
    pub(super) fn remove_check(&mut self, id: &str) -> bool {
        let key = fold(id);
        let Some(before) = self.checks.remove(&key) else { return false };
        self.unsynced.checks.remove(&key);
        self.unlink(&key, before.service_id());
        self.unsynced.gone_checks.insert((key, fold(before.service_id())));
        self.changed();
        true
    }

    fn unlink(&mut self, check: &Text, service: &str) {
        let service = fold(service);
        if let Some(checks) = self.by_service.get_mut(&service) {
            checks.remove(check);
            if checks.is_empty() {
                self.by_service.remove(&service);
            }
        }
    }

    /// Takes a result of a check.
    pub(super) fn set_health(&mut self, id: &str, health: Health, output: Text, now_ms: u64, defer: bool) -> Noted {
        let key = fold(id);
        let Some(own) = self.checks.get_mut(&key) else { return Noted::Nothing };
        match health {
            Health::Critical => own.critical_since_ms = own.critical_since_ms.or(Some(now_ms)),
            Health::Passing | Health::Warning => own.critical_since_ms = None,
        }
        if own.check.health == health && own.check.output == output {
            return Noted::Nothing;
        }
        let same_health = own.check.health == health;
        (own.check.health, own.check.output) = (health, output);
        self.revision += 1;
        if same_health && defer {
            return Noted::Output;
        }
        own.deferred = None;
        self.unsynced.checks.insert(key);
        Noted::Changed
    }

    /// A check as the API shows it.
    pub(super) fn view(&self, own: &OwnCheck) -> CheckView {
        let service = self.service(own.service_id()).map(|s| s.instance.clone());
        CheckView { check: own.check.clone(), service_id: own.service_id().clone(), service }
    }
}

/// What a result has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noted {
    /// It is what was known.
    Nothing,
    /// Only the text, which may wait.
    Output,
    /// The catalog has to know.
    Changed,
}
