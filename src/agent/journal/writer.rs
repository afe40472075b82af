//! The thread that writes the journal, and how changes get to it in the order in which they were made.

use super::file::JournalFile;
use super::row::{Change, Row};
use std::path::Path;
use std::{io, thread};
use tokio::sync::{mpsc, oneshot};

/// Changes that wait for the thread; more make their callers wait.
const QUEUE_MAX: usize = 4096;
/// Changes that are written and synced together.
const BATCH_MAX: usize = 512;

struct Job {
    changes: Vec<Change>,
    done: oneshot::Sender<Result<(), String>>,
}

/// The journal. Cheap to clone; the thread ends when the last clone is gone.
#[derive(Clone, Debug)]
pub(in crate::agent) struct Journal {
    queue: mpsc::Sender<Job>,
}

/// A place in the queue. Taking it may wait, using it does not: so changes can be queued under the lock that orders them.
pub(in crate::agent) struct Slot {
    permit: Option<mpsc::OwnedPermit<Job>>,
}

/// Resolves when what was queued is on disk.
pub(in crate::agent) struct Stored(Option<oneshot::Receiver<Result<(), String>>>);

impl Journal {
    /// Opens the journal of a data directory and returns what is kept in it.
    pub(in crate::agent) fn open(dir: &Path) -> io::Result<(Journal, Vec<Row>)> {
        let (mut file, rows) = JournalFile::open(dir)?;
        let (queue, mut jobs) = mpsc::channel::<Job>(QUEUE_MAX);
        thread::Builder::new().name("agent journal".to_owned()).spawn(move || {
            while let Some(first) = jobs.blocking_recv() {
                let mut batch = vec![first];
                while batch.len() < BATCH_MAX
                    && let Ok(job) = jobs.try_recv()
                {
                    batch.push(job);
                }
                let changes: Vec<Change> = batch.iter_mut().flat_map(|job| job.changes.drain(..)).collect();
                let written = file.append(&changes).map_err(|error| error.to_string());
                if let Err(error) = &written {
                    tracing::error!(error, "registrations could not be written to agent.journal");
                }
                for job in batch {
                    // Whoever does not wait for it does not want to know.
                    let _ = job.done.send(written.clone());
                }
            }
        })?;
        Ok((Journal { queue }, rows))
    }

    /// A place in the queue.
    pub(in crate::agent) async fn slot(&self) -> Slot {
        // The thread lives as long as this sender, but for a panic, and then storing fails below.
        Slot { permit: self.queue.clone().reserve_owned().await.ok() }
    }

    /// A place in the queue, if there is one now.
    pub(in crate::agent) fn try_slot(&self) -> Option<Slot> {
        self.queue.clone().try_reserve_owned().ok().map(|permit| Slot { permit: Some(permit) })
    }
}

impl Slot {
    /// Queues changes.
    pub(in crate::agent) fn store(self, changes: Vec<Change>) -> Stored {
        let Some(permit) = self.permit else { return Stored(None) };
        let (done, stored) = oneshot::channel();
        permit.send(Job { changes, done });
        Stored(Some(stored))
    }
}

impl Stored {
    /// Waits until it is on disk.
    pub(in crate::agent) async fn wait(self) -> Result<(), String> {
        let ended = || "the thread that stores registrations has ended".to_owned();
        self.0.ok_or_else(ended)?.await.map_err(|_| ended())?
    }
}
