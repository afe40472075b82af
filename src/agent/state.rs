//! Taking up what was stored when the agent starts.

use super::Error;
use super::api::{may_check, may_put};
use super::files::Prepared;
use super::handle::Agent;
use super::journal::{Change, Row, TtlState};
use super::local::{Local, Source};
use super::maintenance::is_maintenance;
use crate::model::{CheckDefinition, Health, ServiceDefinition, fold};

/// What the journal held, by kind.
#[derive(Debug, Default)]
pub(super) struct Restored {
    services: Vec<ServiceDefinition>,
    checks: Vec<CheckDefinition>,
    states: Vec<TtlState>,
}

impl Restored {
    pub(super) fn of(rows: Vec<Row>) -> Restored {
        let mut restored = Restored::default();
        for row in rows {
            match row {
                Row::Service(service) => restored.services.push(*service),
                Row::Check(check) => restored.checks.push(*check),
                Row::Ttl(state) => restored.states.push(state),
            }
        }
        restored
    }
}

impl Agent {
    /// Services first, those of files in the place of stored ones, then checks, then what TTL checks were last told,
    /// while that holds. What cannot be taken up any more (a script that is not allowed now) is reported and left out.
    pub(super) fn restore(&self, restored: Restored, files: Prepared, changes: &mut Vec<Change>) -> Result<(), Error> {
        let mut local = self.local();
        for service in restored.services {
            let id = service.own_id().clone();
            let ready = self.prepare_service(service, Source::Api);
            match ready.and_then(|wanted| may_put(&local, &wanted, false).map(|()| wanted)) {
                // It is stored already.
                Ok(wanted) => self.put_service(&mut local, wanted, false, &mut Vec::new()),
                Err(error) => tracing::warn!(service = %id, %error, "a stored service was left out"),
            }
        }
        self.put_prepared(&mut local, files, changes)?;
        for check in restored.checks {
            self.restore_check(&mut local, check);
        }
        let now_ms = self.inner.catalog.clock().now_ms();
        for state in restored.states.into_iter().filter(|state| state.expires_ms > now_ms) {
            let Some(health) = Health::parse(&state.status) else { continue };
            let Some(own) = local.checks.get_mut(&fold(&state.id)) else { continue };
            if let Some(ttl) = own.runner.ttl() {
                ttl.resume(&state.output, state.expires_ms - now_ms);
                (own.check.health, own.check.output) = (health, state.output);
                own.critical_since_ms = own.critical_since_ms.filter(|_| health == Health::Critical);
            }
        }
        Ok(())
    }

    fn restore_check(&self, local: &mut Local, mut check: CheckDefinition) {
        let id = check.id.clone();
        if local.check(&id).is_some_and(|known| known.source == Source::File) {
            return;
        }
        // An initial state was for the registration; it says nothing about now.
        check.status = Default::default();
        let permitted = if is_maintenance(&id) { Ok(()) } else { self.permit(&check, Source::Api) };
        match permitted.and_then(|()| may_check(local, &check)) {
            Ok(()) => self.put_check(local, check, Source::Api, &mut Vec::new()),
            Err(error) => tracing::warn!(check = %id, %error, "a stored check was left out"),
        }
    }
}
