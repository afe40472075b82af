//! Why a filter was refused, in the words of Consul.
//!
//! Owns: the texts. Clients show them to people and some match on them, so they follow Consul's capitals and not the
//! house rule for messages. Must never: carry the prefix `Failed to create boolean expression evaluator: `; that
//! belongs to the HTTP gateway.

use thiserror::Error;

use super::go::quote;
use super::{MAX_DEPTH, MAX_PATTERNS, MAX_TEXT};

/// Why a filter expression was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FilterError {
    /// The text is longer than [`MAX_TEXT`] bytes.
    #[error("Expression with length {length} exceeds the maximum length of {MAX_TEXT}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// Parentheses and `not` nest deeper than [`MAX_DEPTH`].
    #[error("Expression nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// More than [`MAX_PATTERNS`] patterns.
    #[error("Number of regular expressions exceeds the limit ({MAX_PATTERNS})")]
    TooManyPatterns,
    /// The text is not of the language.
    #[error("{line}:{column} ({offset}): {detail}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// Offset in bytes, from 0.
        offset: usize,
        /// What is wrong there.
        detail: String,
    },
    /// No field has this name; `selector` ends with the name that is unknown.
    #[error("Selector {} is not valid", quote(selector))]
    Selector {
        /// The selector, dotted.
        selector: String,
    },
    /// The field exists but cannot be tested this way.
    #[error("Invalid match operator {} for selector {}", quote(operator), quote(selector))]
    Operator {
        /// The operator's name, for example `Not Equal`.
        operator: &'static str,
        /// The selector, dotted.
        selector: String,
    },
    /// The value is not of the field's type.
    #[error("Failed to coerce value {} for selector {}: {detail}", quote(value), quote(selector))]
    Value {
        /// The value as written.
        value: String,
        /// The selector, dotted.
        selector: String,
        /// What is wrong with the value.
        detail: String,
    },
    /// The pattern of `matches` is not a regular expression, or is too large.
    #[error("Failed to compile regular expression {}: {detail}", quote(pattern))]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        detail: String,
    },
}
