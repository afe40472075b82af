//! One client's stream.

use super::topic::{Read, Topic, is_final};
use super::watched::{Position, Watched};
use super::watches::Watches;
use bytes::Bytes;
use futures::future::BoxFuture;
use prost::Message;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tonic::{Status, Streaming};

/// The time of a kind that has nothing to say when nothing happens.
const NEVER: Duration = Duration::from_secs(86_400 * 365);

/// Where its messages come from.
enum Source<W: Watched> {
    /// From nowhere yet, or no longer.
    None,
    /// A topic, and the number of the message that comes next.
    Topic { topic: Arc<Topic<W>>, at: u64, news: watch::Receiver<()> },
    /// A stream of its own that is being opened.
    Opening(BoxFuture<'static, Result<Streaming<W::Answer>, Status>>),
    /// A stream of its own.
    Own(Streaming<W::Answer>),
}

/// A client's stream, as far as it is.
pub(super) struct Reader<W: Watched> {
    watches: Watches<W>,
    request: W::Request,
    source: Source<W>,
    pending: VecDeque<Bytes>,
    /// After what was sent last.
    position: Option<Arc<Position>>,
    /// What was sent last is not all that belongs together.
    inside: bool,
    progress_every: Duration,
    next_progress: Instant,
}

impl<W: Watched> Reader<W> {
    pub(super) fn new(watches: Watches<W>, request: W::Request, progress_every: Option<Duration>) -> Reader<W> {
        let progress_every = progress_every.unwrap_or(NEVER);
        Reader {
            watches,
            request,
            source: Source::None,
            pending: VecDeque::new(),
            position: None,
            inside: false,
            progress_every,
            next_progress: Instant::now() + progress_every,
        }
    }

    /// Reads a topic from now on, from this token.
    pub(super) fn join(&mut self, topic: Arc<Topic<W>>, token: &[u8]) {
        if let Some(place) = topic.join(token) {
            self.pending = place.first.into();
            self.attach(topic, place.at);
        }
    }

    /// Reads a stream of its own from now on.
    pub(super) fn follow(&mut self, stream: Streaming<W::Answer>) {
        self.source = Source::Own(stream);
    }

    fn attach(&mut self, topic: Arc<Topic<W>>, at: u64) {
        if Arc::strong_count(&topic) > 1 {
            metrics::counter!("lictor_client_watches_shared_total").increment(1);
        }
        let news = topic.news();
        self.source = Source::Topic { topic, at, news };
    }

    /// The next message; `None` after an error.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes, Status>> {
        if matches!(self.source, Source::None) {
            return None;
        }
        let stop = self.watches.stop().clone();
        let item = tokio::select! {
            biased;
            () = stop.cancelled() => Err(Status::unavailable("this agent is stopping")),
            item = self.message() => item,
        };
        match &item {
            Ok(_) => self.next_progress = Instant::now() + self.progress_every,
            Err(_) => self.source = Source::None,
        }
        Some(item)
    }

    async fn message(&mut self) -> Result<Bytes, Status> {
        loop {
            if let Some(bytes) = self.pending.pop_front() {
                return Ok(bytes);
            }
            match &mut self.source {
                Source::None => return Err(Status::unavailable("the watch has ended")),
                Source::Topic { .. } => self.read_topic().await?,
                Source::Opening(opening) => tokio::select! {
                    opened = opening => self.source = Source::Own(opened?),
                    () = sleep_until(self.next_progress) => self.still_there(),
                },
                Source::Own(stream) => {
                    let message = stream.message().await;
                    self.take(message)?;
                }
            }
        }
    }

    /// Takes what a topic has, or waits until it has something.
    async fn read_topic(&mut self) -> Result<(), Status> {
        let Source::Topic { topic, at, news } = &mut self.source else { return Ok(()) };
        news.mark_unchanged();
        match topic.read(*at) {
            Read::Frame(frame) => {
                *at += 1;
                if let Some(bytes) = W::trim(&frame, self.position.as_deref()) {
                    self.pending.push_back(bytes);
                    self.inside = frame.after.is_none();
                    self.position = frame.after.or(self.position.take());
                }
            }
            Read::Whole(Some(whole), next) => {
                *at = next;
                self.pending = whole.into();
            }
            Read::Refused(status) if W::HAS_WHOLE => return Err(status),
            Read::Whole(None, _) | Read::Refused(_) => self.go_alone()?,
            Read::Nothing => tokio::select! {
                // It lives as long as the topic.
                _ = news.changed() => {}
                () = sleep_until(self.next_progress) => {
                    self.next_progress = Instant::now() + self.progress_every;
                    if !self.inside {
                        self.pending.extend(topic.progress(*at, self.position.as_deref()));
                    }
                }
            },
        }
        Ok(())
    }

    /// Takes a message of its own stream, and moves over to the topic if it can.
    fn take(&mut self, message: Result<Option<W::Answer>, Status>) -> Result<(), Status> {
        let message = match message {
            Ok(Some(message)) => message,
            Err(status) if is_final(status.code()) => return Err(status),
            Ok(None) | Err(_) => return self.go_alone(),
        };
        self.pending.push_back(message.encode_to_vec().into());
        let position = W::position(&message).map(Arc::new);
        self.inside = position.is_none();
        if let Some(position) = position {
            if let Some((topic, at)) = self.watches.place(&self.request, &position) {
                self.attach(topic, at);
            }
            self.position = Some(position);
        }
        Ok(())
    }

    /// Opens a stream of its own from where it is.
    fn go_alone(&mut self) -> Result<(), Status> {
        if self.inside {
            // The beginning would come once more.
            return Err(Status::unavailable("the stream broke in the middle of what belongs together"));
        }
        let request = W::alone(&self.request, self.position.as_deref());
        let watches = self.watches.clone();
        self.source = Source::Opening(Box::pin(async move { watches.open_again(&request).await }));
        Ok(())
    }

    /// While no server answers: nothing was missed up to where the reader is.
    fn still_there(&mut self) {
        self.next_progress = Instant::now() + self.progress_every;
        if !self.inside && self.position.is_some() {
            self.pending.extend(W::begin(self.position.as_ref()).progress(None));
        }
    }
}
