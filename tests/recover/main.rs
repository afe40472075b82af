//! The loss of a majority, with real processes: two of three servers are gone for good, and the third goes on by
//! `operator raft recover`.

#[path = "../common/mod.rs"]
mod common;

mod fleet;

use fleet::{Fleet, eventually, recover};

const KEYS: usize = 60;

/// A cluster of three with some keys, which the server that will survive has.
fn founded() -> Fleet {
    let mut fleet = Fleet::new();
    for _ in 0..3 {
        fleet.add();
    }
    (0..3).for_each(|server| fleet.start(server));
    for n in 0..KEYS {
        fleet.put(n % 3, &format!("k{n}"));
    }
    eventually("s2 has all keys", || (fleet.keys(2).len() == KEYS).then_some(()));
    fleet
}

fn assert_complete(fleet: &Fleet, server: usize) {
    let keys = fleet.keys(server);
    for n in 0..KEYS {
        assert!(keys.contains(&format!("k{n}")), "k{n} is lost: {keys:?}");
    }
}

fn line<'a>(text: &'a str, name: &str) -> &'a str {
    let found = text.lines().find_map(|line| line.strip_prefix(name));
    found.unwrap_or_else(|| panic!("no {name}: {text}")).trim()
}

#[test]
fn the_last_of_three_goes_on_and_others_join_it() {
    let mut fleet = founded();
    let (code, out, err) = fleet.recover(2, &["-yes"], "");
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("raft.redb: in use by another process; stop it"), "{err}");

    fleet.kill9(0);
    fleet.kill9(1);
    assert!(fleet.ask(2, "PUT", "/v1/kv/lost", "x").is_none(), "one of three acknowledges nothing");
    fleet.kill9(2);
    let (code, shown, err) = fleet.recover(2, &["-inspect"], "");
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!("s2 (has a vote)", line(&shown, "Node"));
    assert!(shown.contains("A majority of this cluster is 2 of 3 servers with a vote."), "{shown}");
    assert_eq!((0, shown.clone(), String::new()), fleet.recover(2, &["-inspect"], ""), "looking changes nothing");

    let (code, out, err) = fleet.recover(2, &[], "s1\n");
    assert_eq!((code, err.as_str()), (1, "Nothing was changed.\n"), "{out}");
    assert!(out.ends_with("Type the name of the server (s2) to go on: \n"), "{out}");
    let (code, out, err) = fleet.recover(2, &[], "s2\n");
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("Done: s2 is the only server of cluster "), "{out}");
    assert!(!out.contains(&format!("only server of cluster {}", line(&shown, "Cluster"))), "it has another identity");
    let (code, _, err) = fleet.recover(2, &["-yes"], "");
    let again = "Error recovering: this server is the only one with a vote already: start it as usual\n";
    assert_eq!((code, err.as_str()), (1, again));

    fleet.start(2);
    fleet.put(2, "after");
    assert_complete(&fleet, 2);
    assert_eq!(1, fleet.voters(2));

    // The servers with their old data, both at once: they would be a majority of the old cluster.
    fleet.start(0);
    fleet.start(1);
    for server in [0, 1] {
        assert_eq!(Some(1), fleet.wait_for_end(server), "{}", fleet.told(server));
        let told = fleet.told(server);
        assert!(told.contains("without this server: what this server has is out of date. Keep its data"), "{told}");
    }
    fleet.start(0);
    assert_eq!(Some(1), fleet.wait_for_end(0), "and at every start");
    assert_complete(&fleet, 2);
    assert_eq!(1, fleet.voters(2));

    // One of them without its data, and a new one.
    std::fs::remove_dir_all(fleet.data(0)).expect("remove its data");
    let settings = r#"{"CleanupDeadServers":true,"LastContactThreshold":"200ms","MaxTrailingLogs":250,
        "ServerStabilizationTime":"500ms"}"#;
    fleet.ask(2, "PUT", "/v1/operator/autopilot/configuration", settings).expect("is accepted");
    let new = fleet.add();
    fleet.start(0);
    fleet.start(new);
    eventually("three have a vote", || (fleet.voters(2) == 3).then_some(()));
    fleet.put(new, "joined");
    for server in [0, new] {
        fleet.answers(server, "/v1/kv/joined?consistent", |answer| answer.status == 200);
        assert_complete(&fleet, server);
    }
}

#[test]
fn an_old_server_learns_by_gossip_where_its_cluster_has_gone() {
    let mut fleet = founded();
    (0..3).for_each(|server| fleet.terminate(server));
    let (code, out, err) = fleet.recover(2, &["-yes"], "");
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    // At an address that the log of the old server does not know.
    fleet.readdress(2, 99);
    fleet.start(2);
    fleet.put(2, "after");
    fleet.start(0);
    assert_eq!(Some(1), fleet.wait_for_end(0), "{}", fleet.told(0));
    assert!(fleet.told(0).contains("without this server: what this server has is out of date"), "{}", fleet.told(0));
    assert_complete(&fleet, 2);
    // Only a server is there that its log does not know at all.
    let new = fleet.add();
    fleet.start(new);
    fleet.put(new, "joined");
    fleet.terminate(2);
    fleet.start(1);
    assert_eq!(Some(1), fleet.wait_for_end(1), "{}", fleet.told(1));
    assert!(fleet.told(1).contains("(says s3 at 127."), "{}", fleet.told(1));
}

#[test]
fn what_is_no_server_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let (code, _, err) = recover(dir.path(), &["-yes"], "");
    let refused = format!(
        "Error recovering: {}: there is no raft.redb; this is not the data directory of a server\n",
        dir.path().display()
    );
    assert_eq!((code, err), (1, refused));
    assert_eq!(0, std::fs::read_dir(dir.path()).expect("is there").count(), "nothing was made");
    let (code, _, err) = recover(&dir.path().join("nowhere"), &["-inspect"], "");
    assert!(code == 1 && err.contains("nowhere: there is no raft.redb"), "{err}");

    let only = common::Server::durable(dir.path());
    only.put("/v1/kv/a", "1").ok();
    drop(only);
    let (code, out, err) = recover(dir.path(), &["-inspect"], "");
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(
        out.ends_with("This server is the only one with a vote: there is nothing to recover, start it as usual.\n")
    );
    std::fs::write(dir.path().join("raft.redb"), b"not a database").expect("is written");
    let (code, _, err) = recover(dir.path(), &["-inspect"], "");
    assert!(code == 1 && err.starts_with("Error recovering: ") && err.contains("raft.redb"), "{err}");
}

#[test]
fn the_file_of_consul_is_not_taken_for_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    drop(common::Server::durable(dir.path()));
    std::fs::create_dir(dir.path().join("raft")).expect("a directory");
    std::fs::write(dir.path().join("raft/peers.json"), "[]").expect("is written");
    let started = std::process::Command::new(env!("CARGO_BIN_EXE_lictor"))
        .args(["agent", "-server", "-bootstrap-expect=1", "-bind=127.0.0.1", "-http-port=0", "-grpc-port=0"])
        .args(["-dns-port=0", "-server-port=0", "-serf-lan-port=0"])
        .arg(format!("-data-dir={}", dir.path().display()))
        .output()
        .expect("ends");
    assert_eq!(Some(1), started.status.code());
    let error = String::from_utf8_lossy(&started.stderr);
    assert!(error.contains("raft/peers.json: this file is Consul's way to recover a cluster"), "{error}");
    assert!(error.contains("`lictor operator raft recover`"), "{error}");
}
