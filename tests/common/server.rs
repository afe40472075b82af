//! The real binary as a child process: the one that was built with the tests, or that of `LICTOR_BIN`.

use super::http::{self, Response};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A server must be ready, and must have ended after SIGTERM, within this. Far more than it needs: machines that run
/// many tests at once are slow.
const PATIENCE: Duration = Duration::from_secs(30);
/// Lines of output that are kept for a failure.
const LOG_LINES: usize = 400;
/// How the line begins that tells the ports.
const READY: &str = "==> Lictor ready:";

/// What the ready line says.
#[derive(Clone, Debug)]
pub(crate) struct Ready {
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    pub(crate) dns: SocketAddr,
    pub(crate) node: String,
    pub(crate) pid: u32,
}

impl Ready {
    /// Reads `==> Lictor ready: http=HOST:PORT grpc=HOST:PORT dns=HOST:PORT node=NAME pid=N`.
    fn parse(line: &str) -> Option<Self> {
        let rest = line.strip_prefix(READY)?;
        let field = |name: &str| rest.split_whitespace().find_map(|p| p.strip_prefix(name)?.strip_prefix('='));
        Some(Ready {
            http: field("http")?.parse().ok()?,
            grpc: field("grpc")?.parse().ok()?,
            dns: field("dns")?.parse().ok()?,
            node: field("node")?.to_owned(),
            pid: field("pid")?.parse().ok()?,
        })
    }
}

/// A running process and what its pipes bring.
struct Process {
    child: Child,
    /// The ready line; disconnects when stdout ends, which is when the process is gone.
    ready: Receiver<Ready>,
}

/// One server; killed when dropped.
pub(crate) struct Server {
    args: Vec<String>,
    process: Option<Process>,
    ready: Ready,
    log: Arc<Mutex<VecDeque<String>>>,
}

impl Server {
    /// A server with its state in memory.
    pub(crate) fn dev() -> Self {
        Self::dev_with(&[])
    }

    /// The same with further flags.
    pub(crate) fn dev_with(flags: &[&str]) -> Self {
        Self::start([&["-dev"], flags].concat().iter().map(|&f| f.to_owned()).collect())
    }

    /// A single durable server with its data in `dir`.
    pub(crate) fn durable(dir: &Path) -> Self {
        Self::durable_with(dir, &[])
    }

    /// The same with further flags.
    pub(crate) fn durable_with(dir: &Path, flags: &[&str]) -> Self {
        let mut args: Vec<String> = ["-server", "-bootstrap-expect=1", "-bind=127.0.0.1"].map(Into::into).into();
        args.push(format!("-data-dir={}", dir.display()));
        args.extend(flags.iter().map(|&f| f.to_owned()));
        Self::start(args)
    }

    /// An agent that is no server, of the cluster that the server at this gossip address is in.
    pub(crate) fn client(dir: &Path, node: &str, join: SocketAddr) -> Self {
        Self::client_with(dir, node, join, &[])
    }

    /// The same with further flags.
    pub(crate) fn client_with(dir: &Path, node: &str, join: SocketAddr, flags: &[&str]) -> Self {
        Self::joining(dir, node, Some(join), flags)
    }

    /// One of three servers; `join`: where another one gossips.
    pub(crate) fn one_of_three(dir: &Path, node: &str, join: Option<SocketAddr>, flags: &[&str]) -> Self {
        // Machines that run many tests at once sync their disks slowly: nobody is to be taken for dead for that.
        let patient = ["-server", "-bootstrap-expect=3", "-hcl=performance { raft_multiplier = 5 }"];
        Self::joining(dir, node, join, &[&patient, flags].concat())
    }

    fn joining(dir: &Path, node: &str, join: Option<SocketAddr>, flags: &[&str]) -> Self {
        let mut args: Vec<String> = ["-bind=127.0.0.1", "-retry-interval=1s"].map(Into::into).into();
        args.push(format!("-data-dir={}", dir.display()));
        args.push(format!("-node={node}"));
        args.extend(join.map(|join| format!("-retry-join={join}")));
        args.extend(flags.iter().map(|&f| f.to_owned()));
        Self::start(args)
    }

    /// Where it gossips, on loopback.
    pub(crate) fn gossip_addr(&self) -> SocketAddr {
        let own = self.get("/v1/agent/self").ok().json();
        let port = own["DebugConfig"]["SerfPortLAN"].as_u64().and_then(|port| u16::try_from(port).ok());
        SocketAddr::from(([127, 0, 0, 1], port.expect("a port of gossip")))
    }

    /// Where other servers and agents reach it, on loopback.
    pub(crate) fn server_addr(&self) -> SocketAddr {
        let own = self.get("/v1/agent/self").ok().json();
        let port = own["DebugConfig"]["ServerPort"].as_u64().and_then(|port| u16::try_from(port).ok());
        SocketAddr::from(([127, 0, 0, 1], port.expect("a server port")))
    }

    /// The value of a counter; 0 if it is not there.
    pub(crate) fn counter(&self, name: &str, labels: &[&str]) -> u64 {
        let text = self.get("/metrics").ok().text();
        let fits = |line: &&str| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|r| r.starts_with(['{', ' '])) && labels.iter().all(|label| line.contains(label))
        };
        let value = text.lines().find(fits).and_then(|line| line.rsplit(' ').next());
        value.map_or(0, |value| value.parse().expect("a number"))
    }

    fn start(args: Vec<String>) -> Self {
        let log = Arc::new(Mutex::new(VecDeque::new()));
        let ports =
            ["-http-port=0", "-grpc-port=0", "-dns-port=0", "-server-port=0", "-serf-lan-port=0"].map(str::to_owned);
        let process = Process::spawn(&args, &ports, &log);
        let (process, ready) = process.until_ready().unwrap_or_else(|e| panic!("{e}\n{}", text(&log)));
        Server { args, process: Some(process), ready, log }
    }

    pub(crate) fn http_addr(&self) -> SocketAddr {
        self.ready.http
    }

    pub(crate) fn grpc_addr(&self) -> SocketAddr {
        self.ready.grpc
    }

    pub(crate) fn dns_addr(&self) -> SocketAddr {
        self.ready.dns
    }

    /// The node's name.
    pub(crate) fn node(&self) -> &str {
        &self.ready.node
    }

    pub(crate) fn pid(&self) -> u32 {
        self.ready.pid
    }

    /// The last lines it wrote, over all its lives.
    pub(crate) fn log(&self) -> String {
        text(&self.log)
    }

    /// SIGKILL; returns when the process is gone.
    pub(crate) fn kill9(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.child.kill().expect("kill the server");
            process.child.wait().expect("reap the server");
        }
    }

    /// SIGTERM; the status it ends with.
    pub(crate) fn sigterm(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("the server runs");
        signal(&process.child, Signal::TERM);
        match process.ready.recv_timeout(PATIENCE) {
            Err(RecvTimeoutError::Disconnected) => process.child.wait().expect("reap the server"),
            other => {
                let _ = process.child.kill();
                panic!("the server did not end within {PATIENCE:?} of SIGTERM ({other:?})\n{}", self.log());
            }
        }
    }

    /// Starts it again on the same data and the same ports; kills it first if it still runs.
    pub(crate) fn restart(&mut self) {
        let mut failure = String::new();
        // A port may have gone to another process in between; it is soon free again.
        for _ in 0..5 {
            match self.spawn_again().until_ready() {
                Ok((process, ready)) => {
                    (self.process, self.ready) = (Some(process), ready);
                    return;
                }
                Err(e) => failure = e,
            }
        }
        panic!("{failure}\n{}", self.log());
    }

    /// Starts it again and kills it `after` a moment, wherever it is by then.
    pub(crate) fn restart_and_kill9(&mut self, after: Duration) {
        let mut process = self.spawn_again();
        // The one sleep of this harness: the moment is to be random, not to be an event.
        std::thread::sleep(after);
        process.child.kill().expect("kill the server");
        process.child.wait().expect("reap the server");
    }

    fn spawn_again(&mut self) -> Process {
        self.kill9();
        let Ready { http, grpc, dns, .. } = &self.ready;
        let ports = [("http", http), ("grpc", grpc), ("dns", dns)].map(|(n, a)| format!("-{n}-port={}", a.port()));
        let ports = [&ports[..], &["-server-port=0", "-serf-lan-port=0"].map(str::to_owned)].concat();
        Process::spawn(&self.args, &ports, &self.log)
    }

    /// HTTP GET.
    pub(crate) fn get(&self, path: &str) -> Response {
        self.request("GET", path, &[], b"")
    }

    /// HTTP PUT.
    pub(crate) fn put(&self, path: &str, body: impl AsRef<[u8]>) -> Response {
        self.request("PUT", path, &[], body.as_ref())
    }

    /// HTTP DELETE.
    pub(crate) fn delete(&self, path: &str) -> Response {
        self.request("DELETE", path, &[], b"")
    }

    /// Any HTTP request; panics with the server's log if no whole answer comes.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        http::request(self.ready.http, method, path, headers, body)
            .unwrap_or_else(|e| panic!("{method} {path}: {e}\n{}", self.log()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- the server's output ---\n{}", self.log());
        }
    }
}

impl Process {
    fn spawn(args: &[String], ports: &[String], log: &Arc<Mutex<VecDeque<String>>>) -> Self {
        let built = || env!("CARGO_BIN_EXE_lictor").into();
        let mut command = Command::new(std::env::var_os("LICTOR_BIN").unwrap_or_else(built));
        command.arg("agent").args(args).args(ports);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("start the server");
        let (found, ready) = channel();
        read_lines(child.stdout.take().expect("stdout is piped"), log.clone(), Some(found));
        read_lines(child.stderr.take().expect("stderr is piped"), log.clone(), None);
        Process { child, ready }
    }

    fn until_ready(mut self) -> Result<(Self, Ready), String> {
        match self.ready.recv_timeout(PATIENCE) {
            Ok(ready) => Ok((self, ready)),
            Err(e) => {
                let _ = self.child.kill();
                let status = self.child.wait();
                Err(format!("no line '{READY} ...' from the server ({e}; {status:?})"))
            }
        }
    }
}

fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).expect("signal the server");
}

/// Keeps the last lines of a pipe until it ends; a pipe that nobody reads would stop the server.
fn read_lines(pipe: impl Read + Send + 'static, log: Arc<Mutex<VecDeque<String>>>, found: Option<Sender<Ready>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if let (Some(found), Some(ready)) = (&found, Ready::parse(&line)) {
                let _ = found.send(ready);
            }
            let mut log = log.lock().expect("log");
            if log.len() == LOG_LINES {
                log.pop_front();
            }
            log.push_back(line);
        }
    });
}

fn text(log: &Mutex<VecDeque<String>>) -> String {
    log.lock().map(|lines| lines.iter().cloned().collect::<Vec<_>>().join("\n")).unwrap_or_default()
}
