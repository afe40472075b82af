//! The deterministic heart: [`State`] and [`apply`].
//!
//! `apply` is a pure, synchronous function of state, position in the log and record. It reads no clock, no random
//! source and no disk, and it performs nothing: it returns the [`Outcome`](crate::command::Outcome) and the list of
//! [`Change`]s, and the outside does the rest. The same log gives the same state on every server. One file per
//! command family holds the verbs; [`writer`] has the few ways in which the state may change, so that every index and
//! every change list is kept in one place.

mod autopilot;
mod batch;
mod bound;
pub mod catalog;
mod catalog_register;
mod change;
mod coordinate;
mod expire;
pub mod history;
mod index;
mod kv;
mod lock;
mod query;
mod register;
mod report;
mod request;
mod restore;
pub mod rows;
mod session;
mod state;
pub mod table;
mod txn;
mod writer;

#[cfg(test)]
mod tests;

pub use catalog::{Node, Service};
pub use change::{Change, What};
pub use history::{Event, Subject};
pub use query::{QueryMiss, no_query};
pub use request::Request;
pub use state::{Meta, State};
pub use table::Table;

use crate::command::{Command, Record, Reply};
use writer::Writer;

/// What applying one record did.
#[derive(Clone, Debug)]
pub struct Applied {
    /// For the caller, and for every retry with the same request id.
    pub reply: Reply,
    /// In order; empty if nothing changed.
    pub changes: Vec<Change>,
}

/// Applies one record of the log at its position. Time never goes back: an older record time counts as the last one.
pub fn apply(state: &mut State, revision: u64, term: u64, record: &Record) -> Applied {
    state.advance(revision, record.time_ms);
    let digest = record.request_id.map(|id| (id, request::digest(&record.command)));
    if let Some((id, digest)) = digest
        && let Some(known) = state.requests.get(&id)
    {
        return Applied { reply: known.answer(digest), changes: Vec::new() };
    }
    let mut writer = Writer::new(state);
    let reply = writer.run(&record.command, term);
    writer.end_broken_sessions();
    if let Some((id, digest)) = digest {
        writer.remember(id, digest, reply.clone());
    }
    Applied { reply, changes: writer.into_changes() }
}

impl Writer<'_> {
    /// One arm per command. A handler that returns an error has changed nothing.
    fn run(&mut self, command: &Command, term: u64) -> Reply {
        match command {
            Command::Register(c) => self.register(c),
            Command::Update(c) => self.update(c),
            Command::Deregister(c) => self.deregister(c),
            Command::Report(c) => self.report(c),
            Command::SetOverride(c) => self.set_override(c),
            Command::CatalogRegister(c) => self.catalog_register(c),
            Command::CatalogDeregister(c) => self.catalog_deregister(c),
            Command::Put(c) => self.put(c),
            Command::Delete(c) => self.delete(c),
            Command::Txn(c) => self.txn(c),
            Command::CreateSession(c) => self.create_session(c),
            Command::CloseSession(c) => self.close_session(c),
            Command::AcquireLock(c) => self.acquire_lock(c),
            Command::ReleaseLock(c) => self.release_lock(c),
            Command::Proclaim(c) => self.proclaim(c),
            Command::Expire(c) => self.expire(c, term),
            Command::Batch(c) => self.batch(c),
            Command::SetQuery(c) => self.set_query(c),
            Command::DeleteQuery(c) => self.delete_query(c),
            Command::SetAutopilot(c) => self.set_autopilot(c),
            Command::Restore(c) => self.restore(c),
            Command::UpdateCoordinates(c) => self.update_coordinates(c),
        }
    }
}
