//! What this server knows of the cluster, in words that do not name openraft.

use super::types::{Node, Raft, TypeConfig};
use openraft::ServerState;
use openraft::metrics::RaftServerMetrics;
use openraft::type_config::async_runtime::watch::WatchReceiver;
use std::sync::Arc;

/// The part that this server plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Receives the log without a vote.
    Learner,
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
    /// Stops.
    Stopping,
}

/// A server of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Raft id; never used twice.
    pub id: u64,
    /// How to reach it.
    pub node: Node,
    /// Whether it has a vote.
    pub voter: bool,
}

/// What this server knows of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Raft id of this server.
    pub id: u64,
    /// The cluster's UUID; `None` until this server is in one.
    pub cluster: Option<uuid::Uuid>,
    /// The part that this server plays.
    pub role: Role,
    /// Raft term.
    pub term: u64,
    /// Who leads, if known.
    pub leader: Option<(u64, Node)>,
    /// host:port of the leader's gRPC API, if it is known and has one.
    pub leader_endpoint: Option<Arc<str>>,
    /// Index of the last entry of the log.
    pub last_log: u64,
    /// Index of the last entry known to be committed.
    pub committed: u64,
    /// Index of the last entry applied; the revision of the published state.
    pub applied: u64,
    /// Index of the last entry that the newest snapshot holds.
    pub snapshot: u64,
    /// Index of the last entry that the log no longer holds.
    pub purged: u64,
    /// All servers by raft id, this one included.
    pub members: Vec<Member>,
}

impl Status {
    /// Whether this server leads.
    pub fn leads(&self) -> bool {
        self.role == Role::Leader
    }
}

pub(super) fn current(raft: &Raft, cluster: Option<uuid::Uuid>) -> Status {
    let server = raft.server_metrics().borrow_watched().clone();
    let metrics = raft.metrics();
    let metrics = metrics.borrow_watched();
    let index = |id: &Option<super::types::LogId>| id.map_or(0, |id| id.index);
    Status {
        last_log: metrics.last_log_index.unwrap_or(0),
        committed: index(&metrics.local_committed),
        applied: index(&metrics.last_applied),
        snapshot: index(&metrics.snapshot),
        purged: index(&metrics.purged),
        ..of_server(&server, cluster)
    }
}

/// The part of the status that changes rarely; the indexes are left at 0.
fn of_server(metrics: &RaftServerMetrics<TypeConfig>, cluster: Option<uuid::Uuid>) -> Status {
    let membership = metrics.membership_config.membership();
    let is_voter = |id: u64| membership.voter_ids().any(|voter| voter == id);
    let member = |(id, node): (&u64, &Node)| Member { id: *id, node: node.clone(), voter: is_voter(*id) };
    let leader = metrics.current_leader.and_then(|id| Some((id, membership.get_node(&id)?.clone())));
    let endpoint = leader.as_ref().map(|(_, node)| node.grpc.as_str()).filter(|endpoint| !endpoint.is_empty());
    Status {
        id: metrics.id,
        cluster,
        role: match metrics.state {
            ServerState::Learner => Role::Learner,
            ServerState::Follower => Role::Follower,
            ServerState::Candidate => Role::Candidate,
            ServerState::Leader => Role::Leader,
            ServerState::Shutdown => Role::Stopping,
        },
        term: metrics.vote.leader_id.term,
        leader_endpoint: endpoint.map(Arc::from),
        leader,
        last_log: 0,
        committed: 0,
        applied: 0,
        snapshot: 0,
        purged: 0,
        members: membership.nodes().map(member).collect(),
    }
}
