//! Requests: path, parameters in the order of their names, token, and the kept connection.

use super::connect::{self, Sender};
use super::endpoint::Endpoint;
use super::{ClientError, Reply};
use crate::cli::console::{Console, Exit};
use bytes::Bytes;
use clap::ArgMatches;
use http::Method;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::{Arc, Mutex, PoisonError};

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
pub(super) const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A body to send: whole, or as a stream.
pub(crate) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// The client of one agent; cheap to clone. Requests may be under way at the same time.
#[derive(Clone)]
pub(crate) struct Client {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    endpoint: Endpoint,
    /// The connection of the last request, open and without work.
    idle: Mutex<Option<Sender>>,
}

impl Shared {
    fn take_idle(&self) -> Option<Sender> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn keep(&self, sender: Sender) {
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
    }
}

impl Client {
    /// The agent that flags and environment name.
    ///
    /// # Errors
    /// An address, token file or certificate that cannot be used, with the prefix that most of Consul's commands have.
    pub(crate) fn new(flags: &ArgMatches, console: &Console<'_>) -> Result<Client, Exit> {
        Client::or(flags, console, "Error connecting to Consul agent")
    }

    /// The same with another prefix.
    pub(crate) fn or(flags: &ArgMatches, console: &Console<'_>, prefix: &str) -> Result<Client, Exit> {
        let endpoint = Endpoint::new(flags, console).map_err(|reason| Exit::failed(format!("{prefix}: {reason}")))?;
        Ok(Client { shared: Arc::new(Shared { endpoint, idle: Mutex::new(None) }) })
    }

    pub(crate) fn get(&self, path: impl Into<String>) -> Request {
        self.request(Method::GET, path)
    }

    pub(crate) fn put(&self, path: impl Into<String>) -> Request {
        self.request(Method::PUT, path)
    }

    pub(crate) fn post(&self, path: impl Into<String>) -> Request {
        self.request(Method::POST, path)
    }

    pub(crate) fn delete(&self, path: impl Into<String>) -> Request {
        self.request(Method::DELETE, path)
    }

    fn request(&self, method: Method, path: impl Into<String>) -> Request {
        let endpoint = &self.shared.endpoint;
        let mut query = Vec::new();
        query.extend(endpoint.datacenter.clone().map(|dc| ("dc", dc)));
        query.extend(endpoint.namespace.clone().map(|ns| ("ns", ns)));
        Request { shared: self.shared.clone(), method, path: path.into(), query, body: None }
    }
}

/// A request that is not sent yet.
pub(crate) struct Request {
    shared: Arc<Shared>,
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<Body>,
}

impl Request {
    /// Adds a parameter.
    pub(crate) fn query(mut self, name: &'static str, value: impl Into<String>) -> Request {
        self.query.push((name, value.into()));
        self
    }

    /// Adds a parameter, unless its value is empty.
    pub(crate) fn query_if(self, name: &'static str, value: &str) -> Request {
        if value.is_empty() { self } else { self.query(name, value) }
    }

    /// Lets any server answer, when the flag `-stale` was given.
    pub(crate) fn stale(self) -> Request {
        if self.shared.endpoint.stale { self.query("stale", "") } else { self }
    }

    /// A body that is at hand.
    pub(crate) fn body(self, bytes: impl Into<Bytes>) -> Request {
        self.stream(Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync())
    }

    /// A body that is read while it is sent.
    pub(crate) fn stream(mut self, body: Body) -> Request {
        self.body = Some(body);
        self
    }

    /// A body in JSON, as Go's encoder ends it.
    pub(crate) fn json(self, value: &impl Serialize) -> Result<Request, ClientError> {
        let mut bytes = crate::model::go_json::to_json(value)?;
        bytes.push(b'\n');
        Ok(self.body(bytes))
    }

    /// Sends it; any status is a reply.
    pub(crate) async fn send(mut self) -> Result<Reply, ClientError> {
        // Stable, so that parameters of the same name keep their order.
        self.query.sort_by(|a, b| a.0.cmp(b.0));
        let target = format!("{}{}", utf8_percent_encode(&self.path, PATH), encode(&self.query));
        let endpoint = &self.shared.endpoint;
        let host = endpoint.host();
        let verb = match self.method.as_str() {
            "PUT" => "Put",
            "DELETE" => "Delete",
            "POST" => "Post",
            _ => "Get",
        };
        let url = format!("{}://{host}{target}", endpoint.scheme());
        let failed = |reason: String| ClientError::Transport { verb, url: url.clone(), reason };
        let mut request = http::Request::builder().method(self.method.clone()).uri(&target).header("host", &host);
        request = request.header("user-agent", "lictor-cli");
        if let Some(token) = &endpoint.token {
            request = request.header("x-consul-token", token);
        }
        if let Some(authorization) = &endpoint.authorization {
            request = request.header("authorization", authorization);
        }
        let empty = || Full::new(Bytes::new()).map_err(|never| match never {}).boxed_unsync();
        let body = self.body.take().unwrap_or_else(empty);
        let mut request = request.body(body).map_err(|e| failed(e.to_string()))?;
        // The agent may close a kept connection at any time; what was not sent is sent on a new one.
        if let Some(mut sender) = self.shared.take_idle()
            && sender.ready().await.is_ok()
        {
            match sender.try_send_request(request).await {
                Ok(reply) => return Ok(Reply::new(reply, sender, self.shared)),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(failed(connect::reason(error.error()))),
                },
            }
        }
        let mut sender = connect::connect(endpoint).await.map_err(failed)?;
        let reply = sender.send_request(request).await.map_err(|e| failed(connect::reason(&e)))?;
        Ok(Reply::new(reply, sender, self.shared))
    }

    /// Sends it; anything but 200 is an error with the body in it.
    pub(crate) async fn ok(self) -> Result<Reply, ClientError> {
        let reply = self.send().await?;
        if reply.code == 200 { Ok(reply) } else { Err(reply.into_error().await) }
    }

    /// Reads and decodes.
    pub(crate) async fn fetch<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        self.ok().await?.json().await
    }

    /// Sends, and forgets the answer when it is a good one.
    pub(crate) async fn done(self) -> Result<(), ClientError> {
        self.ok().await?.bytes().await.map(drop)
    }

    /// Sends, and returns whether the answer was `true`.
    pub(crate) async fn accepted(self) -> Result<bool, ClientError> {
        let body = self.ok().await?.bytes().await?;
        Ok(body.windows(4).any(|w| w == b"true"))
    }
}

fn encode(query: &[(&'static str, String)]) -> String {
    let pairs: Vec<String> = query.iter().map(|(k, v)| format!("{k}={}", utf8_percent_encode(v, QUERY))).collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}
