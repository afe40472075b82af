//! The few ways in which the state may change. Every handler goes through here, so indexes, revisions and the change
//! list cannot disagree with the rows.

use super::catalog::{Node, Service, Slot};
use super::change::{Change, What};
use super::request::Request;
use super::state::{Holdings, State};
use crate::command::Reply;
use crate::model::limits::{REQUEST_KEEP_MS, REQUESTS_MAX, TOMBSTONE_KEEP_MS, TOMBSTONES_MAX};
use crate::model::{
    Coordinate, Instance, InstanceKey, KvEntry, Lock, NodeRecord, RequestId, Session, SessionId, Tombstone, fold,
};
use bytes::Bytes;
use std::sync::Arc;

/// Old rows dropped per record, at most: keeps the cost of one record bounded.
const DROPS_PER_RECORD: usize = 8;

/// The state while one record is applied.
pub(super) struct Writer<'a> {
    pub(super) state: &'a mut State,
    changes: Vec<Change>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(state: &'a mut State) -> Writer<'a> {
        Writer { state, changes: Vec::new() }
    }

    pub(super) fn revision(&self) -> u64 {
        self.state.meta.revision
    }

    pub(super) fn time_ms(&self) -> u64 {
        self.state.meta.time_ms
    }

    pub(super) fn into_changes(self) -> Vec<Change> {
        self.changes
    }

    /// The changes so far, from the first one.
    pub(super) fn change(&self, at: usize) -> Option<&What> {
        self.changes.get(at).map(|change| &change.what)
    }

    pub(super) fn changed(&mut self, what: What) {
        self.changes.push(Change { revision: self.state.meta.revision, what });
    }

    /// Runs `f` so that nothing of it stays if it fails.
    pub(super) fn atomically<T, E>(&mut self, f: impl FnOnce(&mut Writer<'_>) -> Result<T, E>) -> Result<T, E> {
        let mut draft = self.state.clone();
        let mut writer = Writer::new(&mut draft);
        let done = f(&mut writer)?;
        let changes = writer.changes;
        *self.state = draft;
        self.changes.extend(changes);
        Ok(done)
    }

    /// Stores an instance. `registration`: more than its checks differs from before.
    pub(super) fn store_instance(&mut self, mut instance: Instance, registration: bool) -> Arc<Instance> {
        let revision = self.revision();
        let mut service = match self.state.services.get(&instance.service) {
            Some(service) => (**service).clone(),
            None => Service {
                key: instance.service.clone(),
                instances: Default::default(),
                revision: 0,
                catalog_revision: 0,
            },
        };
        if *instance.service == *service.key {
            // One copy of the name for all instances.
            instance.service = service.key.clone();
        }
        let instance = Arc::new(instance);
        let before = service.instances.insert(instance.clone());
        service.revision = revision;
        if registration {
            service.catalog_revision = revision;
            self.state.meta.services_revision = revision;
        } else {
            self.state.meta.checks_revision = revision;
        }
        self.state.services.insert(Arc::new(service));
        if let Some(before) = &before {
            self.state.unindex_instance(before);
        }
        self.state.index_instance(&instance);
        if !instance.node.is_empty() {
            self.on_node(&instance.node, |node| {
                if before.as_ref().is_none_or(|before| before.service != instance.service) {
                    node.services.insert(fold(&instance.id), instance.service.clone());
                }
                node.index_checks(before.as_deref(), Some(&instance));
            });
        }
        self.changed(What::Instance { before, after: Some(instance.clone()) });
        instance
    }

    /// Removes an instance.
    pub(super) fn remove_instance(&mut self, key: &InstanceKey) -> Option<Arc<Instance>> {
        let revision = self.revision();
        let mut service = (**self.state.services.get(&key.service)?).clone();
        let before = service.instances.remove(&Slot { node: key.node.clone(), id: key.id.clone() })?;
        service.revision = revision;
        service.catalog_revision = revision;
        self.state.meta.services_revision = revision;
        if !before.checks.is_empty() {
            self.state.meta.checks_revision = revision;
        }
        if service.instances.is_empty() {
            self.state.services.remove(&key.service);
            self.state.meta.vanished_revision = revision;
        } else {
            self.state.services.insert(Arc::new(service));
        }
        self.state.unindex_instance(&before);
        self.on_node(&before.node, |node| {
            node.services.remove(&fold(&before.id));
            node.index_checks(Some(&before), None);
        });
        self.changed(What::Instance { before: Some(before.clone()), after: None });
        Some(before)
    }

    fn on_node(&mut self, node: &str, f: impl FnOnce(&mut Node)) {
        if let Some(found) = self.state.nodes.get(node) {
            let mut node = (**found).clone();
            f(&mut node);
            node.revision = self.revision();
            self.state.nodes.insert(Arc::new(node));
        }
    }

    /// Stores a node. `registration`: more than its checks differs from before.
    pub(super) fn store_node(&mut self, record: NodeRecord, registration: bool) -> Arc<NodeRecord> {
        let revision = self.revision();
        let record = Arc::new(record);
        let found = self.state.nodes.get(record.name.as_str()).cloned();
        let (services, checks) = found.as_ref().map(|n| (n.services.clone(), n.checks.clone())).unwrap_or_default();
        self.state.nodes.insert(Arc::new(Node { record: record.clone(), services, checks, revision }));
        if registration {
            self.state.meta.nodes_revision = revision;
        } else {
            self.state.meta.checks_revision = revision;
        }
        if found.is_some() {
            self.touch_instances_on(&record.name, registration);
        }
        self.changed(What::Node { before: found.map(|n| n.record.clone()), after: Some(record.clone()) });
        record
    }

    /// A node's address and health are shown with each of its instances.
    fn touch_instances_on(&mut self, node: &str, registration: bool) {
        let revision = self.revision();
        let Some(node) = self.state.nodes.get(node).cloned() else { return };
        let touched: Vec<Arc<Instance>> = self.state.instances_on(&node).cloned().collect();
        for instance in touched {
            if let Some(service) = self.state.services.get(&instance.service)
                // The same record may have changed its checks before: then only the first revision is up to date.
                && (service.revision != revision || (registration && service.catalog_revision != revision))
            {
                let mut service = (**service).clone();
                service.revision = revision;
                if registration {
                    service.catalog_revision = revision;
                }
                self.state.services.insert(Arc::new(service));
            }
            self.changed(What::Touched(instance));
        }
    }

    /// Removes a node and all instances on it.
    pub(super) fn remove_node(&mut self, name: &str) -> bool {
        let Some(node) = self.state.nodes.get(name).cloned() else { return false };
        let keys: Vec<InstanceKey> = self.state.instances_on(&node).map(|i| i.key()).collect();
        for key in &keys {
            self.remove_instance(key);
        }
        self.state.nodes.remove(name);
        self.remove_coordinates(name);
        let revision = self.revision();
        self.state.meta.nodes_revision = revision;
        if !node.record.checks.is_empty() {
            self.state.meta.checks_revision = revision;
        }
        self.changed(What::Node { before: Some(node.record.clone()), after: None });
        true
    }

    /// Stores a key.
    pub(super) fn store_kv(&mut self, entry: KvEntry) -> Arc<KvEntry> {
        let entry = Arc::new(entry);
        self.state.meta.kv_revision = self.revision();
        let before = self.state.kv.insert(entry.clone());
        if let Some(before) = &before {
            self.state.unindex_kv(before);
        } else if let Some(grave) = self.state.tombstones.remove(&entry.key[..]) {
            self.state.graves.remove(&(grave.revision, grave.key.clone()));
        }
        self.state.index_kv(&entry);
        self.changed(What::Kv { before, after: Some(entry.clone()) });
        self.drop_lock_delays();
        entry
    }

    /// Nobody can lock the key before this time.
    pub(super) fn delay_lock(&mut self, key: Bytes, until_ms: u64) {
        if let Some(before) = self.state.lock_delays.insert(key.clone(), until_ms) {
            self.state.lock_delay_ends.remove(&(before, key.clone()));
        }
        self.state.lock_delay_ends.insert((until_ms, key.clone()));
        self.changed(What::LockDelay { key, until_ms: Some(until_ms) });
    }

    fn drop_lock_delays(&mut self) {
        for _ in 0..DROPS_PER_RECORD {
            let Some((until_ms, key)) = self.state.lock_delay_ends.get_min().cloned() else { return };
            if until_ms > self.time_ms() {
                return;
            }
            self.state.lock_delays.remove(&key);
            self.state.lock_delay_ends.remove(&(until_ms, key.clone()));
            self.changed(What::LockDelay { key, until_ms: None });
        }
    }

    /// Stores the coordinate of a node.
    pub(super) fn store_coordinate(&mut self, coordinate: Coordinate) {
        self.state.meta.coordinates_revision = self.revision();
        let after = Arc::new(coordinate);
        let before = self.state.coordinates.insert(after.clone());
        self.changed(What::Coordinate { before, after: Some(after) });
    }

    pub(super) fn remove_coordinates(&mut self, node: &str) {
        let gone: Vec<Arc<Coordinate>> = self.state.coordinates_of(node).cloned().collect();
        for before in gone {
            self.state.coordinates.remove(&(before.node.clone(), before.segment.clone()));
            self.state.meta.coordinates_revision = self.revision();
            self.changed(What::Coordinate { before: Some(before), after: None });
        }
    }

    /// Deletes a key and remembers that it was there.
    pub(super) fn remove_kv(&mut self, key: &[u8]) -> Option<Arc<KvEntry>> {
        let before = self.state.kv.remove(key)?;
        self.state.unindex_kv(&before);
        let (revision, time_ms) = (self.revision(), self.time_ms());
        self.state.meta.kv_revision = revision;
        self.state.tombstones.insert(Arc::new(Tombstone { key: before.key.clone(), revision, time_ms }));
        self.state.graves.insert((revision, before.key.clone()));
        self.drop_tombstones();
        self.changed(What::Kv { before: Some(before.clone()), after: None });
        Some(before)
    }

    fn drop_tombstones(&mut self) {
        for _ in 0..DROPS_PER_RECORD {
            let Some((revision, key)) = self.state.graves.get_min().cloned() else { return };
            let Some(grave) = self.state.tombstones.get(&key[..]).cloned() else { return };
            let old = grave.time_ms + TOMBSTONE_KEEP_MS <= self.time_ms();
            if !old && self.state.tombstones.len() <= TOMBSTONES_MAX {
                return;
            }
            self.state.tombstones.remove(&key[..]);
            self.state.graves.remove(&(revision, key));
            self.changed(What::TombstoneDropped(grave));
        }
    }

    /// Stores a session. A restored one may take the place of one that was bound to another node.
    pub(super) fn store_session(&mut self, session: Session) -> Arc<Session> {
        let session = Arc::new(session);
        self.state.meta.sessions_revision = self.revision();
        let before = self.state.sessions.insert(session.clone());
        if let Some(before) = &before {
            self.state.unindex_session(before);
        }
        self.state.index_session(&session);
        self.changed(What::Session { before, after: Some(session.clone()) });
        session
    }

    /// Removes a session; what it held is returned, and is the caller's to deal with.
    pub(super) fn take_session(&mut self, id: &SessionId) -> Option<(Arc<Session>, Arc<Holdings>)> {
        let before = self.state.sessions.remove(id)?;
        self.state.unindex_session(&before);
        self.state.meta.sessions_revision = self.revision();
        let held = self.state.holdings.remove(id).unwrap_or_default();
        self.changed(What::Session { before: Some(before.clone()), after: None });
        Some((before, held))
    }

    /// Stores a lock, or removes it when nobody holds it or waits for it.
    pub(super) fn store_lock(&mut self, lock: Lock) {
        let key = (lock.kind, lock.name.clone());
        let before = self.state.locks.get(&key).cloned();
        if let Some(before) = &before {
            self.state.unindex_lock(before);
        }
        self.state.index_lock(&lock);
        let after = if lock.holders.is_empty() && lock.waiters.is_empty() {
            self.state.locks.remove(&key);
            None
        } else {
            let lock = Arc::new(lock);
            self.state.locks.insert(lock.clone());
            Some(lock)
        };
        self.changed(What::Lock { before, after });
    }

    /// Keeps the result of a write for a retry, and forgets the oldest ones.
    pub(super) fn remember(&mut self, id: RequestId, digest: u64, reply: Reply) {
        let (revision, time_ms) = (self.revision(), self.time_ms());
        let request = Arc::new(Request { id, digest, revision, time_ms, reply });
        self.state.requests.insert(request.clone());
        self.state.request_order.insert((revision, id));
        self.changed(What::Request(request));
        for _ in 0..DROPS_PER_RECORD {
            let Some((revision, id)) = self.state.request_order.get_min().copied() else { return };
            let Some(oldest) = self.state.requests.get(&id) else { return };
            let old = oldest.time_ms + REQUEST_KEEP_MS <= time_ms;
            if !old && self.state.requests.len() <= REQUESTS_MAX {
                return;
            }
            self.state.requests.remove(&id);
            self.state.request_order.remove(&(revision, id));
            self.changed(What::RequestDropped(id));
        }
    }
}
