//! A small HTTP client: one connection at a time to one agent, kept open between requests.

use super::console::{Console, Exit};
use super::endpoint::{Endpoint, Target};
use bytes::Bytes;
use clap::ArgMatches;
use http::{Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::net::{TcpStream, UnixStream};

/// A reply may not be longer.
const BODY_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// What Go leaves as it is in the path of a URL.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b',')
    .remove(b':')
    .remove(b';')
    .remove(b'=')
    .remove(b'@');
/// What Go leaves as it is in a query.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A request that got no usable reply.
#[derive(Debug, Error)]
pub(crate) enum ClientError {
    /// In the words of Go's client: `Get "URL": dial tcp ADDRESS: connect: connection refused`.
    #[error("{verb} {url:?}: {reason}")]
    Transport { verb: String, url: String, reason: String },
    #[error("Unexpected response code: {code}{}", if body.is_empty() { String::new() } else { format!(" ({body})") })]
    Status { code: u16, body: String },
    #[error("unexpected answer of the agent: {0}")]
    Decode(#[from] serde_json::Error),
}

/// Parameters of a query; sent in the order of their names, as Go does.
pub(crate) type Query<'a> = Vec<(&'a str, String)>;

/// The client of one agent.
pub(crate) struct Client {
    endpoint: Endpoint,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    pub(crate) fn new(flags: &ArgMatches, console: &Console<'_>) -> Result<Client, Exit> {
        Ok(Client { endpoint: Endpoint::new(flags, console)?, connection: None })
    }

    /// Reads and decodes; `None` when there is nothing (404).
    pub(crate) async fn find<T: DeserializeOwned>(
        &mut self,
        path: &str,
        mut query: Query<'_>,
    ) -> Result<Option<T>, ClientError> {
        if self.endpoint.stale {
            query.push(("stale", String::new()));
        }
        match self.send(Method::GET, path, query, Bytes::new()).await? {
            (404, _) => Ok(None),
            (200, body) => Ok(Some(serde_json::from_slice(&body)?)),
            (code, body) => Err(status(code, &body)),
        }
    }

    /// Reads and decodes.
    pub(crate) async fn get<T: DeserializeOwned>(&mut self, path: &str, query: Query<'_>) -> Result<T, ClientError> {
        self.find(path, query).await?.ok_or_else(|| status(404, &Bytes::new()))
    }

    /// Writes, and returns whether the answer was `true`.
    pub(crate) async fn write(
        &mut self,
        method: Method,
        path: &str,
        query: Query<'_>,
        body: Bytes,
    ) -> Result<bool, ClientError> {
        match self.send(method, path, query, body).await? {
            (200, body) => Ok(body.windows(4).any(|w| w == b"true")),
            (code, body) => Err(status(code, &body)),
        }
    }

    /// The open connection, unless the agent has closed it.
    async fn reusable(&mut self) -> Option<SendRequest<Full<Bytes>>> {
        let mut open = self.connection.take()?;
        open.ready().await.ok()?;
        Some(open)
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        mut query: Query<'_>,
        body: Bytes,
    ) -> Result<(u16, Bytes), ClientError> {
        if let Some(datacenter) = &self.endpoint.datacenter {
            query.push(("dc", datacenter.clone()));
        }
        query.sort_by(|a, b| a.0.cmp(b.0));
        let target = format!("{}{}", utf8_percent_encode(path, PATH), encode(&query));
        let verb = match method.as_str() {
            "GET" => "Get",
            "PUT" => "Put",
            "DELETE" => "Delete",
            other => other,
        };
        let host = self.endpoint.host();
        let failed = |reason: String| ClientError::Transport {
            verb: verb.to_owned(),
            url: format!("http://{host}{target}"),
            reason,
        };
        let mut request = Request::builder().method(method.clone()).uri(&target).header("host", &host);
        if let Some(token) = &self.endpoint.token {
            request = request.header("x-consul-token", token);
        }
        if let Some(authorization) = &self.endpoint.authorization {
            request = request.header("authorization", authorization);
        }
        let request = request.body(Full::new(body)).map_err(|e| failed(e.to_string()))?;
        let mut sender = match self.reusable().await {
            Some(open) => open,
            None => connect(&self.endpoint.target).await.map_err(failed)?,
        };
        let reply = sender.send_request(request).await.map_err(|e| failed(root_cause(&e)))?;
        let code = reply.status().as_u16();
        let body = Limited::new(reply.into_body(), BODY_BYTES_MAX).collect().await;
        let body = body.map_err(|e| failed(e.to_string()))?.to_bytes();
        self.connection = Some(sender);
        Ok((code, body))
    }
}

impl Endpoint {
    /// What goes before the path in a URL.
    fn host(&self) -> String {
        match &self.target {
            Target::Tcp(authority) => authority.clone(),
            Target::Unix(path) => utf8_percent_encode(&path.to_string_lossy(), QUERY).to_string(),
        }
    }
}

fn status(code: u16, body: &Bytes) -> ClientError {
    ClientError::Status { code, body: String::from_utf8_lossy(body).trim_end().to_owned() }
}

fn encode(query: &Query<'_>) -> String {
    let pairs: Vec<String> = query.iter().map(|(k, v)| format!("{k}={}", utf8_percent_encode(v, QUERY))).collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

async fn connect(target: &Target) -> Result<SendRequest<Full<Bytes>>, String> {
    let handshake = match target {
        Target::Tcp(authority) => {
            let stream = TcpStream::connect(authority).await.map_err(|e| dial_error(authority, &e))?;
            // A request is one small write; waiting for more of it only costs time.
            stream.set_nodelay(true).map_err(|e| e.to_string())?;
            serve(hyper::client::conn::http1::handshake(TokioIo::new(stream)).await)
        }
        Target::Unix(path) => {
            let stream = UnixStream::connect(path).await;
            let stream = stream.map_err(|e| format!("dial unix {}: connect: {}", path.display(), plain(&e)))?;
            serve(hyper::client::conn::http1::handshake(TokioIo::new(stream)).await)
        }
    };
    handshake.map_err(|e| root_cause(&e))
}

/// Starts the task that moves a connection's bytes; it ends with the connection.
fn serve<S, C, E>(handshake: Result<(S, C), E>) -> Result<S, E>
where
    C: Future + Send + 'static,
    C::Output: Send,
{
    let (sender, connection) = handshake?;
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

fn root_cause(error: &hyper::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
