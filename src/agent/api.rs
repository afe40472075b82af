//! What the HTTP API does to the agent: register, deregister, report.

use super::checks::{Report, Runner, output};
use super::handle::Agent;
use super::journal::{Change, Row, TtlState};
use super::local::{Local, Noted, OwnCheck, OwnService, Source};
use super::maintenance::{self, is_maintenance};
use super::{Error, SERF_HEALTH, SERVER_SERVICE};
use crate::model::definition::Sidecar;
use crate::model::limits::{CHECK_OUTPUT_BYTES_MAX, CHECKS_MAX};
use crate::model::{Check, CheckDefinition, CheckKind, Health, Invalid, ServiceDefinition, Text, fold, names};
use std::sync::Arc;
use tokio::time::Instant;

impl Agent {
    /// Adds a service with its checks and its sidecar, or replaces those of its id. Checks of the service that are not
    /// in the definition stay unless `replace_checks`; those that were there keep their state. A sidecar that the
    /// definition does not ask for any more stays, as in Consul.
    ///
    /// # Errors
    /// What is wrong with the definition; [`Error::Storage`].
    pub async fn register_service(
        &self,
        definition: ServiceDefinition,
        source: Source,
        replace_checks: bool,
    ) -> Result<(), Error> {
        let wanted = self.prepare_service(definition, source)?;
        let slot = self.slot().await;
        let (stored, revision) = {
            let mut local = self.local();
            let mut changes = Vec::new();
            let wanted = self.with_sidecars(&local, vec![wanted], |_| true, |_, error| error)?;
            for wanted in &wanted {
                may_put(&local, wanted, replace_checks)?;
            }
            for wanted in wanted {
                self.put_service(&mut local, wanted, replace_checks, &mut changes);
            }
            (slot.map(|slot| slot.store(changes)), local.revision)
        };
        self.settle(stored, revision).await
    }

    /// Checks a definition without doing anything.
    pub(super) fn prepare_service(&self, mut definition: ServiceDefinition, source: Source) -> Result<Wanted, Error> {
        definition.validate()?;
        let sidecar = definition.take_sidecar().map_err(Error::Sidecar)?;
        if definition.own_id().eq_ignore_ascii_case(SERVER_SERVICE) {
            return Err(Error::Reserved("the service consul"));
        }
        definition.add_default_addresses();
        definition.add_upstream_types()?;
        let mut instance = definition.instance()?;
        instance.node = self.node().name.clone();
        let checks = definition.own_checks();
        for check in &checks {
            self.permit(check, source)?;
        }
        (definition.check, definition.checks) = (None, Vec::new());
        let service = OwnService { instance: Arc::new(instance), definition: Arc::new(definition), source };
        Ok(Wanted { service, checks, sidecar })
    }

    /// Puts a service that [`may_put`] has nothing against, without its sidecar: that is one of its own by now.
    pub(super) fn put_service(
        &self,
        local: &mut Local,
        wanted: Wanted,
        replace_checks: bool,
        changes: &mut Vec<Change>,
    ) {
        let source = wanted.service.source;
        let id = wanted.service.instance.id.clone();
        let new: Vec<Text> = wanted.checks.iter().map(|check| fold(&check.id)).collect();
        let old = local.checks_of(&id);
        if local.service(&id).is_some_and(|known| known.source == Source::Api) && source == Source::File {
            // A file is preferred to what the API stored under the same id.
            changes.push(Change::DropService(id.clone()));
        }
        changes.extend(Agent::kept(source, Change::Put(Row::Service(Box::new((*wanted.service.definition).clone())))));
        local.put_service(wanted.service);
        for check in wanted.checks {
            self.put_check(local, check, source, changes);
        }
        if replace_checks {
            for check in old.into_iter().filter(|check| !new.contains(check) && !is_maintenance(check)) {
                local.remove_check(&check);
                changes.push(Change::DropCheck(check));
            }
        }
    }

    /// Removes a service with its checks and its sidecar; an unknown one is no error.
    ///
    /// # Errors
    /// [`Error::Reserved`], [`Error::Storage`].
    pub async fn deregister_service(&self, id: &str) -> Result<(), Error> {
        if id.eq_ignore_ascii_case(SERVER_SERVICE) {
            return Err(Error::Reserved("the service consul"));
        }
        let slot = self.slot().await;
        let (stored, revision) = {
            let mut local = self.local();
            let Some(removed) = local.remove_service(id) else {
                tracing::warn!(service = id, "a service that is not known was to be deregistered");
                return Ok(());
            };
            (slot.map(|slot| slot.store(removed.changes().collect())), local.revision)
        };
        self.settle(stored, revision).await
    }

    /// Adds a check of the node or of one of its services, or replaces the one of its id.
    ///
    /// # Errors
    /// What is wrong with the definition; [`Error::NoSuchService`]; [`Error::Storage`].
    pub async fn register_check(&self, mut check: CheckDefinition, source: Source) -> Result<(), Error> {
        check.complete()?;
        self.permit(&check, source)?;
        self.store_check(check, source).await
    }

    /// The same without a look at the definition.
    pub(super) async fn store_check(&self, check: CheckDefinition, source: Source) -> Result<(), Error> {
        let slot = self.slot().await;
        let (stored, revision) = {
            let mut local = self.local();
            may_check(&local, &check)?;
            let mut changes = Vec::new();
            self.put_check(&mut local, check, source, &mut changes);
            (slot.map(|slot| slot.store(changes)), local.revision)
        };
        self.settle(stored, revision).await
    }

    /// Replaces a check, keeps the state of one that was there, and starts what runs it.
    pub(super) fn put_check(
        &self,
        local: &mut Local,
        definition: CheckDefinition,
        source: Source,
        changes: &mut Vec<Change>,
    ) {
        let before = local.check(&definition.id);
        let kind = match definition.kind() {
            Some(kind) => kind.as_str(),
            None => maintenance::KIND,
        };
        let mut check = Check {
            id: definition.id.clone(),
            name: definition.name.clone(),
            notes: names::cut(&definition.notes, CHECK_OUTPUT_BYTES_MAX).into(),
            kind: kind.into(),
            // Validated before; a state that is none would have been refused.
            health: definition.initial().unwrap_or(Health::Critical),
            ..Check::default()
        };
        if let Some(before) = before {
            (check.health, check.output) = (before.check.health, before.check.output.clone());
        } else if let Some(shown) = self.shown_state(&definition) {
            (check.health, check.output) = shown;
        }
        if before.is_some_and(|before| before.source == Source::Api) && source == Source::File {
            changes.push(Change::DropCheck(definition.id.clone()));
        }
        let critical_since_ms = before
            .and_then(|b| b.critical_since_ms)
            .or_else(|| (check.health == Health::Critical).then(|| self.inner.catalog.clock().monotonic_ms()));
        changes.extend(Agent::kept(source, Change::Put(Row::Check(Box::new(definition.clone())))));
        let definition = Arc::new(definition);
        // What runs already for the same definition goes on, so that a repeated registration costs no probe.
        let same = before.is_some_and(|b| b.definition == definition && definition.kind() != Some(CheckKind::Ttl));
        let key = fold(&definition.id);
        let (generation, runner) = match local.checks.get_mut(&key).filter(|_| same) {
            Some(before) => (before.generation, std::mem::take(&mut before.runner)),
            None => {
                let generation = local.next_generation();
                (generation, Runner::start(self, definition.clone(), generation))
            }
        };
        local.put_check(OwnCheck { check, definition, source, generation, critical_since_ms, deferred: None, runner });
    }

    /// The state that the catalog still shows of a check that runs by itself: our own restart is no reason to take an
    /// instance out of service until its first run.
    fn shown_state(&self, definition: &CheckDefinition) -> Option<(Health, Text)> {
        definition.kind().filter(|kind| *kind != CheckKind::Ttl)?;
        let state = self.inner.catalog.known(&self.node().name);
        let shown = super::sync::check_in(&state, &self.node().name, &definition.service_id, &definition.id)?;
        Some((shown.health, shown.output))
    }

    /// Removes a check; an unknown one is no error.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn deregister_check(&self, id: &str) -> Result<(), Error> {
        let slot = self.slot().await;
        let (stored, revision) = {
            let mut local = self.local();
            if !local.remove_check(id) {
                return Ok(());
            }
            (slot.map(|slot| slot.store(vec![Change::DropCheck(id.into())])), local.revision)
        };
        self.settle(stored, revision).await
    }

    /// Reports a TTL check, which restarts its time.
    ///
    /// # Errors
    /// [`Error::NotTtl`].
    pub async fn report(&self, id: &str, health: Health, output: &str) -> Result<(), Error> {
        let not_ttl = || Error::NotTtl(id.to_owned());
        let slot = self.try_slot();
        let (noted, revision) = {
            let mut local = self.local();
            let own = local.check(id).ok_or_else(not_ttl)?;
            let output = output::of_report(output, output::max(&own.definition, &self.settings()));
            let ttl = own.runner.ttl().ok_or_else(not_ttl)?;
            ttl.renew(&output);
            let expires_ms = self.inner.catalog.clock().now_ms() + ttl.period().as_millis() as u64;
            let state = TtlState {
                id: own.check.id.clone(),
                status: health.as_str().into(),
                output: output.clone(),
                expires_ms,
            };
            if let Some(slot) = slot.filter(|_| own.source == Source::Api) {
                // Nobody waits for it: a renewal that is lost with a crash is soon followed by another one.
                let _ = slot.store(vec![Change::Put(Row::Ttl(state))]);
            }
            (self.note(&mut local, id, health, output), local.revision)
        };
        if noted == Noted::Changed {
            self.announce(revision);
            self.shown(revision).await;
        } else if noted == Noted::Output {
            self.announce(revision);
        }
        Ok(())
    }

    /// Takes the result of a runner, unless the check has another one by now.
    pub(super) fn take(&self, id: &str, generation: u64, result: Report) {
        let revision = {
            let mut local = self.local();
            if local.check(id).is_none_or(|own| own.generation != generation) {
                return;
            }
            if self.note(&mut local, id, result.health, result.output) == Noted::Nothing {
                return;
            }
            local.revision
        };
        self.announce(revision);
    }

    /// Takes a result that only holds if it still does under the lock; else says when to ask again.
    pub(super) fn take_if(
        &self,
        id: &str,
        generation: u64,
        result: impl FnOnce() -> Result<Report, Instant>,
    ) -> Result<(), Instant> {
        let revision = {
            let mut local = self.local();
            if local.check(id).is_none_or(|own| own.generation != generation) {
                return Ok(());
            }
            let result = result()?;
            self.note(&mut local, id, result.health, result.output);
            local.revision
        };
        self.announce(revision);
        Ok(())
    }

    /// Notes a result, and lets a change of nothing but output wait.
    pub(super) fn note(&self, local: &mut Local, id: &str, health: Health, output: Text) -> Noted {
        let settings = self.settings();
        let output = if settings.discard_check_output { Text::default() } else { output };
        let defer = !settings.check_update_interval.is_zero();
        let noted = local.set_health(id, health, output, self.inner.catalog.clock().monotonic_ms(), defer);
        if noted == Noted::Output
            && let Some(own) = local.checks.get_mut(&fold(id))
            && own.deferred.is_none()
        {
            own.deferred = Some(self.defer(fold(id), own.generation));
        }
        noted
    }

    /// Whether this source may define this check.
    pub(super) fn permit(&self, check: &CheckDefinition, source: Source) -> Result<(), Error> {
        if check.id.eq_ignore_ascii_case(SERF_HEALTH) {
            return Err(Error::Reserved("the check serfHealth"));
        }
        names::name("Check.CheckID", &check.id)?;
        names::optional_name("Check.Name", &check.name)?;
        if check.notes.len() > CHECK_OUTPUT_BYTES_MAX {
            let reason = format!("has {} bytes, at most {CHECK_OUTPUT_BYTES_MAX} are allowed", check.notes.len());
            return Err(Invalid::new("Check.Notes", reason).into());
        }
        match source {
            Source::Api if check.is_script() && !self.settings().remote_scripts => Err(Error::REMOTE_SCRIPTS),
            Source::File if check.is_script() && !self.settings().local_scripts => Err(Error::LOCAL_SCRIPTS),
            Source::Api | Source::File => Ok(()),
        }
    }
}

/// A service that was looked at and may be put.
pub(super) struct Wanted {
    pub(super) service: OwnService,
    pub(super) checks: Vec<CheckDefinition>,
    /// What it asks for beside it; see [`Agent::with_sidecars`].
    pub(super) sidecar: Option<Sidecar>,
}

/// A service and the checks that it keeps have to have room.
pub(super) fn may_put(local: &Local, wanted: &Wanted, replace_checks: bool) -> Result<(), Error> {
    let new: Vec<Text> = wanted.checks.iter().map(|check| fold(&check.id)).collect();
    let old = local.checks_of(&wanted.service.instance.id);
    let all = new.len() + old.iter().filter(|check| !replace_checks && !new.contains(check)).count();
    if all > CHECKS_MAX { Err(Error::TooManyChecks(all, CHECKS_MAX)) } else { Ok(()) }
}

/// A check's service has to be there, and to have room.
pub(super) fn may_check(local: &Local, check: &CheckDefinition) -> Result<(), Error> {
    if !check.service_id.is_empty() && local.service(&check.service_id).is_none() {
        return Err(Error::NoSuchService(check.service_id.to_string()));
    }
    let others = local.checks_of(&check.service_id);
    if others.len() >= CHECKS_MAX && !others.contains(&fold(&check.id)) {
        return Err(Error::TooManyChecks(others.len() + 1, CHECKS_MAX));
    }
    Ok(())
}
