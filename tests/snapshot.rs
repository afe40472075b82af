//! Snapshots of the real binary: saved, restored, refused; and what operators see of a server that is alone.

mod common;

use common::Server;
use std::io::Write;
use std::process::{Command, Stdio};

fn keys(server: &Server) -> Vec<String> {
    serde_json::from_slice(&server.get("/v1/kv/?keys").ok().body).expect("a list of keys")
}

/// A file out of the archive, unpacked by the tar of the system.
fn member(archive: &[u8], name: &str) -> Vec<u8> {
    let mut tar = Command::new("tar")
        .args(["-xzO", name])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("tar is installed");
    tar.stdin.take().expect("a pipe").write_all(archive).expect("tar reads");
    let output = tar.wait_with_output().expect("tar ends");
    assert!(output.status.success(), "{name}");
    output.stdout
}

#[test]
fn a_restore_brings_everything_back_and_no_index_goes_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::durable_with(dir.path(), &["-node=one"]);
    server.put("/v1/kv/kept", "same").ok();
    server.put("/v1/kv/changed", "old").ok();
    let register = r#"{"Node":"n","Address":"10.0.0.1","Service":{"ID":"w","Service":"web","Port":80}}"#;
    server.put("/v1/catalog/register", register).ok();
    server.request("POST", "/v1/query", &[], br#"{"Name":"q","Service":{"Service":"web"}}"#).ok();
    let kept = server.get("/v1/kv/kept").index();

    let saved = server.get("/v1/snapshot").ok();
    assert_eq!(saved.header("Content-Type"), Some("application/x-gzip"));
    let meta: serde_json::Value = serde_json::from_slice(&member(&saved.body, "meta.json")).expect("meta.json");
    assert_eq!((&meta["Version"], meta["Index"].as_u64()), (&1.into(), Some(saved.index())));
    assert_eq!(meta["Size"].as_u64(), Some(member(&saved.body, "state.bin").len() as u64));

    server.put("/v1/kv/changed", "new").ok();
    server.put("/v1/kv/added", "x").ok();
    server.put("/v1/catalog/deregister", r#"{"Node":"n"}"#).ok();
    server.put("/v1/catalog/register", register.replace("web", "other").replace("\"w\"", "\"o\"")).ok();
    let targets = ["/v1/kv/changed", "/v1/kv/added", "/v1/kv/?recurse", "/v1/catalog/services", "/v1/catalog/nodes"];
    let before: Vec<u64> = targets.iter().map(|target| server.get(target).index()).collect();
    let waiting = format!("/v1/kv/changed?index={}&wait=60s", before[0]);
    std::thread::scope(|scope| {
        let addr = server.http_addr();
        let poll = scope.spawn(move || common::http::request(addr, "GET", &waiting, &[], b"").expect("an answer"));
        server.put("/v1/snapshot", &saved.body).ok();
        assert_eq!(poll.join().expect("the poll").json()[0]["Value"], "b2xk", "a watcher sees the old value again");
    });

    assert_eq!(keys(&server), ["changed", "kept"]);
    assert_eq!(server.get("/v1/kv/kept").index(), kept, "what is the same was not touched");
    assert_eq!(server.get("/v1/catalog/service/web").ok().json()[0]["ServicePort"], 80);
    assert_eq!(server.get("/v1/catalog/service/other").ok().text().trim(), "[]");
    assert_eq!(server.get("/v1/query/q/execute").ok().json()["Nodes"][0]["Node"]["Node"], "n");
    for (target, before) in targets.iter().zip(before) {
        let after = server.get(target).index();
        assert!(after >= before, "{target}: {after} after {before}");
    }
    drop(server);
    let server = Server::durable_with(dir.path(), &["-node=one"]);
    assert_eq!(keys(&server), ["changed", "kept"], "after a restart");
}

#[test]
fn a_snapshot_moves_to_a_new_cluster() {
    let old = Server::dev();
    // More than fits into one log entry, and a log that is longer than the new one's.
    for n in 0..30 {
        old.put(&format!("/v1/kv/large/{n}"), "v".repeat(300_000)).ok();
    }
    let saved = old.get("/v1/snapshot").ok();
    let new = Server::dev();
    new.put("/v1/kv/gone", "x").ok();
    new.put("/v1/snapshot", &saved.body).ok();
    assert_eq!(keys(&new), keys(&old));
    assert_eq!(new.get("/v1/kv/large/7?raw").ok().body.len(), 300_000);
    let restored = new.get("/v1/kv/large/7").ok();
    let modified = restored.json()[0]["ModifyIndex"].as_u64().expect("an index");
    assert!(modified <= restored.index(), "no index is ahead of the log");
    new.put(&format!("/v1/kv/large/7?cas={modified}"), "y").ok();
    assert_eq!(new.get("/v1/kv/large/7?raw").ok().text(), "y");
}

#[test]
fn what_is_no_snapshot_of_ours_is_refused_and_changes_nothing() {
    let server = Server::dev();
    server.put("/v1/kv/a", "1").ok();
    let good = server.get("/v1/snapshot").ok().body;
    let mut damaged = good.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x10;
    let dir = tempfile::tempdir().expect("a directory");
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let braces = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    let foreign =
        [("meta.json", "{}"), ("state.bin", ""), ("SHA256SUMS", &format!("{braces}  meta.json\n{empty}  state.bin\n"))];
    for (name, content) in foreign {
        std::fs::write(dir.path().join(name), content).expect("a file");
    }
    let pack = ["-czf", "s.tgz", "meta.json", "state.bin", "SHA256SUMS"];
    assert!(Command::new("tar").args(pack).current_dir(dir.path()).status().expect("tar").success());
    let foreign = std::fs::read(dir.path().join("s.tgz")).expect("an archive");
    for (body, error) in [
        (b"no archive".to_vec(), "failed to decompress snapshot: gzip: invalid header"),
        (good[..good.len() - 20].to_vec(), "failed to "),
        (damaged, "failed to "),
        (foreign, "failed to restore snapshot: state.bin is not the state of a lictor server"),
    ] {
        let reply = server.put("/v1/snapshot", &body);
        assert_eq!(reply.status, 500);
        assert!(reply.text().starts_with(error), "{:?} instead of {error:?}", reply.text());
    }
    assert_eq!(keys(&server), ["a"]);
    assert_eq!(server.get("/v1/kv/a?raw").ok().text(), "1");
}

#[test]
fn a_server_that_is_alone_is_healthy_and_stays() {
    let server = Server::dev();
    let health = server.get("/v1/operator/autopilot/health").ok().json();
    assert_eq!((&health["Healthy"], &health["FailureTolerance"]), (&true.into(), &0.into()));
    let own = &health["Servers"][0];
    assert_eq!((&own["Leader"], &own["Voter"], &own["SerfStatus"]), (&true.into(), &true.into(), &"alive".into()));
    assert!(own["StableSince"].as_str().expect("a time").ends_with('Z'), "{own}");
    for by in [
        format!("id={}", own["ID"].as_str().expect("id")),
        format!("address={}", own["Address"].as_str().expect("address")),
    ] {
        let reply = server.request("DELETE", &format!("/v1/operator/raft/peer?{by}"), &[], b"");
        assert_eq!((reply.status, reply.text().as_str()), (500, "Need at least one voter in configuration: {[]}"));
    }
    assert_eq!(server.put("/v1/kv/still", "here").ok().text().trim(), "true");
}
