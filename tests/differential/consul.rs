//! A real Consul as a child process, on free ports of the loopback address.

use super::common::http;
use super::op::NODE;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// It must be ready within this.
const PATIENCE: Duration = Duration::from_secs(60);
/// It tells nobody when it is ready.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// Where it is; without one, that is told loudly.
pub(crate) fn program() -> Option<PathBuf> {
    let Some(program) = std::env::var_os("LICTOR_TEST_CONSUL").map(PathBuf::from) else {
        eprintln!(
            "SKIPPED: LICTOR_TEST_CONSUL names no real Consul (.ci/install unpacks one into target/tools/bullseye)"
        );
        return None;
    };
    assert!(program.is_file(), "LICTOR_TEST_CONSUL: {}: no such program", program.display());
    Some(program)
}

/// A running Consul; killed when dropped.
pub(crate) struct Consul {
    child: Child,
    pub(crate) http: SocketAddr,
    /// The data of a development agent is in memory; this holds its log.
    folder: tempfile::TempDir,
}

impl Consul {
    pub(crate) fn start(program: &Path) -> Self {
        // Another process may take a port between the look and the start.
        (0..3).find_map(|_| Consul::try_start(program)).expect("a Consul that starts")
    }

    fn try_start(program: &Path) -> Option<Self> {
        let folder = tempfile::tempdir().expect("temporary folder");
        let held: Vec<TcpListener> =
            (0..6).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port")).collect();
        let ports: Vec<u16> = held.iter().map(|l| l.local_addr().expect("its address").port()).collect();
        drop(held);
        let log = std::fs::File::create(folder.path().join("log")).expect("a file for the log");
        let errors = log.try_clone().expect("the same file");
        let mut command = Command::new(program);
        command.args(["agent", "-dev", "-bind=127.0.0.1", "-log-level=warn", &format!("-node={NODE}")]);
        for (flag, port) in ["http", "dns", "grpc", "server", "serf-lan", "serf-wan"].iter().zip(&ports) {
            command.arg(format!("-{flag}-port={port}"));
        }
        command.args(["-hcl", "performance { raft_multiplier = 1 }"]);
        let child = command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn().expect("start Consul");
        let mut this = Consul { child, http: SocketAddr::from((Ipv4Addr::LOCALHOST, ports[0])), folder };
        this.until_ready().then_some(this)
    }

    /// Its own node is in the catalog some time after there is a leader, and its coordinate later still.
    fn until_ready(&mut self) -> bool {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                break;
            }
            let nodes = http::request(self.http, "GET", &format!("/v1/health/node/{NODE}"), &[], b"");
            if nodes.is_ok_and(|answer| answer.text().contains("serfHealth")) {
                return true;
            }
            std::thread::sleep(ASK_AGAIN);
        }
        let log = std::fs::read(self.folder.path().join("log")).unwrap_or_default();
        eprintln!("Consul did not start:\n{}", String::from_utf8_lossy(&log));
        false
    }
}

impl Drop for Consul {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
