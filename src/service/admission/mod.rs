//! Who is let in when there is more to do than can be done.
//!
//! Work comes in classes, and each waits only for its own kind: a crowd of watchers cannot hold up a write, nor a crowd
//! of writers a heartbeat. In order of who goes first:
//!
//! | class | what | bound |
//! | --- | --- | --- |
//! | raft | messages between servers, ends of sessions, health that gossip found | none here: their number is that of servers |
//! | leases | a session's beginning and end, giving a lock back; a heartbeat is a number in a table and waits for nobody | [`LEASES`] |
//! | writes | every other command | [`WRITES_BYTES`] of them |
//! | watch starts | making the first snapshot of a stream | all threads but one |
//! | lists | reading a whole table or prefix | half of that |
//!
//! Watch starts and lists are work for the processor, so they leave a thread to those above them; and a list first waits
//! among lists, then among watch starts, so that few lists ever stand before a watcher. Whoever finds its class full
//! waits for a moment, and if there is no room to wait either, is told when to come back ([`Busy`]): each one at another
//! time, one after the other as fast as their predecessors were served, so that a herd comes back as a queue.
//!
//! [`Connections`] bounds what one client may hold open, [`Rate`] how fast an agent may ask. Look-ups that are answered
//! from memory pass nothing of this. Must never: know what a request asks for, or wait without an end.

mod connections;
mod gate;
mod rate;

pub use connections::{Budget, CONNECTIONS_RESERVED, Connection, Connections, Held, Share};
pub use gate::{Busy, Fault, Gate, Permit, RETRY_MAX, RETRY_MIN, Spread};
pub use rate::Rate;

use crate::clock::Clock;
use crate::command::Command;
use std::time::Duration;

/// Commands of sessions and locks on their way.
pub const LEASES: u32 = 4_096;
/// Bytes of the commands that are on their way at a time; a small one counts as [`WRITE_UNIT`].
pub const WRITES_BYTES: usize = 64 << 20;
/// What the smallest command counts as, bytes; so this bounds how many there are, too.
pub const WRITE_UNIT: usize = 16 << 10;
/// How long a request waits for its turn: as long as a write waits for a leader.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a request for a snapshot of the whole state waits: making one takes seconds.
const SNAPSHOT_PATIENCE: Duration = Duration::from_secs(60);
/// How many of these may wait.
const SNAPSHOTS_WAITING: u32 = 16;

/// How many may wait in each class. 0: nobody waits, whoever is one too many is sent away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Writes, in units of [`WRITE_UNIT`] bytes.
    pub writes: u32,
    /// Streams that begin.
    pub watch_starts: u32,
    /// Lists.
    pub lists: u32,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { writes: 4_096, watch_starts: 4_096, lists: 256 }
    }
}

/// The order in which commands are let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// The cluster's own: never held up.
    Own,
    /// Of sessions and locks.
    Leases,
    /// Everything else.
    Writes,
}

impl Lane {
    /// The lane of a command that a client asked for.
    pub fn of(command: &Command) -> Lane {
        match command {
            Command::Expire(_) => Lane::Own,
            Command::CreateSession(_) | Command::CloseSession(_) | Command::ReleaseLock(_) => Lane::Leases,
            Command::Register(_)
            | Command::Update(_)
            | Command::Deregister(_)
            | Command::Report(_)
            | Command::SetOverride(_)
            | Command::CatalogRegister(_)
            | Command::CatalogDeregister(_)
            | Command::Put(_)
            | Command::Delete(_)
            | Command::Txn(_)
            | Command::AcquireLock(_)
            | Command::Proclaim(_)
            | Command::Batch(_)
            | Command::SetQuery(_)
            | Command::DeleteQuery(_)
            | Command::SetAutopilot(_)
            | Command::Restore(_)
            | Command::UpdateCoordinates(_) => Lane::Writes,
        }
    }
}

/// The gates of a server.
#[derive(Debug)]
pub struct Admission {
    leases: Gate,
    writes: Gate,
    watch_starts: Gate,
    lists: Gate,
    snapshots: Gate,
}

impl Admission {
    /// For a process that works on so many threads.
    pub fn new(clock: &Clock, threads: usize, bounds: Bounds) -> Admission {
        let starts = u32::try_from(threads).unwrap_or(u32::MAX).saturating_sub(1).clamp(1, 1_024);
        let gate = |class, permits, waiting, patience| Gate::new(class, permits, waiting, patience, clock.clone());
        Admission {
            leases: gate("leases", LEASES, LEASES, PATIENCE),
            writes: gate("writes", (WRITES_BYTES / WRITE_UNIT) as u32, bounds.writes, PATIENCE),
            watch_starts: gate("watch starts", starts, bounds.watch_starts, PATIENCE),
            lists: gate("lists", starts.div_ceil(2), bounds.lists, PATIENCE),
            snapshots: gate("snapshots", 1, SNAPSHOTS_WAITING, SNAPSHOT_PATIENCE),
        }
    }

    /// Replaces how many may wait; those who do wait on.
    pub fn set(&self, bounds: Bounds) {
        self.writes.set_waiting(bounds.writes);
        self.watch_starts.set_waiting(bounds.watch_starts);
        self.lists.set_waiting(bounds.lists);
    }

    /// A place for a command, until it is done. `None`: its lane has no bound.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn command(&self, lane: Lane, command: &Command) -> Result<Option<Permit<'_>>, Busy> {
        match lane {
            Lane::Own => Ok(None),
            Lane::Leases => self.leases.enter(1).await.map(Some),
            Lane::Writes => {
                let units = command.bytes().div_ceil(WRITE_UNIT).max(1);
                self.writes.enter(u32::try_from(units).unwrap_or(u32::MAX)).await.map(Some)
            }
        }
    }

    /// A turn to make the first snapshot of a stream.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn watch_start(&self) -> Result<Permit<'_>, Busy> {
        self.watch_starts.enter(1).await
    }

    /// A turn to read a whole table or prefix.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn list(&self) -> Result<[Permit<'_>; 2], Busy> {
        let turn = self.lists.enter(1).await?;
        Ok([turn, self.watch_starts.enter(1).await.map_err(|busy| self.lists.instead_of(busy))?])
    }

    /// The turn to make or restore a snapshot of everything.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn snapshot(&self) -> Result<Permit<'_>, Busy> {
        self.snapshots.enter(1).await
    }
}

#[cfg(test)]
mod tests;
