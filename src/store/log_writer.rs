//! The group commit of the raft log: one thread drains the queue of changes, writes them in their order with one sync,
//! then calls back in the same order. After a failure it acknowledges nothing any more.
//!
//! Entries go to the journal, the few facts that are not entries to redb, in that order. Neither needs the other to be
//! whole: a vote that is durable later than an entry after it was acknowledged later, too.

use super::fault::Disk;
use super::journal::Journal;
use super::log::Done;
use super::segment::Record;
use super::tables::{self, Marked};
use super::{Fatal, StoreError};
use bytes::Bytes;
use redb::Database;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot};

/// Changes in one batch.
const BATCH_COMMANDS: usize = 512;
/// Bytes of entries after which a batch takes no more changes.
const BATCH_BYTES: usize = 1 << 20;

/// Batches of one change, one after the other, after which the next is taken to be one too.
const LONELY: u32 = 16;

/// A change of the log.
pub(super) enum Command {
    Append {
        entries: Vec<(u64, Bytes)>,
        done: Done,
    },
    Vote {
        vote: Vec<u8>,
        done: Done,
    },
    /// Rows of the file's description, in one transaction.
    Facts {
        rows: Vec<(&'static str, Vec<u8>)>,
        done: Done,
    },
    Truncate {
        from: u64,
    },
    Purge {
        mark: Marked,
    },
    Close {
        done: oneshot::Sender<io::Result<()>>,
    },
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Command::Append { .. } => "append",
            Command::Vote { .. } => "vote",
            Command::Facts { .. } => "facts",
            Command::Truncate { .. } => "truncate",
            Command::Purge { .. } => "purge",
            Command::Close { .. } => "close",
        })
    }
}

/// Who closes the log, and why it failed before, if it did.
type Close = (oneshot::Sender<io::Result<()>>, Option<String>);

/// The thread's state.
pub(super) struct Writer {
    pub(super) database: Database,
    pub(super) journal: Journal,
    pub(super) file: String,
    pub(super) commands: mpsc::Receiver<Command>,
    /// What [`super::Log::note_committed`] left for the next batch.
    pub(super) committed: Arc<Mutex<Option<Marked>>>,
    pub(super) fatal: Fatal,
    pub(super) failed: Option<String>,
}

impl Writer {
    /// Works until the log is closed or every handle is dropped.
    pub(super) fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH_COMMANDS);
        // Batches of one change since there was a larger one.
        let mut lonely = 0_u32;
        while let Some(first) = self.commands.blocking_recv() {
            // When the queue is empty, those who may be about to add to it get the processor once more: this thread is
            // often woken by the first of many writers, and every commit that holds more of them saves a sync. Where
            // changes have come one by one for a while there is nobody to wait for.
            let pause = if lonely < LONELY { std::thread::yield_now } else { || {} };
            self.fill(first, &mut batch, pause);
            lonely = if changes(&batch) > 1 { 0 } else { lonely.saturating_add(1) };
            if let Some(close) = self.write_batch(&mut batch) {
                return self.close(close);
            }
        }
    }

    /// The same as a task, for a simulated disk.
    pub(super) async fn run_in_task(mut self, disk: Disk) {
        let mut batch = Vec::new();
        while let Some(first) = self.commands.recv().await {
            disk.seek().await;
            self.fill(first, &mut batch, || {});
            if let Some(close) = self.write_batch(&mut batch) {
                return self.close(close);
            }
        }
    }

    /// Makes a batch durable and tells those who wait for it. Returns the command that closes the log, if it ends with
    /// one, and what became of the batch.
    fn write_batch(&mut self, batch: &mut Vec<Command>) -> Option<Close> {
        let closing = match batch.pop() {
            Some(Command::Close { done }) => Some(done),
            Some(other) => {
                batch.push(other);
                None
            }
            None => None,
        };
        let outcome = self.commit(batch, closing.is_some());
        acknowledge(batch, outcome.as_deref());
        closing.map(|done| (done, outcome))
    }

    fn close(self, (done, outcome): Close) {
        drop((self.journal, self.database));
        // Whoever closed the log may have stopped waiting.
        let _ = done.send(outcome.map_or(Ok(()), |message| Err(io::Error::other(message))));
    }

    /// Takes what is queued, up to the limits of one batch; a close ends it.
    /// `pause` is called when the queue is empty; then it is looked at once more.
    fn fill(&mut self, first: Command, batch: &mut Vec<Command>, pause: impl Fn()) {
        let mut bytes = 0;
        let mut next = Some(first);
        loop {
            let Some(command) = next.take() else { return };
            if let Command::Append { entries, .. } = &command {
                bytes += entries.iter().map(|(_, entry)| entry.len()).sum::<usize>();
            }
            let last = matches!(command, Command::Close { .. });
            batch.push(command);
            if last || batch.len() >= BATCH_COMMANDS || bytes >= BATCH_BYTES {
                return;
            }
            next = self.commands.try_recv().ok().or_else(|| {
                pause();
                self.commands.try_recv().ok()
            });
        }
    }

    /// Makes the changes durable; returns why it could not, now or earlier.
    fn commit(&mut self, batch: &[Command], closing: bool) -> Option<String> {
        if self.failed.is_none()
            && let Err(error) = self.write(batch, closing)
        {
            let message = error.to_string();
            self.fatal.report(message.clone());
            self.failed = Some(message);
        }
        self.failed.clone()
    }

    fn write(&mut self, batch: &[Command], closing: bool) -> Result<(), StoreError> {
        let mut appended = None;
        for command in batch {
            match command {
                Command::Append { entries, .. } => {
                    for (index, bytes) in entries {
                        self.journal.put(Record::Entry { index: *index, bytes })?;
                        appended = Some(*index);
                    }
                }
                Command::Truncate { from } => self.journal.put(Record::Truncate { from: *from })?,
                _ => {}
            }
        }
        if let Some(Marked { index, log_id }) = self.take_committed(appended, closing) {
            self.journal.put(Record::Committed { index, log_id: &log_id })?;
        }
        self.journal.commit()?;
        self.write_facts(batch)
    }

    /// The committed mark, if something is written anyway. It must not name an entry that a crash could lose: such an
    /// entry waits in the queue still, and so does the mark.
    fn take_committed(&self, appended: Option<u64>, closing: bool) -> Option<Marked> {
        let durable = self.journal.last().max(appended);
        let mut slot = self.committed.lock().unwrap_or_else(PoisonError::into_inner);
        slot.take_if(|mark| Some(mark.index) <= durable && (closing || appended.is_some()))
    }

    /// Vote, purged mark and other facts; the last one of each counts.
    fn write_facts(&mut self, batch: &[Command]) -> Result<(), StoreError> {
        let mut rows = Vec::new();
        let mut first = None;
        for command in batch {
            match command {
                Command::Vote { vote, .. } => rows.push((tables::META_VOTE, vote.clone())),
                Command::Facts { rows: facts, .. } => rows.extend(facts.iter().cloned()),
                Command::Purge { mark } => {
                    let needed = self.journal.first_needed(mark.index);
                    rows.push((tables::META_PURGED, mark.encode()));
                    rows.push((tables::META_SEGMENT, needed.to_le_bytes().to_vec()));
                    first = Some(needed);
                }
                _ => {}
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        let write = || -> Result<(), redb::Error> {
            let transaction = self.database.begin_write()?;
            {
                let mut table = transaction.open_table(tables::META)?;
                for (key, value) in &rows {
                    table.insert(*key, value.as_slice())?;
                }
            }
            Ok(transaction.commit()?)
        };
        write().map_err(|e| StoreError::io(&self.file, "write the raft log", e))?;
        first.map_or(Ok(()), |first| self.journal.drop_before(first))
    }
}

/// Entries and other changes.
fn changes(batch: &[Command]) -> usize {
    let of = |command: &Command| match command {
        Command::Append { entries, .. } => entries.len(),
        _ => 1,
    };
    batch.iter().map(of).sum()
}

fn acknowledge(batch: &mut Vec<Command>, failed: Option<&str>) {
    for command in batch.drain(..) {
        if let Command::Append { done, .. } | Command::Vote { done, .. } | Command::Facts { done, .. } = command {
            done(failed.map_or(Ok(()), |message| Err(io::Error::other(message.to_owned()))));
        }
    }
}
