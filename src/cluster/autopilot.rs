//! The leader's care for the servers: votes for those that have proven themselves, removal of those that are gone.

use super::{Directory, Presence, Seen};
use crate::model::Autopilot;
use crate::raft::{Follower, Handle, Member};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{info, warn};

/// How often the leader looks at the servers.
const EVERY: Duration = Duration::from_secs(1);
/// A follower is heard of with every heartbeat at most; less than some of them says nothing.
const CONTACT_MS_MIN: u64 = 600;

/// A server as the leader judges it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerHealth {
    /// The server.
    pub member: Member,
    /// Whether gossip knows it, and how.
    pub presence: Option<Presence>,
    /// It leads.
    pub leader: bool,
    /// Milliseconds since it was last heard of; `None`: never.
    pub contact_ms: Option<u64>,
    /// Last entry of the log that it has.
    pub last_log: u64,
    /// It is heard of, and not far behind.
    pub healthy: bool,
}

/// How the servers are, as this server can tell: all of them if it leads, only who they are otherwise.
pub fn health(raft: &Handle, autopilot: &Autopilot, seen: &[Seen]) -> Vec<ServerHealth> {
    let status = raft.status();
    let followers: HashMap<u64, Follower> = raft.followers().into_iter().map(|f| (f.id, f)).collect();
    let limit_ms = (autopilot.last_contact_threshold_ns.max(0) as u64 / 1_000_000).max(CONTACT_MS_MIN);
    let judge = |member: Member| {
        let leader = status.leader.as_ref().is_some_and(|(id, _)| *id == member.id);
        let presence = seen.iter().find(|s| s.id == member.node.id).map(|s| s.presence);
        let follower = followers.get(&member.id);
        let own = member.id == status.id;
        let contact_ms = if own { Some(0) } else { follower.and_then(|f| f.contact_ms) };
        let last_log = if own { status.last_log } else { follower.map_or(0, |f| f.matched) };
        let near = last_log.saturating_add(autopilot.max_trailing_logs.max(1)) >= status.last_log;
        let heard = contact_ms.is_some_and(|ms| ms <= limit_ms);
        let gone = matches!(presence, Some(Presence::Failed | Presence::Left));
        ServerHealth { leader, presence, contact_ms, last_log, healthy: near && heard && !gone, member }
    };
    status.members.into_iter().map(judge).collect()
}

/// Works until raft stops. `autopilot` tells the present settings.
pub async fn run(raft: Handle, directory: Directory, autopilot: impl Fn() -> Autopilot + Send) {
    // Since when each server without a vote has been healthy.
    let mut stable: HashMap<u64, Instant> = HashMap::new();
    // Since when each server has been gone.
    let mut failed: HashMap<u64, Instant> = HashMap::new();
    let mut status = raft.subscribe_status();
    loop {
        if !raft.leadership().leads {
            stable.clear();
            failed.clear();
            if status.changed().await.is_err() {
                return;
            }
            continue;
        }
        let (settings, seen) = (autopilot(), directory.borrow().clone());
        let servers = health(&raft, &settings, &seen);
        promote(&raft, &settings, &servers, &mut stable).await;
        bury(&raft, &settings, &servers, &mut failed).await;
        tokio::time::sleep(EVERY).await;
    }
}

fn stabilization(settings: &Autopilot) -> Duration {
    Duration::from_nanos(settings.server_stabilization_time_ns.max(0) as u64)
}

/// A server that was healthy for long enough gets a vote.
async fn promote(raft: &Handle, settings: &Autopilot, servers: &[ServerHealth], stable: &mut HashMap<u64, Instant>) {
    let needed = stabilization(settings);
    stable.retain(|id, _| servers.iter().any(|s| s.member.id == *id && s.healthy && !s.member.voter));
    for server in servers.iter().filter(|s| s.healthy && !s.member.voter && !s.member.node.read_only) {
        let since = *stable.entry(server.member.id).or_insert_with(Instant::now);
        if since.elapsed() < needed {
            continue;
        }
        match raft.set_voter(server.member.id, true).await {
            Ok(()) => info!(server = server.member.node.name, "has a vote now"),
            Err(error) => warn!(server = server.member.node.name, %error, "cannot give a vote"),
        }
    }
}

/// Removes servers that left, and those that stay failed for as long as a new one is watched, if the others can do
/// without them. One that is only restarted stays a member.
async fn bury(raft: &Handle, settings: &Autopilot, servers: &[ServerHealth], failed: &mut HashMap<u64, Instant>) {
    let patience = stabilization(settings);
    let voters = servers.iter().filter(|s| s.member.voter).count();
    let gone = |s: &&ServerHealth| match s.presence {
        _ if s.leader => false,
        Some(presence) => presence != Presence::Alive,
        // Another one has its name now.
        None => !s.healthy,
    };
    let dead: Vec<&ServerHealth> = servers.iter().filter(gone).collect();
    failed.retain(|id, _| dead.iter().any(|s| s.member.id == *id));
    let dead_voters = dead.iter().filter(|s| s.member.voter).count();
    let failed_voters = dead.iter().filter(|s| s.member.voter && s.presence != Some(Presence::Left)).count();
    // With half of them gone the others could not agree on anything, least of all on this.
    if dead_voters * 2 >= voters.max(1) && dead_voters > 0 {
        return;
    }
    for server in dead {
        let left = server.presence == Some(Presence::Left);
        let enough = voters - failed_voters >= settings.min_quorum as usize;
        let since = *failed.entry(server.member.id).or_insert_with(Instant::now);
        let spared = !settings.cleanup_dead_servers || !enough || since.elapsed() < patience;
        if !left && spared {
            continue;
        }
        match raft.remove(server.member.id).await {
            Ok(()) => info!(server = server.member.node.name, left, "removed from the cluster"),
            Err(error) => warn!(server = server.member.node.name, %error, "cannot remove a server that is gone"),
        }
    }
}
