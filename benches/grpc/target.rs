//! The servers under measurement: one that runs already, or a process of our own in a scratch directory.

use crate::dialect::Dialect;
use crate::{limits, sys};
use anyhow::{Context, Result, anyhow, bail};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A server must be ready within this.
const START: Duration = Duration::from_secs(30);

/// One server to measure.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) dialect: Dialect,
    pub(crate) addr: SocketAddr,
    /// Known for a server of ours, and for one of this machine whose socket we may see.
    pub(crate) pid: Option<u32>,
    /// Dropped last: ends the process and removes its directory.
    process: Option<Process>,
}

impl Target {
    /// A server that runs already.
    pub(crate) fn running(name: &'static str, dialect: Dialect, addr: &str) -> Result<Self> {
        let addr = addr.to_socket_addrs().with_context(|| format!("address {addr}"))?.next().context("address")?;
        let pid = addr.ip().is_loopback().then(|| sys::listener(addr.port())).flatten();
        Ok(Target { name, dialect, addr, pid, process: None })
    }

    /// The server was here before us: what we wrote must go when we are done.
    pub(crate) fn is_foreign(&self) -> bool {
        self.process.is_none()
    }

    /// A durable single node (or, with `dev`, one in memory) on free ports, pinned to `core`.
    pub(crate) fn lictor(bin: &Path, dev: bool, dialect: Dialect, core: Option<usize>) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let mut command = Command::new(bin);
        command.arg("agent");
        if dev {
            command.arg("-dev");
        } else {
            command
                .args(["-server", "-bootstrap-expect=1", "-bind=127.0.0.1"])
                .arg("-data-dir")
                .arg(dir.path().join("data"));
        }
        command.arg("-config-file").arg(limits::any_connections(dir.path())?);
        command.args(["-http-port=0", "-grpc-port=0", "-dns-port=0", "-server-port=0"]);
        Process::until_ready(command, dir, core)?.into_target("lictor", dialect)
    }

    /// The do-nothing server: this program again.
    pub(crate) fn null(core: Option<usize>) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--serve-null").arg(dir.path());
        let dialect = Dialect::Lictor { request_ids: false };
        Process::until_ready(command, dir, core)?.into_target("null", dialect)
    }

    /// `place` is HOST:PORT of a running etcd, or the path of its binary.
    pub(crate) fn etcd(place: &str, core: Option<usize>) -> Result<Self> {
        if !place.contains('/') {
            return Self::running("etcd", Dialect::Etcd, place);
        }
        let dir = tempfile::tempdir()?;
        // etcd cannot be asked which port it took: take two free ones and let go of them just before.
        let free = || TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
        let (client, peer) = (free()?, free()?);
        let mut command = Command::new(place);
        command.arg("--name=n").arg("--log-level=error").arg("--quota-backend-bytes=8589934592");
        command.arg("--data-dir").arg(dir.path().join("data"));
        for flag in ["listen-client-urls", "advertise-client-urls"] {
            command.arg(format!("--{flag}=http://{client}"));
        }
        for flag in ["listen-peer-urls", "initial-advertise-peer-urls"] {
            command.arg(format!("--{flag}=http://{peer}"));
        }
        command.arg(format!("--initial-cluster=n=http://{peer}"));
        let process = Process::start(command, dir, core)?;
        let stop = Instant::now() + START;
        while TcpStream::connect(client).is_err() {
            if Instant::now() > stop {
                bail!("etcd does not answer: {}", process.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let pid = Some(process.child.id());
        Ok(Target { name: "etcd", dialect: Dialect::Etcd, addr: client, pid, process: Some(process) })
    }
}

/// A child process with its directory; both go when it drops.
struct Process {
    child: Child,
    ready: Option<SocketAddr>,
    dir: TempDir,
}

impl Process {
    fn start(mut command: Command, dir: TempDir, core: Option<usize>) -> Result<Self> {
        let log = File::create(dir.path().join("log"))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let child =
            sys::pinned(core, || command.spawn()).with_context(|| format!("start {:?}", command.get_program()))?;
        Ok(Process { child, ready: None, dir })
    }

    /// Waits for the line `==> Lictor ready: ... grpc=HOST:PORT ...`.
    fn until_ready(command: Command, dir: TempDir, core: Option<usize>) -> Result<Self> {
        let mut process = Self::start(command, dir, core)?;
        let out = process.child.stdout.take().context("stdout")?;
        let (found, ready) = mpsc::channel();
        std::thread::spawn(move || {
            // Reads on after the line: a full pipe would stop the server.
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let Some(rest) = line.strip_prefix("==> Lictor ready:") else { continue };
                let addr = rest.split_whitespace().find_map(|p| p.strip_prefix("grpc=")?.parse::<SocketAddr>().ok());
                let _ = found.send(addr);
            }
        });
        let addr = ready.recv_timeout(START).map_err(|_| anyhow!("no ready line: {}", process.log()))?;
        process.ready = Some(addr.context("the ready line names no gRPC address")?);
        Ok(process)
    }

    fn into_target(self, name: &'static str, dialect: Dialect) -> Result<Target> {
        let addr = self.ready.context("not ready")?;
        Ok(Target { name, dialect, addr, pid: Some(self.child.id()), process: Some(self) })
    }

    /// The end of what it wrote to stderr.
    fn log(&self) -> String {
        let text = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        let last: Vec<&str> = text.lines().rev().take(10).collect();
        last.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        sys::terminate(self.child.id());
        let stop = Instant::now() + Duration::from_secs(5);
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > stop {
                let _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
