//! What runs the checks of this node: one task per check, which waits a random part of the interval, probes, reports,
//! and waits again. A probe ends within its timeout and takes a bounded amount of output; its texts are Consul's, word
//! for word where people and tools read them. A check that is removed or replaced is aborted in the middle of a probe,
//! and a command is killed with everything it started.

mod alias;
mod docker;
mod go;
mod grpc;
mod h2ping;
mod http;
mod net;
pub(super) mod output;
mod probe;
mod redirect;
mod script;
mod tcp;
#[cfg(test)]
mod tests;
mod threshold;
mod tls;
mod ttl;
mod udp;
mod url;

use super::handle::Agent;
use crate::model::{CheckDefinition, CheckKind, Health, Text};
use probe::Probe;
use std::sync::Arc;
use std::time::Duration;
use threshold::Thresholds;
use tokio_util::task::AbortOnDropHandle;
use ttl::Ttl;

/// Shorter intervals count as this one, as in Consul.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);

/// The result of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) health: Health,
    pub(super) output: Text,
}

impl Report {
    fn passing(output: impl Into<Text>) -> Report {
        Report { health: Health::Passing, output: output.into() }
    }

    fn critical(output: impl Into<Text>) -> Report {
        Report { health: Health::Critical, output: output.into() }
    }
}

/// What keeps a check going; dropping it ends that.
#[derive(Debug, Default)]
pub(super) struct Runner {
    _task: Option<AbortOnDropHandle<()>>,
    ttl: Option<Arc<Ttl>>,
}

impl Runner {
    /// Starts what the definition asks for; nothing for a maintenance mode. `generation` marks its reports.
    pub(super) fn start(agent: &Agent, definition: Arc<CheckDefinition>, generation: u64) -> Runner {
        let agent = agent.clone();
        match definition.kind() {
            None => Runner::default(),
            Some(CheckKind::Ttl) => {
                let ttl = Arc::new(Ttl::new(positive(definition.ttl).unwrap_or_default()));
                let task = spawn(ttl::run(agent, definition.id.clone(), generation, ttl.clone()));
                Runner { _task: Some(task), ttl: Some(ttl) }
            }
            Some(CheckKind::Alias) => {
                Runner { _task: Some(spawn(alias::run(agent, definition, generation))), ttl: None }
            }
            Some(kind) => {
                let probe = Probe::of(kind, &definition, &agent.settings());
                Runner { _task: Some(spawn(run(agent, definition, generation, probe))), ttl: None }
            }
        }
    }

    /// The clock of a TTL check.
    pub(super) fn ttl(&self) -> Option<&Ttl> {
        self.ttl.as_deref()
    }
}

fn spawn(task: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(task))
}

async fn run(agent: Agent, definition: Arc<CheckDefinition>, generation: u64, probe: Probe) {
    let interval = positive(definition.interval).unwrap_or_default().max(LEAST_INTERVAL);
    let mut thresholds = Thresholds::of(&definition);
    // Checks that were registered together must not all probe at the same moment.
    tokio::time::sleep(agent.share_of(interval)).await;
    loop {
        let report = probe.run().await;
        metrics::counter!("lictor_check_runs_total", "kind" => probe.kind(), "status" => report.health.as_str())
            .increment(1);
        if let Some(report) = thresholds.judge(report) {
            agent.take(&definition.id, generation, report);
        }
        tokio::time::sleep(interval).await;
    }
}

/// A duration of a definition, if one is given.
fn positive(ns: i64) -> Option<Duration> {
    u64::try_from(ns).ok().filter(|ns| *ns > 0).map(Duration::from_nanos)
}

impl Agent {
    /// Ends all runners.
    pub(super) fn stop_checks(&self) {
        let mut local = self.local();
        for own in local.checks.values_mut() {
            (own.runner, own.deferred) = (Runner::default(), None);
        }
    }
}
