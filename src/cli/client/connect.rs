//! Connections: TCP, a socket in the file system, or TLS; and Go's words for why there is none.

use super::endpoint::{Endpoint, Target};
use super::request::Body;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// An open connection.
pub(super) type Sender = SendRequest<Body>;

/// Connects to the agent; the error is Go's text for it.
pub(super) async fn connect(endpoint: &Endpoint) -> Result<Sender, String> {
    match &endpoint.target {
        Target::Tcp(authority) => {
            let stream = TcpStream::connect(authority).await.map_err(|e| dial_error(authority, &e))?;
            // A request is one small write; waiting for more of it only costs time.
            stream.set_nodelay(true).map_err(|e| e.to_string())?;
            match &endpoint.tls {
                Some(tls) => open(Box::new(tls.connect(authority, stream).await?)).await,
                None => open(Box::new(stream)).await,
            }
        }
        Target::Unix(path) => {
            let stream = UnixStream::connect(path).await;
            let stream = stream.map_err(|e| format!("dial unix {}: connect: {}", path.display(), plain(&e)))?;
            open(Box::new(stream)).await
        }
    }
}

/// What bytes go over: behind a pointer, for one copy of HTTP's code.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Starts the task that moves a connection's bytes; it ends with the connection.
async fn open(stream: Box<dyn Stream>) -> Result<Sender, String> {
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|e| reason(&e))?;
    tokio::spawn(connection);
    Ok(sender)
}

fn dial_error(authority: &str, error: &std::io::Error) -> String {
    let text = plain(error);
    if text.contains("lookup") {
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        return format!("dial tcp: lookup {host}: no such host");
    }
    format!("dial tcp {authority}: connect: {text}")
}

/// The system's words for an error, as Go prints them: in lower case and without the number.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

/// The innermost cause of an error; a connection that just ended is `EOF`.
pub(super) fn reason(error: &hyper::Error) -> String {
    if error.is_incomplete_message() {
        return "EOF".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
