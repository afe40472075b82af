//! Gathers proposals, so that many of them cross into the consensus core, the log and the state machine as one batch.
//!
//! The first of many writers wakes this task. It lets the others run once before it looks at what has queued up, so that
//! under load a batch holds one proposal of every waiting writer; alone, a writer loses no time that it would notice.

use super::types::{Proposal, Raft, TypeConfig};
use crate::command::Reply;
use futures::{Stream, StreamExt};
use openraft::errors::{ClientWriteError, Fatal, RaftError};
use openraft::raft::WriteResult;
use tokio::sync::{mpsc, oneshot};

/// Proposals on their way into the core; a writer waits when there are more.
pub(super) const QUEUE: usize = 4096;
/// Proposals of one batch.
const BATCH: usize = 512;

/// What became of a proposal: its index and reply; no reply if it was not a command.
pub(super) type Answer = Result<(u64, Option<Reply>), RaftError<TypeConfig, ClientWriteError<TypeConfig>>>;

/// A proposal and who waits for it.
pub(super) struct Job {
    pub(super) proposal: Proposal,
    pub(super) done: oneshot::Sender<Answer>,
}

/// Works until every sender of the queue is gone.
pub(super) async fn run(raft: Raft, mut queue: mpsc::Receiver<Job>) {
    while let Some(first) = queue.recv().await {
        tokio::task::yield_now().await;
        let mut jobs = vec![first];
        while jobs.len() < BATCH
            && let Ok(job) = queue.try_recv()
        {
            jobs.push(job);
        }
        let proposals: Vec<Proposal> = jobs.iter().map(|job| job.proposal.clone()).collect();
        match raft.client_write_many(proposals).await {
            // On a task of its own: the next batch gathers while this one is made durable.
            Ok(results) => drop(tokio::spawn(answer(jobs, results))),
            Err(fatal) => jobs.into_iter().for_each(|job| tell(job, Err(RaftError::Fatal(fatal.clone())))),
        }
    }
}

async fn answer(
    jobs: Vec<Job>,
    results: impl Stream<Item = Result<WriteResult<TypeConfig>, Fatal<TypeConfig>>> + Unpin,
) {
    // It ends early when raft stops.
    let mut results = results.fuse();
    for job in jobs {
        let answer = match results.next().await {
            Some(Ok(Ok(done))) => Ok((done.log_id.index, done.response)),
            Some(Ok(Err(refused))) => Err(RaftError::APIError(refused)),
            Some(Err(fatal)) => Err(RaftError::Fatal(fatal)),
            None => Err(RaftError::Fatal(Fatal::Stopped)),
        };
        tell(job, answer);
    }
}

fn tell(job: Job, answer: Answer) {
    // Whoever proposed may have stopped waiting; the command stands all the same.
    let _ = job.done.send(answer);
}
