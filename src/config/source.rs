//! The texts that a configuration is made of: files, directories, and fragments on the command line.

use super::checked::{LogLevel, Notice};
use super::error::ConfigError;
use super::flags::AgentFlags;
use super::hcl::{self, Document};
use super::keys::KEYS;
use super::kind::{Kind, go_type};
use serde_json::{Map, Value};
use std::fmt;
use std::path::{Path, PathBuf};

/// A configuration file may not be larger than this.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The languages of configuration files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Json,
    /// HCL 1, of which JSON is a part.
    Hcl,
}

impl Format {
    pub(crate) fn parse(text: &str) -> Result<Format, ConfigError> {
        match text {
            "json" => Ok(Format::Json),
            "hcl" => Ok(Format::Hcl),
            _ => Err(ConfigError::invalid("-config-format must be either 'hcl' or 'json'")),
        }
    }

    fn of(path: &Path) -> Option<Format> {
        match path.extension()?.to_str()? {
            "json" => Some(Format::Json),
            "hcl" => Some(Format::Hcl),
            _ => None,
        }
    }
}

/// Where a layer comes from.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    File(PathBuf),
    /// `-hcl`, counted from 0.
    Inline(usize),
    Flags,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(path) => path.display().fmt(f),
            Origin::Inline(number) => write!(f, "flags-{number}.hcl"),
            Origin::Flags => f.write_str("the command line"),
        }
    }
}

/// One text with its origin, read but not checked.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) origin: Origin,
    pub(crate) document: Document,
}

/// All layers, the lowest first: lists of the command line, files, what else the command line says, `-hcl`.
pub(crate) fn layers(flags: &AgentFlags, notices: &mut Vec<Notice>) -> Result<Vec<Layer>, ConfigError> {
    let (lists, scalars) = split(&flags.settings, "");
    let of_flags = |tree| Layer { origin: Origin::Flags, document: Document::plain(Value::Object(tree)) };
    let mut layers = vec![of_flags(lists)];
    for named in &flags.config_paths {
        for path in files(named, flags.format, notices)? {
            let document = read(&path, flags.format)?;
            layers.push(Layer { origin: Origin::File(path), document });
        }
    }
    layers.push(of_flags(scalars));
    for (number, text) in flags.inline.iter().enumerate() {
        let origin = Origin::Inline(number);
        let document = parse(&origin.to_string(), text, Format::Hcl)?;
        layers.push(Layer { origin, document });
    }
    Ok(layers)
}

/// The lists among the flags' settings, and the rest: the lists of files follow those of flags, as in Consul.
fn split(settings: &Map<String, Value>, prefix: &str) -> (Map<String, Value>, Map<String, Value>) {
    let (mut lists, mut scalars) = (Map::new(), Map::new());
    for (key, value) in settings {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Object(inner) if KEYS.iter().all(|k| k.path != path) => {
                let (below, rest) = split(inner, &path);
                lists
                    .extend(Some((key.clone(), Value::Object(below))).filter(|(_, v)| v != &Value::Object(Map::new())));
                scalars
                    .extend(Some((key.clone(), Value::Object(rest))).filter(|(_, v)| v != &Value::Object(Map::new())));
            }
            _ if KEYS.iter().any(|k| k.path == path && k.kind == Kind::Texts) => {
                lists.insert(key.clone(), value.clone());
            }
            _ => {
                scalars.insert(key.clone(), value.clone());
            }
        }
    }
    (lists, scalars)
}

/// The files that a `-config-file` or `-config-dir` stands for; a directory's files in byte order.
fn files(named: &Path, format: Option<Format>, notices: &mut Vec<Notice>) -> Result<Vec<PathBuf>, ConfigError> {
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
        if format.or(Format::of(&path)).is_some() {
            found.push(path);
        } else {
            let rule = "extension must be .hcl or .json, or config format must be set";
            let text = format!("skipping file {}, {rule}", path.display());
            notices.push(Notice { level: LogLevel::Warn, text });
        }
    }
    found.sort();
    Ok(found)
}

fn open_error(path: &Path, error: &std::io::Error) -> ConfigError {
    let reason = match error.kind() {
        std::io::ErrorKind::NotFound => format!("open {}: no such file or directory", path.display()),
        std::io::ErrorKind::PermissionDenied => format!("open {}: permission denied", path.display()),
        _ => error.to_string(),
    };
    ConfigError::Open { path: path.to_owned(), reason }
}

fn read(path: &Path, format: Option<Format>) -> Result<Document, ConfigError> {
    let origin = path.display().to_string();
    let parse_error = |reason: String| ConfigError::Parse { origin: origin.clone(), reason };
    let Some(format) = format.or(Format::of(path)) else {
        let reason = "the file's extension must be .hcl or .json, or -config-format must be given";
        return Err(parse_error(reason.to_owned()));
    };
    let size = std::fs::metadata(path).map_err(|e| open_error(path, &e))?.len();
    if size > FILE_BYTES_MAX {
        return Err(parse_error(format!("the file has {size} bytes, at most {FILE_BYTES_MAX} are allowed")));
    }
    let bytes = std::fs::read(path).map_err(|e| open_error(path, &e))?;
    let text = String::from_utf8(bytes).map_err(|e| parse_error(format!("the file is not UTF-8: {e}")))?;
    parse(&origin, &text, format)
}

/// The text of an error; Go's where a file ends too early, because that is what half a file gives.
fn json_error(error: &serde_json::Error) -> String {
    if error.is_eof() { "unexpected end of JSON input".to_owned() } else { error.to_string() }
}

fn parse(origin: &str, text: &str, format: Format) -> Result<Document, ConfigError> {
    let parse_error = |reason: String| ConfigError::Parse { origin: origin.to_owned(), reason };
    let document = match format {
        // A file that is about to be written.
        Format::Json if text.is_empty() => Document::plain(Value::Object(Map::new())),
        Format::Json => Document::plain(serde_json::from_str(text).map_err(|e| parse_error(json_error(&e)))?),
        Format::Hcl => hcl::parse(text).map_err(|e| parse_error(e.to_string()))?,
    };
    match &document.tree {
        Value::Object(_) => Ok(document),
        other => Err(parse_error(format!("a configuration file must hold an object, not a {}", go_type(other)))),
    }
}
