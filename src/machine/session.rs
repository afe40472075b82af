//! Sessions: what goes when one ends.

use super::writer::Writer;
use crate::command::{CloseSession, CreateSession, Outcome, Rejection, Reply};
use crate::model::{Behavior, KvEntry, Session, SessionId};

const NS_PER_MS: u64 = 1_000_000;

impl Writer<'_> {
    pub(super) fn create_session(&mut self, command: &CreateSession) -> Reply {
        if self.state.session(&command.id).is_some() {
            // Ids are 122 random bits: the same id again is a proposer's fault, and must not take over a session.
            return Err(Rejection::QuotaExceeded(format!("session id {} exists", command.id)));
        }
        if let Some(binding) = &command.binding {
            self.may_bind(binding)?;
        }
        let session = Session {
            id: command.id,
            secret: command.secret,
            ttl_ms: command.ttl_ms,
            grace_ms: command.grace_ms,
            labels: command.labels.clone().into(),
            behavior: command.behavior,
            create_ms: self.time_ms(),
            create_revision: self.revision(),
            binding: command.binding.clone(),
        };
        Ok(Outcome::SessionCreated(self.store_session(session)))
    }

    pub(super) fn close_session(&mut self, command: &CloseSession) -> Reply {
        self.require_session(&command.id)?;
        Ok(Outcome::SessionClosed(self.end_session(&command.id)))
    }

    /// Ends a session: its instances go, its keys go or are unlocked, its locks pass on. Returns how many of these.
    pub(super) fn end_session(&mut self, id: &SessionId) -> u32 {
        let Some((session, held)) = self.take_session(id) else { return 0 };
        for key in &held.instances {
            self.remove_instance(key);
        }
        let delay_ns = session.binding.as_ref().map_or(0, |binding| binding.lock_delay_ns);
        for key in &held.keys {
            if delay_ns > 0 {
                self.delay_lock(key.clone(), self.time_ms().saturating_add(delay_ns.div_ceil(NS_PER_MS)));
            }
            let Some(entry) = self.state.kv(key).cloned() else { continue };
            if entry.ephemeral || session.behavior == Behavior::Delete {
                self.remove_kv(key);
            } else {
                let modify_revision = self.revision();
                self.store_kv(KvEntry {
                    session: None,
                    modify_revision,
                    version: entry.version + 1,
                    ..(*entry).clone()
                });
            }
        }
        for (kind, name) in &held.locks {
            self.leave_lock(*kind, name, id);
        }
        (held.instances.len() + held.keys.len() + held.locks.len()) as u32
    }
}
