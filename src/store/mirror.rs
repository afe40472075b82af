//! The thread behind the checkpoint: about once a second it takes what has changed, keeps the last row of each key, and
//! writes rows and position in one durable transaction. Many batches cost one sync, and encoding a row is not in the way
//! of the next write.

use super::checkpoint::{Inbox, Install, PENDING_TARGET, Position, Shared};
use super::fault::Disk;
use super::tables::{META, META_FLOOR, META_POSITION, ROWS};
use super::{Fatal, Medium, StoreError, import};
use crate::footprint::release_freed_memory;
use crate::machine::rows::{self, RowOp};
use crate::machine::{Change, State};
use redb::{Database, ReadableTable, Table};
use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How old the checkpoint may get.
const INTERVAL: Duration = Duration::from_secs(1);
/// The history of changes that is kept so that watchers can resume after a restart, in rows and bytes: what the watch hub
/// keeps in memory at most. A row holds the events of one checkpoint, or a part of them.
const HISTORY_ROWS: u64 = 65_536;
const HISTORY_BYTES: u64 = if cfg!(test) { 5 << 20 } else { 16 << 20 };
/// Rows of history that one checkpoint removes at most, unless it removes all.
const TRIM_SLICE: u64 = 16_384;
/// The keys of history are from here up to there.
const HISTORY_START: [u8; 1] = [rows::HISTORY];
const HISTORY_END: [u8; 1] = [rows::HISTORY + 1];

/// Weight of what has gathered during a checkpoint from which on the memory of the last one is kept for the next.
const KEEP_MEMORY_FROM: usize = PENDING_TARGET / 8;

/// Lets other threads go first: nobody waits for a checkpoint, but whoever waits for a write shares the processor with it.
/// On one busy core this leaves it a fifteenth, and whatever is idle while the log waits for the disk: a burst of writes is
/// copied when it is over, and one that goes on for seconds is braked by [`super::Checkpoint::push`].
fn step_back() {
    // Elsewhere it would be the whole process. Where it is refused, some answers are later and nothing is wrong.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(12);
}

/// How much history of changes the file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct History {
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

impl History {
    /// Counts a row, if it is one of history. `key` starts with the number of its table.
    pub(super) fn note(&mut self, key: &[u8], value: &[u8]) {
        if key.first() == Some(&rows::HISTORY) {
            self.rows += 1;
            self.bytes += (key.len() + value.len()) as u64;
        }
    }

    fn too_much(&self) -> bool {
        self.rows > HISTORY_ROWS || self.bytes > HISTORY_BYTES
    }
}

/// Who waits for the last flush, and why it failed, if it did.
type End = (Vec<oneshot::Sender<io::Result<()>>>, Option<String>);

/// What to do next.
enum Ready {
    Work(Inbox),
    Idle,
    Later(Duration),
}

/// Takes what there is, when it is time: somebody asks, enough has gathered, or the oldest waits a second.
fn ready(inbox: &mut Inbox, dirty_since: &mut Option<Instant>) -> Ready {
    let asked = inbox.closing || inbox.install.is_some() || !inbox.flushes.is_empty();
    if asked || inbox.weight >= PENDING_TARGET {
        return Ready::Work(std::mem::take(inbox));
    }
    if inbox.latest.is_none() {
        return Ready::Idle;
    }
    let age = dirty_since.get_or_insert_with(Instant::now).elapsed();
    match INTERVAL.checked_sub(age).filter(|left| !left.is_zero()) {
        Some(left) => Ready::Later(left),
        None => Ready::Work(std::mem::take(inbox)),
    }
}

/// The thread's state.
pub(super) struct Mirror {
    shared: Arc<Shared>,
    database: Arc<Database>,
    medium: Medium,
    history: History,
    fatal: Fatal,
}

impl Mirror {
    pub(super) fn new(
        shared: Arc<Shared>,
        database: Arc<Database>,
        medium: Medium,
        history: History,
        fatal: Fatal,
    ) -> Mirror {
        Mirror { shared, database, medium, history, fatal }
    }

    /// Works until the checkpoint is closed or fails.
    pub(super) fn run(mut self) {
        step_back();
        loop {
            let inbox = self.wait();
            let end = self.serve(inbox);
            // The rows of a large checkpoint are the largest thing that comes and goes here. The next one needs them
            // again if it is as large.
            if self.shared.inbox().weight < KEEP_MEMORY_FROM {
                release_freed_memory();
            }
            if let Some(end) = end {
                return self.stop(end);
            }
        }
    }

    /// The same as a task, for a simulated disk.
    pub(super) async fn run_in_task(mut self, disk: Disk) {
        let mut dirty_since = None;
        loop {
            let ready = ready(&mut self.shared.inbox(), &mut dirty_since);
            match ready {
                Ready::Work(inbox) => {
                    dirty_since = None;
                    disk.seek().await;
                    if let Some(end) = self.serve(inbox) {
                        return self.stop(end);
                    }
                }
                // A call between the look and this is remembered.
                Ready::Idle => self.shared.work_in_task.notified().await,
                Ready::Later(left) => drop(tokio::time::timeout(left, self.shared.work_in_task.notified()).await),
            }
        }
    }

    /// Does what the inbox asks for and tells those who wait for it, unless it was the last.
    fn serve(&mut self, inbox: Inbox) -> Option<End> {
        let closing = inbox.closing;
        let (flushes, failure) = self.work(inbox);
        if closing || failure.is_some() {
            return Some((flushes, failure));
        }
        answer(flushes, None);
        None
    }

    fn stop(self, (flushes, failure): End) {
        let reason = failure.clone().unwrap_or_else(|| "the checkpoint is closed".to_owned());
        let Mirror { shared, database, .. } = self;
        let late = {
            let mut inbox = shared.inbox();
            inbox.stopped = Some(reason);
            std::mem::take(&mut inbox.flushes)
        };
        shared.room.notify_waiters();
        // Whoever closes the checkpoint may open the file again at once.
        drop(database);
        answer(flushes, failure.as_deref());
        answer(late, failure.as_deref());
    }

    /// Does what the inbox asks for; returns who waits for it, and why the thread must stop, if it must.
    fn work(&mut self, inbox: Inbox) -> (Vec<oneshot::Sender<io::Result<()>>>, Option<String>) {
        let Inbox { latest, changes, flushes, install, .. } = inbox;
        let mut outcome = Ok(());
        match (install, latest) {
            (Some(install), _) => self.install(install),
            (None, Some((state, position))) => outcome = self.write(&state, &position, &changes),
            (None, None) => {}
        }
        drop(changes);
        self.shared.room.notify_waiters();
        let failure = outcome.err().map(|e| e.to_string());
        if let Some(message) = &failure {
            self.fatal.report(message.clone());
        }
        (flushes, failure)
    }

    fn wait(&self) -> Inbox {
        let mut inbox = self.shared.inbox();
        let mut dirty_since = None;
        loop {
            inbox = match ready(&mut inbox, &mut dirty_since) {
                Ready::Work(work) => return work,
                Ready::Idle => self.shared.work.wait(inbox).unwrap_or_else(PoisonError::into_inner),
                Ready::Later(left) => {
                    self.shared.work.wait_timeout(inbox, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn write(&mut self, state: &State, position: &Position, changes: &[Change]) -> Result<(), StoreError> {
        let (rows, left_out) = rows::of_changes(state, changes);
        let written = self.write_rows(&last_of_each_key(rows), left_out, position);
        written.map_err(|e| StoreError::io(&self.shared.file, "write the checkpoint", e))?;
        self.shared.durable.send_replace(Some(position.index));
        Ok(())
    }

    /// `left_out`: the revision up to which there is no history any more.
    fn write_rows(
        &mut self,
        rows: &[(Vec<u8>, Option<Vec<u8>>)],
        left_out: Option<u64>,
        position: &Position,
    ) -> Result<(), redb::Error> {
        let mut transaction = self.database.begin_write()?;
        // Two more writes a second, for a start after a crash in milliseconds however large the file is.
        transaction.set_quick_repair(true);
        let mut history = self.history;
        {
            let mut table = transaction.open_table(ROWS)?;
            let mut floor = left_out;
            if floor.is_some() {
                table.retain_in(HISTORY_START.as_slice()..HISTORY_END.as_slice(), |_, _| false)?;
                history = History::default();
            }
            for (key, value) in rows {
                match value {
                    Some(value) => {
                        history.note(key, value);
                        table.insert(key.as_slice(), value.as_slice())?;
                    }
                    None => drop(table.remove(key.as_slice())?),
                }
            }
            if history.too_much() {
                floor = Some(trim(&mut table, &mut history)?.unwrap_or(position.index));
            }
            let mut meta = transaction.open_table(META)?;
            if let Some(floor) = floor {
                meta.insert(META_FLOOR, floor.to_le_bytes().as_slice())?;
            }
            meta.insert(META_POSITION, position.encode().as_slice())?;
        }
        transaction.commit()?;
        self.history = history;
        Ok(())
    }

    /// Puts a snapshot in the place of the checkpoint. A bad snapshot is the caller's error, not this thread's.
    fn install(&mut self, install: Install) {
        let installed = import::install(&self.medium, install.image, &self.shared.cluster());
        let outcome = match installed {
            Ok(installed) => {
                self.database = Arc::new(installed.database);
                let mut shared = self.shared.database.lock().unwrap_or_else(PoisonError::into_inner);
                *shared = Arc::downgrade(&self.database);
                drop(shared);
                self.history = installed.history;
                self.shared.durable.send_replace(installed.loaded.position.as_ref().map(|p| p.index));
                Ok(installed.loaded)
            }
            Err(e) => Err(e),
        };
        // Whoever asked may have stopped waiting; the installed file stands all the same.
        let _ = install.done.send(outcome);
    }
}

fn answer(flushes: Vec<oneshot::Sender<io::Result<()>>>, failure: Option<&str>) {
    for done in flushes {
        // Whoever asked may have stopped waiting.
        let _ = done.send(failure.map_or(Ok(()), |message| Err(io::Error::other(message.to_owned()))));
    }
}

/// The keys with their tables in front, in order, each with what was written to it last.
fn last_of_each_key(ops: Vec<RowOp>) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let with_table = |op: RowOp| {
        let mut key = Vec::with_capacity(op.key.len() + 1);
        key.push(op.table);
        key.extend_from_slice(&op.key);
        (key, op.value)
    };
    let mut rows: Vec<_> = ops.into_iter().map(with_table).collect();
    // Stable: of equal keys the last stays last.
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    rows.reverse();
    rows.dedup_by(|a, b| a.0 == b.0);
    rows.reverse();
    rows
}

/// Removes the oldest history; returns the index after which it is complete, unless none is left.
fn trim(table: &mut Table<'_, &[u8], &[u8]>, history: &mut History) -> Result<Option<u64>, redb::Error> {
    let mut left = *history;
    let mut kept = None;
    for row in table.range(HISTORY_START.as_slice()..HISTORY_END.as_slice())? {
        let (key, value) = row?;
        let key = key.value();
        if !left.too_much() || history.rows - left.rows >= TRIM_SLICE {
            kept = Some(key.to_vec());
            break;
        }
        left.rows = left.rows.saturating_sub(1);
        left.bytes = left.bytes.saturating_sub((key.len() + value.value().len()) as u64);
    }
    let until = kept.as_deref().unwrap_or(&HISTORY_END);
    table.retain_in(HISTORY_START.as_slice()..until, |_, _| false)?;
    *history = left;
    // The key of a row of history is the revision of its first event.
    let first = kept.and_then(|key| Some(u64::from_be_bytes(key.get(1..)?.try_into().ok()?)));
    Ok(first.map(|first| first.saturating_sub(1)))
}
