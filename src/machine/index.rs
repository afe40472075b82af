//! The indexes that follow from the rows: what a session holds, and what ends when. Writing and loading use the same.

use super::state::{Holdings, State};
use crate::model::{Instance, KvEntry, Lock, Session, SessionId, fold};
use std::sync::Arc;

impl State {
    pub(super) fn index_instance(&mut self, instance: &Instance) {
        if let Some(session) = instance.session {
            self.hold(session, |h| {
                h.instances.insert(instance.key());
            });
        }
        if let Some(at) = instance.overriding().and_then(|o| o.expire_ms) {
            self.expiring_overrides.insert((at, instance.key()));
        }
    }

    pub(super) fn unindex_instance(&mut self, instance: &Instance) {
        if let Some(session) = instance.session {
            self.hold(session, |h| {
                h.instances.remove(&instance.key());
            });
        }
        if let Some(at) = instance.overriding().and_then(|o| o.expire_ms) {
            self.expiring_overrides.remove(&(at, instance.key()));
        }
    }

    pub(super) fn index_kv(&mut self, entry: &KvEntry) {
        if let Some(session) = entry.session {
            self.hold(session, |h| {
                h.keys.insert(entry.key.clone());
            });
        }
        if let Some(at) = entry.expire_ms {
            self.expiring_keys.insert((at, entry.key.clone()));
        }
    }

    pub(super) fn unindex_kv(&mut self, entry: &KvEntry) {
        if let Some(session) = entry.session {
            self.hold(session, |h| {
                h.keys.remove(&entry.key);
            });
        }
        if let Some(at) = entry.expire_ms {
            self.expiring_keys.remove(&(at, entry.key.clone()));
        }
    }

    pub(super) fn index_lock(&mut self, lock: &Lock) {
        for session in sessions(lock) {
            self.hold(session, |h| {
                h.locks.insert((lock.kind, lock.name.clone()));
            });
        }
    }

    pub(super) fn unindex_lock(&mut self, lock: &Lock) {
        for session in sessions(lock) {
            self.hold(session, |h| {
                h.locks.remove(&(lock.kind, lock.name.clone()));
            });
        }
    }

    pub(super) fn index_session(&mut self, session: &Session) {
        if let Some(binding) = &session.binding {
            let mut ids = self.bound_sessions.get(&fold(&binding.node)).cloned().unwrap_or_default();
            ids.insert(session.id);
            self.bound_sessions.insert(fold(&binding.node), ids);
        }
    }

    pub(super) fn unindex_session(&mut self, session: &Session) {
        let Some(binding) = &session.binding else { return };
        let node = fold(&binding.node);
        let Some(mut ids) = self.bound_sessions.get(&node).cloned() else { return };
        ids.remove(&session.id);
        if ids.is_empty() {
            self.bound_sessions.remove(&node);
        } else {
            self.bound_sessions.insert(node, ids);
        }
    }

    /// Changes what a live session holds; an ended one holds nothing.
    fn hold(&mut self, session: SessionId, f: impl FnOnce(&mut Holdings)) {
        if self.sessions.get(&session).is_none() {
            return;
        }
        let mut held = self.holdings.get(&session).map(|h| (**h).clone()).unwrap_or_default();
        f(&mut held);
        if held == Holdings::default() {
            self.holdings.remove(&session);
        } else {
            self.holdings.insert(session, Arc::new(held));
        }
    }
}

fn sessions(lock: &Lock) -> impl Iterator<Item = SessionId> + '_ {
    lock.holders.iter().map(|h| h.session).chain(lock.waiters.iter().map(|w| w.session))
}
