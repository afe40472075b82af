//! The catalog: register, update, deregister, report health, override.

use super::admission::Lane;
use super::core::unexpected;
use super::{AGENTLESS, Core, Error, Proof, Written};
use crate::command::{
    CatalogDeregister, CatalogRegister, Command, Deregister, Outcome, Record, Register, Rejection, Report, SetOverride,
    Update,
};
use crate::machine::{self, State};
use crate::model::{Instance, InstanceKey, Override, RequestId, ServiceKey};
use std::sync::Arc;

impl Core {
    /// Upserts instances, all or nothing. With `validate_only` everything is checked and nothing is written.
    pub async fn register(
        &self,
        request_id: Option<RequestId>,
        session: Option<Proof>,
        instances: Vec<Instance>,
        validate_only: bool,
    ) -> Result<Written<Vec<Arc<Instance>>>, Error> {
        let session = session.as_ref().map(|proof| self.prove(proof)).transpose()?.map(|s| s.id);
        let command = Command::Register(Register { session, instances });
        let written =
            if validate_only { self.rehearse_now(command)? } else { self.propose(request_id, command).await? };
        match written.value {
            Outcome::Registered(stored) => Ok(Written { revision: written.revision, value: stored }),
            other => Err(unexpected(&other)),
        }
    }

    fn rehearse_now(&self, command: Command) -> Result<Written<Outcome>, Error> {
        let state = self.inner.raft.state();
        let value = Core::rehearse(&state, self.inner.clock.now_ms(), command)?;
        Ok(Written { revision: state.revision(), value })
    }

    /// What the command would do in this state, without doing it.
    pub(super) fn rehearse(state: &State, time_ms: u64, command: Command) -> Result<Outcome, Rejection> {
        let mut state = state.clone();
        let record = Record { time_ms, request_id: None, command };
        let revision = state.revision() + 1;
        machine::apply(&mut state, revision, 0, &record).reply
    }

    /// Changes the masked fields of an instance.
    pub async fn update(&self, request_id: Option<RequestId>, update: Update) -> Result<Written<Arc<Instance>>, Error> {
        let written = self.propose(request_id, Command::Update(update)).await?;
        match written.value {
            Outcome::Updated(stored) => Ok(Written { revision: written.revision, value: stored }),
            other => Err(unexpected(&other)),
        }
    }

    /// Removes instances and says how many there were.
    pub async fn deregister(
        &self,
        request_id: Option<RequestId>,
        deregister: Deregister,
    ) -> Result<Written<u32>, Error> {
        let written = self.propose(request_id, Command::Deregister(deregister)).await?;
        match written.value {
            Outcome::Deregistered(removed) => Ok(Written { revision: written.revision, value: removed }),
            other => Err(unexpected(&other)),
        }
    }

    /// Sets checks and lifecycle. A report that changes only the text of checks writes nothing: text is not worth a
    /// log entry.
    pub async fn report(&self, request_id: Option<RequestId>, report: Report) -> Result<Written<()>, Error> {
        let state = self.inner.raft.state();
        if let Some(instance) = state.instance(&report.key)
            && request_id.is_none()
            && changes_nothing(instance, &report)
        {
            return Ok(Written { revision: state.revision(), value: () });
        }
        let written = self.propose(request_id, Command::Report(report)).await?;
        match written.value {
            Outcome::Reported => Ok(written.map(|_| ())),
            other => Err(unexpected(&other)),
        }
    }

    /// Sets or removes an operator's word on an instance.
    pub async fn set_override(
        &self,
        request_id: Option<RequestId>,
        set: SetOverride,
    ) -> Result<Written<Option<Override>>, Error> {
        let ends = set.overriding.as_ref().is_some_and(|o| o.expire_ms.is_some());
        let written = self.propose(request_id, Command::SetOverride(set)).await?;
        if ends {
            self.inner.leases.wake();
        }
        match written.value {
            Outcome::Overridden(stored) => Ok(Written { revision: written.revision, value: stored }),
            other => Err(unexpected(&other)),
        }
    }

    /// Consul's catalog registration.
    pub async fn catalog_register(&self, register: Box<CatalogRegister>) -> Result<Written<()>, Error> {
        self.catalog_register_in(Lane::Writes, register).await
    }

    pub(super) async fn catalog_register_in(
        &self,
        lane: Lane,
        register: Box<CatalogRegister>,
    ) -> Result<Written<()>, Error> {
        if register.node.name.eq_ignore_ascii_case(AGENTLESS) {
            return Err(Error::invalid("Node", format!("{AGENTLESS:?} is reserved for instances without a node")));
        }
        let written = self.propose_in(lane, None, Command::CatalogRegister(register)).await?;
        match written.value {
            Outcome::Cataloged => Ok(written.map(|_| ())),
            other => Err(unexpected(&other)),
        }
    }

    /// Consul's catalog deregistration. An instance without a node is named by [`AGENTLESS`] and its qualified id.
    pub async fn catalog_deregister(&self, deregister: CatalogDeregister) -> Result<Written<()>, Error> {
        self.catalog_deregister_in(Lane::Writes, deregister).await
    }

    pub(super) async fn catalog_deregister_in(
        &self,
        lane: Lane,
        deregister: CatalogDeregister,
    ) -> Result<Written<()>, Error> {
        if deregister.node.eq_ignore_ascii_case(AGENTLESS) {
            let keys = self.agentless_key(&deregister.service_id).into_iter().collect();
            return Ok(self.deregister(None, Deregister { keys, ..Deregister::default() }).await?.map(|_| ()));
        }
        let written = self.propose_in(lane, None, Command::CatalogDeregister(deregister)).await?;
        match written.value {
            Outcome::Cataloged => Ok(written.map(|_| ())),
            other => Err(unexpected(&other)),
        }
    }

    /// The instance behind `service:id`; either may hold a colon itself.
    fn agentless_key(&self, qualified: &str) -> Option<InstanceKey> {
        let state = self.inner.raft.state();
        qualified.match_indices(':').find_map(|(at, _)| {
            let service = ServiceKey::of(&qualified[..at]);
            let key = InstanceKey { service, node: Default::default(), id: qualified[at + 1..].into() };
            state.instance(&key).map(|i| i.key())
        })
    }
}

fn changes_nothing(instance: &Instance, report: &Report) -> bool {
    let same_state = report.checks.iter().all(|new| {
        let old = instance.checks.iter().find(|old| old.id.eq_ignore_ascii_case(&new.id));
        old.is_some_and(|old| old.health == new.health)
    });
    let may = report.session.is_none() || instance.session.is_none() || report.session == instance.session;
    may && same_state && report.lifecycle.is_none_or(|l| l == instance.lifecycle)
}
