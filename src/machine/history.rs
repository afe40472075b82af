//! What watchers may still ask for: the changes of the recent past, small enough to keep in memory and to store with
//! the checkpoint, so that resume tokens stay good across a restart.
//!
//! Discovery watchers need to know only which instances changed: what they are now is in the state. KV watchers are
//! promised every event, so both sides of it are kept.

use super::change::{Change, What};
use crate::command::CodecError;
use crate::command::codec::{append_kv, decode_kv};
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

/// What of a change watchers see.
enum Seen<'a> {
    Instance(&'a Arc<Instance>),
    Kv { before: &'a Option<Arc<KvEntry>>, after: &'a Option<Arc<KvEntry>> },
}

impl Seen<'_> {
    fn of(change: &Change) -> Option<Seen<'_>> {
        match &change.what {
            What::Instance { before, after } => Some(Seen::Instance(after.as_ref().or(before.as_ref())?)),
            What::Touched(instance) => Some(Seen::Instance(instance)),
            What::Kv { before, after } => Some(Seen::Kv { before, after }),
            What::Node { .. }
            | What::TombstoneDropped(_)
            | What::Session { .. }
            | What::Lock { .. }
            | What::Query { .. }
            | What::Autopilot(_)
            | What::Gathered { .. }
            | What::LockDelay { .. }
            | What::Coordinate { .. }
            | What::Request(_)
            | What::RequestDropped(_) => None,
        }
    }
}

impl Event {
    /// The event that a watcher sees of this change, if any does.
    pub fn of(change: &Change) -> Option<Event> {
        let subject = match Seen::of(change)? {
            Seen::Instance(instance) => Subject::of(instance),
            Seen::Kv { before, after } => Subject::Kv { before: before.clone(), after: after.clone() },
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

/// What the events of one checkpoint may come to, in bytes. It is what a reader of keys may be behind before it is cut
/// off: whoever follows finds its place again after a restart, however fast keys are written, because what happened after
/// the checkpoint is in the log.
const NEWEST_BYTES: usize = 4 << 20;

/// Calls `row` with the revision of the first event and the bytes, for each row that the newest events of these changes
/// fill. What a key became is not among them: it is what the key's next event found, or what the state holds. Returns
/// the revision up to which events were left out, if some were.
pub(super) fn rows(changes: &[Change], mut row: impl FnMut(u64, Vec<u8>)) -> Option<u64> {
    let (left_out, newest) = newest(changes);
    let (mut first, mut last, mut bytes) = (0, 0, Vec::new());
    for change in newest {
        if bytes.len() >= PART_BYTES && change.revision != last {
            row(first, std::mem::replace(&mut bytes, Vec::with_capacity(PART_BYTES + PART_BYTES / 8)));
        }
        if bytes.is_empty() {
            first = change.revision;
        }
        last = change.revision;
        encode(change, &mut bytes);
    }
    if !bytes.is_empty() {
        row(first, bytes);
    }
    left_out
}

/// The changes of the last revisions whose events have room in [`NEWEST_BYTES`], at least of one, and the revision before
/// them, if there are others.
fn newest(changes: &[Change]) -> (Option<u64>, &[Change]) {
    let mut room = NEWEST_BYTES;
    let over = changes.iter().rposition(|change| match room.checked_sub(stored_bytes(change)) {
        Some(left) => {
            room = left;
            false
        }
        None => true,
    });
    let Some(over) = over.map(|at| changes[at].revision) else { return (None, changes) };
    let over = over.min(changes.last().map_or(0, |last| last.revision - 1));
    match changes.partition_point(|change| change.revision <= over) {
        0 => (None, changes),
        from => (Some(over), &changes[from..]),
    }
}

/// About how many bytes of a row the event of a change takes.
fn stored_bytes(change: &Change) -> usize {
    let text = |entry: &Arc<KvEntry>| entry.key.len() + entry.value.len();
    match Seen::of(change) {
        None => 0,
        Some(Seen::Instance(_)) => 64,
        Some(Seen::Kv { before, after }) => {
            64 + before.as_ref().map_or(0, text) + after.as_ref().map_or(0, |e| e.key.len())
        }
    }
}

/// Appends the event of a change, if it has one.
fn encode(change: &Change, out: &mut Vec<u8>) {
    let put = |out: &mut Vec<u8>, bytes: &[u8]| {
        out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
        out.extend_from_slice(bytes);
    };
    let Some(seen) = Seen::of(change) else { return };
    out.extend_from_slice(&change.revision.to_be_bytes());
    match seen {
        Seen::Instance(instance) => {
            out.push(INSTANCE);
            for part in [&instance.service.namespace, &instance.service.name, &instance.node, &instance.id] {
                put(out, part.as_bytes());
            }
        }
        Seen::Kv { before, after } => {
            out.push(KV_FOUND);
            put(out, before.as_ref().or(after.as_ref()).map_or(&[], |entry| &entry.key));
            let length_at = out.len();
            put(out, &[]);
            if let Some(entry) = before {
                append_kv(entry, out);
                let length = (out.len() - length_at - 4) as u32;
                out[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_of_a_bounded_size_and_hold_whole_revisions() {
        let entry = |revision| KvEntry {
            key: "k".into(),
            value: vec![0; 300 << 10].into(),
            flags: 0,
            create_revision: 1,
            modify_revision: revision,
            version: 1,
            session: None,
            ephemeral: false,
            lock_index: 0,
            expire_ms: None,
        };
        let put = |revision| Change {
            revision,
            what: What::Kv { before: Some(Arc::new(entry(revision - 1))), after: Some(Arc::new(entry(revision))) },
        };
        let unseen = |revision| Change { revision, what: What::LockDelay { key: "k".into(), until_ms: None } };
        let changes: Vec<Change> = (2..20).flat_map(|r| [unseen(r), put(r), put(r), unseen(r)]).collect();
        let mut found = Vec::new();
        let left_out = rows(&changes, |first, bytes| {
            let revisions: Vec<u64> = decode(&bytes).unwrap().iter().map(|event| event.revision).collect();
            assert_eq!(Some(&first), revisions.first());
            assert!(bytes.len() < 2 * PART_BYTES, "{}", bytes.len());
            assert_ne!(found.last(), revisions.first(), "the row before ends in the same revision");
            found.extend(revisions);
        });
        // They found 300 kB each, two at a revision: thirteen have room.
        assert_eq!((Some(13), (14..20).flat_map(|r| [r, r]).collect::<Vec<u64>>()), (left_out, found));
        assert_eq!(None, rows(&[unseen(1)], |first, _| panic!("a row at {first} without an event")));
    }
}
