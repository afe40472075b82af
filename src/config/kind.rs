//! The types that settings have, and how far a setting is built.

use serde_json::Value;

/// The type of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int,
    Number,
    Text,
    /// A list of texts.
    Texts,
    /// A map of texts.
    TextMap,
    /// A list of maps, or one map; who reads it checks the inside.
    Blocks,
    /// A whole number that is not negative.
    Unsigned,
    /// A block or list whose inside is not looked at, because the whole is refused or has no effect.
    Any,
}

/// What happens to a setting that is given.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Standing {
    /// It is read.
    Built,
    /// It is accepted and changes nothing, for this reason.
    NoEffect(&'static str),
    /// It is accepted without effect, and the log warns of it for this reason, unless its value asks for nothing.
    Without { asks_nothing: fn(&Value) -> bool, why: &'static str },
    /// It is refused for this reason, unless its value asks for nothing.
    NotBuilt { asks_nothing: fn(&Value) -> bool, why: &'static str },
}

impl Kind {
    /// Whether a value has this type; the error is Consul's sentence about the key.
    pub(crate) fn check(self, path: &str, value: &Value) -> Result<(), String> {
        let mismatch = |expected: &str, at: &str, got: &Value| {
            Err(format!("'{at}' expected type '{expected}', got unconvertible type '{}'", go_type(got)))
        };
        match (self, value) {
            (Kind::Any, _)
            | (Kind::Bool, Value::Bool(_))
            | (Kind::Number, Value::Number(_))
            | (Kind::Text, Value::String(_)) => Ok(()),
            (Kind::Int, Value::Number(n)) if n.is_i64() => Ok(()),
            (Kind::Unsigned, Value::Number(n)) if n.as_u64().is_some_and(|n| n <= u64::from(u32::MAX)) => Ok(()),
            (Kind::Unsigned, Value::Number(n)) => Err(format!("cannot parse '{path}', {n} overflows uint")),
            (Kind::Blocks, Value::Object(_)) => Ok(()),
            (Kind::Blocks, Value::Array(items)) if items.iter().all(Value::is_object) => Ok(()),
            (Kind::Blocks, Value::Array(_)) => Err(format!("'{path}': its items must be maps")),
            (Kind::Blocks, got) => {
                Err(format!("'{path}': source data must be an array or slice, got {}", go_type(got)))
            }
            (Kind::Unsigned, got) => mismatch("uint", path, got),
            (Kind::Bool, got) => mismatch("bool", path, got),
            (Kind::Int, got) => mismatch("int", path, got),
            (Kind::Number, got) => mismatch("float64", path, got),
            (Kind::Text, got) => mismatch("string", path, got),
            (Kind::Texts, Value::Array(items)) => match items.iter().enumerate().find(|(_, i)| !i.is_string()) {
                Some((index, got)) => mismatch("string", &format!("{path}[{index}]"), got),
                None => Ok(()),
            },
            (Kind::Texts, got) => Err(format!("'{path}': source data must be an array or slice, got {}", go_type(got))),
            (Kind::TextMap, Value::Object(map)) => match map.iter().find(|(_, v)| !v.is_string()) {
                Some((key, got)) => mismatch("string", &format!("{path}[{key}]"), got),
                None => Ok(()),
            },
            (Kind::TextMap, got) => Err(format!("'{path}' expected a map, got '{}'", go_type(got))),
        }
    }
}

/// The name that Consul's messages have for a JSON type.
pub(crate) fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    }
}

/// False, empty, or a negative port: a value that asks for nothing.
pub(crate) fn empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(n) => n.as_f64().is_some_and(|n| n < 0.0),
        Value::String(s) => s.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// True: for settings whose name says that something is off.
pub(crate) fn is_true(value: &Value) -> bool {
    value == &Value::Bool(true)
}

/// Nothing, or the one namespace or partition that there is.
pub(crate) fn default_name(value: &Value) -> bool {
    matches!(value.as_str(), Some("" | "default"))
}
