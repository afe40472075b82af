//! The house rules that a machine can check. Each rule is a function from a file to its violations, run over the whole
//! tree by one test and over a small bad example by another, so that a rule that stopped seeing is noticed.
//!
//! The tables below are the rules of direction; change them only together with ARCHITECTURE.md.

mod imports;
mod orphans;
mod source;
mod text;

use source::{Source, tree};

/// What each module of `src` may name, beside itself. A module that is not listed may not exist.
pub(crate) const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("archive", &[]),
    ("clock", &[]),
    ("footprint", &[]),
    ("monitor", &[]),
    ("proto", &[]),
    ("model", &[]),
    ("command", &["model", "proto"]),
    ("machine", &["command", "model"]),
    ("store", &["machine", "command", "model", "proto", "footprint"]),
    ("watch", &["machine", "command", "model"]),
    ("raft", &["store", "watch", "machine", "command", "model", "proto", "clock"]),
    ("cluster", &["raft", "model", "clock"]),
    ("service", &["archive", "cluster", "gossip", "raft", "watch", "machine", "command", "model", "proto", "clock"]),
    ("config", &["model", "clock"]),
    ("outgoing", &[]),
    ("docker", &["outgoing", "model"]),
    ("agent", &["docker", "outgoing", "service", "watch", "machine", "command", "model", "config", "clock"]),
    ("gossip", &["model", "clock"]),
    ("registrar", &["service", "agent", "model", "config", "clock"]),
    ("template", &["service", "model", "config", "clock"]),
    ("grpc", &["service", "agent", "watch", "machine", "command", "model", "proto", "clock"]),
    ("http", &["gossip", "monitor", "service", "agent", "watch", "machine", "command", "model", "clock", "footprint"]),
    ("dns", &["service", "agent", "watch", "machine", "model", "clock"]),
    ("ui", &["service", "agent", "model"]),
    // An agent that is no server stands between the edges and the servers, so it knows both.
    (
        "client",
        &["agent", "cluster", "service", "machine", "command", "model", "proto", "clock", "grpc", "http", "dns"],
    ),
    ("node", EVERYTHING),
    ("fuzzing", EVERYTHING),
    ("cli", &["archive", "monitor", "config", "model", "clock"]),
    ("main", &["cli"]),
    ("lib", EVERYTHING),
];

/// Single files that may name more than their module: path prefix, what, and why.
pub(crate) const ALSO: &[(&str, &[&str], &str)] = &[
    ("src/cli/agent", &["node"], "the command that runs the server in this process"),
    ("src/cli/recover", &["raft"], "works on the data directory of a server that is stopped"),
    ("src/grpc/peer", &["raft"], "carries the messages of raft between servers"),
    ("src/dns/fuzz", &["command"], "makes the catalog that a fuzzer asks about"),
];

pub(crate) const EVERYTHING: &[&str] = &["*"];

/// Crates and names that belong to some places only: word, places, reason.
pub(crate) const ONLY_IN: &[(&str, &[&str], &str)] = &[
    ("redb", &["src/store/"], "storage has one owner"),
    ("openraft", &["src/raft/"], "consensus has one owner"),
    (
        "tonic",
        &["crates/transport/", "src/grpc/", "src/client/", "src/proto.rs"],
        "gRPC is an edge, and the way of agents to servers",
    ),
    ("lictor_transport", &["src/grpc/", "src/client/"], "what is below an edge"),
    ("axum", &["src/http/", "src/ui/"], "HTTP is an edge"),
    (
        "hyper",
        &["src/http/", "src/ui/", "src/cli/", "src/client/", "src/outgoing", "src/docker/", "src/agent/checks/http"],
        "HTTP is an edge; the cli and what asks other programs are clients",
    ),
    ("hickory", &["src/dns/"], "DNS is an edge"),
    ("foca", &["src/gossip/"], "gossip has one owner"),
    ("rand", &["src/clock.rs"], "a simulation must be able to replay randomness"),
    ("getrandom", &["src/clock.rs"], "a simulation must be able to replay randomness"),
    ("SystemTime", &["src/clock.rs"], "a simulation must be able to set the time"),
];

/// Crates that some places must not name: word, places, reason.
pub(crate) const NEVER_IN: &[(&str, &[&str], &str)] =
    &[("tokio", &["src/model/", "src/command/", "src/machine/"], "the deterministic heart is synchronous")];

/// Runs a rule over every file of the tree and fails with all its violations.
fn check(rule: impl Fn(&Source) -> Vec<String>) {
    let files = tree();
    assert!(files.len() > 10, "the tree was not found");
    report(files.iter().flat_map(rule).collect());
}

fn report(violations: Vec<String>) {
    assert!(violations.is_empty(), "{} violation(s):\n{}", violations.len(), violations.join("\n"));
}

#[test]
fn imports_point_one_way() {
    check(imports::direction);
}

#[test]
fn crates_stay_where_they_belong() {
    check(imports::ownership);
}

#[test]
fn every_rust_file_is_compiled() {
    report(orphans::orphans(&tree()));
}

#[test]
fn files_stay_small() {
    check(text::size);
}

#[test]
fn every_module_opens_with_its_docs() {
    check(text::docs);
}

#[test]
fn nothing_is_left_unfinished() {
    check(text::words);
}

#[test]
fn lines_end_cleanly() {
    check(text::whitespace);
}

#[test]
fn paths_of_a_workplace_stay_out() {
    check(text::paths);
}
