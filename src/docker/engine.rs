//! One request to the engine on a connection of its own.

use super::DockerError;
use super::address::Address;
use crate::outgoing::{self, Answer, HeaderCase};
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::{TcpStream, UnixStream};
use tokio_util::either::Either;

/// The most bytes of an answer that is not a stream.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The most bytes of the engine's words on what went wrong.
const MESSAGE_BYTES_MAX: usize = 1024;

/// A container engine; cheap to clone. Nothing is open between two calls.
#[derive(Clone, Debug)]
pub struct Engine {
    address: Address,
}

impl Engine {
    /// The engine that the variable `DOCKER_HOST` names, else the one on this machine. Nothing is sent yet.
    ///
    /// # Errors
    /// [`DockerError::Host`].
    pub fn from_env() -> Result<Engine, DockerError> {
        Engine::at(&std::env::var("DOCKER_HOST").unwrap_or_default())
    }

    /// The engine at a place that is written as in `DOCKER_HOST`.
    ///
    /// # Errors
    /// [`DockerError::Host`].
    pub fn at(host: &str) -> Result<Engine, DockerError> {
        Address::parse(host).map(|address| Engine { address })
    }

    /// Asks for a document.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, DockerError> {
        let answer = self.call(Method::GET, path, Vec::new()).await?;
        self.document(answer).await
    }

    /// Sends a document, and gets one back.
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, DockerError> {
        let answer = self.post_for_stream(path, body).await?;
        self.document(answer).await
    }

    /// Sends a document, and gets an answer whose body goes on for as long as the engine likes.
    pub(super) async fn post_for_stream(&self, path: &str, body: &impl Serialize) -> Result<Answer, DockerError> {
        let body = serde_json::to_vec(body).map_err(|e| DockerError::Answer(e.to_string()))?;
        self.call(Method::POST, path, body).await
    }

    async fn document<T: DeserializeOwned>(&self, answer: Answer) -> Result<T, DockerError> {
        let body = Limited::new(answer.response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|e| DockerError::Answer(e.to_string()))?.to_bytes();
        serde_json::from_slice(&body).map_err(|e| DockerError::Answer(e.to_string()))
    }

    async fn call(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Answer, DockerError> {
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.uri_mut() = path.parse().map_err(|_| DockerError::Answer(format!("{path:?} is no path")))?;
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::from_static("docker"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        if method == Method::POST {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        *request.method_mut() = method;
        let answer = self.send(request).await?;
        let code = answer.response.status();
        if code.is_success() {
            return Ok(answer);
        }
        let message = said(answer.response.into_body()).await;
        Err(DockerError::Refused { code: code.as_u16(), message })
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, DockerError> {
        let unreachable = |reason: String| DockerError::Unreachable { address: self.address.to_string(), reason };
        let stream = match &self.address {
            Address::Unix(path) => UnixStream::connect(path).await.map(Either::Left),
            Address::Tcp(place) => TcpStream::connect(place).await.map(Either::Right),
        };
        let stream = stream.map_err(|e| unreachable(e.to_string()))?;
        outgoing::exchange(stream, request, HeaderCase::Lower).await.map_err(|e| unreachable(e.to_string()))
    }
}

/// What the engine said on an error: its message, else its bytes.
async fn said(mut body: Incoming) -> String {
    let mut bytes = Vec::new();
    // A message that breaks off is still the best there is.
    while bytes.len() < MESSAGE_BYTES_MAX
        && let Some(Ok(frame)) = body.frame().await
    {
        bytes.extend(frame.into_data().unwrap_or_default());
    }
    let document = serde_json::from_slice::<serde_json::Value>(&bytes).ok();
    let message = document.as_ref().and_then(|d| d.get("message")?.as_str());
    let message = message.map_or_else(|| String::from_utf8_lossy(&bytes).into_owned(), str::to_owned);
    crate::model::names::cut(message.trim_end(), MESSAGE_BYTES_MAX).to_owned()
}
