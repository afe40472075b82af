//! Keys, values and transactions.

use super::field::{at, each, try_each, uuid_bytes};
use crate::command::{CodecError, Compare, Delete, Expect, LockOp, Op, Put, Target, Txn};
use crate::model::{KvEntry, Tombstone};
use crate::proto::internal as pb;

impl From<&KvEntry> for pb::KvEntry {
    fn from(kv: &KvEntry) -> pb::KvEntry {
        pb::KvEntry {
            key: kv.key.clone(),
            value: kv.value.clone(),
            flags: kv.flags,
            create_revision: kv.create_revision,
            modify_revision: kv.modify_revision,
            version: kv.version,
            session: kv.session.as_ref().map(uuid_bytes),
            ephemeral: kv.ephemeral,
            lock_index: kv.lock_index,
            expire_ms: kv.expire_ms,
        }
    }
}

impl TryFrom<pb::KvEntry> for KvEntry {
    type Error = CodecError;

    fn try_from(kv: pb::KvEntry) -> Result<KvEntry, CodecError> {
        Ok(KvEntry {
            key: kv.key,
            value: kv.value,
            flags: kv.flags,
            create_revision: kv.create_revision,
            modify_revision: kv.modify_revision,
            version: kv.version,
            session: at("KvEntry", "session").optional_uuid(kv.session)?,
            ephemeral: kv.ephemeral,
            lock_index: kv.lock_index,
            expire_ms: kv.expire_ms,
        })
    }
}

impl From<&Tombstone> for pb::Tombstone {
    fn from(tombstone: &Tombstone) -> pb::Tombstone {
        pb::Tombstone { key: tombstone.key.clone(), revision: tombstone.revision, time_ms: tombstone.time_ms }
    }
}

impl TryFrom<pb::Tombstone> for Tombstone {
    type Error = CodecError;

    fn try_from(tombstone: pb::Tombstone) -> Result<Tombstone, CodecError> {
        Ok(Tombstone { key: tombstone.key, revision: tombstone.revision, time_ms: tombstone.time_ms })
    }
}

impl From<&Put> for pb::Put {
    fn from(put: &Put) -> pb::Put {
        let lock = match &put.lock {
            LockOp::Keep => None,
            LockOp::Attach(session) => Some(pb::put::Lock::Attach(uuid_bytes(session))),
            LockOp::Acquire(session) => Some(pb::put::Lock::Acquire(uuid_bytes(session))),
            LockOp::Release(session) => Some(pb::put::Lock::Release(uuid_bytes(session))),
        };
        pb::Put {
            key: put.key.clone(),
            value: put.value.clone(),
            expected_revision: put.expected_revision,
            lock,
            ttl_ms: put.ttl_ms,
            flags: put.flags,
        }
    }
}

impl TryFrom<pb::Put> for Put {
    type Error = CodecError;

    fn try_from(put: pb::Put) -> Result<Put, CodecError> {
        let lock = match put.lock {
            None => LockOp::Keep,
            Some(pb::put::Lock::Attach(session)) => LockOp::Attach(at("Put", "attach").uuid(&session)?),
            Some(pb::put::Lock::Acquire(session)) => LockOp::Acquire(at("Put", "acquire").uuid(&session)?),
            Some(pb::put::Lock::Release(session)) => LockOp::Release(at("Put", "release").uuid(&session)?),
        };
        Ok(Put {
            key: put.key,
            value: put.value,
            expected_revision: put.expected_revision,
            lock,
            ttl_ms: put.ttl_ms,
            flags: put.flags,
        })
    }
}

impl From<&Delete> for pb::Delete {
    fn from(delete: &Delete) -> pb::Delete {
        let target = match &delete.target {
            Target::Key(key) => pb::delete::Target::Key(key.clone()),
            Target::Prefix(prefix) => pb::delete::Target::Prefix(prefix.clone()),
        };
        pb::Delete { target: Some(target), expected_revision: delete.expected_revision }
    }
}

impl TryFrom<pb::Delete> for Delete {
    type Error = CodecError;

    fn try_from(delete: pb::Delete) -> Result<Delete, CodecError> {
        let target = match at("Delete", "target").required(delete.target)? {
            pb::delete::Target::Key(key) => Target::Key(key),
            pb::delete::Target::Prefix(prefix) => Target::Prefix(prefix),
        };
        Ok(Delete { target, expected_revision: delete.expected_revision })
    }
}

impl From<&Compare> for pb::Compare {
    fn from(compare: &Compare) -> pb::Compare {
        use pb::compare::Expect as Wire;
        let expect = match &compare.expect {
            Expect::ModifyRevision(revision) => Wire::ModifyRevision(*revision),
            Expect::Version(version) => Wire::Version(*version),
            Expect::Value(value) => Wire::Value(value.clone()),
            Expect::Exists(exists) => Wire::Exists(*exists),
            Expect::Session(session) => Wire::HeldBy(pb::HeldBy { session: session.as_ref().map(uuid_bytes) }),
        };
        pb::Compare { key: compare.key.clone(), expect: Some(expect) }
    }
}

impl TryFrom<pb::Compare> for Compare {
    type Error = CodecError;

    fn try_from(compare: pb::Compare) -> Result<Compare, CodecError> {
        use pb::compare::Expect as Wire;
        let expect = match at("Compare", "expect").required(compare.expect)? {
            Wire::ModifyRevision(revision) => Expect::ModifyRevision(revision),
            Wire::Version(version) => Expect::Version(version),
            Wire::Value(value) => Expect::Value(value),
            Wire::Exists(exists) => Expect::Exists(exists),
            Wire::HeldBy(held) => Expect::Session(at("HeldBy", "session").optional_uuid(held.session)?),
        };
        Ok(Compare { key: compare.key, expect })
    }
}

impl From<&Op> for pb::Op {
    fn from(op: &Op) -> pb::Op {
        use pb::op::Op as Wire;
        let op = match op {
            Op::Put(put) => Wire::Put(put.into()),
            Op::Delete(delete) => Wire::Delete(delete.into()),
            Op::Get(key) => Wire::Get(key.clone()),
            Op::Register(register) => Wire::Register(register.into()),
            Op::Deregister(deregister) => Wire::Deregister(deregister.into()),
        };
        pb::Op { op: Some(op) }
    }
}

impl TryFrom<pb::Op> for Op {
    type Error = CodecError;

    fn try_from(op: pb::Op) -> Result<Op, CodecError> {
        use pb::op::Op as Wire;
        Ok(match at("Op", "op").required(op.op)? {
            Wire::Put(put) => Op::Put(put.try_into()?),
            Wire::Delete(delete) => Op::Delete(delete.try_into()?),
            Wire::Get(key) => Op::Get(key),
            Wire::Register(register) => Op::Register(register.try_into()?),
            Wire::Deregister(deregister) => Op::Deregister(deregister.try_into()?),
        })
    }
}

impl From<&Txn> for pb::Txn {
    fn from(txn: &Txn) -> pb::Txn {
        pb::Txn { compares: each(&txn.compares), success: each(&txn.success), failure: each(&txn.failure) }
    }
}

impl TryFrom<pb::Txn> for Txn {
    type Error = CodecError;

    fn try_from(txn: pb::Txn) -> Result<Txn, CodecError> {
        Ok(Txn { compares: try_each(txn.compares)?, success: try_each(txn.success)?, failure: try_each(txn.failure)? })
    }
}
