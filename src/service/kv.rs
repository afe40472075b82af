//! Keys and values.

use super::core::unexpected;
use super::{Core, Error, Proof, Written};
use crate::command::{Command, Delete, Op, Outcome, Put, Txn};
use crate::model::limits::TXN_BYTES_MAX;
use crate::model::{KvEntry, RequestId};
use futures::FutureExt;
use std::sync::Arc;

/// What a put did.
#[derive(Clone, Debug, PartialEq)]
pub struct PutDone {
    /// False only for Consul's acquire and release, when they are refused.
    pub done: bool,
    /// As stored; unset if refused and absent.
    pub kv: Option<Arc<KvEntry>>,
    /// What was there before.
    pub previous: Option<Arc<KvEntry>>,
}

impl Core {
    /// Sets a key. A put that attaches the key to a session needs the session's proof; Consul's acquire and release
    /// know sessions by id alone.
    pub fn put(
        &self,
        request_id: Option<RequestId>,
        put: Put,
    ) -> impl Future<Output = Result<Written<PutDone>, Error>> + Send {
        let expires = put.ttl_ms.is_some();
        // Not an async block, which would have room for the proposal twice.
        self.propose(request_id, Command::Put(put)).map(move |written| {
            let written = written?;
            if expires {
                self.inner.leases.wake();
            }
            match written.value {
                Outcome::Put { done, kv, previous } => {
                    Ok(Written { revision: written.revision, value: PutDone { done, kv, previous } })
                }
                other => Err(unexpected(&other)),
            }
        })
    }

    /// Deletes keys and returns what was there.
    pub async fn delete(
        &self,
        request_id: Option<RequestId>,
        delete: Delete,
    ) -> Result<Written<Vec<Arc<KvEntry>>>, Error> {
        let written = self.propose(request_id, Command::Delete(delete)).await?;
        match written.value {
            Outcome::Deleted(entries) => Ok(Written { revision: written.revision, value: entries }),
            other => Err(unexpected(&other)),
        }
    }

    /// Runs a transaction; the results are those of the branch that ran. `proofs` are of the sessions that its
    /// registrations name.
    pub async fn txn(
        &self,
        request_id: Option<RequestId>,
        txn: Txn,
        proofs: &[Proof],
    ) -> Result<Written<(bool, Vec<Outcome>)>, Error> {
        for proof in proofs {
            self.prove(proof)?;
        }
        let ops = || txn.success.iter().chain(&txn.failure);
        let bytes: usize = ops().map(bytes_of).sum();
        if bytes > TXN_BYTES_MAX {
            let reason = format!("all values together have {bytes} bytes, at most {TXN_BYTES_MAX} are allowed");
            return Err(Error::invalid("success", reason));
        }
        let expires = ops().any(|op| matches!(op, Op::Put(put) if put.ttl_ms.is_some()));
        let written = self.propose(request_id, Command::Txn(txn)).await?;
        if expires {
            self.inner.leases.wake();
        }
        match written.value {
            Outcome::Txn { succeeded, results } => {
                Ok(Written { revision: written.revision, value: (succeeded, results) })
            }
            other => Err(unexpected(&other)),
        }
    }
}

fn bytes_of(op: &Op) -> usize {
    match op {
        Op::Put(put) => put.key.len() + put.value.len(),
        Op::Delete(_) | Op::Get(_) | Op::Register(_) | Op::Deregister(_) => 0,
    }
}
