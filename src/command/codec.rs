//! Placeholder.
use thiserror::Error;
/// Bytes that are no record.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct CodecError(pub String);
impl super::Record {
    /// x
    pub fn encode(&self) -> Vec<u8> {
        Vec::new()
    }
}
