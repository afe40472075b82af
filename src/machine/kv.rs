//! Keys and values.

use super::register::expect;
use super::writer::Writer;
use crate::command::{Delete, LockOp, Outcome, Put, Rejection, Reply, Target};
use crate::model::{KvEntry, SessionId};
use bytes::Bytes;

impl Writer<'_> {
    pub(super) fn put(&mut self, command: &Put) -> Reply {
        let before = self.state.kv(&command.key).cloned();
        expect(command.expected_revision, before.as_ref().map_or(0, |e| e.modify_revision))?;
        let (revision, time_ms) = (self.revision(), self.time_ms());
        let mut entry = KvEntry {
            key: command.key.clone(),
            value: command.value.clone(),
            flags: command.flags,
            create_revision: before.as_ref().map_or(revision, |e| e.create_revision),
            modify_revision: revision,
            version: before.as_ref().map_or(0, |e| e.version) + 1,
            session: before.as_ref().and_then(|e| e.session),
            ephemeral: before.as_ref().is_some_and(|e| e.ephemeral),
            lock_index: before.as_ref().map_or(0, |e| e.lock_index),
            expire_ms: command.ttl_ms.map(|ttl| time_ms.saturating_add(ttl)),
        };
        if !self.lock_entry(&mut entry, command.lock)? {
            return Ok(Outcome::Put { done: false, kv: before.clone(), previous: before });
        }
        if let Some(before) = &before
            && same_content(before, &entry)
        {
            return Ok(Outcome::Put { done: true, kv: Some(before.clone()), previous: Some(before.clone()) });
        }
        let stored = self.store_kv(entry);
        Ok(Outcome::Put { done: true, kv: Some(stored), previous: before })
    }

    /// Applies the lock operation to the entry to be; false: Consul's acquire or release is refused.
    fn lock_entry(&self, entry: &mut KvEntry, op: LockOp) -> Result<bool, Rejection> {
        let held_by_other = |session: SessionId| entry.session.filter(|owner| *owner != session);
        match op {
            LockOp::Keep => Ok(true),
            LockOp::Attach(session) => {
                self.require_session(&session)?;
                if let Some(owner) = held_by_other(session) {
                    return Err(Rejection::KeyLocked(owner));
                }
                (entry.session, entry.ephemeral) = (Some(session), true);
                Ok(true)
            }
            LockOp::Acquire(_) if self.state.is_lock_delayed(&entry.key) => Ok(false),
            LockOp::Acquire(session) => {
                self.require_session(&session)?;
                if held_by_other(session).is_some() {
                    return Ok(false);
                }
                entry.lock_index += u64::from(entry.session.is_none());
                entry.session = Some(session);
                Ok(true)
            }
            LockOp::Release(session) => {
                if entry.session != Some(session) {
                    return Ok(false);
                }
                (entry.session, entry.ephemeral) = (None, false);
                Ok(true)
            }
        }
    }

    pub(super) fn delete(&mut self, command: &Delete) -> Reply {
        let keys: Vec<Bytes> = match &command.target {
            Target::Key(key) => {
                let current = self.state.kv(key).map_or(0, |e| e.modify_revision);
                expect(command.expected_revision, current)?;
                vec![key.clone()]
            }
            Target::Prefix(prefix) => self.state.kv_prefix(prefix).map(|e| e.key.clone()).collect(),
        };
        Ok(Outcome::Deleted(keys.iter().filter_map(|key| self.remove_kv(key)).collect()))
    }
}

fn same_content(a: &KvEntry, b: &KvEntry) -> bool {
    a.value == b.value
        && a.flags == b.flags
        && a.session == b.session
        && a.ephemeral == b.ephemeral
        && a.lock_index == b.lock_index
        && a.expire_ms == b.expire_ms
}
