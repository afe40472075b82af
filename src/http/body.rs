//! Bodies of answers: bytes that are there, or the log as it is written.

use crate::monitor::{Lines, Monitor, Style};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// What follows the headers of an answer.
pub(super) enum ReplyBody {
    Whole(Full<Bytes>),
    /// Each line as a piece of its own, until the server stops.
    Log(Lines, Pin<Box<WaitForCancellationFutureOwned>>),
}

/// The log of this process from now on, for one reader.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pub(super) monitor: Monitor,
    pub(super) style: Style,
    /// The server is stopping.
    pub(super) end: CancellationToken,
}

impl Log {
    /// Begins to listen.
    pub(super) fn open(self) -> ReplyBody {
        ReplyBody::Log(self.monitor.listen(self.style), Box::pin(self.end.cancelled_owned()))
    }
}

impl From<Bytes> for ReplyBody {
    fn from(bytes: Bytes) -> ReplyBody {
        ReplyBody::Whole(Full::new(bytes))
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            ReplyBody::Whole(bytes) => Pin::new(bytes).poll_frame(context),
            ReplyBody::Log(lines, end) => match end.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(None),
                Poll::Pending => lines.poll_next(context).map(|line| line.map(|line| Ok(Frame::data(line)))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            ReplyBody::Whole(bytes) => bytes.is_end_stream(),
            ReplyBody::Log(..) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ReplyBody::Whole(bytes) => bytes.size_hint(),
            ReplyBody::Log(..) => SizeHint::default(),
        }
    }
}
