//! `kv get|put|delete|export|import`: the key-value store.

mod command;
mod read;
mod transfer;
mod write;

pub(super) use command::command;
pub(super) use read::get;
pub(super) use transfer::{export, import};
pub(super) use write::{delete, put};

use super::client::{ClientError, Request};
use super::console::Exit;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A key as the API gives it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Pair {
    pub(super) key: String,
    #[serde(default)]
    pub(super) flags: u64,
    /// In base 64; `None` when empty.
    pub(super) value: Option<String>,
    #[serde(default)]
    pub(super) session: String,
    #[serde(default)]
    lock_index: u64,
    #[serde(default)]
    create_index: u64,
    #[serde(default)]
    pub(super) modify_index: u64,
}

impl Pair {
    fn encoded(&self) -> &str {
        self.value.as_deref().unwrap_or_default()
    }

    pub(super) fn decoded(&self) -> Result<Vec<u8>, Exit> {
        decode(self.encoded())
            .map_err(|e| Exit::failed(format!("Error base 64 decoding value for key {}: {e}", self.key)))
    }
}

/// Reads keys, and the index of the answer; `None` when there are none (404).
pub(super) async fn find<T: DeserializeOwned>(request: Request) -> Result<(Option<T>, u64), ClientError> {
    let reply = request.send().await?;
    let index = reply.index;
    match reply.code {
        404 => reply.bytes().await.map(|_| (None, index)),
        200 => Ok((Some(reply.json().await?), index)),
        code => Err(ClientError::Code(code)),
    }
}

/// Decodes base 64 with padding; the error is Go's.
fn decode(text: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|error| match error {
        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol { offset: at, .. } => {
            format!("illegal base64 data at input byte {at}")
        }
        _ => format!("illegal base64 data at input byte {}", text.len() / 4 * 4),
    })
}

/// The only argument, which may be left out; `prefix` in Consul's messages stands before the count.
fn at_most_one(arguments: &[String], prefix: &str) -> Result<(), Exit> {
    match arguments.len() {
        0 | 1 => Ok(()),
        n => Err(Exit::failed(format!("{prefix}Too many arguments (expected 1, got {n}){}", hint(arguments)))),
    }
}

/// What to say to those who wrote flags last.
fn hint(arguments: &[String]) -> &'static str {
    let late = arguments.iter().skip(1).any(|a| a.trim_start_matches('-').len() > 1 && a.starts_with('-'));
    if late { "; flags go before the arguments" } else { "" }
}

/// A key or prefix as it is asked for: without a leading slash, which no key has.
fn without_slash(key: &str) -> &str {
    key.strip_prefix('/').unwrap_or(key)
}

#[cfg(test)]
mod tests;
