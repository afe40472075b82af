//! A simulated disk for tests: seeded, it keeps unsynced writes apart, loses and tears them in a crash, fails a sync,
//! and runs full. Open to integration tests and simulations; a server never uses it.
//!
//! Missing: reads that fail or return flipped bits.

use redb::{DatabaseError, StorageBackend};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Writes are torn at the boundaries of a disk's sectors, in bytes.
const SECTOR: usize = 512;

/// What happens at a chosen operation, and to every write and sync after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The power goes: nothing works until [`Disk::restart`].
    Crash,
    /// A sync fails, and what it should have saved may be lost.
    SyncFails,
    /// There is no space left to write or grow.
    NoSpace,
}

/// A disk with files, shared by its clones. The same seed and the same operations give the same losses.
#[derive(Clone, Debug)]
pub struct Disk {
    inner: Arc<Mutex<Inner>>,
    /// Its writers are tasks of the runtime that opens the store, not threads.
    tasks: bool,
}

#[derive(Clone, Debug)]
struct Inner {
    random: u64,
    /// Counts restarts: handles opened before one are dead.
    boot: u64,
    names: BTreeMap<String, usize>,
    /// By file: whoever holds it, since the last boot.
    locks: BTreeMap<usize, Weak<()>>,
    files: Vec<Content>,
    operations: u64,
    syncs: u64,
    planned: Option<(u64, Fault)>,
    failing: Option<Fault>,
    /// A batch of writes takes up to this long, in milliseconds.
    slowness_ms: u64,
}

#[derive(Clone, Debug, Default)]
struct Content {
    /// What survives a crash for certain.
    synced: Vec<u8>,
    /// What a reader sees.
    current: Vec<u8>,
    /// What happened since the last sync, in order.
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Length(usize),
    Write(usize, Vec<u8>),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Length(len) if *len > bytes.len() => grow(bytes, *len),
            Change::Length(len) => bytes.truncate(*len),
            Change::Write(offset, data) => {
                let end = offset + data.len();
                if bytes.len() < end {
                    grow(bytes, end);
                }
                bytes[*offset..end].copy_from_slice(data);
            }
        }
    }
}

/// `resize` goes byte by byte in a debug build: milliseconds for each new database.
fn grow(bytes: &mut Vec<u8>, len: usize) {
    bytes.extend_from_slice(&vec![0; len - bytes.len()]);
}

impl Disk {
    /// An empty disk.
    pub fn new(seed: u64) -> Disk {
        let inner = Inner {
            random: seed,
            boot: 0,
            names: BTreeMap::new(),
            locks: BTreeMap::new(),
            files: Vec::new(),
            operations: 0,
            syncs: 0,
            planned: None,
            failing: None,
            slowness_ms: 0,
        };
        Disk { inner: Arc::new(Mutex::new(inner)), tasks: false }
    }

    /// An empty disk whose writers are tasks of the runtime that opens the store: a simulation with virtual time, in
    /// which whatever happens is determined.
    pub fn in_tasks(seed: u64) -> Disk {
        Disk { tasks: true, ..Disk::new(seed) }
    }

    /// Another disk that holds what this one holds now, and loses things by a seed of its own.
    pub fn copy(&self, seed: u64) -> Disk {
        let inner = Inner { random: seed, locks: BTreeMap::new(), ..self.lock().clone() };
        Disk { inner: Arc::new(Mutex::new(inner)), tasks: self.tasks }
    }

    pub(super) fn has_tasks(&self) -> bool {
        self.tasks
    }

    /// From now on each batch of writes waits for up to this many milliseconds, if the writers are tasks.
    pub fn slow_down(&self, ms: u64) {
        self.lock().slowness_ms = ms;
    }

    /// Waits as long as the disk makes a batch of writes wait.
    pub(super) async fn seek(&self) {
        let wait_ms = {
            let mut inner = self.lock();
            match inner.slowness_ms {
                0 => 0,
                most => next_random(&mut inner.random) % (most + 1),
            }
        };
        tokio::time::sleep(std::time::Duration::from_millis(wait_ms)).await;
    }

    /// Nothing works from now on, until [`Disk::restart`] or [`Disk::reopen`].
    pub fn cut_power(&self) {
        self.lock().failing = Some(Fault::Crash);
    }

    /// The process that used the disk is gone, but the power stayed on: nothing is lost yet, and what was not synced
    /// still may be. Every fault ends, and handles opened before stay dead.
    pub fn reopen(&self) {
        self.lock().boot();
    }

    /// Makes the fault happen at the `operations`-th write or sync from now (0: at the next one).
    pub fn plan(&self, operations: u64, fault: Fault) {
        let mut inner = self.lock();
        inner.planned = Some((inner.operations + operations, fault));
    }

    /// Writes and syncs so far, on all files.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Syncs so far, on all files.
    pub fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    /// The power goes off and on again: every unsynced write is kept, lost or torn at random, every fault ends, and
    /// handles opened before stay dead.
    pub fn restart(&self) {
        let mut inner = self.lock();
        let Inner { random, files, .. } = &mut *inner;
        for content in files {
            let mut bytes = std::mem::take(&mut content.synced);
            for change in content.unsynced.drain(..) {
                match (next_random(random) % 4, change) {
                    (0 | 1, change) => change.apply(&mut bytes),
                    (2, Change::Write(offset, mut data)) => {
                        let sectors = data.len() / SECTOR;
                        data.truncate(next_random(random) as usize % (sectors + 1) * SECTOR);
                        Change::Write(offset, data).apply(&mut bytes);
                    }
                    _ => {}
                }
            }
            content.current.clone_from(&bytes);
            content.synced = bytes;
        }
        inner.boot();
    }

    pub(super) fn exists(&self, name: &str) -> bool {
        self.lock().names.contains_key(name)
    }

    /// Opens or creates a file. Names are durable at once: directories are not what this disk tests.
    pub(super) fn open(&self, name: &str) -> io::Result<DiskFile> {
        let mut inner = self.lock();
        inner.check_power()?;
        let file = match inner.names.get(name) {
            Some(file) => *file,
            None => {
                inner.files.push(Content::default());
                let file = inner.files.len() - 1;
                inner.names.insert(name.to_owned(), file);
                file
            }
        };
        Ok(DiskFile { disk: self.clone(), file, boot: inner.boot, _lock: None })
    }

    /// [`Disk::open`] for one holder at a time, as databases open their files.
    pub(super) fn open_alone(&self, name: &str) -> Result<DiskFile, DatabaseError> {
        let opened = self.open(name)?;
        let mut inner = self.lock();
        if inner.locks.get(&opened.file).is_some_and(|lock| lock.strong_count() > 0) {
            return Err(DatabaseError::DatabaseAlreadyOpen);
        }
        let lock = Arc::new(());
        inner.locks.insert(opened.file, Arc::downgrade(&lock));
        Ok(DiskFile { _lock: Some(lock), ..opened })
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.lock();
        inner.check_power()?;
        let file = inner.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        inner.names.insert(to.to_owned(), file);
        Ok(())
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        let mut inner = self.lock();
        inner.check_power()?;
        inner.names.remove(name);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The content is consistent even when a test thread panicked with the lock held.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Every fault ends, and whoever held a file is gone.
    fn boot(&mut self) {
        self.boot += 1;
        self.locks.clear();
        self.planned = None;
        self.failing = None;
    }

    fn check_power(&self) -> io::Result<()> {
        match self.failing {
            Some(Fault::Crash) => Err(io::Error::other("the power is off")),
            _ => Ok(()),
        }
    }

    /// Counts a write or sync, and starts the planned fault when it is due.
    fn count_operation(&mut self) -> io::Result<()> {
        if let Some((at, fault)) = self.planned
            && self.operations >= at
            && fault != Fault::SyncFails
        {
            self.failing = Some(fault);
        }
        self.operations += 1;
        self.check_power()?;
        match self.failing {
            Some(Fault::NoSpace) => Err(io::Error::new(io::ErrorKind::StorageFull, "no space left on device")),
            _ => Ok(()),
        }
    }
}

/// splitmix64: enough to choose what is lost.
fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// An open file of a [`Disk`].
#[derive(Debug)]
pub(super) struct DiskFile {
    disk: Disk,
    file: usize,
    boot: u64,
    /// Nobody else opens it meanwhile.
    _lock: Option<Arc<()>>,
}

impl DiskFile {
    fn with<T>(&self, act: impl FnOnce(&mut Inner, usize) -> io::Result<T>) -> io::Result<T> {
        let mut inner = self.disk.lock();
        inner.check_power()?;
        if inner.boot != self.boot {
            return Err(io::Error::other("this handle was opened before the crash"));
        }
        act(&mut inner, self.file)
    }

    fn change(&self, change: Change) -> io::Result<()> {
        self.with(|inner, file| {
            inner.count_operation()?;
            let content = &mut inner.files[file];
            change.apply(&mut content.current);
            content.unsynced.push(change);
            Ok(())
        })
    }
}

impl StorageBackend for DiskFile {
    fn len(&self) -> io::Result<u64> {
        self.with(|inner, file| Ok(inner.files[file].current.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.with(|inner, file| {
            let start = usize::try_from(offset).map_err(io::Error::other)?;
            let bytes = inner.files[file].current.get(start..start + out.len());
            out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Change::Length(usize::try_from(len).map_err(io::Error::other)?))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|inner, file| {
            if let Some((at, Fault::SyncFails)) = inner.planned
                && inner.operations >= at
            {
                inner.failing = Some(Fault::SyncFails);
            }
            inner.count_operation()?;
            inner.syncs += 1;
            if inner.failing == Some(Fault::SyncFails) {
                return Err(io::Error::other("input/output error"));
            }
            let content = &mut inner.files[file];
            let Content { synced, unsynced, .. } = content;
            unsynced.drain(..).for_each(|change| change.apply(synced));
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(Change::Write(usize::try_from(offset).map_err(io::Error::other)?, data.to_vec()))
    }
}
