//! Putting a snapshot in the place of the state.
//!
//! A snapshot comes in parts that each fit into a log entry; they are gathered in the state, so that every server has
//! them whatever happens in between, and with the last one the state becomes what they hold, in one revision.
//!
//! A restore is a write like any other: what it changes gets its revision, what is the same stays untouched, what the
//! snapshot does not have is removed. So no index goes back, watchers see ordinary changes, and a snapshot may come from
//! a cluster whose log is longer than this one's. Answers to retries and the memory of deleted keys stay as they are.

use super::change::What;
use super::rows::{self, Loader};
use super::state::State;
use super::writer::Writer;
use crate::command::{Outcome, Rejection, Reply, Restore};
use crate::model::{Autopilot, Check, Instance, KvEntry, Lock, NodeRecord, PreparedQuery, Session};
use bytes::Bytes;
use imbl::Vector;
use std::sync::Arc;
use uuid::Uuid;

/// The parts of a snapshot that have come so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Gathered {
    pub(super) id: Uuid,
    pub(super) parts: Vector<Bytes>,
}

impl Writer<'_> {
    pub(super) fn restore(&mut self, command: &Restore) -> Reply {
        if command.parts == 0 {
            self.drop_gathered();
            return Ok(Outcome::Stored);
        }
        let before = self.state.gathered.parts.len();
        let follows = match command.part {
            0 => true,
            part => self.state.gathered.id == command.id && before == part as usize,
        };
        if !follows || command.part >= command.parts {
            let (part, parts) = (command.part, command.parts);
            return Err(Rejection::Refused(format!(
                "part {part} of {parts} of a snapshot does not follow the last one"
            )));
        }
        if command.part + 1 < command.parts {
            self.gather(command);
            return Ok(Outcome::Stored);
        }
        let mut loader = Loader::new();
        let earlier = if command.part == 0 { Vector::new() } else { self.state.gathered.parts.clone() };
        for part in earlier.iter().chain([&command.rows]) {
            rows::read(part, |table, key, value| loader.push(table, key, value))
                .map_err(|error| Rejection::Refused(format!("the snapshot cannot be loaded: {error}")))?;
        }
        let wanted = loader.finish().state;
        self.drop_gathered();
        self.become_state(&wanted);
        Ok(Outcome::Stored)
    }

    fn gather(&mut self, command: &Restore) {
        if command.part == 0 {
            self.drop_gathered();
        }
        self.state.gathered.id = command.id;
        self.state.gathered.parts.push_back(command.rows.clone());
        self.changed(What::Gathered { part: command.part, rows: Some((command.id, command.rows.clone())) });
    }

    fn drop_gathered(&mut self) {
        let gathered = std::mem::take(&mut self.state.gathered);
        for part in 0..gathered.parts.len() as u32 {
            self.changed(What::Gathered { part, rows: None });
        }
    }

    /// Sessions come first, because what they hold is known to them; nodes before what runs on them.
    fn become_state(&mut self, wanted: &State) {
        self.become_sessions(wanted);
        self.become_nodes(wanted);
        self.become_instances(wanted);
        self.become_keys(wanted);
        self.become_locks(wanted);
        self.become_queries(wanted);
        self.become_coordinates(wanted);
        // There is no command that removes it, so a snapshot without one is of a cluster that had not chosen yet.
        if let Some(autopilot) = wanted.autopilot() {
            let same = |a: &Autopilot| Autopilot { create_revision: 0, modify_revision: 0, ..a.clone() };
            if self.state.autopilot().is_none_or(|now| same(now) != same(autopilot)) {
                let (create_revision, modify_revision) = (self.at_most(autopilot.create_revision), self.revision());
                self.store_autopilot(Autopilot { create_revision, modify_revision, ..(**autopilot).clone() });
            }
        }
    }

    /// A revision of the snapshot, which may come from a longer log.
    fn at_most(&self, revision: u64) -> u64 {
        revision.min(self.revision())
    }

    fn become_sessions(&mut self, wanted: &State) {
        let gone: Vec<_> = self.state.sessions().filter(|s| wanted.session(&s.id).is_none()).map(|s| s.id).collect();
        for id in gone {
            // What it held is compared with the snapshot like everything else.
            self.take_session(&id);
        }
        for session in wanted.sessions() {
            let create_revision = self.at_most(session.create_revision);
            let session = Session { create_revision, ..(**session).clone() };
            if self.state.session(&session.id).is_none_or(|now| **now != session) {
                self.store_session(session);
            }
        }
    }

    fn become_nodes(&mut self, wanted: &State) {
        let names = self.state.nodes().map(|n| n.record.name.clone());
        let gone: Vec<_> = names.filter(|name| wanted.node(name).is_none()).collect();
        for name in gone {
            self.remove_node(&name);
        }
        for node in wanted.nodes() {
            let plain = |n: &NodeRecord| NodeRecord {
                create_revision: 0,
                modify_revision: 0,
                checks: plain_checks(&n.checks),
                ..n.clone()
            };
            if self.state.node(&node.record.name).is_none_or(|now| plain(&now.record) != plain(&node.record)) {
                let record = NodeRecord {
                    create_revision: self.at_most(node.record.create_revision),
                    modify_revision: self.revision(),
                    checks: self.checks_at_most(&node.record.checks),
                    ..(*node.record).clone()
                };
                self.store_node(record, true);
            }
        }
    }

    fn become_instances(&mut self, wanted: &State) {
        let all = |state: &State| -> Vec<Arc<Instance>> {
            state.services.iter().flat_map(|s| s.instances.iter().cloned()).collect()
        };
        for instance in all(self.state) {
            if wanted.instance(&instance.key()).is_none() {
                self.remove_instance(&instance.key());
            }
        }
        for instance in all(wanted) {
            let plain = |i: &Instance| Instance {
                create_revision: 0,
                modify_revision: 0,
                checks: plain_checks(&i.checks),
                ..i.clone()
            };
            if self.state.instance(&instance.key()).is_none_or(|now| plain(now) != plain(&instance)) {
                let restored = Instance {
                    create_revision: self.at_most(instance.create_revision),
                    modify_revision: self.revision(),
                    checks: self.checks_at_most(&instance.checks),
                    ..(*instance).clone()
                };
                self.store_instance(restored, true);
            }
        }
    }

    fn checks_at_most(&self, checks: &[Check]) -> Box<[Check]> {
        let at_most = |check: &Check| Check {
            create_revision: self.at_most(check.create_revision),
            modify_revision: self.at_most(check.modify_revision),
            ..check.clone()
        };
        checks.iter().map(at_most).collect()
    }

    fn become_keys(&mut self, wanted: &State) {
        let gone: Vec<_> =
            self.state.kv.iter().filter(|e| wanted.kv(&e.key).is_none()).map(|e| e.key.clone()).collect();
        for key in gone {
            self.remove_kv(&key);
        }
        for entry in wanted.kv.iter() {
            let now = self.state.kv(&entry.key);
            let plain = |e: &KvEntry| KvEntry { create_revision: 0, modify_revision: 0, version: 0, ..e.clone() };
            if now.is_some_and(|now| plain(now) == plain(entry)) {
                continue;
            }
            let restored = KvEntry {
                create_revision: now.map_or(self.at_most(entry.create_revision), |now| now.create_revision),
                modify_revision: self.revision(),
                version: now.map_or(entry.version, |now| now.version + 1),
                // A snapshot that was tampered with could lock a key for ever.
                session: entry.session.filter(|id| wanted.session(id).is_some()),
                ..(**entry).clone()
            };
            self.store_kv(restored);
        }
    }

    /// A token that this log has not reached yet would be given out a second time: its holder has to come again.
    fn become_locks(&mut self, wanted: &State) {
        let gone: Vec<Arc<Lock>> =
            self.state.locks.iter().filter(|l| wanted.lock(l.kind, &l.name).is_none()).cloned().collect();
        for lock in gone {
            self.store_lock(Lock { holders: Vec::new(), waiters: Vec::new(), ..(*lock).clone() });
        }
        for lock in wanted.locks.iter() {
            let mut restored = (**lock).clone();
            for holder in &mut restored.holders {
                holder.token = self.at_most(holder.token);
            }
            let plain = |l: &Lock| Lock { modify_revision: 0, ..l.clone() };
            if self.state.lock(lock.kind, &lock.name).is_none_or(|now| plain(now) != plain(&restored)) {
                restored.modify_revision = self.revision();
                self.store_lock(restored);
            }
        }
    }

    fn become_coordinates(&mut self, wanted: &State) {
        let nodes = self.state.coordinates().map(|c| c.node.clone());
        let gone: Vec<_> = nodes.filter(|node| wanted.coordinates_of(node).next().is_none()).collect();
        for node in gone {
            self.remove_coordinates(&node);
        }
        for coordinate in wanted.coordinates() {
            let differs = self.state.coordinates_of(&coordinate.node).all(|now| now != coordinate);
            if differs {
                self.store_coordinate((**coordinate).clone());
            }
        }
    }

    fn become_queries(&mut self, wanted: &State) {
        let gone: Vec<_> = self.state.queries().filter(|q| wanted.query(&q.id).is_none()).map(|q| q.id).collect();
        for id in gone {
            self.remove_query(&id);
        }
        for query in wanted.queries() {
            if self.state.query(&query.id).is_none_or(|now| !now.same_definition(query)) {
                let (create_revision, modify_revision) = (self.at_most(query.create_revision), self.revision());
                self.store_query(PreparedQuery { create_revision, modify_revision, ..(**query).clone() });
            }
        }
    }
}

fn plain_checks(checks: &[Check]) -> Box<[Check]> {
    checks.iter().map(|c| Check { create_revision: 0, modify_revision: 0, changed_ms: 0, ..c.clone() }).collect()
}
