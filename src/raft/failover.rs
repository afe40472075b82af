//! Electing as soon as the leader is known to be dead, instead of when it was silent for long enough.
//!
//! Each follower keeps a call open at the leader. When the leader's process ends, the call breaks, and a second attempt
//! finds nobody listening. Then the follower gives up its promise to vote for nobody else, and asks the others whether
//! they would vote for it. They would only if they saw the same, so one broken path elects nobody. The one with most of the log
//! asks first, and the others wait for it: whoever has less would not be voted for, and two at once split the votes.

use super::link::Link;
use super::peers::Lingered;
use super::types::{Node, Raft, TypeConfig};
use crate::proto::internal::call_request::Body as Question;
use crate::proto::internal::call_response::Body as Answer;
use crate::proto::internal::{LingerRequest, Probe};
use futures::future::join_all;
use openraft::metrics::RaftServerMetrics;
use openraft::raft::TransferLeaderRequest;
use openraft::type_config::async_runtime::watch::WatchReceiver;
use std::cmp::Reverse;
use std::time::Duration;

/// Before a lost connection is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// How long the other followers may take to say how much of the log they have.
const LOOK: Duration = Duration::from_millis(100);
/// What a server waits for each other one that should rather lead: two that ask at once split the votes.
const STEP_BACK: Duration = Duration::from_millis(150);
/// Before the second attempt, and how much longer before each later one: an attempt begins the count of answers anew, so
/// a busy server must not be asked faster than it answers.
const ATTEMPT_STEP: Duration = Duration::from_millis(50);
/// Attempts before the ordinary timeout is left to do it.
const ATTEMPTS: u32 = 8;

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
                    link.peers.linger(&link.address_of(node), request).await
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
                Lingered::Gone => replace(&raft, &link, &now).await,
            },
        }
    }
}

/// The leader of `seen` is dead: have it replaced.
async fn replace(raft: &Raft, link: &Link, seen: &Metrics) {
    let Some(dead) = seen.current_leader else { return };
    tracing::info!(leader = dead, "the leader's process has ended, asking for an election");
    let mut vote = seen.vote;
    for attempt in 0..ATTEMPTS {
        // As if the leader had handed over to somebody else: that ends the promise, and starts nothing here.
        let over = TransferLeaderRequest::new(seen.vote, dead, None);
        if raft.handle_transfer_leader(over).await.is_err() {
            return;
        }
        let better = count_better(raft, link, seen, dead).await;
        tokio::time::sleep(STEP_BACK * better + ATTEMPT_STEP * attempt).await;
        // One borrow at a time: a second one would wait for the writer that waits for the first.
        let now = raft.server_metrics().borrow_watched().clone();
        if now.current_leader.is_some_and(|leader| leader != dead) {
            return;
        }
        if now.vote != vote {
            // Somebody, perhaps this server, asks for votes in earnest: that may still succeed.
            vote = now.vote;
        } else if raft.trigger().elect(true).await.is_err() {
            return;
        }
    }
}

/// How many of the other followers have more of the log, or as much and a smaller id. Those that do not answer are not
/// waited for.
async fn count_better(raft: &Raft, link: &Link, seen: &Metrics, dead: u64) -> u32 {
    let membership = seen.membership_config.membership();
    let others = membership.voter_ids().filter(|id| *id != dead && *id != link.id);
    let others = others.filter_map(|id| Some((id, membership.get_node(&id)?.clone())));
    let asked = others.map(async |other| {
        let Ok(Answer::Probe(probed)) = link.ask_node(&other, Question::Probe(Probe {}), LOOK).await else {
            return None;
        };
        Some((probed.last_log, Reverse(other.0)))
    });
    let answers = join_all(asked).await;
    let own = (raft.metrics().borrow_watched().last_log_index.unwrap_or(0), Reverse(link.id));
    answers.into_iter().flatten().filter(|other| *other > own).count() as u32
}
