//! Placeholder.
use thiserror::Error;
/// Bytes that are no record.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct CodecError(pub String);
