//! This server among the others: the listener for them, and what makes it a member of a cluster and keeps it one.

use crate::clock::Clock;
use crate::cluster::{self, Directory, Founding};
use crate::grpc::Entrance;
use crate::grpc::peer::{AskDns, AskHttp, Door};
use crate::model::Autopilot;
use crate::raft::{self, Handle};
use crate::service::Core;
use crate::{config::Config, dns, grpc, http};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tracing::{info, warn};

/// How long a server that was a member waits at its start for what it missed, before it answers from what it has.
const CATCH_UP: Duration = Duration::from_secs(10);
/// How long other servers' calls may take to end.
const END: Duration = Duration::from_secs(1);

/// What runs for the other servers.
pub(super) struct Servers {
    stopping: watch::Sender<bool>,
    /// Answers other servers.
    serving: Option<JoinHandle<()>>,
    /// Loops without an end of their own.
    tasks: JoinSet<()>,
    /// Keeps this server a member.
    forming: AbortHandle,
    raft: Handle,
    /// Opened when agents may be answered.
    pub(super) door: Door,
}

impl Servers {
    /// Begins to answer other servers, and to become a member. `first`: the autopilot configuration of a new cluster.
    pub(super) fn start(
        listener: Option<(TcpListener, Entrance)>,
        core: &Core,
        raft: &Handle,
        founding: Founding,
        directory: Directory,
        clock: &Clock,
        first: &Autopilot,
    ) -> Servers {
        core.know_servers(directory.clone());
        let (stopping, door) = (watch::Sender::new(false), Door::default());
        let mut tasks = JoinSet::new();
        let serving = listener.map(|(listener, entrance)| {
            let serving = grpc::peer::serve(listener, raft.clone(), door.clone(), entrance, stopping.subscribe());
            tokio::spawn(async move {
                if let Err(error) = serving.await {
                    warn!(%error, "other servers are no longer answered");
                }
            })
        });
        let forming = tasks.spawn(cluster::run_form(raft.clone(), clock.clone(), founding, directory.clone()));
        tasks.spawn(cluster::run_places(raft.clone(), directory.clone()));
        let (settings, caring) = (core.clone(), core.clone());
        tasks.spawn(cluster::run_autopilot(raft.clone(), directory, move || settings.autopilot()));
        tasks.spawn(caring.run_first_autopilot(first.clone()));
        Servers { stopping, serving, tasks, forming, raft: raft.clone(), door }
    }

    /// Waits until this server may answer without showing an older state than in its last life.
    ///
    /// # Errors
    /// Why it must stop before it has answered anybody.
    pub(super) async fn caught_up(&self, config: &Config) -> anyhow::Result<()> {
        // A new server has no last life.
        if self.raft.cluster().is_none() || config.bootstrap_expect == 1 && self.raft.leadership().leads {
            return Ok(());
        }
        tokio::select! {
            biased;
            message = self.raft.fatal() => anyhow::bail!("{message}"),
            () = self.raft.caught_up() => {}
            () = tokio::time::sleep(CATCH_UP) => {
                let revision = self.raft.state().revision();
                warn!(revision, "no leader yet: answers that may be stale come from before the last stop");
            }
        }
        Ok(())
    }

    /// Hands leadership over, so that nobody has to notice that this server is gone.
    pub(super) async fn hand_over(&self) {
        if !self.raft.leadership().leads {
            return;
        }
        let others = self.raft.status().members.iter().filter(|m| m.voter).count() > 1;
        if others {
            match self.raft.hand_over(None).await {
                Ok(()) => info!("another server leads now"),
                Err(error) => warn!(%error, "cannot hand leadership over"),
            }
        }
    }

    /// Takes this server out of the cluster for good, unless it is the last one.
    pub(super) async fn leave(&self) {
        let status = self.raft.status();
        if status.members.iter().filter(|m| m.voter && m.id != status.id).count() == 0 {
            return;
        }
        self.forming.abort();
        match self.raft.remove(status.id).await {
            Ok(()) => info!("this server is no longer a member of the cluster"),
            Err(error) => warn!(%error, "cannot leave the cluster"),
        }
    }

    /// Stops answering other servers.
    pub(super) async fn stop(mut self) {
        self.stopping.send_replace(true);
        self.tasks.shutdown().await;
        let Some(mut serving) = self.serving else { return };
        if tokio::time::timeout(END, &mut serving).await.is_err() {
            serving.abort();
        }
    }
}

/// What a server wants to be.
pub(super) fn founding(config: &Config, node: raft::Node) -> Founding {
    Founding { expect: config.bootstrap_expect, node }
}

/// Begins to answer agents on the server port with what answers clients on the other ports.
pub(super) fn open(door: &Door, core: &Core, grpc: grpc::Front, http: http::Front, dns: Arc<dns::Asked>) {
    let ask_http: AskHttp = Arc::new(move |request: ::http::Request<http::PassedBody>| {
        let asker = request.headers().get(http::ASKER).and_then(|name| name.to_str().ok()).map(Into::into);
        http.answer(request, asker)
    });
    let ask_dns: AskDns = Arc::new(move |message, tcp| {
        let dns = dns.clone();
        Box::pin(async move { dns.answer(&message, tcp).await })
    });
    door.open(core, grpc, ask_http, ask_dns);
}
