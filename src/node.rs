//! Composition root: binds the listeners, opens the stores, starts replication, edges and agent, and owns the order in
//! which all of it stops.
//!
//! Listeners are bound first, so that a taken port is an error before anything else happens, and served last, so that
//! nobody is answered from a state that is not caught up.

mod client;
mod entrances;
mod gossip;
mod options;
mod places;
mod reload;
mod servers;
mod socket;

pub use reload::Started;

use crate::agent::{Agent, Api, Watches};
use crate::clock::Clock;
use crate::config::Config;
use crate::gossip::Sockets;
use crate::monitor::Monitor;
use crate::raft;
use crate::service::{Core, Facts};
use crate::watch::Hub;
use crate::{dns, footprint, grpc, http};
use anyhow::{Context, bail};
use entrances::Entrances;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use reload::{Live, Reloader};
use servers::Servers;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

/// How long streams and requests may take to end once the server stops.
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// When the work of starting is over: the first checkpoint is written, and clients that waited have come back.
const SETTLED: Duration = Duration::from_secs(3);
/// How often the metrics recorder folds its samples, which bounds its memory.
const METRICS_UPKEEP: Duration = Duration::from_secs(10);

/// Runs the agent until a signal or a fault ends it.
///
/// # Errors
/// A listener or store that cannot be opened, or a fault of the store while running.
pub async fn run(config: Config, started: Started) -> anyhow::Result<()> {
    if !config.server {
        return client::run(config, started).await;
    }
    let metrics = install_metrics()?;
    let mut listeners = Listeners::bind(&config).await?;
    let (clock, entrances) = (Clock::system(), Entrances::of(&config));
    let hub = Arc::new(Hub::new());
    let node = own_node(&config, &listeners);
    let raft = raft::start(raft_options(&config, &clock, &node), hub.clone()).await;
    let raft = raft.context("cannot start replication")?;
    let facts = facts(&config, &listeners);
    let joining = gossip::start(listeners.gossip.take(), &config, &facts, &clock).context("cannot start gossip")?;
    let pool = joining.gossip.clone();
    let core = Core::new(raft.clone(), hub, clock.clone(), facts);
    core.set_gossip(pool.clone());
    core.admission().set(entrances::bounds(&config.limits));
    joining.join_at_start().await?;
    let (directory, telling) = gossip::directory(&pool);
    let telling = AbortOnDropHandle::new(tokio::spawn(telling));
    let founding = servers::founding(&config, node);
    let listener = listeners.server.take().map(|listener| (listener, entrances.server.clone()));
    let servers = Servers::start(listener, &core, &raft, founding, directory, &clock, &config.autopilot);
    // Only now, because a leader may be needed, and there is none before the others are answered.
    let agent = Agent::start(Arc::new(core.clone()), options::agent(&config), config.definitions.clone()).await?;
    servers.caught_up(&config).await?;
    if config.bootstrap_expect == 1 && raft.leadership().leads {
        core.init_autopilot(&config.autopilot).await.context("cannot store the autopilot configuration")?;
    }
    let watches = Watches::new(listeners.own_api());
    let ready = listeners.ready_line(&config.node_name);
    let mut tasks = JoinSet::new();
    tasks.spawn(infallible(core.clone().run_expiry()));
    tasks.spawn(infallible(upkeep(metrics.clone(), agent.clone())));
    tasks.spawn(infallible(agent.clone().run()));
    gossip::run(joining, &config, (&core, &agent), &mut tasks);
    let told = (metrics, started.monitor.clone());
    let live = Live::of(&config, entrances, core.clone());
    listeners.serve(&config, (&core, &servers.door), (&agent, &live), told, &mut tasks).await?;
    let (node_name, end) = (config.node_name.clone(), gossip::Ending::of(&config));
    watches.set(&config.watches);
    let reloader = Reloader::new(config, started, clock, agent.clone(), live, watches);
    tasks.spawn(infallible(reloader.run()));
    say(&ready)?;
    info!(node = %node_name, revision = core.local().state.revision(), "agent is running");

    let ended = wait_for_end(raft.fatal(), &agent, &mut tasks, &end).await;
    servers.hand_over().await;
    if matches!(ended, Ended::Left) {
        servers.leave().await;
        gossip::leave(&pool, &end).await;
    }
    core.drain();
    drain(tasks).await;
    drop((core, agent));
    servers.stop().await;
    let stopped = raft.shutdown().await;
    drop(telling);
    match ended {
        Ended::Fault(message) => bail!("{message}"),
        Ended::Stopped | Ended::Left => stopped.context("cannot write the last checkpoint"),
    }
}

/// Tells the ports; tools wait for this line.
fn say(ready: &str) -> anyhow::Result<()> {
    let said = writeln!(std::io::stdout(), "{ready}").and_then(|()| std::io::stdout().flush());
    said.context("cannot write to stdout")
}

/// Lets requests and streams end.
async fn drain(mut tasks: JoinSet<anyhow::Result<()>>) {
    let drained = tokio::time::timeout(DRAIN_TIME, async { while tasks.join_next().await.is_some() {} });
    if drained.await.is_err() {
        warn!("clients did not let go in time, closing their connections");
        tasks.abort_all();
    }
}

/// Why this process ends.
enum Ended {
    /// It will be back.
    Stopped,
    /// It was asked to leave the cluster.
    Left,
    /// It cannot go on.
    Fault(String),
}

/// A signal, or why the server cannot go on.
async fn wait_for_end(
    fault: impl Future<Output = String>,
    agent: &Agent,
    tasks: &mut JoinSet<anyhow::Result<()>>,
    end: &gossip::Ending,
) -> Ended {
    let (Ok(mut term), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return Ended::Fault("cannot listen for signals".to_owned());
    };
    tokio::select! {
        _ = term.recv() => {
            info!(signal = "SIGTERM", "stopping");
            if end.leave_on_terminate { Ended::Left } else { Ended::Stopped }
        }
        _ = interrupt.recv() => {
            info!(signal = "SIGINT", "stopping");
            if end.skip_leave_on_interrupt { Ended::Stopped } else { Ended::Left }
        }
        () = agent.left() => {
            info!("leaving, as was asked for");
            Ended::Left
        }
        message = fault => Ended::Fault(message),
        Some(ended) = tasks.join_next() => {
            Ended::Fault(match ended {
                Ok(Ok(())) => "a server task ended too early".to_owned(),
                Ok(Err(error)) => format!("{error:#}"),
                Err(error) => format!("a server task failed: {error}"),
            })
        }
    }
}

async fn infallible(task: impl Future<Output = ()>) -> anyhow::Result<()> {
    task.await;
    Ok(())
}

fn install_metrics() -> anyhow::Result<PrometheusHandle> {
    let seconds = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &seconds)
        .context("cannot set histogram buckets")?
        .install_recorder()
        .context("cannot install the metrics recorder")
}

async fn upkeep(metrics: PrometheusHandle, agent: Agent) {
    tokio::select! {
        () = tokio::time::sleep(SETTLED) => footprint::release_program_pages(),
        () = agent.drained() => return,
    }
    loop {
        tokio::select! {
            () = tokio::time::sleep(METRICS_UPKEEP) => metrics.run_upkeep(),
            () = agent.drained() => return,
        }
    }
}

/// This server as its peers know it.
fn own_node(config: &Config, listeners: &Listeners) -> raft::Node {
    let at = |port: u16| SocketAddr::new(config.advertise_addr, port).to_string();
    let grpc = Some(first_port(&listeners.grpc)).filter(|port| *port != 0);
    raft::Node {
        name: config.node_name.clone(),
        address: at(listeners.server_port),
        id: config.node_id,
        read_only: config.non_voting,
        grpc: grpc.map(at).unwrap_or_default(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

fn raft_options(config: &Config, clock: &Clock, node: &raft::Node) -> raft::Options {
    raft::Options {
        data_dir: config.data_dir.clone(),
        node: node.clone(),
        alone: config.bootstrap_expect == 1,
        expect: config.bootstrap_expect,
        slowness: config.raft_multiplier,
        peers: Arc::new(grpc::peer::Connections::default()),
        clock: clock.clone(),
    }
}

fn facts(config: &Config, listeners: &Listeners) -> Facts {
    let plain = |domain: &String| domain.trim_end_matches('.').to_owned();
    Facts {
        node_id: config.node_id,
        node_name: config.node_name.clone(),
        datacenter: config.datacenter.clone(),
        domain: plain(&config.domain),
        alt_domain: config.alt_domain.as_ref().map(plain),
        version: env!("CARGO_PKG_VERSION"),
        advertise: config.advertise_addr,
        server_port: listeners.server_port,
        serf_lan_port: listeners.gossip_port,
        serf_wan_port: config.serf_wan_port.unwrap_or(0),
        grpc_port: first_port(&listeners.grpc),
        http_port: http_address(&listeners.http).map_or(0, |a| a.port()),
        dns_port: listeners.dns.addresses().first().map_or(0, |a| a.port()),
        node_meta: config.node_meta.clone(),
        dev: config.dev,
    }
}

fn first_port(listeners: &[TcpListener]) -> u16 {
    listeners.first().and_then(|l| l.local_addr().ok()).map_or(0, |a| a.port())
}

/// Everything that clients connect to.
struct Listeners {
    http: Vec<http::Listener>,
    grpc: Vec<TcpListener>,
    dns: dns::Bound,
    /// For other servers; a development server goes on without, if its port is taken.
    server: Option<TcpListener>,
    server_port: u16,
    /// Taken once, when gossip starts.
    gossip: Option<Sockets>,
    gossip_port: u16,
}

impl Listeners {
    async fn bind(config: &Config) -> anyhow::Result<Listeners> {
        let dns = dns::Bound::bind(&config.dns_addrs);
        let dns = dns.with_context(|| format!("cannot listen for DNS on {:?} (ports.dns)", config.dns_addrs))?;
        let (server, server_port) = bind_server(config).await?;
        let gossip = gossip::bind(config).await?;
        let gossip_port = gossip.address().context("cannot tell the port of gossip")?.port();
        Ok(Listeners {
            gossip: Some(gossip),
            gossip_port,
            server,
            server_port,
            http: bind_http(config).await?,
            grpc: bind_grpc(config).await?,
            dns,
        })
    }

    /// How this process reaches its own HTTP API.
    fn own_api(&self) -> Option<Api> {
        let local = |ip: IpAddr| match ip {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let tcp = http_address(&self.http).map(|a| Api::Tcp(SocketAddr::new(local(a.ip()), a.port())));
        tcp.or_else(|| {
            self.http.iter().find_map(|listener| match listener {
                http::Listener::Unix(listener) => {
                    Some(Api::Unix(listener.local_addr().ok()?.as_pathname()?.to_owned()))
                }
                http::Listener::Tcp(_) => None,
            })
        })
    }

    fn ready_line(&self, node: &str) -> String {
        let tcp = |l: &[TcpListener]| l.first().and_then(|l| l.local_addr().ok()).map(|a| a.to_string());
        let dns = self.dns.addresses().first().map(|a| a.to_string());
        let shown = |address: Option<String>| address.unwrap_or_else(|| "off".to_owned());
        let (http, grpc, dns) =
            (shown(http_address(&self.http).map(|a| a.to_string())), shown(tcp(&self.grpc)), shown(dns));
        format!("==> Lictor ready: http={http} grpc={grpc} dns={dns} node={node} pid={}", std::process::id())
    }

    async fn serve(
        self,
        config: &Config,
        (core, door): (&Core, &grpc::peer::Door),
        (agent, live): (&Agent, &Live),
        told: (PrometheusHandle, Monitor),
        to: &mut JoinSet<anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        let http = http::Front::new(http::Source::Here(core.clone()), options::http(config, agent, live, told));
        let grpc = grpc::Front::new(core.clone()).await.context("gRPC server")?;
        let dns = Arc::new(dns::Asked::new(core, &live.dns).context("DNS server")?);
        servers::open(door, core, grpc.clone(), http.clone(), dns);
        if !self.http.is_empty() {
            to.spawn(infallible(http::serve(self.http, http, live.entrances.http.clone())));
        }
        if !self.grpc.is_empty() {
            let (entrance, clock, stop) = (live.entrances.grpc.clone(), core.clock().clone(), core.ending());
            to.spawn(async move { grpc::serve(self.grpc, grpc, entrance, clock, stop).await.context("gRPC server") });
        }
        if !self.dns.addresses().is_empty() {
            let core = core.clone();
            let options = live.dns.clone();
            to.spawn(async move { self.dns.serve(core, options).await.context("DNS server") });
        }
        Ok(())
    }
}

async fn bind_http(config: &Config) -> anyhow::Result<Vec<http::Listener>> {
    let tcp = bind_tcp(&config.http_addrs, "HTTP", "ports.http").await?;
    let mut listeners: Vec<http::Listener> = tcp.into_iter().map(http::Listener::Tcp).collect();
    for socket in &config.http.sockets {
        let bound = socket::bind(socket);
        let bound = bound
            .with_context(|| format!("cannot listen for HTTP on unix://{} (addresses.http)", socket.path.display()))?;
        listeners.push(http::Listener::Unix(bound));
    }
    Ok(listeners)
}

async fn bind_server(config: &Config) -> anyhow::Result<(Option<TcpListener>, u16)> {
    let at = config.server_addr;
    if !config.server {
        return Ok((None, at.port()));
    }
    match TcpListener::bind(at).await {
        Ok(listener) => {
            let port = listener.local_addr().context("cannot tell the port for other servers")?.port();
            Ok((Some(listener), port))
        }
        Err(error) if config.dev => {
            warn!(%error, address = %at, "cannot listen for other servers and agents (ports.server): going on alone");
            Ok((None, at.port()))
        }
        Err(error) => Err(error).with_context(|| format!("cannot listen for other servers on {at} (ports.server)")),
    }
}

async fn bind_grpc(config: &Config) -> anyhow::Result<Vec<TcpListener>> {
    match bind_tcp(&config.grpc_addrs, "gRPC", "ports.grpc").await {
        Err(error) if !config.grpc_asked => {
            warn!(error = format!("{error:#}"), "gRPC is off, which the configuration did not ask for");
            Ok(Vec::new())
        }
        bound => bound,
    }
}

/// The first address among HTTP's listeners.
fn http_address(listeners: &[http::Listener]) -> Option<SocketAddr> {
    listeners.iter().find_map(|listener| match listener {
        http::Listener::Tcp(listener) => listener.local_addr().ok(),
        http::Listener::Unix(_) => None,
    })
}

async fn bind_tcp(addrs: &[SocketAddr], what: &str, key: &str) -> anyhow::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for addr in addrs {
        let listener = TcpListener::bind(addr).await;
        listeners.push(listener.with_context(|| format!("cannot listen for {what} on {addr} ({key})"))?);
    }
    Ok(listeners)
}
