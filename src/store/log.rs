//! The raft log on disk, as bytes. Owns `raft.redb`: entries, vote, committed and purged marks, and the identity of
//! this server. Every change goes through one bounded queue to one thread ([`super::log_writer`]), which commits many of
//! them with one sync; reads go straight to redb and see only what was committed.

use super::log_writer::{Command, Writer};
use super::medium::spawn_thread;
use super::tables::{self, Identity, Marked};
use super::{Fatal, Medium, StoreError};
use bytes::Bytes;
use redb::{Database, ReadableDatabase, TableError};
use std::io;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::{mpsc, oneshot};

/// redb's cache for the log, in bytes: appends touch only the right edge of the tree, reads of old entries are rare.
const CACHE: usize = 4 << 20;
/// Changes that may wait for the writer before callers wait.
const QUEUE: usize = 4096;

/// Called once when a change is durable, or with the reason why it never will be.
pub type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// The raft log of one server. Clones share it.
#[derive(Clone, Debug)]
pub struct Log {
    queue: mpsc::Sender<Command>,
    /// The writer holds the file; when it stops, the file is let go.
    database: Weak<Database>,
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
        let database = Arc::new(tables::open(medium, tables::LOG_FILE, CACHE)?);
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
        let (vote, committed, purged) =
            (meta(tables::META_VOTE)?, mark(tables::META_COMMITTED)?, mark(tables::META_PURGED)?);
        let last = last_entry(&database).map_err(|e| StoreError::io(&file, "read the end of the raft log", e))?;
        // Entries up to the purged mark may be left over from a purge that a crash cut short.
        let last = last.filter(|(index, _)| purged.as_ref().is_none_or(|p| *index > p.index));

        let (queue, commands) = mpsc::channel(QUEUE);
        let slot = Arc::new(Mutex::new(None));
        let last_index = last.as_ref().map(|(index, _)| *index).max(purged.as_ref().map(|p| p.index));
        let purge_to = purged.as_ref().map(|p| p.index);
        let readers = Arc::downgrade(&database);
        let writer = Writer::new(database, file.clone(), commands, slot.clone(), fatal.clone(), last_index, purge_to);
        spawn_thread("raft log writer", fatal, move || writer.run())?;
        Ok(OpenedLog {
            log: Log { queue, database: readers, committed: slot, file: file.into() },
            identity,
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
        self.send_and_wait(|done| Command::Identity { identity, done }).await
    }

    /// Removes the entries from `index` on. Queued: later appends come after it.
    pub async fn truncate_from(&self, index: u64) -> io::Result<()> {
        self.send(Command::Truncate { from: index }).await
    }

    /// Forgets the entries up to `index`, whose encoded id is `log_id`. The space is given back in slices, later.
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
        let database = self.database.upgrade().ok_or_else(stopped)?;
        let read = || -> Result<Vec<(u64, Vec<u8>)>, redb::Error> {
            let table = match database.begin_read()?.open_table(tables::LOG) {
                Ok(table) => table,
                Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                Err(e) => return Err(e.into()),
            };
            let (mut entries, mut bytes) = (Vec::new(), 0);
            for row in table.range(range)? {
                let (index, entry) = row?;
                bytes += entry.value().len();
                if bytes > limit_bytes && !entries.is_empty() {
                    break;
                }
                entries.push((index.value(), entry.value().to_vec()));
            }
            Ok(entries)
        };
        read().map_err(|e| StoreError::io(&self.file, "read the raft log", e).into())
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

fn last_entry(database: &Database) -> Result<Option<(u64, Vec<u8>)>, redb::Error> {
    use redb::ReadableTable;
    match database.begin_read()?.open_table(tables::LOG) {
        Ok(table) => Ok(table.last()?.map(|(index, entry)| (index.value(), entry.value().to_vec()))),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(e) => Err(e.into()),
    }
}
