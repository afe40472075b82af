//! An agent that is no server, put together: no replication and no store, but servers that are asked.

use super::entrances::Entrances;
use super::places::{self, Told};
use super::reload::Started;
use super::{Ended, Listeners, drain, facts, gossip, infallible, install_metrics, options, say, upkeep, wait_for_end};
use crate::agent::{Agent, Watches};
use crate::client::{self, Grpc, Http, Remote, Servers};
use crate::clock::Clock;
use crate::config::Config;
use crate::gossip::Gossip;
use crate::monitor::Monitor;
use crate::node::reload::{Live, Reloader};
use crate::{grpc, http};
use anyhow::{Context, bail};
use futures::FutureExt;
use metrics_exporter_prometheus::PrometheusHandle;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::info;

/// Runs until a signal or a fault ends it.
///
/// # Errors
/// A listener or the data directory cannot be opened, or a task fails.
pub(super) async fn run(config: Config, started: Started) -> anyhow::Result<()> {
    let metrics = install_metrics()?;
    let mut listeners = Listeners::bind(&config).await?;
    let clock = Clock::system();
    let facts = facts(&config, &listeners);
    let joining = gossip::start(listeners.gossip.take(), &config, &facts, &clock).context("cannot start gossip")?;
    let pool = joining.gossip.clone();
    let (directory, telling) = gossip::directory(&pool);
    let _telling = AbortOnDropHandle::new(tokio::spawn(telling));
    let stop = CancellationToken::new();
    let servers = Servers::new(directory, clock.clone());
    servers.set_rate(config.limits.rpc_rate, config.limits.rpc_max_burst);
    let _choosing = AbortOnDropHandle::new(tokio::spawn(servers.clone().run()));
    let catalog = Remote::new(servers.clone(), facts, clock.clone(), stop.clone());
    let agent = Agent::start(Arc::new(catalog.clone()), options::agent(&config), config.definitions.clone()).await?;
    joining.join_at_start().await?;

    let watches = Watches::new(listeners.own_api());
    let ready = listeners.ready_line(&config.node_name);
    let mut tasks = JoinSet::new();
    tasks.spawn(infallible(upkeep(metrics.clone(), agent.clone())));
    tasks.spawn(infallible(agent.clone().run()));
    tasks.spawn(joining.run(agent.clone()));
    if config.gossip.coordinates {
        tasks.spawn(infallible(places::run(pool.clone(), Told::nothing(catalog))));
    }
    let told = (metrics, started.monitor.clone());
    let live = relay(listeners, &config, (&servers, &pool), &agent, told, &stop, &mut tasks);
    let (node_name, end) = (config.node_name.clone(), gossip::Ending::of(&config));
    watches.set(&config.watches);
    let reloader = Reloader::new(config, started, clock, agent.clone(), live, watches);
    tasks.spawn(infallible(reloader.run()));
    say(&ready)?;
    info!(node = %node_name, "agent is running, as a client of servers");

    let ended = wait_for_end(std::future::pending(), &agent, &mut tasks, &end).await;
    if matches!(ended, Ended::Left) {
        gossip::leave(&pool, &end).await;
    }
    stop.cancel();
    drain(tasks).await;
    match ended {
        Ended::Fault(message) => bail!("{message}"),
        Ended::Stopped | Ended::Left => Ok(()),
    }
}

/// Serves HTTP, gRPC and DNS.
fn relay(
    listeners: Listeners,
    config: &Config,
    (servers, pool): (&Servers, &Gossip),
    agent: &Agent,
    told: (PrometheusHandle, Monitor),
    stop: &CancellationToken,
    to: &mut JoinSet<anyhow::Result<()>>,
) -> Live {
    let live = Live::of(config, Entrances::of(config), servers.clone());
    let ending = stop.clone().cancelled_owned().boxed().shared();
    if !listeners.http.is_empty() {
        let upstream = Arc::new(Http::new(servers.clone(), &config.node_name));
        let front =
            http::Front::new(http::Source::Servers(upstream, pool.clone()), options::http(config, agent, &live, told));
        to.spawn(infallible(http::serve(listeners.http, front, live.entrances.http.clone())));
    }
    if !listeners.grpc.is_empty() {
        let entrance = live.entrances.grpc.clone();
        let front = Grpc::new(servers.clone(), agent.clock().clone(), stop.clone());
        let serving = grpc::serve(listeners.grpc, front, entrance, agent.clock().clone(), ending.clone());
        to.spawn(async move { serving.await.context("gRPC server") });
    }
    if !listeners.dns.addresses().is_empty() {
        let (facts, clock) = (agent.facts().clone(), agent.clock().clone());
        let (ask, options, dns) = (client::dns(servers.clone()), live.dns.clone(), listeners.dns);
        to.spawn(async move { dns.relay(&facts, clock, options, ask, ending).await.context("DNS server") });
    }
    live
}
