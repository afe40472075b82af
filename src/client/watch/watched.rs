//! What the kinds of streams have in common, and what each has to know.

use super::ring::Frame;
use crate::proto::v1 as pb;
use bytes::Bytes;
use futures::future::BoxFuture;
use prost::Message;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Response, Status, Streaming};

/// The default of `progress_interval`, and its bounds.
const PROGRESS: Duration = Duration::from_secs(15);
const PROGRESS_BOUNDS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(600));
/// Largest message of a server.
pub(super) const MESSAGE_MAX: usize = 64 << 20;

/// How far a reader is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Position {
    /// What a stream is resumed with from here.
    pub(super) token: Bytes,
    /// Of the message that led here.
    pub(super) header: pb::ResponseHeader,
}

/// What a message means for readers.
pub(super) enum Taken {
    /// Nothing that they are sent.
    Nothing,
    /// They are sent this.
    Change(Frame),
    /// All that they have is replaced.
    Whole,
}

/// Why a reader is sent the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It has nothing yet.
    Begins,
    /// Nobody knows any more what has changed since its token.
    Forgotten,
    /// The servers have sent the whole again.
    Replaced,
    /// It was too slow.
    Slow,
}

/// What of a request is the reader's own and does not decide on what there is to tell.
pub(super) struct Own {
    /// Where it goes on; empty: from the beginning.
    pub(super) token: Bytes,
    /// How often it hears that nothing was missed.
    pub(super) progress_every: Option<Duration>,
    /// Whether what is known here is fresh enough.
    pub(super) shares: bool,
}

/// One kind of stream, as far as one topic of it is known.
pub(super) trait Watched: Sized + Send + 'static {
    /// What clients ask.
    type Request: Message + Default + Clone + Send + Sync + 'static;
    /// What servers send.
    type Answer: Message + Default + Send + 'static;
    /// A topic has the whole, so that a reader may come at any time; else it begins with a stream of its own.
    const HAS_WHOLE: bool;

    /// Takes the reader's part out of a request.
    ///
    /// # Errors
    /// What the servers would say of it.
    fn own(request: &mut Self::Request) -> Result<Own, Status>;

    /// Opens a stream at a server.
    fn open(
        channel: Channel,
        request: Self::Request,
    ) -> BoxFuture<'static, Result<Response<Streaming<Self::Answer>>, Status>>;

    /// A topic of which no more is known than where it begins.
    fn begin(at: Option<&Arc<Position>>) -> Self;

    /// A stream breaks, and comes again: sets where it has to begin.
    fn resume(&mut self, request: &mut Self::Request);

    /// Takes a message.
    fn take(&mut self, answer: Self::Answer) -> Taken;

    /// Whether readers can be served.
    fn is_ready(&self) -> bool;

    /// Where readers are that have everything; empty if nothing can be resumed.
    fn token(&self) -> &[u8];

    /// Nothing was missed so far by a reader who has everything and is there.
    fn progress(&self, reader: Option<&Position>) -> Option<Bytes>;

    /// Everything, as messages; `None` for kinds that do not have it.
    fn whole(&self, why: Why) -> Option<Vec<Bytes>>;

    /// Where a message of a server leaves its reader, if it is not in the middle of something.
    fn position(_: &Self::Answer) -> Option<Position> {
        None
    }

    /// The request of the topic that all readers of this one may share.
    fn shared(request: &Self::Request) -> Self::Request {
        request.clone()
    }

    /// The request of a reader by itself, from where it is.
    fn alone(request: &Self::Request, _: Option<&Position>) -> Self::Request {
        request.clone()
    }

    /// What of a frame a reader who is there does not have yet.
    fn trim(frame: &Frame, _: Option<&Position>) -> Option<Bytes> {
        Some(frame.bytes.clone())
    }
}

/// A header that is as old as it was there, and as it has become here.
pub(super) fn aged(header: &pb::ResponseHeader, heard: Instant) -> pb::ResponseHeader {
    let (mut header, here) = (header.clone(), heard.elapsed());
    let mut staleness = header.staleness.unwrap_or_default();
    let nanos = staleness.nanos.max(0) as u64 + u64::from(here.subsec_nanos());
    staleness.seconds += (here.as_secs() + nanos / 1_000_000_000) as i64;
    staleness.nanos = (nanos % 1_000_000_000) as i32;
    header.staleness = Some(staleness);
    header
}

/// The `progress_interval` of a request.
///
/// # Errors
/// It is out of bounds.
pub(super) fn progress_every(asked: Option<&prost_types::Duration>) -> Result<Duration, Status> {
    let Some(asked) = asked else { return Ok(PROGRESS) };
    let every = Duration::try_from(*asked).unwrap_or_default();
    let (least, most) = PROGRESS_BOUNDS;
    if every < least || every > most {
        let text = format!("progress_interval: is out of bounds: {} ms to {} s", least.as_millis(), most.as_secs());
        return Err(Status::invalid_argument(text));
    }
    Ok(every)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_grows_old() {
        let staleness = Some(prost_types::Duration { seconds: 1, nanos: 900_000_000 });
        let header = pb::ResponseHeader { staleness, revision: 7, ..Default::default() };
        let heard = Instant::now();
        tokio::time::advance(Duration::from_millis(2_200)).await;
        let aged = aged(&header, heard);
        assert_eq!(aged.staleness, Some(prost_types::Duration { seconds: 4, nanos: 100_000_000 }));
        assert_eq!(aged.revision, 7);
    }
}
