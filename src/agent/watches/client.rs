//! Requests of watches: reads of the agent's own API, and handlers that are URLs.

use crate::config::Seen;
use crate::outgoing::{self, HeaderCase};
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// The most bytes of an answer.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Where the agent's HTTP API is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Api {
    /// An address; one that means all is reached by way of this machine.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// What an endpoint says.
pub(super) struct Answer {
    pub(super) seen: Seen,
    /// Null for what does not exist.
    pub(super) document: Value,
}

/// Reads an endpoint; the error is for people.
pub(super) async fn get(api: &Api, path: &str) -> Result<Answer, String> {
    let request = Request::get(path).header(HOST, "localhost").body(Full::default()).map_err(|e| e.to_string())?;
    let outgoing::Answer { response, connection: _connection } = match api {
        Api::Tcp(address) => talk(TcpStream::connect(address).await.map_err(|e| e.to_string())?, request).await?,
        Api::Unix(path) => talk(UnixStream::connect(path).await.map_err(|e| e.to_string())?, request).await?,
    };
    let status = response.status();
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let seen = Seen::of(header("x-consul-index").and_then(|v| v.parse().ok()), header("x-consul-contenthash"));
    let body =
        Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await.map_err(|e| e.to_string())?.to_bytes();
    match (status, seen) {
        (StatusCode::OK, Some(seen)) => {
            let document = serde_json::from_slice(&body).map_err(|e| e.to_string())?;
            Ok(Answer { seen, document })
        }
        (StatusCode::NOT_FOUND, Some(seen)) => Ok(Answer { seen, document: Value::Null }),
        (status, _) => {
            Err(format!("Unexpected response code: {} ({})", status.as_u16(), String::from_utf8_lossy(&body)))
        }
    }
}

/// Sends a result to a URL, and says with which status it was taken.
pub(super) async fn send(url: &str, method: &str, headers: HeaderMap, body: Bytes) -> Result<StatusCode, String> {
    let uri: Uri = url.parse().map_err(|e| format!("{url:?}: {e}"))?;
    let host = uri.host().ok_or_else(|| format!("{url:?} names no host"))?;
    let address = (host.trim_matches(['[', ']']), uri.port_u16().unwrap_or(80));
    let authority = uri.authority().map(|a| a.as_str()).unwrap_or(host);
    let target = uri.path_and_query().map_or("/", |p| p.as_str());
    let method = Method::from_bytes(method.as_bytes()).map_err(|e| e.to_string())?;
    let request = Request::builder().method(method).uri(target).header(HOST, authority);
    let mut request = request.body(Full::new(body)).map_err(|e| e.to_string())?;
    request.headers_mut().extend(headers);
    let stream = TcpStream::connect(address).await.map_err(|e| e.to_string())?;
    Ok(talk(stream, request).await?.response.status())
}

async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<outgoing::Answer, String> {
    outgoing::exchange(stream, request, HeaderCase::Lower).await.map_err(|e| e.to_string())
}
