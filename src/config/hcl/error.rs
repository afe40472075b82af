//! Where a text is no HCL, and why.

use super::lower::Position;
use thiserror::Error;

/// A text that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("At {at}: {reason}")]
pub(crate) struct HclError {
    /// Where reading stopped.
    pub(crate) at: Position,
    /// What was met and what was expected.
    pub(crate) reason: String,
}

impl HclError {
    /// An error at this byte of the text.
    pub(super) fn new(text: &str, offset: usize, reason: String) -> HclError {
        HclError { at: Position::of(text, offset), reason }
    }

    /// An error of the JSON reader.
    pub(super) fn json(error: &serde_json::Error) -> HclError {
        let at = Position { line: error.line(), column: error.column() };
        let reason = error.to_string();
        let reason = reason.rsplit_once(" at line ").map_or(reason.as_str(), |(reason, _)| reason);
        HclError { at, reason: reason.to_owned() }
    }
}
