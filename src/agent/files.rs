//! Definitions of configuration files: the whole set at once, at the start and at every reload.

use super::Error;
use super::api::{Wanted, may_check, may_put};
use super::handle::Agent;
use super::journal::Change;
use super::local::{Local, Removed, Source};
use super::maintenance::is_maintenance;
use crate::model::{CheckDefinition, Definitions, Text, fold};
use std::collections::BTreeSet;

/// Definitions that were looked at and may be put.
pub(super) struct Prepared {
    services: Vec<Wanted>,
    checks: Vec<CheckDefinition>,
}

impl Agent {
    /// Replaces what files defined before. What the HTTP API registered stays, but for a service or check of the same
    /// id, which the file's takes the place of. Checks that go on keep their state.
    ///
    /// # Errors
    /// [`Error::Definition`]: what is wrong, and with which; nothing was changed then. [`Error::Storage`].
    pub async fn load(&self, definitions: Definitions) -> Result<(), Error> {
        let prepared = self.prepare(definitions)?;
        let slot = self.slot().await;
        let (stored, revision) = {
            let mut local = self.local();
            let mut changes = Vec::new();
            self.put_prepared(&mut local, prepared, &mut changes)?;
            (slot.map(|slot| slot.store(changes)), local.revision)
        };
        self.settle(stored, revision).await
    }

    /// Looks at definitions without doing anything.
    pub(super) fn prepare(&self, definitions: Definitions) -> Result<Prepared, Error> {
        let mut services = Vec::with_capacity(definitions.services.len());
        for service in definitions.services {
            let name = service.name.to_string();
            let wanted = self.prepare_service(service, Source::File);
            services.push(wanted.map_err(|error| wrong("service", name, &error))?);
        }
        let mut checks = Vec::with_capacity(definitions.checks.len());
        for mut check in definitions.checks {
            let ready = check.complete().map_err(Error::from).and_then(|()| self.permit(&check, Source::File));
            ready.map_err(|error| wrong("check", check.name.to_string(), &error))?;
            checks.push(check);
        }
        Ok(Prepared { services, checks })
    }

    pub(super) fn put_prepared(
        &self,
        local: &mut Local,
        Prepared { services, checks }: Prepared,
        changes: &mut Vec<Change>,
    ) -> Result<(), Error> {
        let failed = |name: &str, error: Error| wrong("service", name.to_owned(), &error);
        let services = self.with_sidecars(local, services, |own| own.source == Source::Api, failed)?;
        self.know_services(local, &services, &checks)?;
        drop_missing(local, &services, &checks, changes);
        for wanted in services {
            let name = wanted.service.instance.service.name.as_str();
            may_put(local, &wanted, false).map_err(|error| failed(name, error))?;
            self.put_service(local, wanted, false, changes);
        }
        for check in checks {
            may_check(local, &check).map_err(|error| wrong("check", check.name.to_string(), &error))?;
            self.put_check(local, check, Source::File, changes);
        }
        Ok(())
    }

    /// A check may name a service of the files or of the API.
    fn know_services(&self, local: &Local, services: &[Wanted], checks: &[CheckDefinition]) -> Result<(), Error> {
        let defined = |id: &str| services.iter().any(|s| s.service.instance.id.eq_ignore_ascii_case(id));
        let stays = |id: &str| local.service(id).is_some_and(|s| s.source == Source::Api);
        for check in checks.iter().filter(|check| !check.service_id.is_empty()) {
            let id = &check.service_id;
            if !defined(id) && !stays(id) {
                return Err(wrong("check", check.name.to_string(), &Error::NoSuchService(id.to_string())));
            }
        }
        Ok(())
    }
}

fn wrong(kind: &'static str, name: String, error: &Error) -> Error {
    Error::Definition { kind, name, reason: error.to_string() }
}

/// Removes what files defined before and define no longer.
fn drop_missing(local: &mut Local, services: &[Wanted], checks: &[CheckDefinition], changes: &mut Vec<Change>) {
    let kept: BTreeSet<Text> = services.iter().map(|s| fold(&s.service.instance.id)).collect();
    let gone: Vec<Text> = local
        .services
        .iter()
        .filter(|(id, own)| own.source == Source::File && !kept.contains(*id))
        .map(|(id, _)| id.clone())
        .collect();
    for id in gone {
        // Its sidecar may have been registered over HTTP.
        changes.extend(local.remove_service(&id).into_iter().flat_map(Removed::changes));
    }
    let of_services = services.iter().flat_map(|s| &s.checks);
    let kept: BTreeSet<Text> = checks.iter().chain(of_services).map(|check| fold(&check.id)).collect();
    let gone: Vec<Text> = local
        .checks
        .iter()
        .filter(|(id, own)| own.source == Source::File && !kept.contains(*id) && !is_maintenance(id))
        .map(|(id, _)| id.clone())
        .collect();
    for id in gone {
        local.remove_check(&id);
    }
}
