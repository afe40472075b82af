//! Reads configuration files and lays them over each other: scalars of later layers win, lists append, maps merge.
//! Every layer is checked against the list of settings before it is laid on, so that an error names its file.

use super::checked::{LogLevel, Notice};
use super::error::ConfigError;
use super::flags::AgentFlags;
use super::keys;
use super::kind::{Standing, go_type};
use serde_json::{Map, Value};
use std::fmt;
use std::path::{Path, PathBuf};

/// A configuration file may not be larger than this.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Where a layer comes from.
#[derive(Debug)]
pub(crate) enum Origin {
    File(PathBuf),
    Flags,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(path) => path.display().fmt(f),
            Origin::Flags => f.write_str("the command line"),
        }
    }
}

/// All files in the order of the command line, then the flags, as one tree of known keys and right types.
pub(crate) fn load(flags: &AgentFlags) -> Result<(Value, Vec<Notice>), ConfigError> {
    let mut merged = Value::Object(Map::new());
    let mut notices = Vec::new();
    for named in &flags.config_paths {
        for path in files(named, flags.json, &mut notices)? {
            let value = read(&path, flags.json)?;
            check(&Origin::File(path), &value, &mut notices)?;
            merge(&mut merged, value);
        }
    }
    let settings = Value::Object(flags.settings.clone());
    check(&Origin::Flags, &settings, &mut notices)?;
    merge(&mut merged, settings);
    Ok((merged, notices))
}

/// The files that a `-config-file` or `-config-dir` stands for; a directory's files in byte order.
fn files(named: &Path, json: bool, notices: &mut Vec<Notice>) -> Result<Vec<PathBuf>, ConfigError> {
    let open = |error| open_error(named, &error);
    if !std::fs::metadata(named).map_err(open)?.is_dir() {
        return Ok(vec![named.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(named).map_err(open)? {
        let path = entry.map_err(open)?.path();
        if path.is_dir() {
            continue;
        }
        if json || matches!(extension(&path), Some("json" | "hcl")) {
            found.push(path);
        } else {
            let text = format!("skipping file {}: its extension is not .json", path.display());
            notices.push(Notice { level: LogLevel::Warn, text });
        }
    }
    found.sort();
    Ok(found)
}

fn extension(path: &Path) -> Option<&str> {
    path.extension().and_then(|e| e.to_str())
}

fn open_error(path: &Path, error: &std::io::Error) -> ConfigError {
    let reason = match error.kind() {
        std::io::ErrorKind::NotFound => format!("open {}: no such file or directory", path.display()),
        std::io::ErrorKind::PermissionDenied => format!("open {}: permission denied", path.display()),
        _ => error.to_string(),
    };
    ConfigError::Open { path: path.to_owned(), reason }
}

fn read(path: &Path, json: bool) -> Result<Value, ConfigError> {
    let parse_error = |reason: String| ConfigError::Parse { origin: path.display().to_string(), reason };
    match extension(path) {
        _ if json => {}
        Some("json") => {}
        Some("hcl") => {
            return Err(parse_error("HCL files are not built yet: write the same settings as JSON".to_owned()));
        }
        _ => {
            let reason = "the file's extension must be .json, or -config-format=json must be given";
            return Err(parse_error(reason.to_owned()));
        }
    }
    let size = std::fs::metadata(path).map_err(|e| open_error(path, &e))?.len();
    if size > FILE_BYTES_MAX {
        return Err(parse_error(format!("the file has {size} bytes, at most {FILE_BYTES_MAX} are allowed")));
    }
    let bytes = std::fs::read(path).map_err(|e| open_error(path, &e))?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|e| parse_error(e.to_string()))?;
    if !value.is_object() {
        return Err(parse_error(format!("a configuration file must hold an object, not a {}", go_type(&value))));
    }
    Ok(value)
}

/// Whether every key of a layer exists, has the right type, and is built or asks for nothing. Drops nulls' meaning: a
/// null is the same as no key.
pub(crate) fn check(origin: &Origin, layer: &Value, notices: &mut Vec<Notice>) -> Result<(), ConfigError> {
    let mut unknown = Vec::new();
    collect_unknown(layer, "", &mut unknown);
    if !unknown.is_empty() {
        return Err(ConfigError::UnknownKeys { origin: origin.to_string(), keys: unknown });
    }
    check_block(origin, layer, "", notices)
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

fn check_block(origin: &Origin, block: &Value, prefix: &str, notices: &mut Vec<Notice>) -> Result<(), ConfigError> {
    let wrong_type = |reason| {
        let reason = format!("1 error(s) decoding:\n\n* {reason}");
        Err(ConfigError::Parse { origin: origin.to_string(), reason })
    };
    for (key, value) in block.as_object().into_iter().flatten().filter(|(_, v)| !v.is_null()) {
        let path = join(prefix, key);
        let Some(known) = keys::find(&path) else {
            if !value.is_object() {
                return wrong_type(format!("'{path}' expected a map, got '{}'", go_type(value)));
            }
            check_block(origin, value, &path, notices)?;
            continue;
        };
        if let Err(reason) = known.kind.check(&path, value) {
            return wrong_type(reason);
        }
        match known.standing {
            Standing::Built => {}
            Standing::NoEffect(reason) => {
                let text = format!("{} has no effect: {reason}", name(origin, known));
                notices.push(Notice { level: LogLevel::Debug, text });
            }
            Standing::NotBuilt { asks_nothing, .. } if asks_nothing(value) => {}
            Standing::NotBuilt { why, .. } => {
                return Err(ConfigError::NotBuilt { name: name(origin, known), why: why.to_owned() });
            }
        }
    }
    Ok(())
}

fn name(origin: &Origin, key: &keys::Key) -> String {
    match (origin, key.flag) {
        (Origin::Flags, Some((flag, _))) => format!("-{flag}"),
        (Origin::Flags, None) => key.path.to_owned(),
        (Origin::File(path), _) => format!("{}: {}", path.display(), key.path),
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
