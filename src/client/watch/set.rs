//! What a watch of instances has shown so far: the set.

use super::ring::Frame;
use super::watched::{MESSAGE_MAX, Own, Position, Taken, Watched, Why, aged, progress_every};
use crate::proto::v1 as pb;
use crate::proto::v1::discovery_service_client::DiscoveryServiceClient;
use crate::proto::v1::read_options::Consistency;
use crate::proto::v1::watch_response::{Cause, Delta, Progress, Snapshot, Update};
use bytes::Bytes;
use futures::future::BoxFuture;
use prost::Message;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Response, Status, Streaming};

/// A part of a snapshot has about so many bytes.
const PART_BYTES: usize = 1 << 20;
/// How often the server says that nothing was missed; each reader here has its own time for that.
const PROGRESS_SECONDS: i64 = 5;

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
    /// Whether there was a whole snapshot, and why it came.
    ready: bool,
    cause: Cause,
    /// Of the newest message.
    token: Bytes,
    header: pb::ResponseHeader,
    heard: Instant,
}

impl Watched for Set {
    type Request = pb::WatchRequest;
    type Answer = pb::WatchResponse;
    const HAS_WHOLE: bool = true;

    fn own(request: &mut pb::WatchRequest) -> Result<Own, Status> {
        let every = progress_every(request.progress_interval.take().as_ref())?;
        let token = std::mem::take(&mut request.resume_token);
        Ok(Own { token, progress_every: Some(every), shares: shares(request.read.as_ref()) })
    }

    fn open(
        channel: Channel,
        mut request: pb::WatchRequest,
    ) -> BoxFuture<'static, Result<Response<Streaming<pb::WatchResponse>>, Status>> {
        request.progress_interval = Some(prost_types::Duration { seconds: PROGRESS_SECONDS, nanos: 0 });
        let mut client = DiscoveryServiceClient::new(channel).max_decoding_message_size(MESSAGE_MAX);
        Box::pin(async move { client.watch(request).await })
    }

    fn begin(_: Option<&Arc<Position>>) -> Set {
        Set {
            instances: BTreeMap::new(),
            places: HashMap::new(),
            services: BTreeMap::new(),
            next: 0,
            building: Vec::new(),
            ready: false,
            cause: Cause::Initial,
            token: Bytes::new(),
            header: pb::ResponseHeader::default(),
            heard: Instant::now(),
        }
    }

    /// What was sent of a snapshot before the stream broke comes again.
    fn resume(&mut self, request: &mut pb::WatchRequest) {
        request.resume_token = self.token.clone();
        self.building.clear();
    }

    fn take(&mut self, message: pb::WatchResponse) -> Taken {
        self.heard = Instant::now();
        self.header = message.header.clone().unwrap_or_default();
        match &message.update {
            Some(Update::Snapshot(part)) => {
                let (complete, cause) = (part.complete, part.cause());
                self.building.push(message);
                if !complete {
                    return Taken::Nothing;
                }
                self.replace();
                self.cause = cause;
                Taken::Whole
            }
            Some(Update::Delta(delta)) => {
                self.apply(delta);
                self.token = message.resume_token.clone();
                let after = Some(Arc::new(Position { token: self.token.clone(), header: self.header.clone() }));
                Taken::Change(Frame { bytes: message.encode_to_vec().into(), after, first: 0, last: 0 })
            }
            Some(Update::Progress(_)) | None => {
                if !message.resume_token.is_empty() {
                    self.token = message.resume_token;
                }
                Taken::Nothing
            }
        }
    }

    fn is_ready(&self) -> bool {
        self.ready
    }

    fn token(&self) -> &[u8] {
        &self.token
    }

    fn progress(&self, _: Option<&Position>) -> Option<Bytes> {
        Some(self.message(self.token.clone(), Update::Progress(Progress {})))
    }

    fn whole(&self, why: Why) -> Option<Vec<Bytes>> {
        Some(self.snapshot(match why {
            Why::Begins => Cause::Initial,
            Why::Forgotten => Cause::Compacted,
            Why::Replaced => self.cause,
            Why::Slow => Cause::SlowConsumer,
        }))
    }
}

/// What is here is as good as any server's own memory.
fn shares(read: Option<&pb::ReadOptions>) -> bool {
    read.is_none_or(|read| {
        let local = [Consistency::Unspecified as i32, Consistency::Local as i32].contains(&read.consistency);
        local && read.min_revision == 0 && read.max_staleness.is_none()
    })
}

impl Set {
    fn replace(&mut self) {
        self.instances.clear();
        self.places.clear();
        self.services.clear();
        for message in std::mem::take(&mut self.building) {
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

    fn snapshot(&self, cause: Cause) -> Vec<Bytes> {
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

    fn message(&self, resume_token: Bytes, update: Update) -> Bytes {
        let header = Some(aged(&self.header, self.heard));
        pb::WatchResponse { header, resume_token, update: Some(update) }.encode_to_vec().into()
    }
}

fn key(key: Option<&pb::InstanceKey>) -> Key {
    let Some(key) = key else { return Key::default() };
    (key.namespace.clone(), key.service.to_lowercase(), key.node.to_lowercase(), key.instance_id.clone())
}
