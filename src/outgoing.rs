//! One HTTP/1.1 request on one connection, for whoever asks other programs now and then: checks, watches, Docker.
//!
//! Owns: the conversation. Where to connect to, what to say and what an answer means belong to the callers. All kinds of
//! connections share one copy of HTTP's code behind a pointer; this is not a path on which that could be noticed.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::AbortOnDropHandle;

/// How names of headers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderCase {
    /// `content-type`.
    Lower,
    /// `Content-Type`, as Go does.
    Title,
}

/// An answer of which only the head was read.
#[derive(Debug)]
pub struct Answer {
    /// Head, and the body that is still to come.
    pub response: Response<Incoming>,
    /// Moves the bytes of the body; the connection is closed when it is dropped.
    pub connection: AbortOnDropHandle<()>,
}

/// What bytes go over.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Sends a request and waits for the head of the answer.
///
/// # Errors
/// The connection ended, or what came is not HTTP.
pub async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
    case: HeaderCase,
) -> hyper::Result<Answer> {
    converse(Box::new(stream), request, case).await
}

async fn converse(stream: Box<dyn Stream>, request: Request<Full<Bytes>>, case: HeaderCase) -> hyper::Result<Answer> {
    let mut builder = http1::Builder::new();
    let handshake = builder.title_case_headers(case == HeaderCase::Title).handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await?;
    let connection = AbortOnDropHandle::new(tokio::spawn(async move {
        // An error of the connection is one of the request, or of the body, and is reported there.
        let _ = connection.await;
    }));
    let response = sender.send_request(request).await?;
    Ok(Answer { response, connection })
}
