//! Commands of the registry and of Consul's catalog.

use super::field::{at, each, try_each, uuid_bytes};
use crate::command::{
    CatalogCheck, CatalogDeregister, CatalogRegister, CodecError, Deregister, Register, Report, SetOverride, Update,
};
use crate::model::{Instance, InstanceKey, Lifecycle, Override};
use crate::proto::internal as pb;

impl From<&Register> for pb::Register {
    fn from(register: &Register) -> pb::Register {
        pb::Register { session: register.session.as_ref().map(uuid_bytes), instances: each(&register.instances) }
    }
}

impl TryFrom<pb::Register> for Register {
    type Error = CodecError;

    fn try_from(register: pb::Register) -> Result<Register, CodecError> {
        Ok(Register {
            session: at("Register", "session").optional_uuid(register.session)?,
            instances: try_each(register.instances)?,
        })
    }
}

impl From<&Update> for pb::Update {
    fn from(update: &Update) -> pb::Update {
        pb::Update {
            instance: Some((&update.instance).into()),
            mask: update.mask,
            expected_revision: update.expected_revision,
        }
    }
}

impl TryFrom<pb::Update> for Update {
    type Error = CodecError;

    fn try_from(update: pb::Update) -> Result<Update, CodecError> {
        Ok(Update {
            instance: at("Update", "instance").required(update.instance)?.try_into()?,
            mask: update.mask,
            expected_revision: update.expected_revision,
        })
    }
}

impl From<&Deregister> for pb::Deregister {
    fn from(deregister: &Deregister) -> pb::Deregister {
        pb::Deregister {
            keys: each(&deregister.keys),
            expected_revision: deregister.expected_revision,
            session: deregister.session.as_ref().map(uuid_bytes),
        }
    }
}

impl TryFrom<pb::Deregister> for Deregister {
    type Error = CodecError;

    fn try_from(deregister: pb::Deregister) -> Result<Deregister, CodecError> {
        Ok(Deregister {
            keys: deregister.keys.into_iter().map(InstanceKey::from).collect(),
            expected_revision: deregister.expected_revision,
            session: at("Deregister", "session").optional_uuid(deregister.session)?,
        })
    }
}

impl From<&Report> for pb::Report {
    fn from(report: &Report) -> pb::Report {
        pb::Report {
            key: Some((&report.key).into()),
            checks: each(&report.checks),
            lifecycle: report.lifecycle.map(|l| pb::Lifecycle::from(l).into()),
            session: report.session.as_ref().map(uuid_bytes),
        }
    }
}

impl TryFrom<pb::Report> for Report {
    type Error = CodecError;

    fn try_from(report: pb::Report) -> Result<Report, CodecError> {
        let lifecycle: Option<Lifecycle> =
            report.lifecycle.map(|l| at("Report", "lifecycle").lifecycle(l)).transpose()?;
        Ok(Report {
            key: at("Report", "key").required(report.key)?.into(),
            checks: try_each(report.checks)?,
            lifecycle,
            session: at("Report", "session").optional_uuid(report.session)?,
        })
    }
}

impl From<&SetOverride> for pb::SetOverride {
    fn from(set: &SetOverride) -> pb::SetOverride {
        pb::SetOverride { key: Some((&set.key).into()), overriding: set.overriding.as_ref().map(pb::Override::from) }
    }
}

impl TryFrom<pb::SetOverride> for SetOverride {
    type Error = CodecError;

    fn try_from(set: pb::SetOverride) -> Result<SetOverride, CodecError> {
        Ok(SetOverride {
            key: at("SetOverride", "key").required(set.key)?.into(),
            overriding: set.overriding.map(Override::try_from).transpose()?,
        })
    }
}

impl From<&CatalogRegister> for pb::CatalogRegister {
    fn from(register: &CatalogRegister) -> pb::CatalogRegister {
        pb::CatalogRegister {
            node: Some((&register.node).into()),
            skip_node_update: register.skip_node_update,
            service: register.service.as_ref().map(pb::Instance::from),
            checks: each(&register.checks),
        }
    }
}

impl TryFrom<pb::CatalogRegister> for CatalogRegister {
    type Error = CodecError;

    fn try_from(register: pb::CatalogRegister) -> Result<CatalogRegister, CodecError> {
        Ok(CatalogRegister {
            node: at("CatalogRegister", "node").required(register.node)?.try_into()?,
            skip_node_update: register.skip_node_update,
            service: register.service.map(Instance::try_from).transpose()?,
            checks: try_each(register.checks)?,
        })
    }
}

impl From<&CatalogCheck> for pb::CatalogCheck {
    fn from(check: &CatalogCheck) -> pb::CatalogCheck {
        pb::CatalogCheck { service_id: check.service_id.to_string(), check: Some((&check.check).into()) }
    }
}

impl TryFrom<pb::CatalogCheck> for CatalogCheck {
    type Error = CodecError;

    fn try_from(check: pb::CatalogCheck) -> Result<CatalogCheck, CodecError> {
        Ok(CatalogCheck {
            service_id: check.service_id.into(),
            check: at("CatalogCheck", "check").required(check.check)?.try_into()?,
        })
    }
}

impl From<&CatalogDeregister> for pb::CatalogDeregister {
    fn from(deregister: &CatalogDeregister) -> pb::CatalogDeregister {
        pb::CatalogDeregister {
            node: deregister.node.to_string(),
            service_id: deregister.service_id.to_string(),
            check_id: deregister.check_id.to_string(),
        }
    }
}

impl From<pb::CatalogDeregister> for CatalogDeregister {
    fn from(deregister: pb::CatalogDeregister) -> CatalogDeregister {
        CatalogDeregister {
            node: deregister.node.into(),
            service_id: deregister.service_id.into(),
            check_id: deregister.check_id.into(),
        }
    }
}
