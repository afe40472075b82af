//! Gathers proposals, so that many of them cross into the consensus core, the log and the state machine as one batch.
//!
//! A batch is a part of those who write at the same time: while it is made durable, the next one comes together and the
//! last one is answered, so that the processor does not wait for the disk nor the disk for the processor. A writer that
//! is alone does not wait for anybody.

use super::types::{Proposal, Raft, TypeConfig};
use crate::command::Reply;
use futures::{Stream, StreamExt};
use openraft::errors::{ClientWriteError, Fatal, RaftError};
use openraft::raft::WriteResult;
use openraft::type_config::async_runtime::watch::WatchReceiver;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};

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

/// Into how many batches those who write at the same time are divided: at a server that is a cluster by itself; and at
/// one with followers, where each batch is a message to each of them.
const PARTS_ALONE: usize = 4;
const PARTS: usize = 2;
/// How long a batch may wait for its part of the writers. One that is over sooner ends the wait; this is for slow disks
/// and distant followers.
const PATIENCE: Duration = Duration::from_millis(1);

/// Proposals that are not answered yet.
#[derive(Default)]
struct UnderWay {
    count: AtomicUsize,
    none: Notify,
}

/// So many of them, until this is dropped.
struct Place(Arc<UnderWay>, usize);

impl Place {
    fn of(under_way: &Arc<UnderWay>, count: usize) -> Place {
        under_way.count.fetch_add(count, Ordering::Relaxed);
        Place(under_way.clone(), count)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(self.1, Ordering::Relaxed) == self.1 {
            self.0.none.notify_one();
        }
    }
}

/// Works until every sender of the queue is gone.
pub(super) async fn run(raft: Raft, mut queue: mpsc::Receiver<Job>) {
    let server = raft.server_metrics();
    let under_way = Arc::new(UnderWay::default());
    // How many wrote at the same time of late.
    let mut crowd = 0;
    loop {
        let mut jobs = Vec::new();
        if queue.recv_many(&mut jobs, BATCH).await == 0 {
            return;
        }
        let alone = server.borrow_watched().membership_config.nodes().nth(1).is_none();
        gather(&mut jobs, &mut queue, &under_way, &mut crowd, if alone { PARTS_ALONE } else { PARTS }).await;
        let place = Place::of(&under_way, jobs.len());
        let proposals: Vec<Proposal> = jobs.iter().map(|job| job.proposal.clone()).collect();
        match raft.client_write_many(proposals).await {
            // On a task of its own: the next batch gathers while this one is made durable.
            Ok(results) => drop(tokio::spawn(async move {
                answer(jobs, results).await;
                drop(place);
            })),
            Err(fatal) => jobs.into_iter().for_each(|job| tell(job, Err(RaftError::Fatal(fatal.clone())))),
        }
    }
}

/// Waits for more jobs, until they are their part of the crowd or nobody else is left to wait for.
async fn gather(
    jobs: &mut Vec<Job>,
    queue: &mut mpsc::Receiver<Job>,
    under_way: &UnderWay,
    crowd: &mut usize,
    parts: usize,
) {
    // It is forgotten within some batches that there were more.
    *crowd -= *crowd / 16;
    let mut enough = |jobs: &[Job]| {
        *crowd = (*crowd).max(under_way.count.load(Ordering::Relaxed) + jobs.len());
        jobs.len() >= BATCH || jobs.len() * parts >= *crowd
    };
    if enough(jobs) {
        return;
    }
    let mut over = pin!(tokio::time::sleep(PATIENCE));
    while under_way.count.load(Ordering::Relaxed) > 0 {
        let room = BATCH - jobs.len();
        tokio::select! {
            biased;
            more = queue.recv_many(jobs, room) => if more == 0 { return },
            () = under_way.none.notified() => {}
            () = &mut over => return,
        }
        if enough(jobs) {
            return;
        }
    }
    // The others have their answers, and may be about to write again.
    tokio::task::yield_now().await;
    while jobs.len() < BATCH
        && let Ok(job) = queue.try_recv()
    {
        jobs.push(job);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Command, Put, Record};
    use futures::FutureExt;

    struct Writers {
        queue: mpsc::Sender<Job>,
        waiting: mpsc::Receiver<Job>,
        under_way: Arc<UnderWay>,
        crowd: usize,
        jobs: Vec<Job>,
    }

    impl Writers {
        /// One has come.
        fn new() -> Writers {
            let (queue, waiting) = mpsc::channel(QUEUE);
            Writers { queue, waiting, under_way: Arc::default(), crowd: 0, jobs: vec![job()] }
        }

        fn come(&self, count: usize) {
            (0..count).for_each(|_| assert!(self.queue.try_send(job()).is_ok()));
        }

        /// How many are in the batch; `None`: it waits.
        fn gathered(&mut self) -> Option<usize> {
            let Writers { waiting, under_way, crowd, jobs, .. } = self;
            gather(jobs, waiting, under_way, crowd, 2).now_or_never()?;
            Some(jobs.len())
        }
    }

    fn job() -> Job {
        let record = Record { time_ms: 1, request_id: None, command: Command::Put(Put::default()) };
        Job { proposal: Proposal::new(record), done: oneshot::channel().0 }
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_a_part_of_those_who_write() {
        assert_eq!(Some(1), Writers::new().gathered(), "nobody else writes");
        let mut writers = Writers::new();
        let place = Place::of(&writers.under_way, 7);
        assert_eq!(None, writers.gathered(), "one of eight");
        writers.come(2);
        assert_eq!(None, writers.gathered(), "three of ten");
        writers.come(4);
        assert_eq!(Some(7), writers.gathered(), "half of fourteen");
        drop(place);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_waits_for_nobody_who_does_not_come() {
        let mut writers = Writers::new();
        let place = Place::of(&writers.under_way, 7);
        assert_eq!(None, writers.gathered());
        let begin = tokio::time::Instant::now();
        let Writers { waiting, under_way, crowd, jobs, .. } = &mut writers;
        gather(jobs, waiting, under_way, crowd, 2).await;
        assert_eq!((1, PATIENCE), (jobs.len(), begin.elapsed()));
        // Nor for those who have their answers.
        drop(place);
        gather(jobs, waiting, under_way, crowd, 2).await;
        assert_eq!((1, PATIENCE), (jobs.len(), begin.elapsed()));
    }
}
