//! The group commit of the raft log: one thread drains the queue of changes, writes them in their order in one redb
//! transaction with one sync, then calls back in the same order. After a failure it acknowledges nothing any more.

use super::log::Done;
use super::tables::{self, Identity, Marked};
use super::{Fatal, StoreError};
use bytes::Bytes;
use redb::{Database, Durability, WriteTransaction};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot};

/// Changes in one transaction.
const BATCH_COMMANDS: usize = 512;
/// Bytes of entries after which a transaction takes no more changes.
const BATCH_BYTES: usize = 1 << 20;
/// Entries that one purge transaction removes: an append behind it waits about a millisecond.
const PURGE_SLICE: u64 = 8192;
/// Entries after which the committed mark is written again: it costs a page of its own, and too old a mark is safe.
const COMMITTED_EVERY: u64 = 1024;

/// A change of the log.
pub(super) enum Command {
    Append { entries: Vec<(u64, Bytes)>, done: Done },
    Vote { vote: Vec<u8>, done: Done },
    Identity { identity: Identity, done: Done },
    Truncate { from: u64 },
    Purge { mark: Marked },
    Close { done: oneshot::Sender<io::Result<()>> },
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Command::Append { .. } => "append",
            Command::Vote { .. } => "vote",
            Command::Identity { .. } => "identity",
            Command::Truncate { .. } => "truncate",
            Command::Purge { .. } => "purge",
            Command::Close { .. } => "close",
        })
    }
}

/// The thread's state.
pub(super) struct Writer {
    database: Arc<Database>,
    file: String,
    commands: mpsc::Receiver<Command>,
    /// What [`super::Log::note_committed`] left for the next transaction.
    committed: Arc<Mutex<Option<Marked>>>,
    fatal: Fatal,
    last_index: Option<u64>,
    /// Entries up to this one can be removed; `None` when they all are.
    purge_to: Option<u64>,
    /// Index of the committed mark on disk.
    marked: u64,
    failed: Option<String>,
}

impl Writer {
    pub(super) fn new(
        database: Arc<Database>,
        file: String,
        commands: mpsc::Receiver<Command>,
        committed: Arc<Mutex<Option<Marked>>>,
        fatal: Fatal,
        last_index: Option<u64>,
        purge_to: Option<u64>,
    ) -> Writer {
        Writer { database, file, commands, committed, fatal, last_index, purge_to, marked: 0, failed: None }
    }

    /// Works until the log is closed or every handle is dropped.
    pub(super) fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH_COMMANDS);
        while let Some(first) = self.next() {
            self.fill(first, &mut batch);
            let closing = match batch.pop() {
                Some(Command::Close { done }) => Some(done),
                Some(other) => {
                    batch.push(other);
                    None
                }
                None => None,
            };
            let outcome = self.commit(&batch, closing.is_some());
            acknowledge(&mut batch, outcome.as_deref());
            if let Some(done) = closing {
                drop(self.database);
                // Whoever closed the log may have stopped waiting.
                let _ = done.send(outcome.map_or(Ok(()), |message| Err(io::Error::other(message))));
                return;
            }
        }
    }

    /// The next change; while there is none, the backlog of the purge is worked off.
    fn next(&mut self) -> Option<Command> {
        while self.purge_to.is_some() && self.failed.is_none() {
            match self.commands.try_recv() {
                Ok(command) => return Some(command),
                Err(mpsc::error::TryRecvError::Disconnected) => return None,
                Err(mpsc::error::TryRecvError::Empty) => {
                    if let Err(e) = self.purge_slice() {
                        self.fail(StoreError::io(&self.file, "purge the raft log", e));
                    }
                }
            }
        }
        self.commands.blocking_recv()
    }

    /// Takes what is queued, up to the limits of one transaction; a close ends it.
    ///
    /// When the queue is empty, those who may be about to add to it get the processor once more: this thread is often
    /// woken by the first of many writers, and every commit that holds more of them saves a sync.
    fn fill(&mut self, first: Command, batch: &mut Vec<Command>) {
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
                std::thread::yield_now();
                self.commands.try_recv().ok()
            });
        }
    }

    /// Makes the changes durable; returns why it could not, now or earlier.
    fn commit(&mut self, batch: &[Command], closing: bool) -> Option<String> {
        if self.failed.is_none()
            && let Err(e) = self.write(batch, closing)
        {
            self.fail(StoreError::io(&self.file, "write the raft log", e));
        }
        self.failed.clone()
    }

    fn fail(&mut self, error: StoreError) {
        let message = error.to_string();
        self.fatal.report(message.clone());
        self.failed = Some(message);
    }

    fn write(&mut self, batch: &[Command], closing: bool) -> Result<(), redb::Error> {
        let committed = self.take_committed(batch, closing);
        if batch.is_empty() && committed.is_none() {
            return Ok(());
        }
        let transaction = self.database.begin_write()?;
        let mut last = self.last_index;
        let mut purge_to = self.purge_to;
        write_entries(&transaction, batch, &mut last)?;
        write_facts(&transaction, batch, committed.as_ref(), &mut purge_to)?;
        transaction.commit()?;
        (self.last_index, self.purge_to) = (last.max(purge_to), purge_to);
        self.marked = committed.map_or(self.marked, |mark| mark.index);
        Ok(())
    }

    /// The committed mark, if it is time to write it. It must not name an entry that a crash could lose: such an entry
    /// waits in the queue still, and so does the mark.
    fn take_committed(&self, batch: &[Command], closing: bool) -> Option<Marked> {
        let appended = batch.iter().rev().find_map(|command| match command {
            Command::Append { entries, .. } => entries.last().map(|(index, _)| *index),
            _ => None,
        });
        let durable = self.last_index.max(appended);
        let mut slot = self.committed.lock().unwrap_or_else(PoisonError::into_inner);
        slot.take_if(|mark| Some(mark.index) <= durable && (closing || mark.index >= self.marked + COMMITTED_EVERY))
    }

    /// Removes a slice of purged entries. Needs no sync: entries below the purged mark are ignored on start.
    fn purge_slice(&mut self) -> Result<(), redb::Error> {
        use redb::ReadableTable;
        let Some(purge_to) = self.purge_to else { return Ok(()) };
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::None)?;
        let mut table = transaction.open_table(tables::LOG)?;
        let first = table.first()?.map(|(index, _)| index.value());
        let more = match first {
            Some(first) if first <= purge_to => {
                let end = purge_to.min(first.saturating_add(PURGE_SLICE - 1));
                table.retain_in(first..=end, |_, _| false)?;
                end < purge_to
            }
            _ => false,
        };
        drop(table);
        transaction.commit()?;
        if !more {
            self.purge_to = None;
        }
        Ok(())
    }
}

/// Appends and truncations, in order.
fn write_entries(transaction: &WriteTransaction, batch: &[Command], last: &mut Option<u64>) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(tables::LOG)?;
    for command in batch {
        match command {
            Command::Append { entries, .. } => {
                for (index, entry) in entries {
                    table.insert(*index, entry.as_ref())?;
                    *last = Some(*index);
                }
            }
            Command::Truncate { from } => {
                table.retain_in(*from.., |_, _| false)?;
                *last = from.checked_sub(1).min(*last);
            }
            _ => {}
        }
    }
    Ok(())
}

/// Vote, identity and marks; the last one of each counts.
fn write_facts(
    transaction: &WriteTransaction,
    batch: &[Command],
    committed: Option<&Marked>,
    purge_to: &mut Option<u64>,
) -> Result<(), redb::Error> {
    let facts = batch.iter().any(|c| !matches!(c, Command::Append { .. } | Command::Truncate { .. }));
    if !facts && committed.is_none() {
        return Ok(());
    }
    let mut table = transaction.open_table(tables::META)?;
    for command in batch {
        match command {
            Command::Vote { vote, .. } => drop(table.insert(tables::META_VOTE, vote.as_slice())?),
            Command::Identity { identity, .. } => {
                drop(table.insert(tables::META_IDENTITY, identity.encode().as_slice())?);
            }
            Command::Purge { mark } => {
                table.insert(tables::META_PURGED, mark.encode().as_slice())?;
                *purge_to = Some(mark.index);
            }
            _ => {}
        }
    }
    if let Some(mark) = committed {
        table.insert(tables::META_COMMITTED, mark.encode().as_slice())?;
    }
    Ok(())
}

fn acknowledge(batch: &mut Vec<Command>, failed: Option<&str>) {
    for command in batch.drain(..) {
        if let Command::Append { done, .. } | Command::Vote { done, .. } | Command::Identity { done, .. } = command {
            done(failed.map_or(Ok(()), |message| Err(io::Error::other(message.to_owned()))));
        }
    }
}
