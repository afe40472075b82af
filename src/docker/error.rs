//! What can go wrong with an engine.

use thiserror::Error;

/// A call that failed.
#[derive(Debug, Error)]
pub enum DockerError {
    /// `DOCKER_HOST` names nothing that can be reached from here.
    #[error("DOCKER_HOST {host:?}: {reason}")]
    Host {
        /// The value.
        host: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There is no engine, or it went away.
    #[error("cannot reach Docker at {address}: {reason}")]
    Unreachable {
        /// Where it should be.
        address: String,
        /// The system's or HTTP's words.
        reason: String,
    },
    /// The engine refused; the message is its own.
    #[error("status {code}: {message}")]
    Refused {
        /// Status of HTTP.
        code: u16,
        /// At most 1 KiB.
        message: String,
    },
    /// The answer is not what the API promises.
    #[error("unexpected answer of Docker: {0}")]
    Answer(String),
}
