//! A real `consul` as the client of our server. Skipped, loudly, where there is none: set LICTOR_TEST_CONSUL to its path,
//! or have it in PATH.

use crate::common::{Server, http};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A child must end within this once it is told to.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the real program is, if anywhere.
fn consul() -> Option<PathBuf> {
    let named = std::env::var_os("LICTOR_TEST_CONSUL").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = named.or_else(|| std::env::split_paths(&path).map(|d| d.join("consul")).find(|p| p.is_file()))?;
    // A link to our own binary is not a peer.
    let output = Command::new(&found).arg("version").output().ok()?;
    String::from_utf8_lossy(&output.stdout).starts_with("Consul v").then_some(found)
}

struct Peer<'a> {
    program: PathBuf,
    server: &'a Server,
    directory: &'a Path,
}

impl Peer<'_> {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).current_dir(self.directory).env("CONSUL_HTTP_ADDR", self.server.http_addr().to_string());
        command.env("SHELL", "/bin/sh").stdin(Stdio::null());
        command
    }

    fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("consul starts")
    }

    /// Runs a command that must succeed, and gives what it prints.
    fn run(&self, args: &[&str]) -> String {
        let output = self.output(args);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "consul {args:?}: {}\n{out}{err}", output.status);
        out.into_owned()
    }

    fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("consul starts")
    }
}

/// Runs a test with a real consul and a server, if there is a consul.
fn with_peer(test: impl FnOnce(&Peer<'_>)) {
    let Some(program) = consul() else {
        eprintln!("SKIPPED: no real consul at hand; set LICTOR_TEST_CONSUL to one");
        return;
    };
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let server = Server::durable_with(&data, &["-node=ours"]);
    test(&Peer { program, server: &server, directory: dir.path() });
}

fn ended(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("waited") {
            return status;
        }
        assert!(start.elapsed() < PATIENCE, "the child goes on");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn members_and_info() {
    with_peer(|consul| {
        let members = consul.run(&["members"]);
        assert!(members.starts_with("Node  Address"), "{members}");
        assert!(members.lines().any(|l| l.starts_with("ours ") && l.contains("  alive   server  ")), "{members}");
        assert!(consul.run(&["members", "-detailed"]).contains("role=consul"));
        assert_eq!(consul.output(&["members", "-status=failed"]).status.code(), Some(2));
        let info = consul.run(&["info"]);
        for part in ["agent:\n", "consul:\n", "raft:\n", "\tleader = true\n", "\tstate = Leader\n"] {
            assert!(info.contains(part), "{part:?} is not in\n{info}");
        }
    });
}

#[test]
fn kv() {
    with_peer(|consul| {
        assert_eq!(consul.run(&["kv", "put", "a/b", "v"]), "Success! Data written to: a/b\n");
        assert_eq!(consul.run(&["kv", "get", "a/b"]), "v\n");
        assert!(consul.run(&["kv", "get", "-detailed", "a/b"]).contains("Key              a/b\n"));
        assert_eq!(consul.run(&["kv", "get", "-keys"]), "a/\n");
        let exported = consul.run(&["kv", "export", "a"]);
        assert_eq!(consul.run(&["kv", "delete", "-recurse", "a"]), "Success! Deleted keys with prefix: a\n");
        assert_eq!(consul.output(&["kv", "get", "a/b"]).status.code(), Some(1));
        assert_eq!(consul.run(&["kv", "import", &exported]), "Imported: a/b\n");
        assert_eq!(consul.run(&["kv", "get", "-recurse", "a"]), "a/b:v\n");
    });
}

#[test]
fn catalog_and_services() {
    with_peer(|consul| {
        assert_eq!(consul.run(&["catalog", "datacenters"]), "dc1\n");
        assert!(consul.run(&["catalog", "nodes", "-detailed"]).contains("\nours  "));
        consul.run(&["services", "register", "-name=web", "-port=80", "-tag=a"]);
        assert_eq!(consul.run(&["catalog", "services"]), "consul\nweb\n");
        assert_eq!(consul.run(&["catalog", "services", "-node=ours", "-tags"]), "consul      \nweb         a\n");
        assert!(consul.run(&["catalog", "nodes", "-service=web"]).contains("\nours  "));
        consul.run(&["services", "deregister", "-id=web"]);
        assert_eq!(consul.run(&["catalog", "services"]), "consul\n");
    });
}

#[test]
fn lock() {
    with_peer(|consul| {
        let held = "test \"$CONSUL_LOCK_HELD\" = true && echo held";
        assert_eq!(consul.run(&["lock", "l/one", held]), "held\n");
        assert_eq!(consul.run(&["lock", "-n=2", "l/two", held]), "held\n");
        assert_eq!(consul.output(&["lock", "-child-exit-code", "l/one", "exit 1"]).status.code(), Some(2));
        assert_eq!(consul.run(&["kv", "get", "-keys"]), "");
    });
}

#[test]
fn a_lock_of_one_command_line_excludes_the_other() {
    with_peer(|consul| {
        let mut ours = Command::new(env!("CARGO_BIN_EXE_lictor"));
        ours.args(["lock", "l/both", "touch held; while ! test -e go; do sleep 0.05; done"]);
        ours.current_dir(consul.directory).env("CONSUL_HTTP_ADDR", consul.server.http_addr().to_string());
        let mut holder = ours.env("SHELL", "/bin/sh").spawn().expect("the binary starts");
        let start = Instant::now();
        while !consul.directory.join("held").exists() {
            assert!(start.elapsed() < PATIENCE, "our command line does not get the lock");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(consul.output(&["lock", "-timeout=200ms", "l/both", "true"]).status.code(), Some(1));
        std::fs::write(consul.directory.join("go"), "").expect("written");
        assert!(ended(&mut holder).success());
        assert_eq!(consul.run(&["lock", "-timeout=10s", "l/both", "echo mine"]), "mine\n");
    });
}

#[test]
fn watch() {
    with_peer(|consul| {
        assert_eq!(consul.run(&["watch", "-type=key", "-key=w"]), "null\n");
        assert!(consul.run(&["watch", "-type=services"]).contains("\"consul\": []"));
        for kind in ["nodes", "checks"] {
            assert!(consul.run(&["watch", &format!("-type={kind}")]).contains("\"ours\""), "{kind}");
        }
        assert!(consul.run(&["watch", "-type=service", "-service=consul"]).contains("\"ours\""));
        let handler = "cat >> seen; test \"$(wc -l < seen)\" -lt 2";
        let mut watching = consul.start(&["watch", "-type=key", "-key=w", handler]);
        let start = Instant::now();
        while std::fs::read_to_string(consul.directory.join("seen")).unwrap_or_default().is_empty() {
            assert!(start.elapsed() < PATIENCE, "the handler is not run at the start");
            std::thread::sleep(Duration::from_millis(20));
        }
        consul.run(&["kv", "put", "w", "new"]);
        // The handler fails at the second document, and ends the watch.
        assert_eq!(ended(&mut watching).code(), Some(1));
        let seen = std::fs::read_to_string(consul.directory.join("seen")).expect("readable");
        assert!(seen.starts_with("null\n{\"Key\":\"w\","), "{seen}");
    });
}

#[test]
fn snapshot() {
    with_peer(|consul| {
        consul.run(&["kv", "put", "s", "before"]);
        assert!(consul.run(&["snapshot", "save", "a.snap"]).starts_with("Saved and verified snapshot to index "));
        let inspected = consul.run(&["snapshot", "inspect", "a.snap"]);
        assert!(inspected.starts_with("ID           "), "{inspected}");
        consul.run(&["kv", "put", "s", "after"]);
        assert_eq!(consul.run(&["snapshot", "restore", "a.snap"]), "Restored snapshot\n");
        assert_eq!(consul.run(&["kv", "get", "s"]), "before\n");
        let output = Command::new(env!("CARGO_BIN_EXE_lictor"))
            .args(["snapshot", "inspect", "a.snap"])
            .current_dir(consul.directory)
            .output()
            .expect("the binary starts");
        assert_eq!(String::from_utf8_lossy(&output.stdout), inspected);
    });
}

#[test]
fn operator() {
    with_peer(|consul| {
        let peers = consul.run(&["operator", "raft", "list-peers"]);
        assert!(peers.lines().any(|l| l.starts_with("ours ") && l.contains("  leader  true   3")), "{peers}");
        assert!(consul.run(&["operator", "autopilot", "get-config"]).starts_with("CleanupDeadServers = true\n"));
        let changed = consul.run(&["operator", "autopilot", "set-config", "-max-trailing-logs=500"]);
        assert_eq!(changed, "Configuration updated!\n");
        assert!(consul.run(&["operator", "autopilot", "get-config"]).contains("MaxTrailingLogs = 500\n"));
    });
}

#[test]
fn maint_and_event() {
    with_peer(|consul| {
        assert_eq!(consul.run(&["maint", "-enable", "-reason=testing"]), "Node maintenance is now enabled\n");
        assert_eq!(consul.run(&["maint"]), "Node:\n  Name:   ours\n  Reason: testing\n\n");
        assert_eq!(consul.run(&["maint", "-disable"]), "Node maintenance is now disabled\n");
        assert_eq!(consul.run(&["maint"]), "");
        assert!(consul.run(&["event", "-name=deploy", "payload"]).starts_with("Event ID: "));
        assert!(consul.run(&["watch", "-type=event", "-name=deploy"]).contains("\"Name\": \"deploy\""));
    });
}

#[test]
fn monitor() {
    with_peer(|consul| {
        let bad = consul.output(&["monitor", "-log-level=bogus"]);
        assert_eq!(bad.status.code(), Some(1));
        let why = "Error starting monitor: Unexpected response code: 400 (Bad request: Unknown log level: bogus)";
        assert_eq!(String::from_utf8_lossy(&bad.stderr).trim(), why);
        let mut child = consul.start(&["monitor", "-log-level=debug"]);
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        // It is not told when the server has it: what it is to see is repeated until it does.
        let (address, ended) = (consul.server.http_addr(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    http::request(address, "PUT", "/v1/agent/reload", &[], b"").expect("an answer");
                }
            });
            let seen = lines.any(|line| line.is_ok_and(|l| l.ends_with("[INFO]  node: reloading the configuration")));
            ended.store(true, Ordering::Relaxed);
            assert!(seen, "the monitor ended");
        });
        child.kill().expect("killed");
        child.wait().expect("reaped");
    });
}
