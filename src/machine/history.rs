//! What watchers may still ask for: the changes of the recent past, small enough to keep in memory and to store with
//! the checkpoint, so that resume tokens stay good across a restart.
//!
//! Discovery watchers need to know only which instances changed: what they are now is in the state. KV watchers are
//! promised every event, so both sides of it are kept.

use super::change::{Change, What};
use crate::command::CodecError;
use crate::command::codec::{decode_kv, encode_kv};
use crate::model::{Instance, KvEntry, ServiceKey, Text};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;

/// One remembered change.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Revision of the change.
    pub revision: u64,
    /// What changed.
    pub subject: Subject,
}

/// What a remembered change was about.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// An instance: itself, its checks, or its node.
    Instance {
        /// Its service.
        service: Arc<ServiceKey>,
        /// Its node.
        node: Text,
        /// Its id.
        id: Text,
    },
    /// A key.
    Kv {
        /// As it was; `None`: not there.
        before: Option<Arc<KvEntry>>,
        /// As it became; `None`: deleted.
        after: Option<Arc<KvEntry>>,
    },
}

impl Event {
    /// The event that a watcher sees of this change, if any does.
    pub fn of(change: &Change) -> Option<Event> {
        let subject = match &change.what {
            What::Instance { before, after } => Subject::of(after.as_ref().or(before.as_ref())?),
            What::Touched(instance) => Subject::of(instance),
            What::Kv { before, after } => Subject::Kv { before: before.clone(), after: after.clone() },
            What::Node { .. }
            | What::TombstoneDropped(_)
            | What::Session { .. }
            | What::Lock { .. }
            | What::LockDelay { .. }
            | What::Coordinate { .. }
            | What::Request(_)
            | What::RequestDropped(_) => return None,
        };
        Some(Event { revision: change.revision, subject })
    }

    /// About how many bytes it keeps in memory.
    pub fn weight(&self) -> usize {
        let side = |e: &Option<Arc<KvEntry>>| e.as_ref().map_or(0, |e| e.key.len() + e.value.len() + 128);
        match &self.subject {
            Subject::Instance { .. } => 128,
            Subject::Kv { before, after } => 64 + side(before) + side(after),
        }
    }

    /// The key of a KV event.
    pub fn kv_key(&self) -> Option<&[u8]> {
        match &self.subject {
            Subject::Instance { .. } => None,
            Subject::Kv { before, after } => after.as_ref().or(before.as_ref()).map(|e| &e.key[..]),
        }
    }
}

impl Subject {
    fn of(instance: &Arc<Instance>) -> Subject {
        let (node, id) = (instance.node.clone(), instance.id.clone());
        Subject::Instance { service: instance.service.clone(), node, id }
    }
}

/// A part of the history aims at this size.
const PART_BYTES: usize = 1024 * 1024;

/// Splits events into parts that are kept and dropped as wholes, between revisions only. Bounds on what is kept are
/// several times as large, so a burst of changes cannot drop itself.
pub fn parts(events: Vec<Event>) -> Vec<Vec<Event>> {
    if events.is_empty() {
        return Vec::new();
    }
    if events.iter().map(Event::weight).sum::<usize>() <= PART_BYTES {
        return vec![events];
    }
    let mut parts = Vec::new();
    let mut part: Vec<Event> = Vec::new();
    let mut bytes = 0;
    for event in events {
        let next = part.last().is_some_and(|last| last.revision != event.revision);
        if next && bytes + event.weight() > PART_BYTES {
            parts.push(std::mem::take(&mut part));
            bytes = 0;
        }
        bytes += event.weight();
        part.push(event);
    }
    parts.push(part);
    parts
}

/// The kinds of stored events. The second held both sides of a key; it is read still.
const INSTANCE: u8 = 1;
const KV_BOTH: u8 = 2;
const KV_FOUND: u8 = 3;

/// The bytes of a row of events. What a key became is not among them: it is what the key's next event found, or what the
/// state holds.
pub(super) fn encode(events: &[Event]) -> Vec<u8> {
    let mut out = Vec::new();
    let put = |out: &mut Vec<u8>, bytes: &[u8]| {
        out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
        out.extend_from_slice(bytes);
    };
    for event in events {
        out.extend_from_slice(&event.revision.to_be_bytes());
        match &event.subject {
            Subject::Instance { service, node, id } => {
                out.push(INSTANCE);
                for part in [&service.namespace, &service.name, node, id] {
                    put(&mut out, part.as_bytes());
                }
            }
            Subject::Kv { before, .. } => {
                out.push(KV_FOUND);
                put(&mut out, event.kv_key().unwrap_or_default());
                put(&mut out, &before.as_ref().map(|e| encode_kv(e)).unwrap_or_default());
            }
        }
    }
    out
}

/// An event as a row holds it.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) revision: u64,
    subject: StoredSubject,
}

#[derive(Debug)]
enum StoredSubject {
    Whole(Subject),
    Found { key: Bytes, before: Option<Arc<KvEntry>> },
}

/// The events in such bytes.
pub(super) fn decode(mut bytes: &[u8]) -> Result<Vec<Stored>, CodecError> {
    let mut events = Vec::new();
    while !bytes.is_empty() {
        let revision = u64::from_be_bytes(*take(&mut bytes)?);
        let [kind] = *take::<1>(&mut bytes)?;
        let side = |bytes: &mut &[u8]| -> Result<Option<Arc<KvEntry>>, CodecError> {
            let bytes = part(bytes)?;
            Ok(if bytes.is_empty() { None } else { Some(Arc::new(decode_kv(bytes)?)) })
        };
        let subject = match kind {
            INSTANCE => {
                let mut text = || -> Result<Text, CodecError> {
                    Text::from_utf8(part(&mut bytes)?).map_err(|_| damaged("a name is not UTF-8"))
                };
                let service = Arc::new(ServiceKey { namespace: text()?, name: text()? });
                StoredSubject::Whole(Subject::Instance { service, node: text()?, id: text()? })
            }
            KV_BOTH => StoredSubject::Whole(Subject::Kv { before: side(&mut bytes)?, after: side(&mut bytes)? }),
            KV_FOUND => {
                let key = Bytes::copy_from_slice(part(&mut bytes)?);
                StoredSubject::Found { key, before: side(&mut bytes)? }
            }
            _ => return Err(damaged("an event is of an unknown kind")),
        };
        events.push(Stored { revision, subject });
    }
    Ok(events)
}

/// The whole events, given all of them in order of revision, and the state after the last.
pub(super) fn resolve(stored: Vec<Stored>, now: impl Fn(&[u8]) -> Option<Arc<KvEntry>>) -> Vec<Event> {
    let mut next: HashMap<Bytes, Option<Arc<KvEntry>>> = HashMap::new();
    let mut events = Vec::with_capacity(stored.len());
    for Stored { revision, subject } in stored.into_iter().rev() {
        let subject = match subject {
            StoredSubject::Whole(subject) => subject,
            StoredSubject::Found { key, before } => {
                let after = next.get(&key).cloned().unwrap_or_else(|| now(&key));
                Subject::Kv { before, after }
            }
        };
        let event = Event { revision, subject };
        if let (Subject::Kv { before, .. }, Some(key)) = (&event.subject, event.kv_key()) {
            next.insert(Bytes::copy_from_slice(key), before.clone());
        }
        events.push(event);
    }
    events.reverse();
    events
}

fn damaged(reason: &'static str) -> CodecError {
    CodecError::Field { message: "History", field: "event", reason }
}

fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Result<&'a [u8; N], CodecError> {
    let (head, rest) = bytes.split_first_chunk::<N>().ok_or_else(|| damaged("ends too early"))?;
    *bytes = rest;
    Ok(head)
}

fn part<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], CodecError> {
    let length = u32::from_be_bytes(*take(bytes)?) as usize;
    let (head, rest) = bytes.split_at_checked(length).ok_or_else(|| damaged("ends too early"))?;
    *bytes = rest;
    Ok(head)
}
