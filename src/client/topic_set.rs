//! What a watch has shown so far: the set, and the newest changes for those who come back.

use crate::proto::v1 as pb;
use crate::proto::v1::watch_response::{Cause, Delta, Snapshot, Update};
use bytes::Bytes;
use prost::Message;
use std::collections::{BTreeMap, HashMap, VecDeque};
use tokio::time::Instant;

/// A part of a snapshot has about so many bytes.
const PART_BYTES: usize = 1 << 20;
/// Changes that are kept for those who come back.
const RECENT_MAX: usize = 64;
const RECENT_BYTES_MAX: usize = 1 << 20;

type Key = (String, String, String, String);

/// The set of one watch, as its newest message left it.
#[derive(Debug)]
pub(super) struct Set {
    /// In the order in which the server sent them.
    instances: BTreeMap<u64, pb::Instance>,
    places: HashMap<Key, u64>,
    services: BTreeMap<(String, String), pb::ServiceState>,
    next: u64,
    /// A snapshot that has begun: its messages as they came.
    building: Vec<pb::WatchResponse>,
    recent: VecDeque<(Bytes, Bytes)>,
    recent_bytes: usize,
    /// Whether there was a whole snapshot.
    pub(super) ready: bool,
    /// Of the newest message.
    pub(super) token: Bytes,
    pub(super) header: Option<pb::ResponseHeader>,
    pub(super) heard: Instant,
}

impl Set {
    pub(super) fn new() -> Set {
        Set {
            instances: BTreeMap::new(),
            places: HashMap::new(),
            services: BTreeMap::new(),
            next: 0,
            building: Vec::new(),
            recent: VecDeque::new(),
            recent_bytes: 0,
            ready: false,
            token: Bytes::new(),
            header: None,
            heard: Instant::now(),
        }
    }

    /// What was sent of a snapshot before the stream broke comes again.
    pub(super) fn restart(&mut self) {
        self.building.clear();
    }

    /// Takes a message, and gives what readers are sent: nothing, a change, or a whole snapshot.
    pub(super) fn take(&mut self, message: pb::WatchResponse) -> Vec<Bytes> {
        self.heard = Instant::now();
        self.header.clone_from(&message.header);
        let mut out = Vec::new();
        match &message.update {
            Some(Update::Snapshot(part)) => {
                let complete = part.complete;
                self.building.push(message);
                if !complete {
                    return out;
                }
                self.replace(&mut out);
            }
            Some(Update::Delta(delta)) => {
                self.apply(delta);
                self.token = message.resume_token.clone();
                let bytes = Bytes::from(message.encode_to_vec());
                self.remember(bytes.clone());
                out.push(bytes);
            }
            Some(Update::Progress(_)) | None => {
                if !message.resume_token.is_empty() {
                    self.token = message.resume_token;
                }
            }
        }
        out
    }

    fn replace(&mut self, out: &mut Vec<Bytes>) {
        self.instances.clear();
        self.places.clear();
        self.services.clear();
        self.recent.clear();
        self.recent_bytes = 0;
        for message in std::mem::take(&mut self.building) {
            out.push(message.encode_to_vec().into());
            self.token = message.resume_token;
            if let Some(Update::Snapshot(part)) = message.update {
                self.put(part.instances, part.services);
            }
        }
        self.ready = true;
    }

    fn put(&mut self, instances: Vec<pb::Instance>, services: Vec<pb::ServiceState>) {
        for instance in instances {
            let place = *self.places.entry(key(instance.key.as_ref())).or_insert_with(|| {
                self.next += 1;
                self.next
            });
            self.instances.insert(place, instance);
        }
        for service in services {
            self.services.insert((service.namespace.clone(), service.service.clone()), service);
        }
    }

    fn apply(&mut self, delta: &Delta) {
        for removed in &delta.removed {
            if let Some(place) = self.places.remove(&key(Some(removed))) {
                self.instances.remove(&place);
            }
        }
        self.put(delta.upserts.clone(), delta.services.clone());
    }

    fn remember(&mut self, message: Bytes) {
        self.recent_bytes += message.len();
        self.recent.push_back((self.token.clone(), message));
        while self.recent.len() > RECENT_MAX || self.recent_bytes > RECENT_BYTES_MAX {
            let Some((_, oldest)) = self.recent.pop_front() else { return };
            self.recent_bytes -= oldest.len();
        }
    }

    /// What a reader has to be sent to be where the set is; `token`: where it says to be.
    pub(super) fn beginning(&self, token: &[u8]) -> Vec<Bytes> {
        if token.is_empty() {
            return self.snapshot(Cause::Initial);
        }
        if *token == self.token {
            return vec![self.progress()];
        }
        match self.recent.iter().position(|(after, _)| *after == token) {
            Some(at) => self.recent.iter().skip(at + 1).map(|(_, message)| message.clone()).collect(),
            None => self.snapshot(Cause::Compacted),
        }
    }

    /// The whole set.
    pub(super) fn snapshot(&self, cause: Cause) -> Vec<Bytes> {
        let part = || Snapshot { cause: cause.into(), ..Snapshot::default() };
        let mut parts = vec![Snapshot { services: self.services.values().cloned().collect(), ..part() }];
        let mut bytes = 0;
        for instance in self.instances.values() {
            let size = instance.encoded_len();
            if bytes > 0 && bytes + size > PART_BYTES {
                parts.push(part());
                bytes = 0;
            }
            bytes += size;
            if let Some(last) = parts.last_mut() {
                last.instances.push(instance.clone());
            }
        }
        let last = parts.len() - 1;
        let message = |(at, mut part): (usize, Snapshot)| {
            part.complete = at == last;
            let resume_token = if at == last { self.token.clone() } else { Bytes::new() };
            self.message(resume_token, Update::Snapshot(part))
        };
        parts.into_iter().enumerate().map(message).collect()
    }

    /// Nothing was missed so far.
    pub(super) fn progress(&self) -> Bytes {
        self.message(self.token.clone(), Update::Progress(pb::watch_response::Progress {}))
    }

    fn message(&self, resume_token: Bytes, update: Update) -> Bytes {
        let mut header = self.header.clone().unwrap_or_default();
        // As old as it was there, and as it has become here.
        let here = self.heard.elapsed();
        let mut staleness = header.staleness.unwrap_or_default();
        let nanos = staleness.nanos.max(0) as u64 + u64::from(here.subsec_nanos());
        staleness.seconds += (here.as_secs() + nanos / 1_000_000_000) as i64;
        staleness.nanos = (nanos % 1_000_000_000) as i32;
        header.staleness = Some(staleness);
        let update = Some(update);
        pb::WatchResponse { header: Some(header), resume_token, update }.encode_to_vec().into()
    }
}

fn key(key: Option<&pb::InstanceKey>) -> Key {
    let Some(key) = key else { return Key::default() };
    (key.namespace.clone(), key.service.to_lowercase(), key.node.to_lowercase(), key.instance_id.clone())
}
