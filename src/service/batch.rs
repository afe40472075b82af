//! Consul's transaction.

use super::core::unexpected;
use super::{AGENTLESS, Core, Error, ReadOptions, View};
use crate::command::{Batch, BatchFailure, BatchOp, BatchResult, CatalogVerb, Command, Outcome};

/// What a transaction did: if there are failures, nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BatchDone {
    /// Of the operations that have one, in order.
    pub results: Vec<BatchResult>,
    /// All operations that failed.
    pub failures: Vec<BatchFailure>,
}

impl Core {
    /// Runs a transaction.
    ///
    /// # Errors
    /// It could not be run; failed operations are no error.
    pub async fn batch(&self, batch: Batch) -> Result<BatchDone, Error> {
        let reserved = |node: &str, verb: CatalogVerb| verb != CatalogVerb::Get && node.eq_ignore_ascii_case(AGENTLESS);
        let on_reserved = batch.ops.iter().any(|op| match op {
            BatchOp::Node(op) => reserved(&op.node.name, op.verb),
            BatchOp::Service(op) => reserved(&op.service.node, op.verb),
            BatchOp::Check(op) => reserved(&op.node, op.verb),
            BatchOp::Kv(_) | BatchOp::Unknown(_) => false,
        });
        if on_reserved {
            return Err(Error::invalid("Node", format!("{AGENTLESS:?} is reserved for instances without a node")));
        }
        done(self.propose(None, Command::Batch(batch)).await?.value)
    }

    /// Answers a transaction that only reads from a snapshot, and says how fresh that is.
    ///
    /// # Errors
    /// The snapshot is not as fresh as asked.
    pub async fn batch_read(&self, batch: Batch, options: &ReadOptions) -> Result<(BatchDone, View), Error> {
        let view = self.view(options).await?;
        let outcome = Core::rehearse(&view.state, self.clock().now_ms(), Command::Batch(batch))?;
        Ok((done(outcome)?, view))
    }
}

fn done(outcome: Outcome) -> Result<BatchDone, Error> {
    match outcome {
        Outcome::Batch { results, failures } => Ok(BatchDone { results, failures }),
        other => Err(unexpected(&other)),
    }
}
