//! Who names whom. Tests are free: they may set up what they like.

use crate::source::{Source, blank, find_word, line_of};
use crate::{ALSO, EVERYTHING, MAY_IMPORT, NEVER_IN, ONLY_IN};

/// Imports against the direction of `MAY_IMPORT`, and modules that it does not list.
pub(crate) fn direction(file: &Source) -> Vec<String> {
    let Some(inside) = file.path.strip_prefix("src/").filter(|_| file.is_rust()) else { return Vec::new() };
    let module = inside.split('/').next().unwrap_or_default().trim_end_matches(".rs");
    let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
        return vec![format!("{}: module {module} has no row in the table of directions", file.path)];
    };
    if *allowed == EVERYTHING {
        return Vec::new();
    }
    let also: Vec<&str> =
        ALSO.iter().filter(|row| file.path.starts_with(row.0)).flat_map(|row| row.1).copied().collect();
    let code = blank(file.production(), false);
    named(&code, depth(inside))
        .into_iter()
        .filter(|(_, name)| MAY_IMPORT.iter().any(|(known, _)| known == name))
        .filter(|(_, name)| name != module && !allowed.contains(&name.as_str()) && !also.contains(&name.as_str()))
        .map(|(at, name)| format!("{}:{}: {module} must not import {name}", file.path, line_of(&code, at)))
        .collect()
}

/// How many `super` lead from this file to the root of the crate.
fn depth(inside: &str) -> usize {
    let steps = inside.split('/').count();
    if inside.ends_with("/mod.rs") { steps - 1 } else { steps }
}

/// The names that follow `crate::`, `lictor::` or a chain of `super::` as long as the way to the root, one by one where
/// they stand in braces.
fn named(code: &str, depth: usize) -> Vec<(usize, String)> {
    let up = "super::".repeat(depth);
    ["crate::", "lictor::", &up]
        .iter()
        .flat_map(|root| code.match_indices(root).map(|(at, _)| (at, at + root.len())))
        .filter(|&(at, end)| {
            let whole = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$' || c == ':');
            whole && !code[end..].starts_with("super::")
        })
        .flat_map(|(_, end)| heads(&code[end..]).into_iter().map(move |head| (end, head)))
        .collect()
}

/// The first name of each path in `a::b` or `{a::b, c::{d, e}}`.
fn heads(code: &str) -> Vec<String> {
    let Some(group) = code.strip_prefix('{') else { return word(code).into_iter().collect() };
    let mut heads = Vec::new();
    let (mut nesting, mut fresh) = (0, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => nesting += 1,
            '}' if nesting == 0 => break,
            '}' => nesting -= 1,
            ',' => fresh |= nesting == 0,
            c if nesting == 0 && fresh && !c.is_whitespace() => {
                heads.extend(word(&group[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    heads
}

fn word(code: &str) -> Option<String> {
    let end = code.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(code.len());
    (end > 0).then(|| code[..end].to_owned())
}

/// Crates and names outside their places.
pub(crate) fn ownership(file: &Source) -> Vec<String> {
    if !file.is_rust() {
        return Vec::new();
    }
    let code = blank(file.production(), false);
    let within = |places: &[&str]| places.iter().any(|place| file.path.starts_with(place));
    let misplaced = ONLY_IN.iter().filter(|(_, places, _)| !within(places));
    let banned = NEVER_IN.iter().filter(|(_, places, _)| within(places));
    misplaced
        .chain(banned)
        .flat_map(|(name, _, reason)| {
            uses(&code, name).into_iter().map(move |at| (at, *name, *reason)).collect::<Vec<_>>()
        })
        .map(|(at, name, reason)| {
            format!("{}:{}: {name} does not belong here: {reason}", file.path, line_of(&code, at))
        })
        .collect()
}

/// Where a crate or one of its family (`tonic`, `tonic_health`) is named: before `::` or after `use`. A type stands alone.
fn uses(code: &str, name: &str) -> Vec<usize> {
    if name.starts_with(char::is_uppercase) {
        return find_word(code, name).collect();
    }
    code.match_indices(name)
        .map(|(at, _)| at)
        .filter(|&at| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '.'))
        .filter(|&at| {
            let whole = word(&code[at..]).unwrap_or_default();
            let family = whole.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'));
            family && (code[at + whole.len()..].starts_with("::") || code[..at].trim_end().ends_with("use"))
        })
        .collect()
}

#[test]
fn a_wrong_direction_is_seen() {
    let wrong = |path: &str, text: &str| direction(&Source::new(path, text)).len();
    assert_eq!(wrong("src/model/a.rs", "use crate::service::Error;"), 1);
    assert_eq!(wrong("src/model/a.rs", "use crate::{names::Invalid, raft::{Handle, model}, dns};"), 2);
    assert_eq!(wrong("src/model/a.rs", "fn f() { super::super::store::open() }"), 1);
    assert_eq!(wrong("src/model/mod.rs", "use super::store;"), 1);
    assert_eq!(wrong("src/http/a.rs", "use crate::grpc::status;"), 1);
    assert_eq!(wrong("src/cli/kv.rs", "crate::node::run()"), 1);
    assert_eq!(wrong("src/main.rs", "fn main() { lictor::node::run() }"), 1);
    assert_eq!(wrong("src/helpers/mod.rs", ""), 1);
}

#[test]
fn a_right_direction_passes() {
    for (path, text) in [
        ("src/machine/a.rs", "use crate::{command::Command, model::{Node, service}};\nuse super::state;"),
        ("src/model/a.rs", "// crate::service\nconst S: &str = \"crate::raft\";\nuse super::names;"),
        ("src/model/a.rs", "use crate::model::limits;\n#[cfg(test)]\nmod tests {\n use crate::service; }"),
        ("src/cli/agent.rs", "crate::node::run()"),
        ("src/node.rs", "use crate::{raft, dns};"),
        ("tests/a.rs", "use lictor::raft;"),
    ] {
        assert_eq!(direction(&Source::new(path, text)), Vec::<String>::new());
    }
}

#[test]
fn a_misplaced_crate_is_seen() {
    let wrong = |path: &str, text: &str| ownership(&Source::new(path, text)).len();
    for crate_name in
        ["redb", "openraft", "tonic", "tonic_health", "axum", "hyper_util", "hickory_proto", "rand", "foca"]
    {
        assert_eq!(wrong("src/service/a.rs", &format!("use {crate_name}::X;")), 1, "{crate_name}");
        assert_eq!(wrong("src/service/a.rs", &format!("use {crate_name};")), 1, "{crate_name}");
    }
    assert_eq!(wrong("src/service/a.rs", "use std::time::{Instant, SystemTime};"), 1);
    assert_eq!(wrong("src/machine/a.rs", "async fn f() { tokio::spawn(g()) }"), 1);
}

#[test]
fn a_crate_at_home_passes() {
    let right = |path: &str, text: &str| assert_eq!(ownership(&Source::new(path, text)), Vec::<String>::new());
    right("src/store/log.rs", "use redb::Database;");
    right("src/clock.rs", "rand::random(); SystemTime::now()");
    right("src/cli/client.rs", "use hyper_util::client;");
    right("src/raft/a.rs", "tokio::spawn(f()); self.rand; random::f(); // tonic::Status");
}
