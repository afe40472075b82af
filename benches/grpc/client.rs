//! gRPC over bare h2: connect, one unary call, one server stream.
//!
//! Messages are bytes encoded beforehand, so that the generator spends as little as it can of the machine it shares
//! with the server. No TLS, no compression, no retries.

use anyhow::{Context, Result, anyhow, bail};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{HeaderMap, HeaderValue, Method, Request};
use prost::Message;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// No operation may take longer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer that is read.
const MAX_MESSAGE: usize = 64 << 20;

/// One call: method path, and the message behind its frame header.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) path: &'static str,
    pub(crate) framed: Bytes,
}

impl Call {
    pub(crate) fn new(path: &'static str, message: &impl Message) -> Self {
        Call { path, framed: frame(message) }
    }
}

/// The message with gRPC's five bytes before it.
pub(crate) fn frame(message: &impl Message) -> Bytes {
    let len = message.encoded_len();
    let mut out = BytesMut::with_capacity(5 + len);
    out.put_u8(0);
    out.put_u32(u32::try_from(len).unwrap_or(u32::MAX));
    message.encode_raw(&mut out);
    out.freeze()
}

/// One HTTP/2 connection; clones share it.
#[derive(Clone)]
pub(crate) struct Link {
    send: SendRequest<Bytes>,
    authority: Authority,
}

impl Link {
    /// Connects; the connection is driven by a task of the current runtime until it breaks.
    pub(crate) async fn connect(addr: SocketAddr) -> Result<Self> {
        let tcp = TcpStream::connect(addr).await.with_context(|| format!("connect to {addr}"))?;
        tcp.set_nodelay(true)?;
        let (send, connection) = h2::client::Builder::new()
            .initial_window_size(4 << 20)
            .initial_connection_window_size(16 << 20)
            .handshake(tcp)
            .await?;
        tokio::spawn(async move {
            // Its error reaches every call on it.
            let _ = connection.await;
        });
        Ok(Link { send, authority: addr.to_string().parse()? })
    }

    async fn open(&mut self, call: &Call, end: bool) -> Result<(ResponseFuture, SendStream<Bytes>)> {
        let uri = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(self.authority.clone())
            .path_and_query(PathAndQuery::from_static(call.path))
            .build()?;
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        request.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        request.headers_mut().insert("te", HeaderValue::from_static("trailers"));
        let mut ready = self.send.clone().ready().await?;
        let (answer, mut body) = ready.send_request(request, false)?;
        body.send_data(call.framed.clone(), end)?;
        Ok((answer, body))
    }

    /// One unary call; the answer without its frame header.
    pub(crate) async fn unary(&mut self, call: &Call) -> Result<Bytes> {
        tokio::time::timeout(TIMEOUT, self.unary_unbounded(call))
            .await
            .map_err(|_| anyhow!("{}: no answer within {TIMEOUT:?}", call.path))?
            .with_context(|| call.path)
    }

    async fn unary_unbounded(&mut self, call: &Call) -> Result<Bytes> {
        let (answer, _) = self.open(call, true).await?;
        let (head, mut body) = answer.await?.into_parts();
        let mut message = Bytes::new();
        while let Some(chunk) = body.data().await {
            let chunk = chunk?;
            body.flow_control().release_capacity(chunk.len())?;
            if message.is_empty() {
                message = chunk; // The usual case: one frame, nothing is copied.
            } else if message.len() + chunk.len() > MAX_MESSAGE {
                bail!("answer over {MAX_MESSAGE} bytes");
            } else {
                message = [message, chunk].concat().into();
            }
        }
        check_status(body.trailers().await?.as_ref().unwrap_or(&head.headers))?;
        if message.len() < 5 {
            bail!("answer without a message");
        }
        Ok(message.slice(5..))
    }

    /// Opens a server stream. The request side stays open if `keep_open` (bidirectional methods).
    pub(crate) async fn stream(&mut self, call: &Call, keep_open: bool) -> Result<Stream> {
        let (answer, request) = self.open(call, !keep_open).await?;
        let response = answer.await?;
        if response.headers().contains_key("grpc-status") {
            check_status(response.headers())?;
        }
        Ok(Stream { body: response.into_body(), buffer: BytesMut::new(), _request: request })
    }
}

/// The messages of one server stream.
pub(crate) struct Stream {
    body: RecvStream,
    buffer: BytesMut,
    _request: SendStream<Bytes>,
}

impl Stream {
    /// The next message; an error when the stream ends, however it ends.
    pub(crate) async fn next(&mut self) -> Result<Bytes> {
        loop {
            if self.buffer.len() >= 5 {
                let len = (&self.buffer[1..5]).get_u32() as usize;
                if len > MAX_MESSAGE {
                    bail!("stream message of {len} bytes");
                }
                if self.buffer.len() >= 5 + len {
                    let framed = self.buffer.split_to(5 + len).freeze();
                    return Ok(framed.slice(5..));
                }
            }
            match self.body.data().await {
                Some(chunk) => {
                    let chunk = chunk?;
                    self.body.flow_control().release_capacity(chunk.len())?;
                    self.buffer.extend_from_slice(&chunk);
                }
                None => {
                    if let Some(trailers) = self.body.trailers().await? {
                        check_status(&trailers)?;
                    }
                    bail!("stream ended");
                }
            }
        }
    }
}

fn check_status(headers: &HeaderMap) -> Result<()> {
    let text = |name| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("");
    match text("grpc-status") {
        "0" => Ok(()),
        "" => bail!("no grpc-status"),
        code => bail!("grpc-status {code}: {}", text("grpc-message")),
    }
}
