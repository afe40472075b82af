//! Consul's filter language (`Service.Tags contains "v2" and Checks.Status == passing`).
//!
//! Owns: the grammar, the check of an expression against the fields of what is filtered, and its evaluation. An
//! expression is parsed and checked once; each item then costs no allocation. Grammar, coercion and error texts are
//! those of Consul 1.8.7 (<https://developer.hashicorp.com/consul/api-docs/features/filtering>).
//!
//! Must never: read JSON, know a concrete type of this project, or panic or recurse without bound on any input.
//!
//! Differs on purpose: a selector of a map key that is not there fails `matches` (in Consul 1.8.7 it passes, later
//! versions agree with us), `\"` is an escape inside double quotes, and only the first syntax error is reported.
//!
//! Missing: the selectors in JSON pointer form (`"/Meta/os"`) and the `any`/`all` blocks of Consul 1.19.

mod bind;
mod error;
mod eval;
mod expr;
mod field;
mod go;
mod pattern;
mod syntax;
#[cfg(test)]
mod tests;

pub use error::FilterError;
pub use eval::Filter;
pub use field::{Field, Fields, Items, Kind, Path, Test, Value};
pub use pattern::Pattern;

/// Longest accepted expression, in bytes.
pub const MAX_TEXT: usize = 8192;
/// Deepest accepted nesting of parentheses and `not`.
pub const MAX_DEPTH: usize = 64;
/// Most `matches` and `not matches` tests in one expression: each holds a compiled pattern.
pub const MAX_PATTERNS: usize = 16;
/// Largest compiled pattern, in bytes.
pub const MAX_PATTERN_SIZE: usize = 1 << 20;
