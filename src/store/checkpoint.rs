//! The checkpoint: a copy of the state on disk, up to about a second old. Owns `state.redb`, what waits to be written to
//! it, and views of it for snapshots. Serving never waits for it: the state is served from memory, and the thread behind
//! it ([`super::mirror`]) writes what has changed.

use super::medium::spawn_thread;
use super::mirror::Mirror;
use super::tables::{self, META_FLOOR, META_POSITION};
use super::{Fatal, Image, Medium, StoreError, import};
use crate::machine::{Change, Event, State};
use redb::{Database, ReadTransaction, ReadableDatabase, TableError};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{Notify, oneshot, watch};

/// redb's cache for the checkpoint, in bytes.
pub(super) const CACHE: usize = 4 << 20;
/// Weight of what waits for the disk before applying must wait for it: some seconds of a fast disk's work.
pub(super) const PENDING_LIMIT: usize = 96 << 20;
/// Weight that waits from which on applying is slowed down, more with each batch, so that it need not come to a stop.
pub(super) const BRAKE_FROM: usize = PENDING_LIMIT / 2;
/// How long the next batch is delayed just before the limit.
const BRAKE_MAX: Duration = Duration::from_millis(3);
/// Weight at which the writer does not wait for its second to pass. The more it takes at once, the more often a key that
/// changes all the time is written only once.
pub(super) const PENDING_TARGET: usize = PENDING_LIMIT / 3;
/// What a change weighs, besides its share of the log.
const CHANGE_BYTES: usize = 512;

/// The cluster of a server that is in none yet.
const NO_CLUSTER: [u8; 16] = [0; 16];

/// Up to where a checkpoint or snapshot holds the log. The ids are encoded by the user of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Index of the last applied entry.
    pub index: u64,
    /// Its encoded log id.
    pub applied: Vec<u8>,
    /// The encoded membership as of that entry.
    pub membership: Vec<u8>,
}

impl Position {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(16 + self.applied.len() + self.membership.len());
        bytes.extend_from_slice(&self.index.to_le_bytes());
        bytes.extend_from_slice(&(self.applied.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&self.applied);
        bytes.extend_from_slice(&self.membership);
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Position> {
        let (index, rest) = bytes.split_first_chunk::<8>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (applied, membership) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        Some(Position { index: u64::from_le_bytes(*index), applied: applied.to_vec(), membership: membership.to_vec() })
    }
}

/// What one applied batch did.
#[derive(Debug)]
pub struct Delta {
    /// The state after it.
    pub state: Arc<State>,
    /// Up to where the log is applied in it.
    pub position: Position,
    /// What it changed, in order.
    pub changes: Vec<Change>,
    /// Bytes of the log that said so: about what the changes keep in memory.
    pub bytes: usize,
}

impl Delta {
    pub(super) fn weight(&self) -> usize {
        self.bytes + self.changes.len() * CHANGE_BYTES
    }
}

/// What a checkpoint holds.
#[derive(Debug)]
pub struct Loaded {
    /// The state.
    pub state: State,
    /// What happened lately, in order, for watchers that resume.
    pub events: Vec<Event>,
    /// Index after which `events` is complete.
    pub floor: u64,
    /// Up to where it holds the log; `None` in a new file.
    pub position: Option<Position>,
}

/// The checkpoint of one server. Clones share it.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    shared: Arc<Shared>,
}

/// What the writer and its callers share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) inbox: Mutex<Inbox>,
    /// Wakes the writer: the thread, or the task of a simulation.
    pub(super) work: Condvar,
    pub(super) work_in_task: Notify,
    /// Wakes those who wait for room in the inbox.
    pub(super) room: Notify,
    /// Index up to which the checkpoint is durable.
    pub(super) durable: watch::Sender<Option<u64>>,
    /// The writer holds the file; when it stops, the file is let go.
    pub(super) database: Mutex<Weak<Database>>,
    /// All zero until this server is in a cluster.
    pub(super) cluster: Mutex<[u8; 16]>,
    pub(super) file: String,
    /// There is no disk that could block the caller.
    in_memory: bool,
}

/// What waits for the writer.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    pub(super) latest: Option<(Arc<State>, Position)>,
    pub(super) changes: Vec<Change>,
    /// About how many bytes the changes keep.
    pub(super) weight: usize,
    pub(super) flushes: Vec<oneshot::Sender<io::Result<()>>>,
    pub(super) install: Option<Install>,
    pub(super) closing: bool,
    pub(super) stopped: Option<String>,
}

/// A snapshot to put in the place of the checkpoint.
#[derive(Debug)]
pub(super) struct Install {
    pub(super) image: Image,
    pub(super) done: oneshot::Sender<Result<Loaded, StoreError>>,
}

impl Shared {
    pub(super) fn inbox(&self) -> MutexGuard<'_, Inbox> {
        // Every change of the inbox is a single assignment: it is consistent even after a panic.
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is something in the inbox.
    fn wake(&self) {
        self.work.notify_one();
        self.work_in_task.notify_one();
    }

    pub(super) fn cluster(&self) -> [u8; 16] {
        *self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Checkpoint {
    /// Whether there is a checkpoint.
    pub fn exists(medium: &Medium) -> bool {
        medium.exists(tables::STATE_FILE)
    }

    /// Opens the checkpoint of this cluster, or creates an empty one, loads the state, and starts the writer.
    ///
    /// # Errors
    /// The file cannot be read, is in use, is damaged, has a newer format, or belongs to another cluster.
    pub fn open(medium: &Medium, cluster: [u8; 16], fatal: Fatal) -> Result<(Checkpoint, Loaded), StoreError> {
        medium.remove(tables::INSTALL_FILE)?;
        let file = medium.describe(tables::STATE_FILE);
        let database = tables::open(medium, tables::STATE_FILE, CACHE)?;
        match tables::read_meta(&database, &file, tables::META_CLUSTER)? {
            None => tables::write_meta(&database, &file, tables::META_CLUSTER, &cluster)?,
            Some(found) if found == cluster => {}
            // It stopped between joining a cluster and noting that here.
            Some(found) if found == NO_CLUSTER => {
                tables::write_meta(&database, &file, tables::META_CLUSTER, &cluster)?;
            }
            Some(_) => return Err(StoreError::corrupt(&file, "it belongs to another cluster than the raft log")),
        }
        let (loaded, history) = import::load(&database, &file)?;
        let database = Arc::new(database);
        let shared = Arc::new(Shared {
            inbox: Mutex::default(),
            work: Condvar::new(),
            work_in_task: Notify::new(),
            room: Notify::new(),
            durable: watch::Sender::new(loaded.position.as_ref().map(|p| p.index)),
            database: Mutex::new(Arc::downgrade(&database)),
            cluster: Mutex::new(cluster),
            file,
            in_memory: !matches!(medium, Medium::Directory(_)),
        });
        let mirror = Mirror::new(shared.clone(), database, medium.clone(), history, fatal.clone());
        match medium.tasks() {
            Some(disk) => drop(tokio::spawn(mirror.run_in_task(disk.clone()))),
            None => drop(spawn_thread("checkpoint writer", fatal, move || mirror.run())?),
        }
        Ok((Checkpoint { shared }, loaded))
    }

    /// From now on this is the checkpoint of a server of `cluster`; it was of none before.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn adopt(&self, cluster: [u8; 16]) -> io::Result<()> {
        let shared = self.shared.clone();
        let adopt = move || {
            let database =
                shared.database.lock().unwrap_or_else(PoisonError::into_inner).upgrade().ok_or_else(closed)?;
            tables::write_meta(&database, &shared.file, tables::META_CLUSTER, &cluster)?;
            *shared.cluster.lock().unwrap_or_else(PoisonError::into_inner) = cluster;
            Ok(())
        };
        match self.shared.in_memory {
            true => adopt(),
            false => tokio::task::spawn_blocking(adopt).await.map_err(io::Error::other)?,
        }
    }

    /// Hands over an applied batch. Waits only when the disk is behind: a little at first, and at the limit until there
    /// is room.
    pub async fn push(&self, delta: Delta) {
        let pending = loop {
            let room = self.shared.room.notified();
            {
                let mut inbox = self.shared.inbox();
                if inbox.weight < PENDING_LIMIT || inbox.stopped.is_some() {
                    let (idle, before) = (inbox.latest.is_none(), inbox.weight);
                    inbox.weight += delta.weight();
                    inbox.latest = Some((delta.state, delta.position));
                    inbox.changes.extend(delta.changes);
                    if idle || (before < PENDING_TARGET && inbox.weight >= PENDING_TARGET) {
                        self.shared.wake();
                    }
                    break inbox.weight;
                }
            }
            room.await;
        };
        if let Some(behind @ 1..) = pending.checked_sub(BRAKE_FROM) {
            tokio::time::sleep(BRAKE_MAX.mul_f64(behind.min(BRAKE_FROM) as f64 / BRAKE_FROM as f64)).await;
        }
    }

    /// Makes everything handed over so far durable.
    ///
    /// # Errors
    /// The disk failed; the node is about to stop.
    pub async fn flush(&self) -> io::Result<()> {
        let (done, flushed) = oneshot::channel();
        self.request(|inbox| inbox.flushes.push(done))?;
        flushed.await.map_err(|_| closed())?
    }

    /// Puts a snapshot in the place of the checkpoint and returns what it held. What was pushed before is dropped.
    ///
    /// # Errors
    /// The snapshot is damaged, newer, or of another cluster: nothing has changed then. Or the disk failed.
    pub async fn install(&self, image: Image) -> Result<Loaded, StoreError> {
        let (done, installed) = oneshot::channel();
        let gone = |_| StoreError::Snapshot(super::SnapshotError::Io(closed()));
        self.request(|inbox| inbox.install = Some(Install { image, done })).map_err(gone)?;
        installed.await.map_err(|_| gone(closed()))?
    }

    /// The index up to which the checkpoint is durable, as it moves. The log may be purged up to there.
    pub fn durable(&self) -> watch::Receiver<Option<u64>> {
        self.shared.durable.subscribe()
    }

    /// The checkpoint as it stands, unmoved by later writes; `None` if nothing was ever written. Pages that it sees are
    /// not reused until it is dropped.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn view(&self) -> io::Result<Option<View>> {
        let database = self.shared.database.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        let database = database.ok_or_else(closed)?;
        let fail = |e: redb::Error| StoreError::io(&self.shared.file, "read the checkpoint", e);
        let transaction = database.begin_read().map_err(|e| fail(e.into()))?;
        let (position, floor) = match transaction.open_table(tables::META) {
            Ok(table) => {
                let row = |key| table.get(key).map_err(|e| fail(e.into()));
                (row(META_POSITION)?.map(|p| Position::decode(p.value())), tables::floor(row(META_FLOOR)?))
            }
            Err(TableError::TableDoesNotExist(_)) => (None, 0),
            Err(e) => return Err(fail(e.into()).into()),
        };
        match position {
            None => Ok(None),
            Some(None) => Err(StoreError::corrupt(&self.shared.file, "bad position row").into()),
            Some(Some(position)) => Ok(Some(View { transaction, position, floor, cluster: self.shared.cluster() })),
        }
    }

    /// Makes everything durable, stops the writer and lets go of the file.
    ///
    /// # Errors
    /// The disk failed.
    pub async fn close(&self) -> io::Result<()> {
        let (done, closed) = oneshot::channel();
        let asked = self.request(|inbox| {
            inbox.flushes.push(done);
            inbox.closing = true;
        });
        if asked.is_err() {
            return Ok(());
        }
        // A writer that is gone has nothing left to write.
        closed.await.unwrap_or(Ok(()))
    }

    fn request(&self, ask: impl FnOnce(&mut Inbox)) -> io::Result<()> {
        let mut inbox = self.shared.inbox();
        if let Some(reason) = &inbox.stopped {
            return Err(io::Error::other(reason.clone()));
        }
        ask(&mut inbox);
        self.shared.wake();
        Ok(())
    }
}

fn closed() -> io::Error {
    io::Error::other("the checkpoint is closed")
}

/// Rows in the order of their keys, while the transaction lives.
pub(super) type Rows = redb::Range<'static, &'static [u8], &'static [u8]>;

/// A checkpoint as of one moment.
pub struct View {
    transaction: ReadTransaction,
    position: Position,
    floor: u64,
    cluster: [u8; 16],
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("position", &self.position).finish_non_exhaustive()
    }
}

impl View {
    /// Up to where it holds the log.
    pub fn position(&self) -> &Position {
        &self.position
    }

    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    pub(super) fn cluster(&self) -> &[u8; 16] {
        &self.cluster
    }

    /// All rows in the order of their keys; `None` if there is no table yet.
    pub(super) fn rows(&self) -> Result<Option<Rows>, redb::Error> {
        match self.transaction.open_table(tables::ROWS) {
            Ok(table) => Ok(Some(table.range::<&[u8]>(..)?)),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }
}
