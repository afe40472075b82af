//! The agents.

use anyhow::{Context, Result};
use futures::StreamExt;
use futures::future::join_all;
use lictor::agent::{Agent, Catalog, Settings};
use lictor::client::{Remote, Servers};
use lictor::clock::Clock;
use lictor::cluster::{Presence, Seen};
use lictor::model::{CheckDefinition, Definitions, ServiceDefinition};
use lictor::service::Facts;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Between two tries of an agent to reach the server.
const LOOK: Duration = Duration::from_millis(100);
/// A check that nobody renews stays as it is for so long; nanoseconds.
const TTL: i64 = 24 * 3_600_000_000_000;

/// How many of what.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) agents: usize,
    /// Of each agent.
    pub(crate) services: usize,
    pub(crate) names: usize,
    /// Each service has a check.
    pub(crate) ttl: bool,
}

impl Shape {
    pub(crate) fn instances(&self) -> u64 {
        (self.agents * self.services) as u64
    }
}

/// Agents that run.
pub(crate) struct Fleet {
    members: Vec<Member>,
    /// Who the servers are; agents end their search when it is gone.
    _directory: watch::Sender<Arc<[Seen]>>,
}

struct Member {
    name: String,
    catalog: Remote,
}

impl Fleet {
    /// Starts all of them at once.
    pub(crate) async fn start(shape: Shape, server: String) -> Result<Fleet> {
        let clock = Clock::system();
        let seen = Seen { name: "server".into(), id: clock.uuid(), address: server, presence: Presence::Alive };
        let (tell, directory) = watch::channel(Arc::from([seen]));
        let mut members = Vec::with_capacity(shape.agents);
        for number in 0..shape.agents {
            let facts = facts(number, &clock);
            let name = facts.node_name.clone();
            let servers = Servers::new(directory.clone(), clock.clone());
            tokio::spawn(servers.clone().run());
            let catalog = Remote::new(servers, facts, clock.clone(), CancellationToken::new());
            let definitions = definitions(number, shape);
            let started = Agent::start(Arc::new(catalog.clone()), Settings::default(), definitions).await;
            tokio::spawn(started.with_context(|| format!("start agent {number}"))?.run());
            // As an alias check of its node does.
            let mut changes = catalog.changes(&name);
            tokio::spawn(async move { while changes.next().await.is_some() {} });
            members.push(Member { name, catalog });
        }
        Ok(Fleet { members, _directory: tell })
    }

    /// Resolves when the server has answered every agent once more.
    pub(crate) async fn back(&self) {
        let asked = self.members.iter().map(|member| async move {
            while member.catalog.view(&member.name).await.is_err() {
                tokio::time::sleep(LOOK).await;
            }
        });
        join_all(asked).await;
    }
}

fn facts(number: usize, clock: &Clock) -> Facts {
    Facts {
        node_id: clock.uuid(),
        node_name: format!("node-{number:05}"),
        datacenter: "dc1".into(),
        domain: "consul".into(),
        alt_domain: None,
        version: env!("CARGO_PKG_VERSION"),
        advertise: IpAddr::V4(address(number)),
        server_port: 8300,
        serf_lan_port: 8301,
        serf_wan_port: 8302,
        grpc_port: 8502,
        http_port: 8500,
        dns_port: 8600,
        node_meta: BTreeMap::new(),
        dev: false,
    }
}

fn address(number: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 1).to_bits().wrapping_add(number as u32))
}

fn definitions(number: usize, shape: Shape) -> Definitions {
    let service = |at: usize| {
        let name = (number * shape.services + at) % shape.names;
        let id = format!("service-{name:05}-{at}");
        let check =
            shape.ttl.then(|| CheckDefinition { ttl: TTL, status: "passing".into(), ..CheckDefinition::default() });
        ServiceDefinition {
            id: id.as_str().into(),
            name: format!("service-{name:05}").into(),
            tags: vec!["production".into(), format!("v1.{}.0", at % 7).into()],
            address: address(number).to_string().into(),
            port: 20_000 + at as i64,
            meta: vec![("team".into(), format!("team-{}", name % 40).into())],
            check,
            ..ServiceDefinition::default()
        }
    };
    Definitions { services: (0..shape.services).map(service).collect(), checks: Vec::new() }
}
