//! Where the files of a store live: a directory, memory, or a simulated disk. Owns creating, replacing and removing
//! them durably; knows nothing of what is in them.

use super::fault::Disk;
use super::{Fatal, StoreError};
use redb::backends::{FileBackend, InMemoryBackend};
use redb::{Builder, Database, StorageBackend};
use std::io;
use std::path::{Path, PathBuf};

/// Where a store keeps its files.
#[derive(Clone, Debug)]
pub enum Medium {
    /// A directory, created when absent.
    Directory(PathBuf),
    /// Nowhere: everything is lost with the process (`agent -dev`).
    Memory,
    /// A simulated disk, for tests that crash it.
    Simulated(Disk),
}

impl Medium {
    /// The simulated disk whose writers are tasks, if it is one.
    pub(super) fn tasks(&self) -> Option<&Disk> {
        match self {
            Medium::Simulated(disk) => Some(disk).filter(|disk| disk.has_tasks()),
            Medium::Directory(_) | Medium::Memory => None,
        }
    }

    /// The name of a file as messages show it.
    pub(super) fn describe(&self, name: &str) -> String {
        match self {
            Medium::Directory(dir) => dir.join(name).display().to_string(),
            Medium::Memory => format!("{name} in memory"),
            Medium::Simulated(_) => format!("{name} on a simulated disk"),
        }
    }

    /// Whether the file is there.
    pub(super) fn exists(&self, name: &str) -> bool {
        match self {
            Medium::Directory(dir) => dir.join(name).exists(),
            Medium::Memory => false,
            Medium::Simulated(disk) => disk.exists(name),
        }
    }

    /// Opens a database file, creating it (and its directory) when absent.
    ///
    /// `cache` is redb's cache in bytes: the default of redb would be 1 GiB for each file.
    pub(super) fn open(&self, name: &str, cache: usize) -> Result<Database, StoreError> {
        let file = self.describe(name);
        let fail = |e: redb::Error| StoreError::io(&file, "open the database", e);
        let mut builder = Builder::new();
        builder.set_cache_size(cache);
        match self {
            Medium::Directory(dir) => {
                std::fs::create_dir_all(dir).map_err(|e| fail(e.into()))?;
                let database = builder.create(dir.join(name)).map_err(|e| fail(e.into()))?;
                sync_directory(dir).map_err(|e| fail(e.into()))?;
                Ok(database)
            }
            Medium::Memory => builder.create_with_backend(InMemoryBackend::new()).map_err(|e| fail(e.into())),
            Medium::Simulated(disk) => {
                let backend = disk.open_alone(name).map_err(|e| fail(e.into()))?;
                builder.create_with_backend(backend).map_err(|e| fail(e.into()))
            }
        }
    }

    /// Opens a plain file, creating it (and its directory) durably when absent.
    pub(super) fn open_file(&self, name: &str) -> Result<Box<dyn StorageBackend>, StoreError> {
        let open = || -> Result<Box<dyn StorageBackend>, redb::Error> {
            match self {
                Medium::Directory(dir) => {
                    let path = dir.join(name);
                    let created = !path.exists();
                    let mut options = std::fs::OpenOptions::new();
                    let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
                    if created {
                        sync_directory(dir)?;
                    }
                    Ok(Box::new(FileBackend::new(file)?))
                }
                Medium::Memory => Ok(Box::new(InMemoryBackend::new())),
                Medium::Simulated(disk) => Ok(Box::new(disk.open(name)?)),
            }
        };
        open().map_err(|e| StoreError::io(&self.describe(name), "open the file", e))
    }

    /// Puts the file `from` durably in the place of `to`. Open handles follow the file, not the name.
    pub(super) fn replace(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let done = match self {
            Medium::Directory(dir) => std::fs::rename(dir.join(from), dir.join(to)).and_then(|()| sync_directory(dir)),
            Medium::Memory => Ok(()),
            Medium::Simulated(disk) => disk.rename(from, to),
        };
        done.map_err(|e| StoreError::io(&self.describe(to), "replace the file", e))
    }

    /// Removes a file if it is there.
    pub(super) fn remove(&self, name: &str) -> Result<(), StoreError> {
        let done = match self {
            Medium::Directory(dir) => match std::fs::remove_file(dir.join(name)) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
                other => other,
            },
            Medium::Memory => Ok(()),
            Medium::Simulated(disk) => disk.remove(name),
        };
        done.map_err(|e| StoreError::io(&self.describe(name), "remove the file", e))
    }
}

/// Makes the names in a directory durable: a new or renamed file is lost with a power cut otherwise.
fn sync_directory(dir: &Path) -> io::Result<()> {
    std::fs::File::open(dir)?.sync_all()
}

/// Starts one of the store's threads; a thread that panics would leave callers waiting, so that is reported as fatal.
pub(super) fn spawn_thread(
    name: &'static str,
    fatal: Fatal,
    body: impl FnOnce() + Send + 'static,
) -> Result<std::thread::JoinHandle<()>, StoreError> {
    let guarded = move || {
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).is_err() {
            fatal.report(format!("the {name} thread panicked; start the node again and report this defect"));
        }
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(guarded).map_err(|e| StoreError::Io {
        file: name.to_owned(),
        what: "start the thread",
        reason: e.to_string(),
        mend: "raise the limit of threads of this process",
    })
}
