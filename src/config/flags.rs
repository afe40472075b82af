//! The agent's flags. Each stands for a key of a configuration file, so that one list of settings serves both; only
//! those about files and development mode are flags alone.

use super::error::ConfigError;
use super::keys::{KEYS, Key};
use super::kind::{Kind, Standing};
use super::source::Format;
use serde_json::{Map, Value};
use std::path::PathBuf;

/// How a flag is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// `-flag` or `-flag=false`.
    Switch,
    /// `-flag value`; the last one wins.
    One,
    /// `-flag value`, any number of times.
    Many,
}

/// A flag that the agent knows.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// Without dashes.
    pub name: &'static str,
    /// How it is written.
    pub arity: Arity,
    /// What it does; `None` for one that is refused or has no effect.
    pub help: Option<&'static str>,
}

const OWN: &[Flag] = &[
    Flag { name: "dev", arity: Arity::Switch, help: Some("Runs a server in memory, on 127.0.0.1, for development.") },
    Flag {
        name: "config-file",
        arity: Arity::Many,
        help: Some(
            "Configuration file in HCL or JSON, or a directory of them. May be repeated; -config-dir is the same.",
        ),
    },
    Flag {
        name: "config-format",
        arity: Arity::One,
        help: Some("Reads files as `hcl` or `json` whatever their extension."),
    },
    Flag {
        name: "hcl",
        arity: Arity::Many,
        help: Some("Configuration in HCL that wins over files and flags. May be repeated."),
    },
];

/// What the command line asked for.
#[derive(Clone, Debug, Default)]
pub struct AgentFlags {
    /// Development mode.
    pub dev: bool,
    /// Files and directories, in order.
    pub config_paths: Vec<PathBuf>,
    /// What files are, whatever their extension.
    pub format: Option<Format>,
    /// Texts in HCL, in order.
    pub inline: Vec<String>,
    /// The other flags, as the tree that a configuration file would hold.
    pub(crate) settings: Map<String, Value>,
}

impl AgentFlags {
    /// All flags of the agent.
    pub fn list() -> impl Iterator<Item = Flag> {
        OWN.iter().copied().chain(KEYS.iter().filter_map(|key| {
            let (name, help) = key.flag?;
            let arity = match key.kind {
                Kind::Bool => Arity::Switch,
                Kind::Texts | Kind::TextMap => Arity::Many,
                Kind::Int | Kind::Unsigned | Kind::Number | Kind::Text | Kind::Blocks | Kind::Any => Arity::One,
            };
            Some(Flag { name, arity, help: matches!(key.standing, Standing::Built).then_some(help) })
        }))
    }

    /// Takes the values of one flag, in the order in which they were given.
    ///
    /// # Errors
    /// A value that does not fit the flag, a flag that does not exist.
    pub fn set(&mut self, name: &str, values: &[String]) -> Result<(), ConfigError> {
        let Some(last) = values.last() else { return Ok(()) };
        match name {
            "dev" => self.dev = boolean(name, last)?,
            "config-file" => self.config_paths.extend(values.iter().map(PathBuf::from)),
            "config-format" => self.format = Some(Format::parse(last)?),
            "hcl" => self.inline.extend_from_slice(values),
            _ => {
                let Some(key) = KEYS.iter().find(|k| k.flag.is_some_and(|(flag, _)| flag == name)) else {
                    return Err(ConfigError::invalid(format!("flag provided but not defined: -{name}")));
                };
                let value = value(key, name, values, last)?;
                insert(&mut self.settings, key.path, value);
            }
        }
        Ok(())
    }
}

fn insert(settings: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            settings.insert(path.to_owned(), value);
        }
        Some((block, rest)) => {
            let inner = settings.entry(block).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

fn value(key: &Key, flag: &str, values: &[String], last: &str) -> Result<Value, ConfigError> {
    Ok(match key.kind {
        Kind::Bool => Value::Bool(boolean(flag, last)?),
        Kind::Int | Kind::Unsigned | Kind::Number => match last.parse::<i64>() {
            Ok(number) => number.into(),
            Err(_) => return Err(invalid(flag, last, "not a whole number")),
        },
        Kind::Text | Kind::Blocks | Kind::Any => Value::String(last.to_owned()),
        Kind::Texts => values.iter().cloned().map(Value::String).collect(),
        Kind::TextMap => {
            let mut map = Map::new();
            for pair in values {
                let (key, value) = pair.split_once(':').unwrap_or((pair, ""));
                map.insert(key.to_owned(), Value::String(value.to_owned()));
            }
            Value::Object(map)
        }
    })
}

/// The words that Go's flags take for true and false.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn boolean(flag: &str, text: &str) -> Result<bool, ConfigError> {
    parse_bool(text).ok_or_else(|| invalid(flag, text, "not true or false"))
}

fn invalid(flag: &str, text: &str, why: &str) -> ConfigError {
    ConfigError::invalid(format!("invalid value {text:?} for flag -{flag}: {why}"))
}
