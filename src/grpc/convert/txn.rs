//! Transactions: their operations, and what each gave back.

use super::instance::instance_full;
use super::registry::folded;
use super::{Within, count, kv, proof, registry, request_id};
use crate::command::{self, Op, Outcome, Target};
use crate::machine::State;
use crate::model::names::{self, Invalid};
use crate::model::{InstanceKey, KvEntry, limits};
use crate::proto::v1 as pb;
use crate::service::Proof;
use bytes::Bytes;
use prost::Message;
use std::collections::HashSet;
use std::sync::Arc;

/// A transaction, and what its results shall show.
pub(in crate::grpc) struct Asked {
    /// What to do.
    pub(in crate::grpc) txn: command::Txn,
    /// For each operation of either branch: the values that were there before are wanted.
    pub(in crate::grpc) previous: [Vec<bool>; 2],
    /// Sessions that instances shall live with, to be checked before anything is done.
    pub(in crate::grpc) proofs: Vec<Proof>,
}

/// See [`command::Txn`].
pub(in crate::grpc) fn txn(r: &pb::TxnRequest) -> Result<Asked, Invalid> {
    request_id(&r.request_id)?;
    let compares = kv::compares(&r.compares)?;
    let mut proofs = Vec::new();
    let (success, success_previous) = branch("success", &r.success, &mut proofs)?;
    let (failure, failure_previous) = branch("failure", &r.failure, &mut proofs)?;
    let compared: usize = r.compares.iter().map(Message::encoded_len).sum();
    let total: usize = compared + r.success.iter().chain(&r.failure).map(Message::encoded_len).sum::<usize>();
    let max = limits::TXN_BYTES_MAX;
    if total > max {
        return Err(Invalid::new("success", format!("the transaction has {total} bytes, at most {max} are allowed")));
    }
    let txn = command::Txn { compares, success, failure };
    Ok(Asked { txn, previous: [success_previous, failure_previous], proofs })
}

fn branch(name: &'static str, ops: &[pb::TxnOp], proofs: &mut Vec<Proof>) -> Result<(Vec<Op>, Vec<bool>), Invalid> {
    count(name, ops.len(), 0, limits::TXN_OPS_MAX)?;
    let mut written = Written::default();
    let mut out = Vec::with_capacity(ops.len());
    let mut previous = Vec::with_capacity(ops.len());
    for (index, op) in ops.iter().enumerate() {
        let (op, wanted) = self::op(op, proofs).within_item(name, index)?;
        written.add(&op).within_item(name, index)?;
        out.push(op);
        previous.push(wanted);
    }
    Ok((out, previous))
}

fn op(op: &pb::TxnOp, proofs: &mut Vec<Proof>) -> Result<(Op, bool), Invalid> {
    use pb::txn_op::Op as Wire;
    Ok(match &op.op {
        None => return Err(Invalid::new("op", "is required")),
        Some(Wire::Put(r)) => (Op::Put(kv::put(r).within("put")?), r.return_previous),
        Some(Wire::Delete(r)) => (Op::Delete(kv::delete(r).within("delete")?), r.return_previous),
        Some(Wire::Get(r)) => (Op::Get(get(r).within("get")?), false),
        Some(Wire::Register(r)) => (Op::Register(register(r, proofs).within("register")?), false),
        Some(Wire::Deregister(r)) => (Op::Deregister(registry::deregister(r).within("deregister")?), false),
    })
}

fn get(r: &pb::GetRequest) -> Result<Bytes, Invalid> {
    names::key("key", &r.key)?;
    if r.at_revision != 0 {
        return Err(Invalid::new("at_revision", "is not allowed in a transaction"));
    }
    if r.read.is_some() {
        return Err(Invalid::new("read", "is not allowed in a transaction, which is linearizable"));
    }
    Ok(r.key.clone())
}

fn register(r: &pb::RegisterInstancesRequest, proofs: &mut Vec<Proof>) -> Result<command::Register, Invalid> {
    if r.validate_only {
        return Err(Invalid::new("validate_only", "is not allowed in a transaction"));
    }
    let session = if r.session_id.is_empty() {
        None
    } else {
        let proof = proof(&r.session_id, &r.secret)?;
        let session = proof.id;
        proofs.push(proof);
        Some(session)
    };
    Ok(command::Register { session, instances: registry::instances(&r.instances)? })
}

/// What one branch writes: nothing may be written twice.
#[derive(Default)]
struct Written {
    keys: HashSet<Bytes>,
    prefixes: Vec<Bytes>,
    instances: HashSet<InstanceKey>,
}

impl Written {
    fn add(&mut self, op: &Op) -> Result<(), Invalid> {
        match op {
            Op::Put(put) => self.key("put.key", &put.key),
            Op::Delete(delete) => match &delete.target {
                Target::Key(key) => self.key("delete.key", key),
                Target::Prefix(prefix) => self.prefix(prefix),
            },
            Op::Get(_) => Ok(()),
            Op::Register(r) => r.instances.iter().try_for_each(|i| self.instance("register.instances", &i.key())),
            Op::Deregister(d) => d.keys.iter().try_for_each(|key| self.instance("deregister.keys", key)),
        }
    }

    fn key(&mut self, field: &'static str, key: &Bytes) -> Result<(), Invalid> {
        if self.prefixes.iter().any(|p| key.starts_with(p)) || !self.keys.insert(key.clone()) {
            return Err(Invalid::new(field, "is written twice in this branch"));
        }
        Ok(())
    }

    fn prefix(&mut self, prefix: &Bytes) -> Result<(), Invalid> {
        let overlaps = |p: &Bytes| p.starts_with(prefix) || prefix.starts_with(p);
        if self.keys.iter().any(|k| k.starts_with(prefix)) || self.prefixes.iter().any(overlaps) {
            return Err(Invalid::new("delete.prefix", "holds a key that is written twice in this branch"));
        }
        self.prefixes.push(prefix.clone());
        Ok(())
    }

    fn instance(&mut self, field: &'static str, key: &InstanceKey) -> Result<(), Invalid> {
        if self.instances.insert(folded(key)) {
            return Ok(());
        }
        Err(Invalid::new(field, format!("instance {:?} is written twice in this branch", key.id.as_str())))
    }
}

/// The result of one operation; headers inside stay unset.
pub(in crate::grpc) fn result(state: &State, outcome: &Outcome, previous: bool) -> Option<pb::TxnOpResult> {
    use pb::txn_op_result::Result as Wire;
    let result = match outcome {
        Outcome::Put { kv, previous: before, .. } => Wire::Put(put_out(kv.as_ref(), before.as_ref(), previous)),
        Outcome::Deleted(entries) => Wire::Delete(delete_out(entries, previous)),
        Outcome::Got(entry) => Wire::Get(pb::GetResponse { header: None, kv: entry.as_deref().map(kv::kv_out) }),
        Outcome::Registered(instances) => Wire::Register(pb::RegisterInstancesResponse {
            header: None,
            instances: instances.iter().map(|i| instance_full(state, i)).collect(),
        }),
        Outcome::Deregistered(removed) => {
            Wire::Deregister(pb::DeregisterInstancesResponse { header: None, removed: *removed })
        }
        // No operation of a transaction has these outcomes.
        Outcome::Updated(_)
        | Outcome::Reported
        | Outcome::Overridden(_)
        | Outcome::Cataloged
        | Outcome::Txn { .. }
        | Outcome::SessionCreated(_)
        | Outcome::SessionClosed(_)
        | Outcome::Lock { .. }
        | Outcome::LockChanged
        | Outcome::Expired(_)
        | Outcome::CoordinatesUpdated(_) => return None,
    };
    Some(pb::TxnOpResult { result: Some(result) })
}

/// The answer to a put, without its header.
pub(in crate::grpc) fn put_out(
    kv: Option<&Arc<KvEntry>>,
    before: Option<&Arc<KvEntry>>,
    previous: bool,
) -> pb::PutResponse {
    pb::PutResponse {
        header: None,
        kv: kv.map(|e| kv::kv_out_without_value(e)),
        previous: before.filter(|_| previous).map(|e| kv::kv_out(e)),
    }
}

/// Keys that [`pb::DeleteResponse::previous`] holds.
const PREVIOUS_MAX: usize = 1000;

/// The answer to a deletion, without its header. What was there is cut at 1,000 keys, and at the size of the largest
/// write, so that one request cannot ask for an answer without bound.
pub(in crate::grpc) fn delete_out(entries: &[Arc<KvEntry>], previous: bool) -> pb::DeleteResponse {
    let mut room = if previous { limits::TXN_BYTES_MAX } else { 0 };
    let fits = |entry: &&Arc<KvEntry>| {
        let size = entry.key.len() + entry.value.len();
        let fits = size <= room;
        room = room.saturating_sub(size);
        fits && previous
    };
    let previous = entries.iter().take(PREVIOUS_MAX).take_while(fits).map(|e| kv::kv_out(e)).collect();
    pb::DeleteResponse { header: None, deleted: entries.len() as u64, previous }
}
