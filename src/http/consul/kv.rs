//! GETs of /v1/kv; the writes are in `kv_write`.

use super::kv_write;
use crate::http::call::{Answering, Call};
use crate::http::error::Error;
use crate::http::json::Layout;
use crate::http::read::Question;
use crate::http::reply::Answer;
use crate::http::scope::Scope;
use crate::machine::State;
use crate::model::KvEntry;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, StatusCode};
use std::borrow::Cow;

/// Missing key, wherever one is needed.
pub(super) const MISSING_KEY: &str = "Missing key name";

/// /v1/kv/:key
pub(super) fn kv(call: Call) -> Answering {
    match call.method {
        Method::PUT => Box::pin(kv_write::put(call)),
        Method::DELETE => Box::pin(kv_write::delete(call)),
        _ => Box::pin(get(call)),
    }
}

/// A key as clients get it.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct KvPair<'a> {
    lock_index: u64,
    key: Cow<'a, str>,
    flags: u64,
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<uuid::Uuid>,
    create_index: u64,
    modify_index: u64,
}

impl<'a> KvPair<'a> {
    pub(super) fn of(entry: &'a KvEntry) -> KvPair<'a> {
        KvPair {
            lock_index: entry.lock_index,
            key: String::from_utf8_lossy(&entry.key),
            flags: entry.flags,
            value: (!entry.value.is_empty()).then(|| STANDARD.encode(&entry.value)),
            session: entry.session,
            create_index: entry.create_revision,
            modify_index: entry.modify_revision,
        }
    }
}

/// What is asked of a key or prefix.
enum Form {
    Entry,
    Raw,
    Recurse,
    Keys { separator: String },
}

async fn get(call: Call) -> Result<Answer, Error> {
    let read = call.quiet_read()?;
    let key = Bytes::copy_from_slice(call.variable());
    let form = if call.query.has("keys") {
        Form::Keys { separator: call.query.get("separator").unwrap_or_default().to_owned() }
    } else if call.query.has("recurse") {
        Form::Recurse
    } else if key.is_empty() {
        return Err(Error::bad_request(MISSING_KEY));
    } else if call.query.has("raw") {
        Form::Raw
    } else {
        Form::Entry
    };
    let layout = call.layout();
    let question = Question {
        scope: match form {
            Form::Entry | Form::Raw => Scope::Key(key.clone()),
            Form::Recurse | Form::Keys { .. } => Scope::Prefix(key.clone()),
        },
        content: call.query.content_key(&call.path),
        answer: &|state: &State| answer(state, &key, &form, layout),
    };
    question.ask(call, read).await
}

fn answer(state: &State, key: &[u8], form: &Form, layout: Layout) -> Result<Answer, Error> {
    let absent = || Ok(Answer::empty(StatusCode::NOT_FOUND));
    match form {
        Form::Raw => state.kv(key).map_or_else(absent, |entry| Ok(Answer::raw(entry.value.clone()))),
        Form::Entry => state.kv(key).map_or_else(absent, |entry| Answer::json(&[KvPair::of(entry)], layout)),
        Form::Recurse => {
            let entries: Vec<KvPair<'_>> = state.kv_prefix(key).map(|entry| KvPair::of(entry)).collect();
            if entries.is_empty() { absent() } else { Answer::json(&entries, layout) }
        }
        Form::Keys { separator } => {
            let keys = keys(state, key, separator.as_bytes());
            // Consul tells an empty store from an unknown prefix.
            if keys.is_empty() && !key.is_empty() { absent() } else { Answer::json(&keys, layout) }
        }
    }
}

/// The keys with a prefix, each cut after the first separator beyond it; what becomes equal by that is there once.
fn keys(state: &State, prefix: &[u8], separator: &[u8]) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for entry in state.kv_prefix(prefix) {
        let beyond = &entry.key[prefix.len()..];
        let cut = match separator {
            [] => None,
            separator => beyond.windows(separator.len()).position(|window| window == separator),
        };
        let end = cut.map_or(entry.key.len(), |at| prefix.len() + at + separator.len());
        let key = String::from_utf8_lossy(&entry.key[..end]);
        if keys.last().is_none_or(|last| *last != key) {
            keys.push(key.into_owned());
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Command, Put, Record};
    use crate::machine;

    #[test]
    fn keys_are_cut_after_the_first_separator_beyond_the_prefix() {
        let mut state = State::new();
        for (at, key) in ["a/b/c", "a/b/d", "a/e", "a", "b/"].into_iter().enumerate() {
            let put = Command::Put(Put { key: key.into(), ..Put::default() });
            machine::apply(&mut state, at as u64 + 1, 1, &Record { time_ms: 1, request_id: None, command: put });
        }
        assert_eq!(keys(&state, b"a", b"/"), ["a", "a/"]);
        assert_eq!(keys(&state, b"a/", b"/"), ["a/b/", "a/e"]);
        assert_eq!(keys(&state, b"", b"/b"), ["a", "a/b", "a/e", "b/"]);
        assert_eq!(keys(&state, b"a/", b""), ["a/b/c", "a/b/d", "a/e"]);
    }
}
