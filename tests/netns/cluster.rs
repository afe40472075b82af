//! Servers in their namespaces.

use super::common::http;
use super::load::Acknowledged;
use super::net::{self, Net};
use rustix::process::{Pid, Signal, kill_process};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Whatever a cluster has to do must be done within this; far more than it needs.
const PATIENCE: Duration = Duration::from_secs(90);

/// A server that has not answered by then is asked again.
const ANSWER: Duration = Duration::from_secs(10);

/// Waits until something holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

struct Server {
    address: Ipv4Addr,
    process: Option<Child>,
    directory: tempfile::TempDir,
    binary: PathBuf,
}

/// The binary that is tested.
pub(crate) fn own_binary() -> PathBuf {
    std::env::var_os("LICTOR_BIN").map_or_else(|| env!("CARGO_BIN_EXE_lictor").into(), PathBuf::from)
}

/// A cluster; its processes are killed when it is dropped.
pub(crate) struct Cluster<'a> {
    net: &'a Net,
    servers: Vec<Server>,
}

impl<'a> Cluster<'a> {
    /// Starts the servers and waits until all agree.
    pub(crate) fn start(net: &'a Net, count: u8) -> Cluster<'a> {
        Cluster::start_from(net, count, &own_binary())
    }

    /// The same with another binary.
    pub(crate) fn start_from(net: &'a Net, count: u8, binary: &Path) -> Cluster<'a> {
        net.enter();
        let server = |n: u8| Server {
            address: net::address(n + 1),
            process: None,
            directory: tempfile::tempdir().expect("a directory"),
            binary: binary.to_owned(),
        };
        let mut cluster = Cluster { net, servers: (0..count).map(server).collect() };
        for n in 0..cluster.servers.len() {
            cluster.restart(n);
        }
        cluster.settled();
        cluster
    }

    fn data(&self, server: usize) -> PathBuf {
        self.servers[server].directory.path().join("data")
    }

    fn log(&self, server: usize) -> PathBuf {
        self.servers[server].directory.path().join("log")
    }

    /// Starts a server on what it left behind.
    pub(crate) fn restart(&mut self, server: usize) {
        let data = self.data(server);
        std::fs::create_dir_all(&data).expect("a directory");
        let log = std::fs::File::options().create(true).append(true).open(self.log(server)).expect("a log");
        let Server { address, binary, .. } = &self.servers[server];
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.net.namespace(server)]).arg(binary).args(["agent", "-server"]);
        command.arg(format!("-bootstrap-expect={}", self.servers.len()));
        command.args(["-client=0.0.0.0", "-disable-host-node-id"]);
        command.arg(format!("-bind={address}")).arg(format!("-node=s{server}"));
        command.arg(format!("-data-dir={}", data.display()));
        for other in self.servers.iter().filter(|s| s.address != *address) {
            command.arg(format!("-retry-join={}", other.address));
        }
        let error = log.try_clone().expect("a log");
        let child = command.stdin(Stdio::null()).stdout(log).stderr(error).spawn().expect("start the server");
        self.servers[server].process = Some(child);
    }

    fn process(&mut self, server: usize) -> &mut Child {
        self.servers[server].process.as_mut().expect("it runs")
    }

    fn signal(&mut self, server: usize, signal: Signal) {
        let pid = Pid::from_child(self.process(server));
        kill_process(pid, signal).expect("signal the server");
    }

    pub(crate) fn kill9(&mut self, server: usize) {
        self.signal(server, Signal::KILL);
        let mut process = self.servers[server].process.take().expect("it runs");
        process.wait().expect("reap the server");
    }

    /// SIGTERM, and waits for the end.
    pub(crate) fn terminate(&mut self, server: usize) {
        self.signal(server, Signal::TERM);
        let mut process = self.servers[server].process.take().expect("it runs");
        let status = process.wait().expect("reap the server");
        assert!(status.code().is_some(), "{status}\n{}", self.told(server));
    }

    pub(crate) fn stop(&mut self, server: usize) {
        self.signal(server, Signal::STOP);
    }

    pub(crate) fn cont(&mut self, server: usize) {
        self.signal(server, Signal::CONT);
    }

    /// Waits until the server has ended by itself.
    pub(crate) fn wait_for_end(&mut self, server: usize, limit: Duration) {
        let begun = Instant::now();
        while self.process(server).try_wait().expect("ask for its end").is_none() {
            assert!(begun.elapsed() < limit, "it goes on\n{}", self.told(server));
            std::thread::sleep(Duration::from_millis(50));
        }
        self.servers[server].process = None;
    }

    /// The end of a server's log.
    fn told(&self, server: usize) -> String {
        let text = std::fs::read_to_string(self.log(server)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Gives a server that is down another address.
    pub(crate) fn move_to(&mut self, server: usize, last: u8) {
        let to = net::address(last);
        self.net.readdress(server, self.servers[server].address, to);
        self.servers[server].address = to;
    }

    /// From its next start on a server runs this binary.
    pub(crate) fn install(&mut self, server: usize, binary: &Path) {
        self.servers[server].binary = binary.to_owned();
    }

    /// Removes what a server that is down has stored.
    pub(crate) fn wipe(&mut self, server: usize) {
        std::fs::remove_dir_all(self.data(server)).expect("remove its data");
    }

    fn file_system(&self, server: usize, args: &[&str]) {
        let data = self.data(server);
        let done = Command::new(args[0]).args(&args[1..]).arg(&data).status().expect("run mount");
        assert!(done.success(), "{args:?} {}", data.display());
    }

    /// Moves a server to a small file system, in which there is soon no room left.
    pub(crate) fn fill_disk(&mut self, server: usize) {
        self.kill9(server);
        let kept = self.servers[server].directory.path().join("kept");
        copy(&self.data(server), &kept);
        self.file_system(server, &["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs"]);
        copy(&kept, &self.data(server));
        // The others write on, so that it may be full before it has caught up.
        self.restart(server);
        let room = std::fs::File::create(self.data(server).join("filler")).expect("a file");
        let mut room = std::io::BufWriter::new(room);
        // Ends with the error that is wanted.
        while std::io::Write::write_all(&mut room, &[0; 4096]).is_ok() {}
    }

    /// Makes room again.
    pub(crate) fn free_disk(&mut self, server: usize) {
        std::fs::remove_file(self.data(server).join("filler")).expect("remove the filler");
        self.file_system(server, &["mount", "-o", "remount,size=1g"]);
    }

    pub(crate) fn address(&self, server: usize) -> Ipv4Addr {
        self.servers[server].address
    }

    pub(crate) fn addresses(&self) -> Vec<Ipv4Addr> {
        self.servers.iter().map(|s| s.address).collect()
    }

    fn ask(&self, server: usize, path: &str) -> Option<http::Response> {
        let to = SocketAddr::new(self.servers[server].address.into(), 8500);
        http::request_within(to, "GET", path, b"", ANSWER).ok().filter(|r| r.status == 200)
    }

    /// The server that leads, as most of them say.
    pub(crate) fn leader(&self) -> usize {
        let mut found = None;
        eventually("there is a leader", || {
            found = (0..self.servers.len()).find_map(|server| {
                let said = self.ask(server, "/v1/status/leader")?.text();
                let address = said.trim().trim_matches('"').trim_end_matches(":8300");
                self.servers.iter().position(|s| s.address.to_string() == address)
            });
            found.is_some()
        });
        found.expect("was found")
    }

    /// The addresses of the raft peers, as a server knows them.
    pub(crate) fn peers(&self, server: usize) -> Vec<String> {
        let known = self.ask(server, "/v1/status/peers");
        known.and_then(|r| serde_json::from_value(r.json()).ok()).unwrap_or_default()
    }

    /// The identity of a server's node, as it says.
    pub(crate) fn node_id(&self, server: usize) -> Option<String> {
        let own = self.ask(server, "/v1/agent/self")?.json();
        own["Config"]["NodeID"].as_str().map(str::to_owned)
    }

    /// The identities of the servers that have a vote, as a server knows them.
    pub(crate) fn voting_ids(&self, server: usize) -> Vec<String> {
        let Some(known) = self.ask(server, "/v1/operator/raft/configuration?stale") else { return Vec::new() };
        let known = known.json();
        let voters = known["Servers"].as_array().into_iter().flatten().filter(|s| s["Voter"].as_bool() == Some(true));
        voters.filter_map(|s| s["ID"].as_str().map(str::to_owned)).collect()
    }

    /// How many servers have a vote.
    pub(crate) fn voters(&self, server: usize) -> usize {
        self.peers(server).len()
    }

    /// Every acknowledged write must be at every server.
    pub(crate) fn check(&self, acknowledged: &Acknowledged) {
        for server in &self.servers {
            acknowledged.check(self.net, server.address);
        }
        eprintln!("{} writes acknowledged, none lost", acknowledged.len());
    }

    /// Waits until every server answers a consistent read.
    pub(crate) fn settled(&self) {
        for server in 0..self.servers.len() {
            let what = format!("server {server} takes part");
            let begun = Instant::now();
            while self.ask(server, "/v1/catalog/nodes?consistent").is_none() {
                assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}\n{}", self.told(server));
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for server in 0..self.servers.len() {
                eprintln!("== what server {server} wrote last\n{}", self.told(server));
            }
        }
        for server in &mut self.servers {
            if let Some(mut process) = server.process.take() {
                let _ = process.kill();
                let _ = process.wait();
            }
            // Only one of them is a file system of its own; for the others this does nothing.
            let data = server.directory.path().join("data");
            let _ = Command::new("umount").arg("-q").arg(&data).stderr(Stdio::null()).status();
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}
