//! The whole replicated state as one value: immutable, structurally shared, cheap to clone. Readers hold a snapshot
//! for as long as they like.

use super::catalog::{Node, Service, Slot, cmp_folded};
use super::request::Request;
use super::table::{Keyed, Table};
use crate::model::{
    Coordinate, Health, Instance, InstanceKey, KvEntry, Lock, LockKind, ServiceKey, Session, SessionId, Text,
    Tombstone, fold,
};
use bytes::Bytes;
use imbl::{OrdMap, OrdSet};
use std::cmp::Ordering;
use std::sync::Arc;
use uuid::Uuid;

/// Facts about the state as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Index of the last log entry applied, of whatever kind.
    pub revision: u64,
    /// Time of the last record, milliseconds since the epoch.
    pub time_ms: u64,
    /// Last change of any instance (not of checks).
    pub services_revision: u64,
    /// Last change of any node (not of checks).
    pub nodes_revision: u64,
    /// Last change of any check.
    pub checks_revision: u64,
    /// Last time that a service lost its last instance.
    pub vanished_revision: u64,
    /// Last change of any key.
    pub kv_revision: u64,
    /// Last change of any session.
    pub sessions_revision: u64,
    /// Last change of any network coordinate.
    pub coordinates_revision: u64,
}

/// Everything that is replicated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    pub(super) meta: Meta,
    pub(super) services: Table<Service>,
    pub(super) nodes: Table<Node>,
    pub(super) kv: Table<KvEntry>,
    pub(super) tombstones: Table<Tombstone>,
    /// Tombstones in order of age.
    pub(super) graves: OrdSet<(u64, Bytes)>,
    pub(super) sessions: Table<Session>,
    pub(super) holdings: OrdMap<SessionId, Arc<Holdings>>,
    /// Folded node name to the sessions that depend on the node.
    pub(super) bound_sessions: OrdMap<Text, OrdSet<SessionId>>,
    /// Keys of ended sessions that nobody may lock yet, with the time when one may.
    pub(super) lock_delays: OrdMap<Bytes, u64>,
    /// The same in order of time.
    pub(super) lock_delay_ends: OrdSet<(u64, Bytes)>,
    pub(super) coordinates: Table<Coordinate>,
    pub(super) locks: Table<Lock>,
    pub(super) requests: Table<Request>,
    /// Requests in order of age.
    pub(super) request_order: OrdSet<(u64, Uuid)>,
    /// Keys with a time to live, by the time of their end.
    pub(super) expiring_keys: OrdSet<(u64, Bytes)>,
    /// Instances whose override ends, by that time.
    pub(super) expiring_overrides: OrdSet<(u64, InstanceKey)>,
}

/// What goes when a session goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Holdings {
    pub(super) instances: OrdSet<InstanceKey>,
    pub(super) keys: OrdSet<Bytes>,
    pub(super) locks: OrdSet<(LockKind, Text)>,
}

impl State {
    /// The empty state before the first log entry.
    pub fn new() -> State {
        State::default()
    }

    /// Index of the last log entry applied: the revision, and Consul's index.
    pub fn revision(&self) -> u64 {
        self.meta.revision
    }

    /// The leader's time as of the last record, milliseconds since the epoch.
    pub fn time_ms(&self) -> u64 {
        self.meta.time_ms
    }

    /// Facts about the state as a whole.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// An entry without a command (blank, membership) was applied.
    pub fn note_blank(&mut self, revision: u64) {
        self.advance(revision, 0);
    }

    pub(super) fn advance(&mut self, revision: u64, time_ms: u64) {
        debug_assert!(revision > self.meta.revision || revision == 0, "the log is applied in order");
        self.meta.revision = revision;
        self.meta.time_ms = self.meta.time_ms.max(time_ms);
    }

    /// A service that has instances.
    pub fn service(&self, key: &ServiceKey) -> Option<&Arc<Service>> {
        self.services.get(key)
    }

    /// Services of a namespace whose name starts with `prefix`, in order of name (without case).
    pub fn services<'a>(&'a self, namespace: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a Arc<Service>> {
        let from = ServiceKey { namespace: namespace.into(), name: prefix.into() };
        self.services.from(&from).take_while(move |s| {
            let head = s.key.name.as_bytes().get(..prefix.len());
            s.key.namespace.eq_ignore_ascii_case(namespace)
                && head.is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_bytes()))
        })
    }

    /// Index that a question for this service waits on: its own, or, if it is unknown, that of the last time any
    /// service vanished. Never 0.
    pub fn service_revision(&self, key: &ServiceKey) -> u64 {
        self.service(key).map_or(self.meta.vanished_revision, |s| s.revision).max(1)
    }

    /// How many services there are in all namespaces.
    pub fn service_count(&self) -> usize {
        self.services.len()
    }

    /// A node by name, without case.
    pub fn node(&self, name: &str) -> Option<&Arc<Node>> {
        self.nodes.get(name)
    }

    /// All nodes in order of name (without case).
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = &Arc<Node>> {
        self.nodes.iter()
    }

    /// An instance.
    pub fn instance(&self, key: &InstanceKey) -> Option<&Arc<Instance>> {
        self.service(&key.service)?.instances.get(&Slot { node: key.node.clone(), id: key.id.clone() })
    }

    /// The instances on a node, in order of id.
    pub fn instances_on<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = &'a Arc<Instance>> {
        node.services.iter().filter_map(|(id, service)| {
            self.service(service)?.instances.get(&Slot { node: node.record.name.clone(), id: id.clone() })
        })
    }

    /// Health of an instance: the worst of its own checks and its node's.
    pub fn health(&self, instance: &Instance) -> Health {
        if instance.node.is_empty() {
            return instance.own_health();
        }
        self.node(&instance.node).map_or(Health::Passing, |n| n.record.health()).max(instance.own_health())
    }

    /// One key.
    pub fn kv(&self, key: &[u8]) -> Option<&Arc<KvEntry>> {
        self.kv.get(key)
    }

    /// Keys from `start` on, in order.
    pub fn kv_from<'a>(&'a self, start: &[u8]) -> impl Iterator<Item = &'a Arc<KvEntry>> + use<'a> {
        self.kv.from(start)
    }

    /// Keys with a prefix, in order.
    pub fn kv_prefix<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = &'a Arc<KvEntry>> {
        self.kv.from(prefix).take_while(move |e| e.key.starts_with(prefix))
    }

    /// Consul's index of one key: its revision; of an absent one the table's.
    pub fn kv_key_revision(&self, key: &[u8]) -> u64 {
        let dead = || self.tombstones.get(key).map(|t| t.revision);
        self.kv(key).map(|e| e.modify_revision).or_else(dead).unwrap_or(self.meta.kv_revision).max(1)
    }

    /// Consul's index of a prefix: the newest revision under it, deletions included; the table's if there is none.
    pub fn kv_prefix_revision(&self, prefix: &[u8]) -> u64 {
        let live = self.kv_prefix(prefix).map(|e| e.modify_revision).max();
        let dead = self.tombstones.from(prefix).take_while(|t| t.key.starts_with(prefix)).map(|t| t.revision).max();
        live.max(dead).unwrap_or(self.meta.kv_revision).max(1)
    }

    /// A live session.
    pub fn session(&self, id: &SessionId) -> Option<&Arc<Session>> {
        self.sessions.get(id)
    }

    /// All sessions in order of id.
    pub fn sessions(&self) -> impl DoubleEndedIterator<Item = &Arc<Session>> {
        self.sessions.iter()
    }

    /// How many sessions there are.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// The sessions that depend on a node, in order of id.
    pub fn sessions_bound_to<'a>(&'a self, node: &str) -> impl Iterator<Item = &'a Arc<Session>> {
        let ids = self.bound_sessions.get(&fold(node)).into_iter().flat_map(|ids| ids.iter());
        ids.filter_map(|id| self.sessions.get(id))
    }

    /// Whether a session's end keeps the key from being locked now.
    pub fn is_lock_delayed(&self, key: &[u8]) -> bool {
        self.lock_delays.get(key).is_some_and(|until_ms| *until_ms > self.meta.time_ms)
    }

    /// All network coordinates, in order of node and segment.
    pub fn coordinates(&self) -> impl Iterator<Item = &Arc<Coordinate>> {
        self.coordinates.iter()
    }

    /// The coordinates of a node, one per segment.
    pub fn coordinates_of<'a, 'n>(&'a self, node: &'n str) -> impl Iterator<Item = &'a Arc<Coordinate>> + use<'a, 'n> {
        let from = (Text::from(node), Text::default());
        self.coordinates.from(&from).take_while(move |c| c.node.eq_ignore_ascii_case(node))
    }

    /// Estimated round trip time between two nodes, seconds; `None` if they have no coordinates in one segment.
    pub fn distance_s(&self, a: &str, b: &str) -> Option<f64> {
        let pairs = self.coordinates_of(a).flat_map(|one| self.coordinates_of(b).map(move |other| (one, other)));
        pairs.filter(|(one, other)| one.segment == other.segment).map(|(one, other)| one.distance_s(other)).next()
    }

    /// The instances that live with a session.
    pub fn instances_of<'a>(&'a self, session: &SessionId) -> impl Iterator<Item = &'a Arc<Instance>> {
        self.holdings.get(session).into_iter().flat_map(|h| h.instances.iter()).filter_map(|k| self.instance(k))
    }

    /// A lock or election that is held or waited for.
    pub fn lock(&self, kind: LockKind, name: &str) -> Option<&Arc<Lock>> {
        self.locks.get(&(kind, name.into()))
    }

    /// Keys whose time to live has passed at `now_ms`, at most `max`.
    pub fn expired_keys(&self, now_ms: u64, max: usize) -> Vec<Bytes> {
        self.expiring_keys.iter().take_while(|(at, _)| *at <= now_ms).take(max).map(|(_, key)| key.clone()).collect()
    }

    /// Instances whose override has ended at `now_ms`, at most `max`.
    pub fn expired_overrides(&self, now_ms: u64, max: usize) -> Vec<InstanceKey> {
        self.expiring_overrides.iter().take_while(|(at, _)| *at <= now_ms).take(max).map(|(_, k)| k.clone()).collect()
    }

    /// When the next key or override ends, milliseconds since the epoch.
    pub fn next_expiry_ms(&self) -> Option<u64> {
        let key = self.expiring_keys.get_min().map(|(at, _)| *at);
        let word = self.expiring_overrides.get_min().map(|(at, _)| *at);
        key.into_iter().chain(word).min()
    }
}

impl Keyed for KvEntry {
    type Lookup = [u8];
    fn compare(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
    fn compare_key(&self, key: &[u8]) -> Ordering {
        self.key.as_ref().cmp(key)
    }
}

impl Keyed for Tombstone {
    type Lookup = [u8];
    fn compare(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
    fn compare_key(&self, key: &[u8]) -> Ordering {
        self.key.as_ref().cmp(key)
    }
}

impl Keyed for Session {
    type Lookup = SessionId;
    fn compare(&self, other: &Self) -> Ordering {
        self.id.cmp(&other.id)
    }
    fn compare_key(&self, key: &SessionId) -> Ordering {
        self.id.cmp(key)
    }
}

impl Keyed for Coordinate {
    type Lookup = (Text, Text);
    fn compare(&self, other: &Self) -> Ordering {
        cmp_folded(&self.node, &other.node).then_with(|| self.segment.cmp(&other.segment))
    }
    fn compare_key(&self, key: &(Text, Text)) -> Ordering {
        cmp_folded(&self.node, &key.0).then_with(|| self.segment.cmp(&key.1))
    }
}

impl Keyed for Lock {
    type Lookup = (LockKind, Text);
    fn compare(&self, other: &Self) -> Ordering {
        (self.kind, &self.name).cmp(&(other.kind, &other.name))
    }
    fn compare_key(&self, key: &(LockKind, Text)) -> Ordering {
        (self.kind, &self.name).cmp(&(key.0, &key.1))
    }
}
