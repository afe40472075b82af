//! JSON as Consul speaks it, that is, as Go's `encoding/json` does.
//!
//! Reading: [`parse()`] makes a tree that borrows from the body, and [`Object`] takes typed fields out of it: names match
//! without case, the last of two counts, null is absent, unknown names are left alone; every error has Go's words and
//! names the field. Writing: [`encode()`] with Go's escapes and, on request, Go's four-space indent. Nothing here knows
//! what the documents mean. Missing: streams of values.

mod decode;
mod encode;
mod parse;

pub(in crate::http) use crate::model::duration::{format_duration, parse_duration};
pub(in crate::http) use decode::{DecodeError, Object};
pub(in crate::http) use encode::{Layout, Pairs, Raw, encode};
pub(in crate::http) use parse::{Json, parse};
