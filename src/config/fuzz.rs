//! What fuzzing asks of configuration files: any text is read to a checked configuration or refused in words.
//!
//! Must never: be part of the program.

use super::address::Host;
use super::checked::Config;
use super::flags::AgentFlags;
use super::hcl;
use super::template::Interface;
use crate::clock::Clock;
use serde_json::Value;

/// Deeper trees are not written, because writing a block takes two levels.
const DEPTH_MAX: usize = 60;

/// A text in HCL or JSON: read, written, read again; and then as the configuration of an agent.
pub(crate) fn file(text: &str) {
    if let Ok(document) = hcl::parse(text)
        && !text.trim_start().starts_with('{')
        && depth(&document.tree) <= DEPTH_MAX
    {
        let mut again = String::new();
        items(&document.tree, &mut again);
        let read = hcl::parse(&again).unwrap_or_else(|e| panic!("{again} is written and not read: {e}"));
        assert_eq!(read.tree, document.tree, "{again}");
    }
    let flags = AgentFlags { dev: true, inline: vec![text.to_owned()], ..AgentFlags::default() };
    match Config::validate_on(&host(), &flags, &Clock::manual(1, 1)) {
        Ok(config) => {
            let again = Config::validate_on(&host(), &flags, &Clock::manual(1, 1)).map(|c| format!("{c:?}"));
            assert_eq!(again.ok(), Some(format!("{config:?}")));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn host() -> Host {
    let interface = |address: &str| Interface {
        address: address.parse().unwrap_or_else(|e| panic!("{e}")),
        default: address.starts_with("10."),
        name: format!("if{}", address.len()),
    };
    Host { hostname: "box".to_owned(), interfaces: ["127.0.0.1", "10.0.0.7", "fe80::1"].map(interface).to_vec() }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// The items of a map.
fn items(map: &Value, out: &mut String) {
    for (key, value) in map.as_object().into_iter().flatten() {
        *out += &text(key);
        *out += " = ";
        write(value, out);
        out.push('\n');
    }
}

/// A value: a map is only found in lists.
fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(_) => {
            out.push('{');
            items(value, out);
            out.push('}');
        }
        Value::Array(list) => {
            out.push('[');
            for item in list {
                write(item, out);
                out.push(',');
            }
            out.push(']');
        }
        Value::String(value) => *out += &text(value),
        other => *out += &other.to_string(),
    }
}

/// A text in quotes: JSON's escapes are HCL's, but for those that are no letters, and what begins an expression.
fn text(value: &str) -> String {
    let mut out = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' | '$' | '\0'..='\u{1f}' | '\u{7f}' => out += &format!("\\u{:04x}", u32::from(c)),
            c => out.push(c),
        }
    }
    out + "\""
}
