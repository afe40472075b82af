//! Lays configuration files over each other: scalars of later layers win, lists append, maps merge. Every layer is
//! brought into one shape and checked against the list of settings before it is laid on, so that an error names its
//! file, and in HCL the place in it.

use super::checked::{LogLevel, Notice};
use super::definitions;
use super::error::ConfigError;
use super::flags::AgentFlags;
use super::keys;
use super::kind::{Standing, go_type};
use super::source::{self, Layer, Origin};
use super::watch::{self, WatchPlan};
use crate::model::Definitions;
use serde_json::{Map, Value};

/// What all layers say together.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    /// Known keys with right types.
    pub(crate) tree: Value,
    pub(crate) definitions: Definitions,
    pub(crate) watches: Vec<WatchPlan>,
    pub(crate) notices: Vec<Notice>,
}

/// Lists whose items are maps: one map alone stays a list there, and counts as one elsewhere.
const LISTS_OF_MAPS: &[&str] = &["services", "checks", "watches", "segments", "upstreams", "paths", "bootstrap"];

/// All files in the order of the command line, with the flags.
pub(crate) fn load(flags: &AgentFlags) -> Result<Merged, ConfigError> {
    let mut merged = Merged { tree: Value::Object(Map::new()), ..Merged::default() };
    for mut layer in source::layers(flags, &mut merged.notices)? {
        shape(&mut layer.document.tree, "");
        check(&layer, &mut merged.notices)?;
        if let Value::Object(tree) = &mut layer.document.tree {
            // A single service is the same as a list of one; after merging, the last file's would be left.
            for (one, many) in [("service", "services"), ("check", "checks")] {
                let blocks = tree.remove(many).into_iter().chain(tree.remove(one));
                let blocks: Vec<Value> = blocks.flat_map(listed).collect();
                definitions::read(&layer.origin, one, &blocks, &mut merged.definitions)?;
            }
            for block in tree.remove("watches").into_iter().flat_map(listed) {
                let invalid = |e| ConfigError::invalid(format!("{}: {e}", layer.origin));
                merged.watches.push(watch::parse(block).map_err(invalid)?);
            }
        }
        merge(&mut merged.tree, layer.document.tree);
    }
    Ok(merged)
}

fn listed(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        Value::Null => Vec::new(),
        other => vec![other],
    }
}

/// Keys in the spelling of the list of settings, and maps where HCL has lists of one map.
fn shape(value: &mut Value, path: &str) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| shape(item, path)),
        Value::Object(map) => {
            for (key, mut value) in std::mem::take(map) {
                let folded = key.to_ascii_lowercase();
                let known = join(path, &folded);
                let key = if keys::find(&known).is_some() || keys::is_block(&known) { folded } else { key };
                let list = LISTS_OF_MAPS.iter().any(|l| key.eq_ignore_ascii_case(l));
                if let (false, Value::Array(items)) = (list, &mut value)
                    && let [Value::Object(_)] = items[..]
                {
                    value = items.remove(0);
                }
                shape(&mut value, &join(path, &key));
                map.insert(key, value);
            }
        }
        _ => {}
    }
}

/// Whether every key of a layer exists, has the right type, and is built or asks for nothing. A null is the same as no
/// key.
fn check(layer: &Layer, notices: &mut Vec<Notice>) -> Result<(), ConfigError> {
    let mut unknown = Vec::new();
    collect_unknown(&layer.document.tree, "", &mut unknown);
    if !unknown.is_empty() {
        let keys = unknown.into_iter().map(|key| with_place(layer, &key, key.clone())).collect();
        return Err(ConfigError::UnknownKeys { origin: layer.origin.to_string(), keys });
    }
    check_block(layer, &layer.document.tree, "", notices)
}

/// A message about a key, with its place if that is known.
fn with_place(layer: &Layer, path: &str, message: String) -> String {
    layer.document.place(path).map_or(message.clone(), |place| format!("{message} (at {place})"))
}

fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

fn collect_unknown(block: &Value, prefix: &str, unknown: &mut Vec<String>) {
    for (key, value) in block.as_object().into_iter().flatten() {
        let path = join(prefix, key);
        if keys::is_block(&path) {
            collect_unknown(value, &path, unknown);
        } else if keys::find(&path).is_none() {
            unknown.push(path);
        }
    }
}

fn check_block(layer: &Layer, block: &Value, prefix: &str, notices: &mut Vec<Notice>) -> Result<(), ConfigError> {
    let wrong_type = |path: &str, reason: String| {
        let reason = format!("1 error(s) decoding:\n\n* {}", with_place(layer, path, reason));
        Err(ConfigError::Parse { origin: layer.origin.to_string(), reason })
    };
    for (key, value) in block.as_object().into_iter().flatten().filter(|(_, v)| !v.is_null()) {
        let path = join(prefix, key);
        let Some(known) = keys::find(&path) else {
            if !value.is_object() {
                return wrong_type(&path, format!("'{path}' expected a map, got '{}'", go_type(value)));
            }
            check_block(layer, value, &path, notices)?;
            continue;
        };
        if let Err(reason) = known.kind.check(&path, value) {
            return wrong_type(&path, reason);
        }
        match known.standing {
            Standing::Built => {}
            Standing::NoEffect(reason) => {
                let text = format!("{} has no effect: {reason}", name(&layer.origin, known));
                notices.push(Notice { level: LogLevel::Debug, text });
            }
            Standing::NotBuilt { asks_nothing, .. } if asks_nothing(value) => {}
            Standing::Without { asks_nothing, .. } if asks_nothing(value) => {}
            Standing::Without { why, .. } => {
                let text = format!("{} has no effect: {why}", name(&layer.origin, known));
                notices.push(Notice { level: LogLevel::Warn, text });
            }
            Standing::NotBuilt { why, .. } => {
                return Err(ConfigError::NotBuilt { name: name(&layer.origin, known), why: why.to_owned() });
            }
        }
    }
    Ok(())
}

fn name(origin: &Origin, key: &keys::Key) -> String {
    match (origin, key.flag) {
        (Origin::Flags, Some((flag, _))) => format!("-{flag}"),
        (Origin::Flags, None) => key.path.to_owned(),
        (Origin::File(_) | Origin::Inline(_), _) => format!("{origin}: {}", key.path),
    }
}

/// Lays one layer over another.
pub(crate) fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (_, Value::Null) => {}
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(mut from)) => into.append(&mut from),
        (into, from) => *into = from,
    }
}

#[cfg(test)]
mod tests;
