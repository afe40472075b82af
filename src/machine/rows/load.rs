//! Builds the state from its rows.

use super::*;
use crate::command::CodecError;
use crate::machine::catalog::{Node, Service};
use crate::machine::history::Event;
use crate::model::{Autopilot, Coordinate, KvEntry, NodeRecord, PreparedQuery, Session, Tombstone};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use thiserror::Error;
use uuid::Uuid;

/// Rows that are no state: a damaged or foreign checkpoint.
#[derive(Debug, Error)]
#[error("row of table {table} with key {key:02x?}: {reason}")]
pub struct LoadError {
    pub(super) table: u8,
    pub(super) key: Vec<u8>,
    pub(super) reason: String,
}

/// A state and the recent events that go with it.
#[derive(Debug)]
pub struct Loaded {
    /// The state.
    pub state: State,
    /// In order of revision.
    pub history: Vec<Event>,
}

/// Takes rows in any order.
#[derive(Debug, Default)]
pub struct Loader {
    meta: Meta,
    instances: Vec<Instance>,
    services: HashMap<Vec<u8>, (u64, u64, ServiceKey)>,
    nodes: Vec<NodeRecord>,
    node_revisions: HashMap<Vec<u8>, u64>,
    kv: Vec<KvEntry>,
    tombstones: Vec<Tombstone>,
    sessions: Vec<Session>,
    locks: Vec<Lock>,
    requests: Vec<Request>,
    queries: Vec<PreparedQuery>,
    autopilot: Option<Autopilot>,
    /// Parts of a snapshot by number, each with the id of the restore.
    gathered: BTreeMap<Vec<u8>, (Uuid, Bytes)>,
    coordinates: Vec<Coordinate>,
    lock_delays: Vec<(Bytes, u64)>,
    history: Vec<history::Stored>,
}

impl Loader {
    /// Nothing loaded yet.
    pub fn new() -> Loader {
        Loader::default()
    }

    /// Takes one row.
    ///
    /// # Errors
    /// [`LoadError`] if it is no row of a state.
    pub fn push(&mut self, table: u8, key: &[u8], value: &[u8]) -> Result<(), LoadError> {
        self.take(table, key, value).map_err(|e| LoadError { table, key: key.to_vec(), reason: e.to_string() })
    }

    fn take(&mut self, table: u8, key: &[u8], value: &[u8]) -> Result<(), CodecError> {
        match table {
            META => self.meta = decode_meta(value)?,
            INSTANCES => self.instances.push(decode_instance(value)?),
            SERVICE_REVISIONS => {
                let (revision, value) = number(value)?;
                let (catalog_revision, value) = number(value)?;
                let (namespace, value) = name(value)?;
                let (name, _) = name(value)?;
                let key_spelled = ServiceKey { namespace: namespace.into(), name: name.into() };
                self.services.insert(key.to_vec(), (revision, catalog_revision, key_spelled));
            }
            NODES => self.nodes.push(decode_node(value)?),
            NODE_REVISIONS => {
                self.node_revisions.insert(key.to_vec(), number(value)?.0);
            }
            KV => self.kv.push(decode_kv(value)?),
            TOMBSTONES => self.tombstones.push(decode_tombstone(value)?),
            SESSIONS => self.sessions.push(decode_session(value)?),
            LOCKS => self.locks.push(decode_lock(value)?),
            REQUESTS => {
                let id = Uuid::from_slice(key).map_err(|_| damaged("a request id is not a UUID"))?;
                let (digest, rest) = number(value)?;
                let (revision, rest) = number(rest)?;
                let (time_ms, rest) = number(rest)?;
                self.requests.push(Request { id, digest, revision, time_ms, reply: decode_reply(rest)? });
            }
            QUERIES => self.queries.push(decode_query(value)?),
            AUTOPILOT => self.autopilot = Some(decode_autopilot(value)?),
            RESTORE => {
                let (id, rows) = value.split_at_checked(16).ok_or_else(|| damaged("ends too early"))?;
                let id = Uuid::from_slice(id).map_err(|_| damaged("the id of a restore is not a UUID"))?;
                self.gathered.insert(key.to_vec(), (id, Bytes::copy_from_slice(rows)));
            }
            COORDINATES => self.coordinates.push(decode_coordinate(value)?),
            LOCK_DELAYS => self.lock_delays.push((key.to_vec().into(), number(value)?.0)),
            HISTORY => self.history.extend(history::decode(value)?),
            _ => return Err(damaged("the table is unknown: the file may be of a newer version")),
        }
        Ok(())
    }

    /// The state, with all its indexes.
    pub fn finish(mut self) -> Loaded {
        let mut state = State { meta: self.meta.clone(), ..State::default() };
        for session in std::mem::take(&mut self.sessions) {
            state.index_session(&session);
            state.sessions.insert(Arc::new(session));
        }
        for record in std::mem::take(&mut self.nodes) {
            let revision = self.node_revisions.get(&parts(&[&record.name])).copied();
            let revision = revision.unwrap_or(record.modify_revision);
            let (services, checks) = Default::default();
            state.nodes.insert(Arc::new(Node { record: Arc::new(record), services, checks, revision }));
        }
        self.load_services(&mut state);
        for entry in std::mem::take(&mut self.kv) {
            let entry = Arc::new(entry);
            state.index_kv(&entry);
            state.kv.insert(entry);
        }
        for grave in std::mem::take(&mut self.tombstones) {
            state.graves.insert((grave.revision, grave.key.clone()));
            state.tombstones.insert(Arc::new(grave));
        }
        for lock in std::mem::take(&mut self.locks) {
            state.index_lock(&lock);
            state.locks.insert(Arc::new(lock));
        }
        for request in std::mem::take(&mut self.requests) {
            state.request_order.insert((request.revision, request.id));
            state.requests.insert(Arc::new(request));
        }
        for query in std::mem::take(&mut self.queries) {
            state.index_query(&query);
            state.queries.insert(Arc::new(query));
        }
        state.autopilot = self.autopilot.take().map(Arc::new);
        for (id, rows) in std::mem::take(&mut self.gathered).into_values() {
            state.gathered.id = id;
            state.gathered.parts.push_back(rows);
        }
        for coordinate in std::mem::take(&mut self.coordinates) {
            state.coordinates.insert(Arc::new(coordinate));
        }
        for (key, until_ms) in std::mem::take(&mut self.lock_delays) {
            state.lock_delay_ends.insert((until_ms, key.clone()));
            state.lock_delays.insert(key, until_ms);
        }
        self.history.sort_by_key(|e| e.revision);
        let history = history::resolve(self.history, |key| state.kv.get(key).cloned());
        Loaded { state, history }
    }

    /// Instances come grouped by service when rows come in order; any order gives the same state.
    fn load_services(&mut self, state: &mut State) {
        let mut services: HashMap<Vec<u8>, Service> = HashMap::new();
        let mut on_nodes: HashMap<crate::model::Text, Vec<Arc<Instance>>> = HashMap::new();
        for mut instance in std::mem::take(&mut self.instances) {
            let row = parts(&[&instance.service.namespace, &instance.service.name]);
            let service = services.entry(row).or_insert_with_key(|row| {
                let known = self.services.get(row);
                Service {
                    key: known.map_or_else(|| instance.service.clone(), |(_, _, key)| Arc::new(key.clone())),
                    instances: Default::default(),
                    revision: known.map_or(instance.modify_revision, |k| k.0),
                    catalog_revision: known.map_or(instance.modify_revision, |k| k.1),
                }
            });
            if *instance.service == *service.key {
                instance.service = service.key.clone();
            }
            let instance = Arc::new(instance);
            state.index_instance(&instance);
            if !instance.node.is_empty() {
                on_nodes.entry(fold(&instance.node)).or_default().push(instance.clone());
            }
            service.instances.insert(instance);
        }
        for service in services.into_values() {
            state.services.insert(Arc::new(service));
        }
        for (name, instances) in on_nodes {
            let Some(node) = state.nodes.get(name.as_str()) else { continue };
            let mut node = (**node).clone();
            node.services = instances.iter().map(|i| (fold(&i.id), i.service.clone())).collect();
            for instance in &instances {
                node.index_checks(None, Some(instance));
            }
            state.nodes.insert(Arc::new(node));
        }
    }
}

fn damaged(reason: &'static str) -> CodecError {
    CodecError::Field { message: "Row", field: "value", reason }
}

fn decode_meta(mut value: &[u8]) -> Result<Meta, CodecError> {
    let mut next = || -> Result<u64, CodecError> {
        let (number, rest) = number(value)?;
        value = rest;
        Ok(number)
    };
    Ok(Meta {
        revision: next()?,
        time_ms: next()?,
        services_revision: next()?,
        nodes_revision: next()?,
        checks_revision: next()?,
        vanished_revision: next()?,
        kv_revision: next()?,
        sessions_revision: next()?,
        // Rows of older releases end here.
        coordinates_revision: next().unwrap_or(0),
        queries_revision: next().unwrap_or(0),
    })
}

fn number(bytes: &[u8]) -> Result<(u64, &[u8]), CodecError> {
    let (head, rest) = bytes.split_first_chunk::<8>().ok_or_else(|| damaged("ends too early"))?;
    Ok((u64::from_be_bytes(*head), rest))
}

fn name(bytes: &[u8]) -> Result<(&str, &[u8]), CodecError> {
    let (head, rest) = bytes.split_first_chunk::<4>().ok_or_else(|| damaged("ends too early"))?;
    let length = u32::from_be_bytes(*head) as usize;
    let (name, rest) = rest.split_at_checked(length).ok_or_else(|| damaged("ends too early"))?;
    Ok((std::str::from_utf8(name).map_err(|_| damaged("a name is not UTF-8"))?, rest))
}
