//! `grpc.health.v1.Health/Check`, on a connection of its own.

use super::{Report, net, tls};
use crate::model::CheckDefinition;
use bytes::{BufMut, Bytes, BytesMut};
use compact_str::format_compact;
use h2::RecvStream;
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use prost::Message;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// An answer of more bytes is none of a health service.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
const SERVING: i32 = 1;

#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

#[derive(Debug)]
pub(super) struct Grpc {
    /// As defined: host:port, or host:port/service.
    target: String,
    timeout: Duration,
    tls: Option<tls::Wish>,
}

/// A status that is not OK: `code` in the words of gRPC, and the description.
struct Failure {
    code: &'static str,
    description: String,
}

impl Failure {
    fn unavailable(description: impl Into<String>) -> Failure {
        Failure { code: "Unavailable", description: description.into() }
    }
}

impl Grpc {
    pub(super) fn new(definition: &CheckDefinition, timeout: Duration) -> Grpc {
        let tls = definition.grpc_use_tls.then(|| tls::Wish::of(definition, &[b"h2"]));
        Grpc { target: definition.grpc.clone(), timeout, tls }
    }

    pub(super) async fn run(&self) -> Report {
        match tokio::time::timeout(self.timeout, self.ask()).await {
            Ok(Ok(SERVING)) => Report::passing(format_compact!("gRPC check {}: success", self.target)),
            Ok(Ok(_)) => Report::critical("gRPC application didn't report service healthy"),
            Ok(Err(Failure { code, description })) => {
                Report::critical(format_compact!("rpc error: code = {code} desc = {description}"))
            }
            Err(_) => Report::critical("rpc error: code = DeadlineExceeded desc = context deadline exceeded"),
        }
    }

    async fn ask(&self) -> Result<i32, Failure> {
        let (address, service) = self.target.split_once('/').unwrap_or((&self.target, ""));
        let connecting = |e: String| {
            Failure::unavailable(format!("connection error: desc = \"transport: Error while dialing {e}\""))
        };
        let (host, port) = net::split(address).map_err(|e| connecting(format!("dial tcp: {e}")))?;
        let stream = net::dial(host, port).await.map_err(connecting)?;
        match &self.tls {
            Some(wish) => {
                let shaking = |e| {
                    let said = format!("connection error: desc = \"transport: authentication handshake failed: {e}\"");
                    Failure::unavailable(said)
                };
                call(tls::wrap(stream, host, wish).await.map_err(shaking)?, "https", address, service).await
            }
            None => call(stream, "http", address, service).await,
        }
    }
}

async fn call<S>(stream: S, scheme: &str, address: &str, service: &str) -> Result<i32, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let closed = |_: h2::Error| Failure::unavailable("connection closed");
    let (sender, connection) = h2::client::handshake(stream).await.map_err(closed)?;
    tokio::pin!(connection);
    let exchange = exchange(sender, scheme, address, service);
    tokio::pin!(exchange);
    tokio::select! {
        biased;
        status = &mut exchange => status,
        ended = &mut connection => match ended {
            // The answer may have come with the end.
            Ok(()) => exchange.await,
            Err(_) => Err(Failure::unavailable("connection closed")),
        },
    }
}

async fn exchange(sender: SendRequest<Bytes>, scheme: &str, address: &str, service: &str) -> Result<i32, Failure> {
    let broken =
        |e: h2::Error| Failure::unavailable(if e.is_io() { "connection closed".to_owned() } else { e.to_string() });
    let mut sender = sender.ready().await.map_err(broken)?;
    let request = Request::post(format!("{scheme}://{address}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", concat!("lictor/", env!("CARGO_PKG_VERSION")))
        .body(())
        .map_err(|e| Failure { code: "Internal", description: e.to_string() })?;
    let (response, mut body) = sender.send_request(request, false).map_err(broken)?;
    body.send_data(frame(&HealthCheckRequest { service: service.to_owned() }), true).map_err(broken)?;
    let (head, mut body) = response.await.map_err(broken)?.into_parts();
    // An answer without a message has its status in the head.
    status(&head.headers)?;
    if head.status != http::StatusCode::OK {
        let code = head.status.as_u16();
        return Err(Failure { code: "Unknown", description: format!("unexpected HTTP status code {code}") });
    }
    let message = read(&mut body).await?;
    let trailers = body.trailers().await.map_err(broken)?.unwrap_or_default();
    status(&trailers)?;
    let bad = |description: String| Failure { code: "Internal", description };
    let message = message.get(5..).ok_or_else(|| bad("the answer has no message".to_owned()))?;
    let response = HealthCheckResponse::decode(message).map_err(|e| bad(e.to_string()))?;
    Ok(response.status)
}

/// A message with its five bytes of prefix: not compressed, and the length.
fn frame(message: &HealthCheckRequest) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.encoded_len()).unwrap_or(u32::MAX));
    bytes.extend_from_slice(&message.encode_to_vec());
    bytes.freeze()
}

async fn read(body: &mut RecvStream) -> Result<BytesMut, Failure> {
    let mut message = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data.map_err(|e| Failure::unavailable(e.to_string()))?;
        // The window is given back; an error means that the stream is over.
        let _ = body.flow_control().release_capacity(data.len());
        message.extend_from_slice(&data);
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(Failure { code: "ResourceExhausted", description: "the answer is too large".to_owned() });
        }
    }
    Ok(message)
}

/// The status in these headers, if there is one and it is not OK.
fn status(headers: &HeaderMap) -> Result<(), Failure> {
    let text = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let code = match text("grpc-status").as_deref() {
        None | Some("0") => return Ok(()),
        Some("1") => "Canceled",
        Some("3") => "InvalidArgument",
        Some("4") => "DeadlineExceeded",
        Some("5") => "NotFound",
        Some("6") => "AlreadyExists",
        Some("7") => "PermissionDenied",
        Some("8") => "ResourceExhausted",
        Some("9") => "FailedPrecondition",
        Some("10") => "Aborted",
        Some("11") => "OutOfRange",
        Some("12") => "Unimplemented",
        Some("13") => "Internal",
        Some("14") => "Unavailable",
        Some("15") => "DataLoss",
        Some("16") => "Unauthenticated",
        Some(_) => "Unknown",
    };
    let escaped = text("grpc-message").unwrap_or_default();
    let description = percent_encoding::percent_decode_str(&escaped).decode_utf8_lossy().into_owned();
    Err(Failure { code, description })
}
