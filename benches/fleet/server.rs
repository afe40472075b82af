//! The server under measurement.

use crate::{limits, process};
use anyhow::{Context, Result, anyhow};
use lictor::proto::v1::ListServicesRequest;
use lictor::proto::v1::discovery_service_client::DiscoveryServiceClient;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

/// A server must be ready, and must have ended, within this.
const PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks at how many instances there are.
const LOOK: Duration = Duration::from_millis(200);
/// Largest page of services.
const PAGE: i32 = 1000;

/// A durable single node; it ends, and its data goes, when it drops.
pub(crate) struct Server {
    bin: PathBuf,
    /// Of the server port and of gRPC: the same after a restart.
    ports: [u16; 2],
    child: Child,
    dir: TempDir,
}

impl Server {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(bin: &Path) -> Result<Server> {
        let dir = tempfile::tempdir()?;
        // Ports that are known before, and taken a moment later.
        let free = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0"));
        let [a, b] = free;
        let ports = [a?.local_addr()?.port(), b?.local_addr()?.port()];
        let child = spawn(bin, dir.path(), ports)?;
        Ok(Server { bin: bin.to_owned(), ports, child, dir })
    }

    /// Ends it: with a signal that it may answer, or at once.
    pub(crate) fn stop(&mut self, gently: bool) -> Result<()> {
        if gently {
            process::terminate(self.child.id());
        } else {
            self.child.kill()?;
        }
        let end = Instant::now() + PATIENCE;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > end {
                return Err(anyhow!("the server does not end"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Starts it on what it left behind and waits until it is ready.
    pub(crate) fn start_again(&mut self) -> Result<()> {
        self.child = spawn(&self.bin, self.dir.path(), self.ports)?;
        Ok(())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// host:port of its server port.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports[0])
    }

    /// Asks how many instances there are until that is as wanted.
    pub(crate) async fn wait_for(&self, wanted: impl Fn(u64) -> bool, limit: Duration) -> Result<u64> {
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", self.ports[1]))?;
        let mut client = DiscoveryServiceClient::new(endpoint.connect().await?);
        let end = Instant::now() + limit;
        loop {
            let total = instances(&mut client).await?;
            if wanted(total) {
                return Ok(total);
            }
            if Instant::now() > end {
                return Err(anyhow!("there are {total} instances after {} s", limit.as_secs()));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All instances of all services.
async fn instances(client: &mut DiscoveryServiceClient<Channel>) -> Result<u64> {
    let mut request = ListServicesRequest { page_size: PAGE, ..ListServicesRequest::default() };
    let mut total = 0;
    loop {
        let page = client.list_services(request.clone()).await?.into_inner();
        total += page.services.iter().map(|service| u64::from(service.total)).sum::<u64>();
        if page.next_page_token.is_empty() {
            return Ok(total);
        }
        request.page_token = page.next_page_token;
    }
}

fn spawn(bin: &Path, dir: &Path, [server, grpc]: [u16; 2]) -> Result<Child> {
    let log = File::options().create(true).append(true).open(dir.join("log"))?;
    // All agents come from one address.
    let limits = limits::any_connections(dir)?;
    let mut command = Command::new(bin);
    command.args(["agent", "-server", "-bootstrap-expect=1", "-bind=127.0.0.1", "-node=server", "-log-level=warn"]);
    command.args(["-http-port=0", "-dns-port=0", "-serf-lan-port=0"]);
    command.arg(format!("-server-port={server}")).arg(format!("-grpc-port={grpc}"));
    command.arg("-data-dir").arg(dir.join("data")).arg("-config-file").arg(limits);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    let mut child = command.spawn().with_context(|| format!("start {}", bin.display()))?;
    let out = child.stdout.take().context("stdout")?;
    let (found, ready) = mpsc::channel();
    std::thread::spawn(move || {
        // Reads on after the line: a full pipe would stop the server.
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if line.starts_with("==> Lictor ready:") {
                let _ = found.send(());
            }
        }
    });
    if ready.recv_timeout(PATIENCE).is_err() {
        let _ = child.kill();
        let _ = child.wait();
        let text = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
        return Err(anyhow!("no ready line: {text}"));
    }
    Ok(child)
}
