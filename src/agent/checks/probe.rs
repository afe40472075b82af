//! One run of a check, of whatever kind.

use super::docker::Docker;
use super::grpc::Grpc;
use super::h2ping::H2Ping;
use super::http::Http;
use super::script::Script;
use super::tcp::Tcp;
use super::udp::Udp;
use super::{Report, output, positive};
use crate::agent::Settings;
use crate::model::{CheckDefinition, CheckKind};
use std::time::Duration;

/// How long a run may take that says nothing of it.
const NETWORK_TIMEOUT: Duration = Duration::from_secs(10);
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// What is done at every interval.
#[derive(Debug)]
pub(super) enum Probe {
    Script(Script),
    Docker(Docker),
    Http(Box<Http>),
    Tcp(Tcp),
    Udp(Udp),
    Grpc(Grpc),
    H2Ping(H2Ping),
}

impl Probe {
    /// What a definition of this kind asks for. TTL and alias checks have no probe; a command stands for them.
    pub(super) fn of(kind: CheckKind, definition: &CheckDefinition, settings: &Settings) -> Probe {
        let timeout = |default| positive(definition.timeout).unwrap_or(default);
        let network = timeout(NETWORK_TIMEOUT);
        let max = output::max(definition, settings);
        match kind {
            CheckKind::Http => Probe::Http(Box::new(Http::new(definition, network, max))),
            CheckKind::Tcp => Probe::Tcp(Tcp::new(definition, network)),
            CheckKind::Udp => Probe::Udp(Udp::new(definition, network)),
            CheckKind::Grpc => Probe::Grpc(Grpc::new(definition, network)),
            CheckKind::H2Ping => Probe::H2Ping(H2Ping::new(definition, network)),
            CheckKind::Docker => Probe::Docker(Docker::new(definition, timeout(COMMAND_TIMEOUT), max)),
            CheckKind::Script | CheckKind::Ttl | CheckKind::Alias => {
                Probe::Script(Script::new(definition, timeout(COMMAND_TIMEOUT), max))
            }
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Probe::Script(_) => "script",
            Probe::Docker(_) => "docker",
            Probe::Http(_) => "http",
            Probe::Tcp(_) => "tcp",
            Probe::Udp(_) => "udp",
            Probe::Grpc(_) => "grpc",
            Probe::H2Ping(_) => "h2ping",
        }
    }

    pub(super) async fn run(&self) -> Report {
        match self {
            Probe::Script(probe) => probe.run().await,
            Probe::Docker(probe) => probe.run().await,
            Probe::Http(probe) => probe.run().await,
            Probe::Tcp(probe) => probe.run().await,
            Probe::Udp(probe) => probe.run().await,
            Probe::Grpc(probe) => probe.run().await,
            Probe::H2Ping(probe) => probe.run().await,
        }
    }
}
