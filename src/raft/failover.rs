//! Electing as soon as the leader is known to be dead, instead of when it was silent for long enough.
//!
//! Each follower keeps a call open at the leader. When the leader's process ends, the call breaks, and a second attempt
//! finds nobody listening. Then the follower gives up its promise to vote for nobody else, and asks the others whether
//! they would vote for it. They would only if they saw the same, so one broken path elects nobody.

use super::link::Link;
use super::peers::Lingered;
use super::types::{Node, Raft, TypeConfig};
use crate::proto::internal::LingerRequest;
use openraft::metrics::RaftServerMetrics;
use openraft::raft::TransferLeaderRequest;
use openraft::type_config::async_runtime::watch::WatchReceiver;
use std::time::Duration;

/// Before a lost connection is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// What a server of higher rank waits before its first attempt: two that ask at once split the votes.
const RANK_STEP: Duration = Duration::from_millis(60);
/// Before the second attempt, and how much longer before each later one: an attempt begins the count of answers anew, so
/// a busy server must not be asked faster than it answers.
const ATTEMPT_STEP: Duration = Duration::from_millis(100);
/// Attempts before the ordinary timeout is left to do it.
const ATTEMPTS: u32 = 5;

type Metrics = RaftServerMetrics<TypeConfig>;

fn leader_of(metrics: &Metrics, own: u64) -> Option<(u64, Node)> {
    let id = metrics.current_leader.filter(|id| *id != own)?;
    Some((id, metrics.membership_config.membership().get_node(&id)?.clone()))
}

/// Works until raft stops.
pub(super) async fn run(raft: Raft, link: Link) {
    let mut server = raft.server_metrics();
    loop {
        let now = server.borrow_watched().clone();
        let leader = leader_of(&now, link.id);
        let voter = now.membership_config.membership().voter_ids().any(|id| id == link.id);
        let lingered = async {
            match &leader {
                Some((id, node)) if voter => {
                    let request = LingerRequest { cluster: link.cluster_bytes(), to: *id };
                    link.peers.linger(&node.address, request).await
                }
                _ => std::future::pending().await,
            }
        };
        let changed = async {
            while leader_of(&server.borrow_watched(), link.id) == leader {
                if server.changed().await.is_err() {
                    return false;
                }
            }
            true
        };
        tokio::select! {
            // In order, so that a simulation can be repeated.
            biased;
            alive = changed => if !alive { return },
            lingered = lingered => match lingered {
                Lingered::Lost => tokio::time::sleep(RETRY).await,
                Lingered::Gone => replace(&raft, &now, link.id).await,
            },
        }
    }
}

/// The leader of `seen` is dead: have it replaced.
async fn replace(raft: &Raft, seen: &Metrics, own: u64) {
    let Some(dead) = seen.current_leader else { return };
    tracing::info!(leader = dead, "the leader's process has ended, asking for an election");
    let membership = seen.membership_config.membership();
    let rank = membership.voter_ids().filter(|id| *id != dead && *id < own).count();
    for attempt in 0..ATTEMPTS {
        // As if the leader had handed over to somebody else: that ends the promise, and starts nothing here.
        let over = TransferLeaderRequest::new(seen.vote, dead, None);
        if raft.handle_transfer_leader(over).await.is_err() {
            return;
        }
        let pause = if attempt == 0 { RANK_STEP * rank as u32 } else { ATTEMPT_STEP * attempt };
        tokio::time::sleep(pause).await;
        // One borrow at a time: a second one would wait for the writer that waits for the first.
        let now = raft.server_metrics().borrow_watched().clone();
        if now.vote != seen.vote || now.current_leader != Some(dead) || raft.trigger().elect(true).await.is_err() {
            return;
        }
    }
}
