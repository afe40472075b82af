//! How much of a server's memory a command takes until it is done, about: for bounds, before it is encoded.

use super::{BatchOp, Command, Op};

/// What an object takes beside its values.
const OBJECT_BYTES: usize = 1024;

impl Command {
    /// About how many bytes it has. Exact where it may be large, an estimate where it cannot.
    pub fn bytes(&self) -> usize {
        match self {
            Command::Put(put) => put.key.len() + put.value.len(),
            Command::Txn(txn) => txn.success.iter().chain(&txn.failure).map(of_op).sum(),
            Command::Batch(batch) => batch.ops.iter().map(of_batch_op).sum(),
            Command::Register(register) => register.instances.len() * OBJECT_BYTES,
            Command::Deregister(deregister) => deregister.keys.len() * OBJECT_BYTES / 4,
            Command::Report(report) => report.checks.iter().map(|check| OBJECT_BYTES + check.output.len()).sum(),
            Command::CatalogRegister(register) => {
                register.checks.iter().map(|check| OBJECT_BYTES + check.check.output.len()).sum::<usize>()
                    + 2 * OBJECT_BYTES
            }
            Command::Restore(restore) => restore.rows.len(),
            Command::UpdateCoordinates(update) => update.coordinates.len() * OBJECT_BYTES / 4,
            Command::Expire(expire) => expire.keys.iter().map(|key| key.len()).sum(),
            Command::AcquireLock(acquire) => acquire.value.len(),
            Command::Proclaim(proclaim) => proclaim.value.len(),
            Command::Update(_)
            | Command::SetOverride(_)
            | Command::CatalogDeregister(_)
            | Command::Delete(_)
            | Command::CreateSession(_)
            | Command::CloseSession(_)
            | Command::ReleaseLock(_)
            | Command::SetQuery(_)
            | Command::DeleteQuery(_)
            | Command::SetAutopilot(_) => OBJECT_BYTES,
        }
    }
}

fn of_op(op: &Op) -> usize {
    match op {
        Op::Put(put) => put.key.len() + put.value.len(),
        Op::Register(register) => register.instances.len() * OBJECT_BYTES,
        Op::Delete(_) | Op::Get(_) | Op::Deregister(_) => OBJECT_BYTES / 4,
    }
}

fn of_batch_op(op: &BatchOp) -> usize {
    match op {
        BatchOp::Kv(op) => op.key.len() + op.value.len(),
        BatchOp::Node(_) | BatchOp::Service(_) => OBJECT_BYTES,
        BatchOp::Check(op) => OBJECT_BYTES + op.check.output.len(),
        BatchOp::Unknown(_) => OBJECT_BYTES / 4,
    }
}

#[cfg(test)]
mod tests {
    use crate::command::arbitrary;
    use crate::command::{Command, Put, Record};
    use proptest::prelude::*;

    #[test]
    fn a_value_counts_as_what_it_has() {
        let put = Command::Put(Put { key: "k".into(), value: vec![0; 1 << 20].into(), ..Put::default() });
        assert_eq!(put.bytes(), (1 << 20) + 1);
    }

    proptest! {
        /// The estimate is of the size of what is encoded: not an order of magnitude below it.
        #[test]
        fn the_estimate_is_near_the_encoded_size(record in arbitrary::record()) {
            let encoded = Record { ..record.clone() }.encode().len();
            prop_assert!(encoded <= 10 * (record.command.bytes() + 1024), "{encoded} for {}", record.command.op());
        }
    }
}
