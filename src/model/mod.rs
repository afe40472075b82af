//! Placeholder.
pub mod filter;
