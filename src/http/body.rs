//! Bodies: of requests, from a client or passed on by an agent; of answers, bytes that are there, the log as it is
//! written, or what a server sends.

use crate::monitor::{Lines, Monitor, Style};
use bytes::Bytes;
use http_body_util::Full;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Why a body ends too early.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;
/// A body on its way between an agent and a server.
pub type PassedBody = UnsyncBoxBody<Bytes, BodyError>;

/// What follows the headers of a request.
pub(super) enum RequestBody {
    /// From a client.
    Direct(Incoming),
    /// From a client of another agent, and how long it says to be. The lock is never taken: it makes the body `Sync`.
    Passed(Mutex<PassedBody>, SizeHint),
}

impl From<PassedBody> for RequestBody {
    fn from(body: PassedBody) -> RequestBody {
        let hint = body.size_hint();
        RequestBody::Passed(Mutex::new(body), hint)
    }
}

impl RequestBody {
    /// To be passed on.
    pub(super) fn into_passed(self) -> PassedBody {
        match self {
            RequestBody::Direct(body) => PassedBody::new(http_body_util::BodyExt::map_err(body, Into::into)),
            RequestBody::Passed(body, _) => body.into_inner().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            RequestBody::Direct(body) => Pin::new(body).poll_frame(context).map_err(Into::into),
            RequestBody::Passed(body, _) => {
                let body = body.get_mut().unwrap_or_else(PoisonError::into_inner);
                Pin::new(body).poll_frame(context)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            RequestBody::Direct(body) => body.is_end_stream(),
            RequestBody::Passed(..) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            RequestBody::Direct(body) => body.size_hint(),
            RequestBody::Passed(_, hint) => *hint,
        }
    }
}

/// What follows the headers of an answer.
pub(super) enum ReplyBody {
    Whole(Full<Bytes>),
    /// Each line as a piece of its own, until the server stops.
    Log(Lines, Pin<Box<WaitForCancellationFutureOwned>>),
    /// From a server.
    Passed(PassedBody),
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
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            ReplyBody::Whole(bytes) => Pin::new(bytes).poll_frame(context).map_err(|never| match never {}),
            ReplyBody::Passed(body) => Pin::new(body).poll_frame(context),
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
            ReplyBody::Passed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ReplyBody::Whole(bytes) => bytes.size_hint(),
            ReplyBody::Log(..) => SizeHint::default(),
            ReplyBody::Passed(body) => body.size_hint(),
        }
    }
}
