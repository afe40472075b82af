//! A small HTTP client of one agent: requests as Go's client of Consul sends them, and its words for what goes wrong.
//!
//! Owns: which agent and as whom (`endpoint`), connections and TLS (`connect`), requests and answers. A connection is
//! kept for the next request once its answer was read to the end. Nothing here knows what requests mean.

mod connect;
mod endpoint;
mod reply;
mod request;
mod tls;

pub(crate) use reply::Reply;
pub(crate) use request::{Body, Client, Request};

use thiserror::Error;

/// A request that got no usable reply.
#[derive(Debug, Error)]
pub(crate) enum ClientError {
    /// In the words of Go's client: `Get "URL": dial tcp ADDRESS: connect: connection refused`.
    #[error("{verb} {url:?}: {reason}")]
    Transport { verb: &'static str, url: String, reason: String },
    #[error("Unexpected response code: {code} ({body})")]
    Status { code: u16, body: String },
    /// Reading a key says no more than this.
    #[error("Unexpected response code: {0}")]
    Code(u16),
    #[error("unexpected answer of the agent: {0}")]
    Decode(#[from] serde_json::Error),
    /// The connection broke while the answer was read.
    #[error("{0}")]
    Broken(String),
}

impl ClientError {
    /// Whether a read may succeed when it is repeated: the network, or a server that is without a leader.
    pub(crate) fn is_retryable(&self) -> bool {
        match self {
            ClientError::Transport { .. } | ClientError::Broken(_) => true,
            ClientError::Status { code, .. } | ClientError::Code(code) => *code == 500,
            ClientError::Decode(_) => false,
        }
    }
}
