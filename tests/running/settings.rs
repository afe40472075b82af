//! Limits and settings of the configuration, and which of them a reload changes.

use crate::common::Server;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn write(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("config.hcl");
    std::fs::write(&path, text).expect("a config file");
    path
}

fn start(dir: &Path, text: &str) -> Server {
    Server::dev_with(&[&format!("-config-file={}", write(dir, text).display())])
}

/// A transaction that sets a key to so many bytes.
fn txn(bytes: usize) -> String {
    // Three bytes are four digits of base64.
    format!(r#"[{{"KV": {{"Verb": "set", "Key": "a", "Value": "{}"}}}}]"#, "AAAA".repeat(bytes / 3))
}

#[test]
fn sizes_are_limited_as_configured_and_reloaded() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = start(dir.path(), "limits { kv_max_value_size = 999 }");
    server.put("/v1/kv/a", "x".repeat(999)).ok();
    let see = "See https://www.consul.io/docs/agent/options.html";
    let reply = server.put("/v1/kv/a", "x".repeat(1000));
    let text = format!("Request body(1000 bytes) too large, max size: 999 bytes. {see}#kv_max_value_size.");
    assert_eq!((reply.status, reply.text()), (413, text));
    server.put("/v1/txn", txn(999)).ok();
    let reply = server.put("/v1/txn", txn(1200));
    let text = "Value for key \"a\" is too large (1200 > 999 bytes)".to_owned();
    assert_eq!((reply.status, reply.text()), (413, text));
    write(dir.path(), "limits { kv_max_value_size = 1200000 txn_max_req_len = 2000000 }");
    server.put("/v1/agent/reload", "").ok();
    server.put("/v1/kv/a", "x".repeat(1_200_000)).ok();
    server.put("/v1/txn", txn(1_200_000)).ok();
    let reply = server.put("/v1/txn", txn(1_800_000));
    let text = format!("too large, max size: 2000000 bytes. {see}#txn_max_req_len.");
    assert!(reply.status == 413 && reply.text().ends_with(&text), "{}", reply.text());
    assert_eq!(server.get("/v1/kv/a?raw").ok().body.len(), 1_200_000);
}

#[test]
fn the_shortest_session_is_as_configured() {
    let dir = tempfile::tempdir().expect("a directory");
    for (least, refused, accepted, shown) in [("2s", "1s", "2s", "2s"), ("1m", "59s", "60s", "1m0s")] {
        let server = start(dir.path(), &format!("session_ttl_min = \"{least}\""));
        let create = |ttl: &str| server.put("/v1/session/create", format!("{{\"TTL\": \"{ttl}\"}}"));
        create(accepted).ok();
        let reply = create(refused);
        assert_eq!(reply.status, 500);
        let text = format!(", must be between [{shown}=24h0m0s]");
        assert!(reply.text().ends_with(&text), "{}", reply.text());
    }
}

#[test]
fn paths_may_hold_what_cannot_be_printed() {
    let dir = tempfile::tempdir().expect("a directory");
    let strict = Server::dev();
    assert_eq!(strict.put("/v1/kv/a%0ab", "x").status, 400);
    let server = start(dir.path(), "disable_http_unprintable_char_filter = true");
    server.put("/v1/kv/a%0ab", "x").ok();
    assert_eq!(server.get("/v1/kv/?keys").ok().json(), serde_json::json!(["a\nb"]));
    assert_eq!(server.get("/v1/kv/a%0ab?raw").ok().text(), "x");
}

#[test]
fn a_new_cluster_has_the_configured_autopilot() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = r#"autopilot {
        cleanup_dead_servers = false last_contact_threshold = "1s" max_trailing_logs = 100 min_quorum = 3
        server_stabilization_time = "3s" disable_upgrade_migration = true
        redundancy_zone_tag = "z" upgrade_version_tag = "v"
    }"#;
    let (flag, data) = (format!("-config-file={}", write(dir.path(), config).display()), dir.path().join("data"));
    let mut server = Server::durable_with(&data, &[&flag]);
    let shown = |server: &Server| {
        let mut shown = server.get("/v1/operator/autopilot/configuration").ok().json();
        for index in ["CreateIndex", "ModifyIndex"] {
            assert!(shown[index].take().as_u64().is_some_and(|n| n > 0));
        }
        shown
    };
    let expected = serde_json::json!({
        "CleanupDeadServers": false, "LastContactThreshold": "1s", "MaxTrailingLogs": 100, "MinQuorum": 3,
        "ServerStabilizationTime": "3s", "RedundancyZoneTag": "z", "DisableUpgradeMigration": true,
        "UpgradeVersionTag": "v", "CreateIndex": null, "ModifyIndex": null,
    });
    assert_eq!(shown(&server), expected);
    // It is used once: later ones are the operator's.
    write(dir.path(), "autopilot { max_trailing_logs = 7 }");
    server.put("/v1/agent/reload", "").ok();
    server.restart();
    assert_eq!(shown(&server), expected);
}

#[test]
fn a_reload_changes_the_settings_of_checks() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = start(dir.path(), "");
    let check = r#"{"Name": "c", "Args": ["true"], "Interval": "1h"}"#;
    let refused = server.put("/v1/agent/check/register", check);
    assert!(refused.status >= 400 && refused.text().contains("Scripts are disabled"), "{}", refused.text());
    let ttl = r#"{"Name": "t", "TTL": "1h"}"#;
    server.put("/v1/agent/check/register", ttl).ok();
    let report = |output: &str| {
        server.put(&format!("/v1/agent/check/pass/t?note={output}"), "").ok();
        server.get("/v1/agent/checks").ok().json()["t"]["Output"].clone()
    };
    assert_eq!(report("abcdef"), "abcdef");
    write(dir.path(), "enable_script_checks = true discard_check_output = true");
    server.put("/v1/agent/reload", "").ok();
    server.put("/v1/agent/check/register", check).ok();
    assert_eq!(report("ghijkl"), "");
    // What is wrong changes nothing.
    write(
        dir.path(),
        "discard_check_output = false check { name = \"x\" ttl = \"1s\" interval = \"1s\" args = [\"a\"] }",
    );
    assert_eq!(server.put("/v1/agent/reload", "").status, 500);
    assert_eq!(report("mnopqr"), "");
}

#[test]
fn a_taken_port_of_grpc_stops_only_who_asked_for_it() {
    // An address of its own, on which the usual port of gRPC is taken.
    let taken = std::net::TcpListener::bind("127.0.0.77:8502").expect("the address is nobody else's");
    let agent = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lictor"));
        command.args(["agent", "-dev", "-client=127.0.0.77", "-http-port=0", "-dns-port=0", "-server-port=0"]);
        command.args(["-serf-lan-port=0"]).args(more).stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(Stdio::piped()).spawn().expect("started")
    };
    let asked = agent(&["-grpc-port=8502"]).wait_with_output().expect("ends");
    assert!(!asked.status.success());
    let told = String::from_utf8_lossy(&[asked.stdout, asked.stderr].concat()).into_owned();
    assert!(told.contains("cannot listen for gRPC on 127.0.0.77:8502 (ports.grpc)"), "{told}");

    let mut other = agent(&[]);
    let lines = BufReader::new(other.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let ready = lines.into_iter().find(|line| line.contains("Lictor ready"));
    other.kill().expect("killed");
    other.wait().expect("reaped");
    assert!(ready.as_ref().is_some_and(|line| line.contains("grpc=off")), "{ready:?}");
    drop(taken);
}
