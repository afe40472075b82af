//! Transactions: all compares, then all operations of one branch, in one revision or not at all.

use super::writer::Writer;
use crate::command::{Compare, Expect, Op, Outcome, Rejection, Reply, Txn};

impl Writer<'_> {
    pub(super) fn txn(&mut self, command: &Txn) -> Reply {
        let succeeded = command.compares.iter().all(|c| self.holds(c));
        let ops = if succeeded { &command.success } else { &command.failure };
        let results = self.atomically(|w| {
            let mut results = Vec::with_capacity(ops.len());
            for (index, op) in ops.iter().enumerate() {
                let refused = |cause| Rejection::TxnOp { index: index as u32, cause: Box::new(cause) };
                results.push(w.op(op).map_err(refused)?);
            }
            Ok::<_, Rejection>(results)
        })?;
        Ok(Outcome::Txn { succeeded, results })
    }

    fn op(&mut self, op: &Op) -> Reply {
        match op {
            Op::Put(c) => self.put(c),
            Op::Delete(c) => self.delete(c),
            Op::Get(key) => Ok(Outcome::Got(self.state.kv(key).cloned())),
            Op::Register(c) => self.register(c),
            Op::Deregister(c) => self.deregister(c),
        }
    }

    fn holds(&self, compare: &Compare) -> bool {
        let entry = self.state.kv(&compare.key);
        match &compare.expect {
            Expect::ModifyRevision(r) => entry.map_or(0, |e| e.modify_revision) == *r,
            Expect::Version(v) => entry.map_or(0, |e| e.version) == *v,
            Expect::Value(value) => entry.is_some_and(|e| e.value == *value),
            Expect::Exists(there) => entry.is_some() == *there,
            Expect::Session(session) => entry.and_then(|e| e.session) == *session,
        }
    }
}
