//! All topics of one kind, and how a reader begins.

use super::reader::Reader;
use super::topic::{self, Topic};
use super::watched::{Position, Watched};
use crate::client::backoff::Backoff;
use crate::client::servers::Servers;
use crate::clock::Clock;
use bytes::Bytes;
use futures::stream::BoxStream;
use prost::Message;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tonic::{Response, Status, Streaming};

/// A reader waits so long for the beginning of its stream.
const OPEN_LIMIT: Duration = Duration::from_secs(10);
/// Topics that have ended are looked for when there are so many.
const SWEEP_AT: usize = 64;

type Answers = BoxStream<'static, Result<Bytes, Status>>;

/// All watches of one kind. Clones share everything.
pub(super) struct Watches<W: Watched>(Arc<Inner<W>>);

struct Inner<W: Watched> {
    servers: Servers,
    clock: Clock,
    stop: CancellationToken,
    topics: Mutex<HashMap<Vec<u8>, Weak<Topic<W>>>>,
}

impl<W: Watched> Clone for Watches<W> {
    fn clone(&self) -> Watches<W> {
        Watches(self.0.clone())
    }
}

impl<W: Watched> Watches<W> {
    pub(super) fn new(servers: Servers, clock: Clock, stop: CancellationToken) -> Watches<W> {
        Watches(Arc::new(Inner { servers, clock, stop, topics: Mutex::default() }))
    }

    fn topics(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Weak<Topic<W>>>> {
        // Every change of it is whole after each call.
        self.0.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stop(&self) -> &CancellationToken {
        &self.0.stop
    }

    /// Opens a stream.
    pub(super) async fn watch(&self, mut request: W::Request) -> Result<Response<Answers>, Status> {
        let own = W::own(&mut request)?;
        let away = |_| Status::unavailable("no server can be reached");
        let mut reader = Reader::new(self.clone(), request.clone(), own.progress_every);
        if W::HAS_WHOLE {
            let topic = if own.shares { self.topic(&request, None) } else { Arc::new(self.start(&request, None)) };
            tokio::time::timeout(OPEN_LIMIT, topic.ready()).await.map_err(away)??;
            reader.join(topic, &own.token);
        } else {
            let opened = tokio::time::timeout(OPEN_LIMIT, self.open(&request)).await.map_err(away)??;
            reader.follow(opened);
        }
        let stream = futures::stream::unfold(reader, |mut reader| async move {
            let item = reader.next().await?;
            Some((item, reader))
        });
        Ok(Response::new(Box::pin(stream)))
    }

    /// A stream of a reader's own, from whichever server is asked.
    pub(super) async fn open(&self, request: &W::Request) -> Result<Streaming<W::Answer>, Status> {
        topic::open::<W>(&self.0.servers, &self.0.clock, request).await.1
    }

    /// The same, some time after one that has ended.
    pub(super) async fn open_again(&self, request: &W::Request) -> Result<Streaming<W::Answer>, Status> {
        tokio::time::sleep(Backoff::new(self.0.clock.clone()).failed(None)).await;
        self.open(request).await
    }

    /// The topic that the readers of this request share, and the number in it of a reader who is at this position;
    /// `None`: it has not all that follows.
    pub(super) fn place(&self, request: &W::Request, at: &Arc<Position>) -> Option<(Arc<Topic<W>>, u64)> {
        let topic = self.topic(&W::shared(request), Some(at));
        let number = topic.behind(at.header.revision)?;
        Some((topic, number))
    }

    fn start(&self, request: &W::Request, from: Option<&Arc<Position>>) -> Topic<W> {
        Topic::start(self.0.servers.clone(), self.0.clock.clone(), request.clone(), from)
    }

    /// The topic of this request; one that begins now, if there is none, begins at this position.
    fn topic(&self, request: &W::Request, from: Option<&Arc<Position>>) -> Arc<Topic<W>> {
        let key = request.encode_to_vec();
        let mut topics = self.topics();
        if let Some(topic) = topics.get(&key).and_then(Weak::upgrade).filter(|t| t.refused().is_none()) {
            return topic;
        }
        if topics.len() >= SWEEP_AT && topics.len().is_power_of_two() {
            topics.retain(|_, topic| topic.strong_count() > 0);
        }
        let topic = Arc::new(self.start(request, from));
        topics.insert(key, Arc::downgrade(&topic));
        topic
    }
}
