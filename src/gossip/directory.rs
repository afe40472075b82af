//! Who the members are: their own statements, joined with what the failure detector says of their lives.
//!
//! A statement is known by its age: the life of the process, and a version within it; the later one wins. Names are
//! unique without regard to case, and so are ids: the first who lives keeps them.

use super::member::{Member, Members, Status};
use super::swim::Change;
use super::wire::{Record, Verdict};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use tracing::{info, warn};
use uuid::Uuid;

/// Members that are known, at most; more are not taken in.
pub(super) const MEMBERS_MAX: usize = 65_536;
/// A statement about somebody who was never seen alive is kept for so long, milliseconds.
const UNSEEN_MS: u64 = 300_000;

#[derive(Debug)]
struct Entry {
    record: Arc<Record>,
    /// `None`: never seen alive.
    status: Option<Status>,
    since_ms: u64,
    /// An operator has said that this life is over.
    condemned: bool,
    shown: Option<Arc<Member>>,
}

/// What became of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Merged {
    /// It is new and should be sent on.
    News,
    /// It is known, or older than what is known.
    Known,
    /// Somebody else has the name, and lives.
    NameTaken,
    /// There is no room.
    Full,
}

/// The members by name, and who lives where.
#[derive(Debug, Default)]
pub(super) struct Directory {
    /// By name in lower case.
    entries: BTreeMap<String, Entry>,
    names: HashMap<Uuid, String>,
    /// Of each address, the latest life that has stated its name.
    by_address: HashMap<SocketAddr, String>,
    /// Of each address, the life that the failure detector takes for alive.
    lives: BTreeMap<SocketAddr, u64>,
    /// Who keeps these records: whatever others say, it lives where it lives.
    own: Option<Uuid>,
    /// Lives that operators have removed, and when.
    pruned: HashMap<Uuid, (u64, u64)>,
    revision: u64,
    changed: bool,
}

impl Directory {
    /// That of the member with this id.
    pub(super) fn of(own: Uuid) -> Directory {
        Directory { own: Some(own), ..Directory::default() }
    }

    /// Takes a statement about a member. `seen`: its status as somebody else knows it.
    pub(super) fn merge(&mut self, record: Record, seen: Option<Status>, now_ms: u64) -> Merged {
        if self.pruned.get(&record.id).is_some_and(|(life, _)| record.peer.generation <= *life) {
            return Merged::Known;
        }
        let key = record.name.to_ascii_lowercase();
        if let Some(held) = self.entries.get(&key).filter(|held| held.record.id != record.id) {
            if held.status.is_some_and(Status::is_live) {
                warn!(name = %record.name, held = %held.record.peer.address, other = %record.peer.address,
                    "two members have the same name, the first one keeps it");
                return Merged::NameTaken;
            }
            if record.age() < held.record.age() {
                return Merged::Known;
            }
            self.remove(&key);
        }
        if let Some(old) = self.names.get(&record.id).cloned() {
            let held = self.entries.get(&old).map(|held| (held.record.age(), held.record.peer.address));
            if held.is_some_and(|(age, _)| record.age() < age) {
                return Merged::Known;
            }
            if held.is_some_and(|(age, _)| record.age() == age) {
                self.hear_status(&old, seen, now_ms);
                return Merged::Known;
            }
            if old != key {
                self.remove(&old);
            }
        } else if self.entries.len() >= MEMBERS_MAX {
            return Merged::Full;
        }
        self.store(key, record, seen, now_ms);
        Merged::News
    }

    fn store(&mut self, key: String, record: Record, seen: Option<Status>, now_ms: u64) {
        let address = record.peer.address;
        self.names.insert(record.id, key.clone());
        let owner = self.by_address.get(&address).and_then(|name| self.entries.get(name)).map(|entry| &entry.record);
        let other = owner.filter(|owner| owner.id != record.id);
        let keeps = |owner: &Record| owner.peer.generation > record.peer.generation || Some(owner.id) == self.own;
        let kept = other.is_some_and(|owner| keeps(owner));
        let displaced = other.filter(|_| !kept).map(|owner| owner.name.to_ascii_lowercase());
        if !kept {
            self.by_address.insert(address, key.clone());
        }
        let before = self.entries.remove(&key);
        let (status, since_ms) = before.as_ref().map_or((None, now_ms), |entry| (entry.status, entry.since_ms));
        let condemned = before.is_some_and(|e| e.condemned && e.record.peer.generation == record.peer.generation);
        let entry = Entry { record: Arc::new(record), status, since_ms, condemned, shown: None };
        self.entries.insert(key.clone(), entry);
        self.changed = true;
        self.hear_status(&key, seen, now_ms);
        self.judge(&key, now_ms);
        if let Some(displaced) = displaced {
            self.judge(&displaced, now_ms);
        }
    }

    /// Somebody else's opinion counts for those whose life this node has not seen itself, and for what is over.
    fn hear_status(&mut self, key: &str, seen: Option<Status>, now_ms: u64) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let lives = self.lives.get(&entry.record.peer.address) == Some(&entry.record.peer.generation);
        match seen {
            Some(Status::Left) if !lives => {
                entry.condemned = true;
                self.judge(key, now_ms);
                self.set(key, Status::Left, now_ms);
            }
            Some(Status::Failed) if !lives && entry.status.is_none() => self.set(key, Status::Failed, now_ms),
            _ => {}
        }
    }

    /// What the failure detector has found.
    pub(super) fn life(&mut self, change: Change, now_ms: u64) {
        let peer = match change {
            Change::Up(peer) | Change::Replaced(_, peer) => {
                // A replacement among the dead is no life; the detector says so with a `Down` of its own.
                if matches!(change, Change::Up(_)) || self.lives.contains_key(&peer.address) {
                    self.lives.insert(peer.address, peer.generation);
                }
                peer
            }
            Change::Down(peer) => {
                self.lives.remove(&peer.address);
                peer
            }
            Change::Own(_) => return,
        };
        if let Some(key) = self.by_address.get(&peer.address).cloned() {
            self.judge(&key, now_ms);
        }
    }

    /// Joins statement and life.
    fn judge(&mut self, key: &str, now_ms: u64) {
        let Some(entry) = self.entries.get(key) else { return };
        let peer = entry.record.peer;
        let owns = self.by_address.get(&peer.address).is_some_and(|owner| owner == key);
        let status = match self.lives.get(&peer.address).filter(|_| owns) {
            Some(life) if *life == peer.generation => {
                Some(if entry.record.leaving { Status::Leaving } else { Status::Alive })
            }
            // A later life, whose own statement is on its way.
            Some(life) if *life > peer.generation => entry.status,
            _ if entry.record.leaving || (entry.condemned && entry.status.is_some()) => Some(Status::Left),
            _ => match entry.status {
                Some(Status::Alive | Status::Leaving) => Some(Status::Failed),
                other => other,
            },
        };
        if let Some(status) = status {
            self.set(key, status, now_ms);
        }
    }

    fn set(&mut self, key: &str, status: Status, now_ms: u64) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        if entry.status != Some(status) {
            info!(member = %entry.record.name, address = %entry.record.peer.address, status = status.as_str(),
                "member has changed");
            entry.status = Some(status);
            entry.since_ms = now_ms;
            entry.shown = None;
            self.changed = true;
        }
        if status.is_live() {
            entry.condemned = false;
        }
    }

    /// Carries out an operator's decision. Whether it is news.
    pub(super) fn condemn(&mut self, verdict: Verdict, now_ms: u64) -> bool {
        let Some(key) = self.names.get(&verdict.id).cloned() else { return false };
        let Some(entry) = self.entries.get_mut(&key) else { return false };
        let over = entry.record.peer.generation <= verdict.generation;
        let done = entry.condemned && !verdict.prune;
        if !over || done || entry.status.is_none_or(Status::is_live) {
            return false;
        }
        entry.condemned = true;
        self.set(&key, Status::Left, now_ms);
        if verdict.prune {
            self.pruned.insert(verdict.id, (verdict.generation, now_ms));
            self.remove(&key);
        }
        true
    }

    fn remove(&mut self, key: &str) {
        let Some(entry) = self.entries.remove(key) else { return };
        self.names.remove(&entry.record.id);
        if self.by_address.get(&entry.record.peer.address).is_some_and(|owner| owner == key) {
            self.by_address.remove(&entry.record.peer.address);
        }
        self.changed = true;
    }

    /// Forgets who has been gone for too long.
    pub(super) fn reap(&mut self, now_ms: u64, after_ms: u64) {
        let gone = self.entries.iter().filter(|(_, entry)| match entry.status {
            None => now_ms.saturating_sub(entry.since_ms) > UNSEEN_MS,
            Some(status) => !status.is_live() && now_ms.saturating_sub(entry.since_ms) > after_ms,
        });
        for key in gone.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            info!(member = %key, "member is forgotten");
            self.remove(&key);
        }
        self.pruned.retain(|_, (_, at)| now_ms.saturating_sub(*at) <= after_ms);
    }

    /// Lives that have not stated their name.
    pub(super) fn nameless(&self) -> Vec<SocketAddr> {
        let unknown = |address: &SocketAddr, life: u64| {
            let entry = self.by_address.get(address).and_then(|name| self.entries.get(name));
            entry.is_none_or(|entry| entry.record.peer.generation < life)
        };
        self.lives.iter().filter(|(address, life)| unknown(address, **life)).map(|(address, _)| *address).collect()
    }

    /// Whether somebody lives at this address.
    pub(super) fn lives_at(&self, address: &SocketAddr) -> bool {
        self.lives.contains_key(address)
    }

    /// The statement of the member of this name.
    pub(super) fn named(&self, name: &str) -> Option<(Arc<Record>, Option<Status>)> {
        self.entries.get(&name.to_ascii_lowercase()).map(|entry| (entry.record.clone(), entry.status))
    }

    /// The statement of the member with this id.
    pub(super) fn with_id(&self, id: Uuid) -> Option<(Arc<Record>, Option<Status>)> {
        self.named(self.names.get(&id)?)
    }

    /// The name of who gossips at this address.
    pub(super) fn name_at(&self, address: &SocketAddr) -> Option<&str> {
        let entry = self.entries.get(self.by_address.get(address)?)?;
        Some(&entry.record.name)
    }

    /// All statements, and what is known of those who made them.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Arc<Record>, Option<Status>)> {
        self.entries.values().map(|entry| (&entry.record, entry.status))
    }

    /// The members as they are now, if anything has changed since this was last asked.
    pub(super) fn members(&mut self) -> Option<Members> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        self.revision += 1;
        let shown = self.entries.values_mut().filter_map(|entry| {
            let status = entry.status?;
            let record = &entry.record;
            let since_ms = entry.since_ms;
            let member = entry.shown.get_or_insert_with(|| {
                Arc::new(Member {
                    name: record.name.clone(),
                    id: record.id,
                    address: record.peer.address,
                    tags: record.tags.clone(),
                    status,
                    since_ms,
                    generation: record.peer.generation,
                })
            });
            Some(member.clone())
        });
        Some(Members::new(shown.collect(), self.revision))
    }
}

#[cfg(test)]
mod tests;
