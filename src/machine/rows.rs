//! The state as rows, the form in which checkpoint and snapshot store it: `(table, key) → value`. Row keys only need
//! to be unique and stable; the values hold everything. Table numbers and layouts are on disk and never reused.

use super::change::{Change, What};
use super::history;
use super::request::Request;
use super::state::{Meta, State};
use crate::command::codec::{
    decode_autopilot, decode_coordinate, decode_instance, decode_kv, decode_lock, decode_node, decode_query,
    decode_reply, decode_session, decode_tombstone, encode_autopilot, encode_coordinate, encode_instance, encode_kv,
    encode_lock, encode_node, encode_query, encode_reply, encode_session, encode_tombstone,
};
use crate::model::{Instance, KvEntry, Lock, LockKind, ServiceKey, fold};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// [`Meta`], one row.
pub const META: u8 = 0;
/// Instances by namespace, service, node, id.
pub const INSTANCES: u8 = 1;
/// Revisions of services.
pub const SERVICE_REVISIONS: u8 = 2;
/// Nodes by name.
pub const NODES: u8 = 3;
/// Revisions of nodes.
pub const NODE_REVISIONS: u8 = 4;
/// Keys.
pub const KV: u8 = 5;
/// Deleted keys.
pub const TOMBSTONES: u8 = 6;
/// Sessions.
pub const SESSIONS: u8 = 7;
/// Locks and elections.
pub const LOCKS: u8 = 8;
/// Results of writes.
pub const REQUESTS: u8 = 9;
/// Recent events by first revision; the store trims the oldest.
pub const HISTORY: u8 = 10;
/// Prepared queries by id.
pub const QUERIES: u8 = 20;
/// The autopilot configuration, one row.
pub const AUTOPILOT: u8 = 24;
/// Parts of a snapshot that is being restored, by number.
pub const RESTORE: u8 = 25;

/// Network coordinates by node and segment.
pub const COORDINATES: u8 = 21;
/// Keys that cannot be locked yet.
pub const LOCK_DELAYS: u8 = 22;

/// A row to write or to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowOp {
    /// Which table.
    pub table: u8,
    /// Its key.
    pub key: Vec<u8>,
    /// Its value; `None`: delete it.
    pub value: Option<Vec<u8>>,
}

/// The rows that these changes touch, with the values of `state`, which must be the state right after them; and the
/// revision up to which no history is kept any more, if there was too much at once.
pub fn of_changes(state: &State, changes: &[Change]) -> (Vec<RowOp>, Option<u64>) {
    let mut out = Rows::default();
    for change in changes {
        out.add(&change.what);
    }
    out.index_rows(state);
    let left_out = history::rows(changes, |first, events| out.put(HISTORY, first.to_be_bytes().to_vec(), Some(events)));
    out.put(META, Vec::new(), Some(encode_meta(&state.meta)));
    (out.ops, left_out)
}

/// The rows of a node and of what is registered on it; a [`Loader`] makes a state of them that has nothing else.
pub fn of_node(state: &State, name: &str) -> Vec<RowOp> {
    let Some(node) = state.node(name) else { return Vec::new() };
    let mut out = Rows::default();
    out.put(NODES, parts(&[&node.record.name]), Some(encode_node(&node.record)));
    out.nodes.insert(node.record.name.clone());
    for instance in state.instances_on(node) {
        out.put(INSTANCES, instance_key(instance), Some(encode_instance(instance)));
    }
    out.index_rows(state);
    out.ops
}

#[derive(Default)]
struct Rows<'a> {
    ops: Vec<RowOp>,
    /// What each key became last: keys that change often are encoded once.
    kv: HashMap<&'a [u8], Option<&'a Arc<KvEntry>>>,
    tombstones: HashSet<&'a [u8]>,
    services: HashSet<Arc<ServiceKey>>,
    nodes: HashSet<crate::model::Text>,
}

impl<'a> Rows<'a> {
    fn put(&mut self, table: u8, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.ops.push(RowOp { table, key, value });
    }

    fn add(&mut self, what: &'a What) {
        match what {
            What::Instance { before, after } => {
                let Some(any) = after.as_ref().or(before.as_ref()) else { return };
                self.put(INSTANCES, instance_key(any), after.as_ref().map(|i| encode_instance(i)));
                self.touch(any);
            }
            What::Touched(instance) => self.touch(instance),
            What::Node { before, after } => {
                let Some(any) = after.as_ref().or(before.as_ref()) else { return };
                self.put(NODES, parts(&[&any.name]), after.as_ref().map(|n| encode_node(n)));
                self.nodes.insert(any.name.clone());
            }
            What::Kv { before, after } => {
                let Some(any) = after.as_ref().or(before.as_ref()) else { return };
                self.kv.insert(&any.key, after.as_ref());
                if before.is_none() || after.is_none() {
                    self.tombstones.insert(&any.key);
                }
            }
            What::TombstoneDropped(grave) => drop(self.tombstones.insert(&grave.key)),
            What::Session { before, after } => {
                let Some(any) = after.as_ref().or(before.as_ref()) else { return };
                self.put(SESSIONS, any.id.as_bytes().to_vec(), after.as_ref().map(|s| encode_session(s)));
            }
            What::LockDelay { key, until_ms } => {
                self.put(LOCK_DELAYS, key.to_vec(), until_ms.map(|at| at.to_be_bytes().to_vec()));
            }
            What::Coordinate { before, after } => {
                let Some(any) = after.as_ref().or(before.as_ref()) else { return };
                let key = [parts(&[&any.node]), parts_spelled(&[&any.segment])].concat();
                self.put(COORDINATES, key, after.as_ref().map(|c| encode_coordinate(c)));
            }
            What::Lock { before, after } => {
                let Some(any) = after.as_ref().or(before.as_ref()) else { return };
                self.put(LOCKS, lock_key(any), after.as_ref().map(|l| encode_lock(l)));
            }
            What::Query { before, after } => {
                let Some(any) = after.as_ref().or(before.as_ref()) else { return };
                self.put(QUERIES, any.id.as_bytes().to_vec(), after.as_ref().map(|q| encode_query(q)));
            }
            What::Autopilot(autopilot) => self.put(AUTOPILOT, Vec::new(), Some(encode_autopilot(autopilot))),
            What::Gathered { part, rows } => {
                let value = rows.as_ref().map(|(id, rows)| [id.as_bytes(), &rows[..]].concat());
                self.put(RESTORE, part.to_be_bytes().to_vec(), value);
            }
            What::Request(request) => {
                self.put(REQUESTS, request.id.as_bytes().to_vec(), Some(encode_request(request)));
            }
            What::RequestDropped(id) => self.put(REQUESTS, id.as_bytes().to_vec(), None),
        }
    }

    fn touch(&mut self, instance: &Instance) {
        if !self.services.contains(&instance.service) {
            self.services.insert(instance.service.clone());
        }
        if !instance.node.is_empty() {
            self.nodes.insert(instance.node.clone());
        }
    }

    /// Rows that are only known once all changes are made.
    fn index_rows(&mut self, state: &State) {
        for (key, entry) in std::mem::take(&mut self.kv) {
            self.put(KV, key.to_vec(), entry.map(|e| encode_kv(e)));
        }
        for key in std::mem::take(&mut self.tombstones) {
            self.put(TOMBSTONES, key.to_vec(), state.tombstones.get(key).map(|t| encode_tombstone(t)));
        }
        for key in std::mem::take(&mut self.services) {
            let value = state.services.get(&key).map(|s| {
                let mut value = [s.revision.to_be_bytes(), s.catalog_revision.to_be_bytes()].concat();
                value.extend(parts_spelled(&[&s.key.namespace, &s.key.name]));
                value
            });
            self.put(SERVICE_REVISIONS, parts(&[&key.namespace, &key.name]), value);
        }
        for name in std::mem::take(&mut self.nodes) {
            let value = state.nodes.get(name.as_str()).map(|n| n.revision.to_be_bytes().to_vec());
            self.put(NODE_REVISIONS, parts(&[&name]), value);
        }
    }
}

/// Parts of a row key, each after its length, so that no two lists of parts give the same bytes. Folded, because
/// names are compared so.
fn parts(names: &[&str]) -> Vec<u8> {
    let folded: Vec<_> = names.iter().map(|n| fold(n)).collect();
    parts_spelled(&folded.iter().map(|t| t.as_str()).collect::<Vec<_>>())
}

fn parts_spelled(names: &[&str]) -> Vec<u8> {
    let mut key = Vec::with_capacity(names.iter().map(|n| n.len() + 4).sum());
    for name in names {
        key.extend_from_slice(&(name.len() as u32).to_be_bytes());
        key.extend_from_slice(name.as_bytes());
    }
    key
}

fn instance_key(i: &Instance) -> Vec<u8> {
    parts(&[&i.service.namespace, &i.service.name, &i.node, &i.id])
}

fn lock_key(lock: &Lock) -> Vec<u8> {
    let kind = match lock.kind {
        LockKind::Lock => b'l',
        LockKind::Election => b'e',
    };
    [&[kind], lock.name.as_bytes()].concat()
}

fn encode_meta(meta: &Meta) -> Vec<u8> {
    meta_numbers(meta).iter().flat_map(|n| n.to_be_bytes()).collect()
}

fn meta_numbers(m: &Meta) -> [u64; 10] {
    [
        m.revision,
        m.time_ms,
        m.services_revision,
        m.nodes_revision,
        m.checks_revision,
        m.vanished_revision,
        m.kv_revision,
        m.sessions_revision,
        m.coordinates_revision,
        m.queries_revision,
    ]
}

fn encode_request(r: &Request) -> Vec<u8> {
    let mut value = [r.digest, r.revision, r.time_ms].iter().flat_map(|n| n.to_be_bytes()).collect::<Vec<u8>>();
    value.extend(encode_reply(&r.reply));
    value
}

mod frame;
mod load;
pub use frame::{FrameError, check, export, read, write};
pub use load::{LoadError, Loaded, Loader};
