//! Answers: their status and index, and their body whole or in pieces.

use super::ClientError;
use super::connect::{self, Sender};
use super::request::Shared;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// A reply that is read as a whole may not be longer.
const BODY_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// An answer whose body is still to be read.
pub(crate) struct Reply {
    pub(crate) code: u16,
    /// `X-Consul-Index`; 0 when there is none.
    pub(crate) index: u64,
    body: Incoming,
    sender: Sender,
    shared: Arc<Shared>,
}

impl Reply {
    pub(super) fn new(reply: http::Response<Incoming>, sender: Sender, shared: Arc<Shared>) -> Reply {
        let index = reply.headers().get("x-consul-index").and_then(|v| v.to_str().ok()?.parse().ok());
        let code = reply.status().as_u16();
        Reply { code, index: index.unwrap_or(0), body: reply.into_body(), sender, shared }
    }

    /// The whole body.
    pub(crate) async fn bytes(self) -> Result<Bytes, ClientError> {
        let body = Limited::new(self.body, BODY_BYTES_MAX).collect().await;
        let body = body.map_err(|e| ClientError::Broken(e.to_string()))?.to_bytes();
        self.shared.keep(self.sender);
        Ok(body)
    }

    /// The whole body, decoded.
    pub(crate) async fn json<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        Ok(serde_json::from_slice(&self.bytes().await?)?)
    }

    /// The next piece of the body; `None` at its end.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(ClientError::Broken(connect::reason(&error))),
                // Trailers are no data.
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The error that a reply with a bad status stands for.
    pub(crate) async fn into_error(self) -> ClientError {
        let code = self.code;
        match self.bytes().await {
            Ok(body) => ClientError::Status { code, body: String::from_utf8_lossy(&body).into_owned() },
            Err(error) => error,
        }
    }
}
