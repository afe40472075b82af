//! Servers of one cluster on loopback addresses of their own, so that each keeps its address and its ports over restarts.

use super::common::http;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

/// Whatever a cluster has to do must be done within this; far more than it needs.
const PATIENCE: Duration = Duration::from_secs(90);
/// A request that has not been answered by then is made again.
const ANSWER: Duration = Duration::from_secs(10);

/// Waits until something is there.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A network of 127.0.0.0/8 that nobody uses: its first three bytes.
fn free_network() -> [u8; 3] {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    let [low, high, ..] = std::process::id().to_le_bytes();
    let free = |net: &[u8; 3]| {
        let at = |port| TcpListener::bind((Ipv4Addr::new(net[0], net[1], net[2], 1), port));
        at(8300).is_ok() && at(8301).is_ok()
    };
    let tries = std::iter::repeat_with(|| NEXT.fetch_add(1, Ordering::Relaxed));
    let nets = tries.map(|n| [127, 64 + (high ^ n) % 128, low.wrapping_add(n.wrapping_mul(31))]);
    nets.take(200).find(free).expect("a free network of loopback addresses")
}

pub(crate) struct Server {
    pub(crate) address: Ipv4Addr,
    name: String,
    process: Option<Child>,
}

/// All servers; they are killed when this is dropped.
pub(crate) struct Fleet {
    directory: tempfile::TempDir,
    network: [u8; 3],
    servers: Vec<Server>,
}

impl Fleet {
    pub(crate) fn new() -> Fleet {
        let directory = tempfile::tempdir().expect("a directory");
        Fleet { directory, network: free_network(), servers: Vec::new() }
    }

    fn address(&self, last: u8) -> Ipv4Addr {
        let [a, b, c] = self.network;
        Ipv4Addr::new(a, b, c, last)
    }

    /// Another server, not started yet. Returns its number.
    pub(crate) fn add(&mut self) -> usize {
        let number = self.servers.len();
        let address = self.address(1 + u8::try_from(number).expect("few servers"));
        self.servers.push(Server { address, name: format!("s{number}"), process: None });
        number
    }

    /// Gives a stopped server another address.
    pub(crate) fn readdress(&mut self, server: usize, last: u8) {
        self.servers[server].address = self.address(last);
    }

    pub(crate) fn data(&self, server: usize) -> PathBuf {
        self.directory.path().join(format!("s{server}"))
    }

    fn log(&self, server: usize) -> PathBuf {
        self.directory.path().join(format!("s{server}.log"))
    }

    /// All that a server has written.
    pub(crate) fn told(&self, server: usize) -> String {
        std::fs::read_to_string(self.log(server)).unwrap_or_default()
    }

    /// Starts a server on what it left behind; it knows the addresses of all.
    pub(crate) fn start(&mut self, server: usize) {
        let log = File::options().create(true).append(true).open(self.log(server)).expect("a log");
        let Server { address, name, .. } = &self.servers[server];
        let mut command = lictor();
        command.args(["agent", "-server", "-bootstrap-expect=3", "-disable-host-node-id", "-retry-interval=1s"]);
        command.arg(format!("-bind={address}")).arg(format!("-client={address}")).arg(format!("-node={name}"));
        command.arg(format!("-data-dir={}", self.data(server).display()));
        for other in self.servers.iter().filter(|s| s.address != *address) {
            command.arg(format!("-retry-join={}", other.address));
        }
        let error = log.try_clone().expect("a log");
        let child = command.stdin(Stdio::null()).stdout(log).stderr(error).spawn().expect("start the server");
        self.servers[server].process = Some(child);
    }

    fn end(&mut self, server: usize, signal: Signal) {
        let mut process = self.servers[server].process.take().expect("it runs");
        kill_process(Pid::from_child(&process), signal).expect("signal the server");
        process.wait().expect("reap the server");
    }

    pub(crate) fn kill9(&mut self, server: usize) {
        self.end(server, Signal::KILL);
    }

    pub(crate) fn terminate(&mut self, server: usize) {
        self.end(server, Signal::TERM);
    }

    /// Waits until the server ends by itself. Returns its exit code.
    pub(crate) fn wait_for_end(&mut self, server: usize) -> Option<i32> {
        let mut process = self.servers[server].process.take().expect("it runs");
        let status = eventually("the server ends", || process.try_wait().expect("ask for its end"));
        status.code()
    }

    pub(crate) fn ask(&self, server: usize, method: &str, path: &str, body: &str) -> Option<http::Response> {
        let to = SocketAddr::new(self.servers[server].address.into(), 8500);
        http::request_within(to, method, path, body.as_bytes(), ANSWER).ok().filter(|r| r.status == 200)
    }

    /// Waits until the server answers with what is wanted.
    pub(crate) fn answers(&self, server: usize, path: &str, wanted: impl Fn(&http::Response) -> bool) {
        eventually(&format!("s{server} answers {path} as wanted"), || {
            self.ask(server, "GET", path, "").filter(|answer| wanted(answer))
        });
    }

    /// Writes a key, again and again until that is acknowledged.
    pub(crate) fn put(&self, server: usize, key: &str) {
        let path = format!("/v1/kv/{key}");
        let done = || self.ask(server, "PUT", &path, key).filter(|r| r.text().trim() == "true");
        eventually(&format!("s{server} writes {key}"), done);
    }

    /// The keys that the server has by itself.
    pub(crate) fn keys(&self, server: usize) -> Vec<String> {
        let keys = self.ask(server, "GET", "/v1/kv/?keys&stale", "");
        keys.and_then(|r| serde_json::from_value(r.json()).ok()).unwrap_or_default()
    }

    /// How many servers have a vote, as a server says.
    pub(crate) fn voters(&self, server: usize) -> usize {
        let known = self.ask(server, "GET", "/v1/operator/raft/configuration?stale", "");
        let voter = |s: &serde_json::Value| s["Voter"].as_bool() == Some(true);
        known.map_or(0, |r| r.json()["Servers"].as_array().map_or(0, |all| all.iter().filter(|s| voter(s)).count()))
    }

    /// Runs `operator raft recover` on a server's data directory, and types `typed`.
    pub(crate) fn recover(&self, server: usize, flags: &[&str], typed: &str) -> (i32, String, String) {
        recover(&self.data(server), flags, typed)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for number in 0..self.servers.len() {
            if std::thread::panicking() {
                let told = self.told(number);
                let lines: Vec<&str> = told.lines().collect();
                eprintln!("== what s{number} wrote last\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
            }
            if let Some(mut process) = self.servers[number].process.take() {
                let _ = process.kill();
                let _ = process.wait();
            }
        }
    }
}

fn lictor() -> Command {
    let built = || env!("CARGO_BIN_EXE_lictor").into();
    Command::new(std::env::var_os("LICTOR_BIN").unwrap_or_else(built))
}

/// Exit code, standard output and standard error of `operator raft recover`.
pub(crate) fn recover(data: &Path, flags: &[&str], typed: &str) -> (i32, String, String) {
    let mut command = lictor();
    command.args(["operator", "raft", "recover"]).arg(format!("-data-dir={}", data.display())).args(flags);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    // A command that asks nothing may be gone already.
    let _ = child.stdin.take().expect("is piped").write_all(typed.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().expect("ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}
