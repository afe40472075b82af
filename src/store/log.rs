//! The raft log on disk, as bytes: entries in the segments of [`super::journal`]; vote, purged mark and the identity of
//! this server in `raft.redb`. Every change goes through one bounded queue to one thread ([`super::log_writer`]), which
//! makes many of them durable with one sync; reads go straight to the segments and see only what is durable.

use super::journal::{Entries, Found, Journal};
use super::log_writer::{Command, Writer};
use super::medium::spawn_thread;
use super::tables::{self, Identity, Marked};
use super::{Fatal, Medium, StoreError};
use bytes::Bytes;
use std::io;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::{mpsc, oneshot};

/// redb's cache for the few facts beside the entries, in bytes.
const CACHE: usize = 1 << 20;
/// Changes that may wait for the writer before callers wait.
const QUEUE: usize = 4096;

/// Called once when a change is durable, or with the reason why it never will be.
pub type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// The raft log of one server. Clones share it.
#[derive(Clone, Debug)]
pub struct Log {
    queue: mpsc::Sender<Command>,
    /// The writer holds the files; when it stops, they are let go.
    entries: Weak<Entries>,
    committed: Arc<Mutex<Option<Marked>>>,
    file: Arc<str>,
}

/// A log as found on disk.
#[derive(Debug)]
pub struct OpenedLog {
    /// The log.
    pub log: Log,
    /// Who this server is; `None` in a new log.
    pub identity: Option<Identity>,
    /// Ids of clusters that were recovered as the present one.
    pub former: Vec<[u8; 16]>,
    /// The recovery of this server was begun, not finished.
    pub recovering: bool,
    /// Why this server must not take part any more.
    pub superseded: Option<String>,
    /// The encoded vote.
    pub vote: Option<Vec<u8>>,
    /// The encoded id of the last entry known to be committed.
    pub committed: Option<Vec<u8>>,
    /// Index and encoded id of the last purged entry.
    pub purged: Option<(u64, Vec<u8>)>,
    /// Index and bytes of the last entry.
    pub last: Option<(u64, Vec<u8>)>,
}

impl Log {
    /// Whether there is a log.
    pub fn exists(medium: &Medium) -> bool {
        medium.exists(tables::LOG_FILE)
    }

    /// Opens the log, or creates an empty one, and starts its writer.
    ///
    /// # Errors
    /// The file cannot be read, is in use, or has a newer format.
    pub fn open(medium: &Medium, fatal: Fatal) -> Result<OpenedLog, StoreError> {
        let file = medium.describe(tables::LOG_FILE);
        let database = tables::open(medium, tables::LOG_FILE, CACHE)?;
        let meta = |key| tables::read_meta(&database, &file, key);
        let mark = |key| {
            let bytes = meta(key)?;
            let decode =
                |b: Vec<u8>| Marked::decode(&b).ok_or_else(|| StoreError::corrupt(&file, format!("bad {key} row")));
            bytes.map(decode).transpose()
        };
        let identity = meta(tables::META_IDENTITY)?
            .map(|b| Identity::decode(&b).ok_or_else(|| StoreError::corrupt(&file, "bad identity row")))
            .transpose()?;
        let former = meta(tables::META_FORMER)?.unwrap_or_default();
        if former.len() % 16 != 0 {
            return Err(StoreError::corrupt(&file, "bad former row"));
        }
        let recovering = meta(tables::META_RECOVERING)?.is_some_and(|row| !row.is_empty());
        let superseded = meta(tables::META_SUPERSEDED)?.filter(|row| !row.is_empty());
        let (vote, purged) = (meta(tables::META_VOTE)?, mark(tables::META_PURGED)?);
        let segment = meta(tables::META_SEGMENT)?.map(|b| b.try_into().map(u64::from_le_bytes));
        let segment = segment.transpose().map_err(|_| StoreError::corrupt(&file, "bad segment row"))?.unwrap_or(0);
        let purged_index = purged.as_ref().map(|p| p.index);
        let Found { mut journal, committed, last } = Journal::open(medium, segment, purged_index)?;
        journal.require_file(identity.is_none())?;
        // Entries up to the purged mark share a file with later ones.
        let last = last.filter(|(index, _)| Some(*index) > purged_index);

        let (queue, commands) = mpsc::channel(QUEUE);
        let slot = Arc::new(Mutex::new(None));
        let entries = Arc::downgrade(journal.entries());
        let (writer_file, writer_fatal) = (file.clone(), fatal.clone());
        let writer = Writer {
            database,
            journal,
            file: writer_file,
            commands,
            committed: slot.clone(),
            fatal: writer_fatal,
            failed: None,
        };
        match medium.tasks() {
            Some(disk) => drop(tokio::spawn(writer.run_in_task(disk.clone()))),
            None => drop(spawn_thread("raft log writer", fatal, move || writer.run())?),
        }
        Ok(OpenedLog {
            log: Log { queue, entries, committed: slot, file: file.into() },
            identity,
            former: former.chunks_exact(16).filter_map(|id| id.try_into().ok()).collect(),
            recovering,
            superseded: superseded.map(|text| String::from_utf8_lossy(&text).into_owned()),
            vote,
            committed: committed.map(|m| m.log_id),
            purged: purged.map(|m| (m.index, m.log_id)),
            last,
        })
    }

    /// Queues entries, in the order of their indexes. `done` is called from the writer's thread, in the order of the
    /// calls, when they are durable.
    ///
    /// # Errors
    /// The writer is gone; `done` is not called then.
    pub async fn append(&self, entries: Vec<(u64, Bytes)>, done: Done) -> io::Result<()> {
        self.send(Command::Append { entries, done }).await
    }

    /// Saves the vote; returns when it is durable.
    pub async fn save_vote(&self, vote: Vec<u8>) -> io::Result<()> {
        self.send_and_wait(|done| Command::Vote { vote, done }).await
    }

    /// Saves who this server is; returns when it is durable.
    pub async fn save_identity(&self, identity: Identity) -> io::Result<()> {
        self.save(vec![(tables::META_IDENTITY, identity.encode())]).await
    }

    /// Saves who this server is, and which clusters were recovered as its own; returns when both are durable.
    pub async fn save_lineage(&self, identity: Identity, former: &[[u8; 16]]) -> io::Result<()> {
        self.save(vec![(tables::META_IDENTITY, identity.encode()), (tables::META_FORMER, former.concat())]).await
    }

    /// Begins a recovery: as [`Log::save_lineage`], and until [`Log::end_recovery`] this server must not start. Whatever
    /// superseded it before does so no more.
    pub async fn begin_recovery(&self, identity: Identity, former: &[[u8; 16]]) -> io::Result<()> {
        let rows = vec![
            (tables::META_IDENTITY, identity.encode()),
            (tables::META_FORMER, former.concat()),
            (tables::META_SUPERSEDED, Vec::new()),
            (tables::META_RECOVERING, vec![1]),
        ];
        self.save(rows).await
    }

    /// The recovery is finished; returns when that is durable.
    pub async fn end_recovery(&self) -> io::Result<()> {
        self.save(vec![(tables::META_RECOVERING, Vec::new())]).await
    }

    /// Saves why this server must not take part any more; returns when it is durable.
    pub async fn save_superseded(&self, why: &str) -> io::Result<()> {
        self.save(vec![(tables::META_SUPERSEDED, why.as_bytes().to_vec())]).await
    }

    async fn save(&self, rows: Vec<(&'static str, Vec<u8>)>) -> io::Result<()> {
        self.send_and_wait(|done| Command::Facts { rows, done }).await
    }

    /// Removes the entries from `index` on. Queued: later appends come after it.
    pub async fn truncate_from(&self, index: u64) -> io::Result<()> {
        self.send(Command::Truncate { from: index }).await
    }

    /// Forgets the entries up to `index`, whose encoded id is `log_id`. Files that hold nothing else are given back.
    pub async fn purge_through(&self, index: u64, log_id: Vec<u8>) -> io::Result<()> {
        self.send(Command::Purge { mark: Marked { index, log_id } }).await
    }

    /// Notes the last entry known to be committed. It rides with the next change of the log: too old a value is safe.
    pub fn note_committed(&self, index: u64, log_id: Vec<u8>) {
        let mut slot = self.committed.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = Some(Marked { index, log_id });
    }

    /// Reads committed entries, at most `limit_bytes` of them after the first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&self, range: RangeInclusive<u64>, limit_bytes: usize) -> io::Result<Vec<(u64, Vec<u8>)>> {
        let entries = self.entries.upgrade().ok_or_else(stopped)?;
        entries.read(range, limit_bytes).map_err(|e| StoreError::io(&self.file, "read the raft log", e).into())
    }

    /// Waits until everything queued before is durable, then stops the writer and lets go of the file.
    pub async fn close(self) -> io::Result<()> {
        let (done, closed) = oneshot::channel();
        if self.queue.send(Command::Close { done }).await.is_err() {
            return Ok(());
        }
        closed.await.map_err(|_| stopped())?
    }

    async fn send(&self, command: Command) -> io::Result<()> {
        self.queue.send(command).await.map_err(|_| stopped())
    }

    async fn send_and_wait(&self, command: impl FnOnce(Done) -> Command) -> io::Result<()> {
        let (sender, receiver) = oneshot::channel();
        let done: Done = Box::new(move |result| {
            // The caller may have gone; the change stands all the same.
            let _ = sender.send(result);
        });
        self.send(command(done)).await?;
        receiver.await.map_err(|_| stopped())?
    }
}

fn stopped() -> io::Error {
    io::Error::other("the raft log is closed")
}
