//! Watches: readers with equal requests share a [`Topic`]. A reader who comes later gets the present set as its
//! snapshot, then the same changes; the tokens are the servers'. While no server can be reached, streams stay open.

use super::servers::Servers;
use super::topic::{Place, Topic};
use crate::clock::Clock;
use crate::proto::v1 as pb;
use crate::proto::v1::read_options::Consistency;
use crate::service::admission::Held;
use bytes::{BufMut, Bytes};
use futures::stream::BoxStream;
use prost::Message;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Response, Status};

/// A reader waits so long for a topic's first snapshot.
const OPEN_LIMIT: Duration = Duration::from_secs(10);
/// The default of `progress_interval`, and its bounds.
const PROGRESS: Duration = Duration::from_secs(15);
const PROGRESS_BOUNDS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(600));
/// Topics that have ended are looked for when there are so many.
const SWEEP_AT: usize = 64;

type WatchStream = BoxStream<'static, Result<Bytes, Status>>;

/// All watches of this agent. Clones share everything.
#[derive(Clone)]
pub(super) struct Watches(Arc<Inner>);

struct Inner {
    servers: Servers,
    clock: Clock,
    stop: CancellationToken,
    topics: Mutex<HashMap<Vec<u8>, Weak<Topic>>>,
}

struct Reader {
    topic: Arc<Topic>,
    place: Place,
    pending: VecDeque<Bytes>,
    progress_every: Duration,
    next_progress: Instant,
    stop: CancellationToken,
    ended: bool,
    /// On the connection.
    _place: Option<Arc<Held>>,
}

impl Watches {
    pub(super) fn new(servers: Servers, clock: Clock, stop: CancellationToken) -> Watches {
        Watches(Arc::new(Inner { servers, clock, stop, topics: Mutex::default() }))
    }

    fn topics(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Weak<Topic>>> {
        // Every change of it is whole after each call.
        self.0.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a stream.
    pub(super) async fn watch(
        &self,
        mut request: pb::WatchRequest,
        place: Option<Arc<Held>>,
    ) -> Result<Response<WatchStream>, Status> {
        let token = std::mem::take(&mut request.resume_token);
        let progress_every = progress(&request)?;
        request.progress_interval = None;
        let topic = self.topic(request);
        match tokio::time::timeout(OPEN_LIMIT, topic.ready()).await {
            Ok(ready) => ready?,
            Err(_) => return Err(Status::unavailable("no server can be reached")),
        }
        let mut at = topic.join(&token);
        let reader = Reader {
            pending: std::mem::take(&mut at.first).into(),
            topic,
            place: at,
            progress_every,
            next_progress: Instant::now() + progress_every,
            stop: self.0.stop.clone(),
            ended: false,
            _place: place,
        };
        let stream = futures::stream::unfold(reader, |mut reader| async move {
            let item = reader.next().await?;
            reader.ended = item.is_err();
            Some((item, reader))
        });
        Ok(Response::new(Box::pin(stream)))
    }

    /// The topic of this request. One that must be fresher than what is here gets its own.
    fn topic(&self, request: pb::WatchRequest) -> Arc<Topic> {
        let start = |request| Arc::new(Topic::start(self.0.servers.clone(), self.0.clock.clone(), request));
        if !shares(request.read.as_ref()) {
            return start(request);
        }
        let key = request.encode_to_vec();
        let mut topics = self.topics();
        if let Some(topic) = topics.get(&key).and_then(Weak::upgrade).filter(|t| t.refused().is_none()) {
            metrics::counter!("lictor_client_watches_shared_total").increment(1);
            return topic;
        }
        if topics.len() >= SWEEP_AT && topics.len().is_power_of_two() {
            topics.retain(|_, topic| topic.strong_count() > 0);
        }
        let topic = start(request);
        topics.insert(key, Arc::downgrade(&topic));
        topic
    }
}

/// What is here is as good as any server's own memory.
fn shares(read: Option<&pb::ReadOptions>) -> bool {
    read.is_none_or(|read| {
        let local = [Consistency::Unspecified as i32, Consistency::Local as i32].contains(&read.consistency);
        local && read.min_revision == 0 && read.max_staleness.is_none()
    })
}

/// Values out of bounds are the server's to refuse, in its words.
fn progress(request: &pb::WatchRequest) -> Result<Duration, Status> {
    let Some(asked) = &request.progress_interval else { return Ok(PROGRESS) };
    let every = Duration::try_from(*asked).unwrap_or_default();
    let (least, most) = PROGRESS_BOUNDS;
    if every < least || every > most {
        let text = format!("progress_interval: is out of bounds: {} ms to {} s", least.as_millis(), most.as_secs());
        return Err(Status::invalid_argument(text));
    }
    Ok(every)
}

impl Reader {
    async fn next(&mut self) -> Option<Result<Bytes, Status>> {
        if self.ended {
            return None;
        }
        loop {
            if let Some(message) = self.pending.pop_front() {
                self.next_progress = Instant::now() + self.progress_every;
                return Some(Ok(message));
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Some(Err(Status::unavailable("this agent is stopping"))),
                news = self.place.news.recv() => match news {
                    Ok(message) => self.pending.push_back(message),
                    Err(RecvError::Lagged(_)) => {
                        let mut place = self.topic.rejoin();
                        self.pending = std::mem::take(&mut place.first).into();
                        self.place = place;
                    }
                    Err(RecvError::Closed) => return Some(Err(Status::unavailable("the watch has ended"))),
                },
                () = tokio::time::sleep_until(self.next_progress) => match self.topic.refused() {
                    Some(status) => return Some(Err(status)),
                    None => self.pending.push_back(self.topic.progress()),
                },
            }
        }
    }
}

/// Requests as messages, answers as bytes that were encoded before.
#[derive(Debug, Default)]
pub(super) struct FrameCodec;

/// See [`FrameCodec`].
#[derive(Debug)]
pub(super) struct FrameEncoder;

/// See [`FrameCodec`].
#[derive(Debug)]
pub(super) struct RequestDecoder;

impl Codec for FrameCodec {
    type Encode = Bytes;
    type Decode = pb::WatchRequest;
    type Encoder = FrameEncoder;
    type Decoder = RequestDecoder;

    fn encoder(&mut self) -> FrameEncoder {
        FrameEncoder
    }

    fn decoder(&mut self) -> RequestDecoder {
        RequestDecoder
    }
}

impl Encoder for FrameEncoder {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for RequestDecoder {
    type Item = pb::WatchRequest;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<pb::WatchRequest>, Status> {
        pb::WatchRequest::decode(from).map(Some).map_err(|e| Status::internal(e.to_string()))
    }
}
