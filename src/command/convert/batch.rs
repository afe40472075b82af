//! Consul's transaction.

use super::field::{Place, at, each, try_each};
use crate::command::{
    Batch, BatchFailure, BatchOp, BatchResult, CatalogVerb, CheckOp, CodecError, KvOp, KvVerb, NodeOp, ServiceOp,
};
use crate::proto::internal as pb;
use std::sync::Arc;

impl From<&Batch> for pb::Batch {
    fn from(batch: &Batch) -> pb::Batch {
        pb::Batch { ops: each(&batch.ops) }
    }
}

impl TryFrom<pb::Batch> for Batch {
    type Error = CodecError;

    fn try_from(batch: pb::Batch) -> Result<Batch, CodecError> {
        Ok(Batch { ops: try_each(batch.ops)? })
    }
}

impl From<KvVerb> for pb::KvVerb {
    fn from(verb: KvVerb) -> pb::KvVerb {
        match verb {
            KvVerb::Set => pb::KvVerb::Set,
            KvVerb::Cas => pb::KvVerb::Cas,
            KvVerb::Lock => pb::KvVerb::Lock,
            KvVerb::Unlock => pb::KvVerb::Unlock,
            KvVerb::Get => pb::KvVerb::Get,
            KvVerb::GetTree => pb::KvVerb::GetTree,
            KvVerb::CheckIndex => pb::KvVerb::CheckIndex,
            KvVerb::CheckSession => pb::KvVerb::CheckSession,
            KvVerb::CheckNotExists => pb::KvVerb::CheckNotExists,
            KvVerb::Delete => pb::KvVerb::Delete,
            KvVerb::DeleteTree => pb::KvVerb::DeleteTree,
            KvVerb::DeleteCas => pb::KvVerb::DeleteCas,
        }
    }
}

fn kv_verb(value: i32) -> Result<KvVerb, CodecError> {
    Ok(match pb::KvVerb::try_from(value) {
        Ok(pb::KvVerb::Set) => KvVerb::Set,
        Ok(pb::KvVerb::Cas) => KvVerb::Cas,
        Ok(pb::KvVerb::Lock) => KvVerb::Lock,
        Ok(pb::KvVerb::Unlock) => KvVerb::Unlock,
        Ok(pb::KvVerb::Get) => KvVerb::Get,
        Ok(pb::KvVerb::GetTree) => KvVerb::GetTree,
        Ok(pb::KvVerb::CheckIndex) => KvVerb::CheckIndex,
        Ok(pb::KvVerb::CheckSession) => KvVerb::CheckSession,
        Ok(pb::KvVerb::CheckNotExists) => KvVerb::CheckNotExists,
        Ok(pb::KvVerb::Delete) => KvVerb::Delete,
        Ok(pb::KvVerb::DeleteTree) => KvVerb::DeleteTree,
        Ok(pb::KvVerb::DeleteCas) => KvVerb::DeleteCas,
        Ok(pb::KvVerb::Unspecified) | Err(_) => return Err(at("KvOp", "verb").error(UNKNOWN)),
    })
}

const UNKNOWN: &str = "is no value that this version knows";

impl From<CatalogVerb> for pb::CatalogVerb {
    fn from(verb: CatalogVerb) -> pb::CatalogVerb {
        match verb {
            CatalogVerb::Get => pb::CatalogVerb::Get,
            CatalogVerb::Set => pb::CatalogVerb::Set,
            CatalogVerb::Cas => pb::CatalogVerb::Cas,
            CatalogVerb::Delete => pb::CatalogVerb::Delete,
            CatalogVerb::DeleteCas => pb::CatalogVerb::DeleteCas,
        }
    }
}

fn catalog_verb(place: Place, value: i32) -> Result<CatalogVerb, CodecError> {
    Ok(match pb::CatalogVerb::try_from(value) {
        Ok(pb::CatalogVerb::Get) => CatalogVerb::Get,
        Ok(pb::CatalogVerb::Set) => CatalogVerb::Set,
        Ok(pb::CatalogVerb::Cas) => CatalogVerb::Cas,
        Ok(pb::CatalogVerb::Delete) => CatalogVerb::Delete,
        Ok(pb::CatalogVerb::DeleteCas) => CatalogVerb::DeleteCas,
        Ok(pb::CatalogVerb::Unspecified) | Err(_) => return Err(place.error(UNKNOWN)),
    })
}

impl From<&BatchOp> for pb::BatchOp {
    fn from(op: &BatchOp) -> pb::BatchOp {
        use pb::batch_op::Op as Wire;
        let op = match op {
            BatchOp::Kv(op) => Wire::Kv(pb::KvOp {
                verb: pb::KvVerb::from(op.verb).into(),
                key: op.key.clone(),
                value: op.value.clone(),
                flags: op.flags,
                index: op.index,
                session: op.session.to_string(),
            }),
            BatchOp::Node(op) => Wire::Node(pb::NodeOp {
                verb: pb::CatalogVerb::from(op.verb).into(),
                node: Some((&op.node).into()),
                index: op.index,
            }),
            BatchOp::Service(op) => Wire::Service(pb::ServiceOp {
                verb: pb::CatalogVerb::from(op.verb).into(),
                service: Some((&op.service).into()),
                index: op.index,
            }),
            BatchOp::Check(op) => Wire::Check(pb::CheckOp {
                verb: pb::CatalogVerb::from(op.verb).into(),
                node: op.node.to_string(),
                service_id: op.service_id.to_string(),
                check: Some((&op.check).into()),
                index: op.index,
            }),
            BatchOp::Unknown(reason) => Wire::Unknown(reason.to_string()),
        };
        pb::BatchOp { op: Some(op) }
    }
}

impl TryFrom<pb::BatchOp> for BatchOp {
    type Error = CodecError;

    fn try_from(op: pb::BatchOp) -> Result<BatchOp, CodecError> {
        use pb::batch_op::Op as Wire;
        Ok(match at("BatchOp", "op").required(op.op)? {
            Wire::Kv(op) => BatchOp::Kv(KvOp {
                verb: kv_verb(op.verb)?,
                key: op.key,
                value: op.value,
                flags: op.flags,
                index: op.index,
                session: op.session.into(),
            }),
            Wire::Node(op) => BatchOp::Node(NodeOp {
                verb: catalog_verb(at("NodeOp", "verb"), op.verb)?,
                node: at("NodeOp", "node").required(op.node)?.try_into()?,
                index: op.index,
            }),
            Wire::Service(op) => BatchOp::Service(ServiceOp {
                verb: catalog_verb(at("ServiceOp", "verb"), op.verb)?,
                service: at("ServiceOp", "service").required(op.service)?.try_into()?,
                index: op.index,
            }),
            Wire::Check(op) => BatchOp::Check(CheckOp {
                verb: catalog_verb(at("CheckOp", "verb"), op.verb)?,
                node: op.node.into(),
                service_id: op.service_id.into(),
                check: at("CheckOp", "check").required(op.check)?.try_into()?,
                index: op.index,
            }),
            Wire::Unknown(reason) => BatchOp::Unknown(reason.into()),
        })
    }
}

impl From<&BatchResult> for pb::BatchResult {
    fn from(result: &BatchResult) -> pb::BatchResult {
        use pb::batch_result::Result as Wire;
        let result = match result {
            BatchResult::Kv(entry) => Wire::Kv((&**entry).into()),
            BatchResult::Node(node) => Wire::Node((&**node).into()),
            BatchResult::Service(service) => Wire::Service((&**service).into()),
            BatchResult::Check { node, service, check } => Wire::Check(pb::CheckResult {
                node: node.to_string(),
                service: service.as_deref().map(Into::into),
                check: Some(check.into()),
            }),
        };
        pb::BatchResult { result: Some(result) }
    }
}

impl TryFrom<pb::BatchResult> for BatchResult {
    type Error = CodecError;

    fn try_from(result: pb::BatchResult) -> Result<BatchResult, CodecError> {
        use pb::batch_result::Result as Wire;
        Ok(match at("BatchResult", "result").required(result.result)? {
            Wire::Kv(entry) => BatchResult::Kv(Arc::new(entry.try_into()?)),
            Wire::Node(node) => BatchResult::Node(Arc::new(node.try_into()?)),
            Wire::Service(service) => BatchResult::Service(Arc::new(service.try_into()?)),
            Wire::Check(found) => BatchResult::Check {
                node: found.node.into(),
                service: found.service.map(crate::model::Instance::try_from).transpose()?.map(Arc::new),
                check: at("CheckResult", "check").required(found.check)?.try_into()?,
            },
        })
    }
}

impl From<&BatchFailure> for pb::BatchFailure {
    fn from(failure: &BatchFailure) -> pb::BatchFailure {
        pb::BatchFailure { index: failure.index, reason: failure.reason.clone() }
    }
}

impl From<pb::BatchFailure> for BatchFailure {
    fn from(failure: pb::BatchFailure) -> BatchFailure {
        BatchFailure { index: failure.index, reason: failure.reason }
    }
}
