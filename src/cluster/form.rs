//! How a server becomes a member, and stays known under its right name and address.
//!
//! Founding: of the servers that wait for the same number of each other, the one with the smallest identity founds. It
//! draws the cluster's identity and gets every other one's word, durably given, to be in this cluster and in no other;
//! only then does it start raft with all of them as voters. Whoever gave its word to one founder refuses every other, so
//! there are never two clusters, however the servers see each other.
//!
//! Joining: a server that finds a cluster gives its word to it and asks to be enrolled.

use super::{Directory, Presence, Seen};
use crate::clock::Clock;
use crate::raft::{Handle, Node, Probed};
use futures::FutureExt;
use futures::future::{join_all, select_ok};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tracing::{debug, info, warn};
use uuid::Uuid;

/// How often a server that is not a member yet looks around.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// How often a member compares its entry with what it is.
const CHECK_EVERY: Duration = Duration::from_secs(2);
/// A member that was not called by a leader for this long asks whether it is one still, in milliseconds.
const SILENT_MS: u64 = 5_000;
/// How many rounds pass between two words on why nothing happens.
const SAY_EVERY: u32 = 30;

/// What a server wants to be.
#[derive(Clone, Debug)]
pub struct Founding {
    /// Servers that found a cluster together; 0: only join.
    pub expect: u32,
    /// This server as its peers know it.
    pub node: Node,
}

/// A server that was found, and where.
type Found = (String, Probed);

/// Works until this server stops.
pub async fn run(raft: Handle, clock: Clock, founding: Founding, mut directory: Directory) {
    let mut rounds = 0u32;
    loop {
        let member = raft.cluster().is_some() && !raft.status().members.is_empty();
        let pause = if member {
            let seen = directory.borrow().clone();
            keep_entry(&raft, &founding.node, &seen).await;
            look_for_successor(&raft, &founding.node, &seen).await;
            CHECK_EVERY
        } else {
            let seen = directory.borrow_and_update().clone();
            match attempt(&raft, &clock, &founding, &seen).await {
                Ok(()) => rounds = 0,
                Err(reason) if rounds.is_multiple_of(SAY_EVERY) => info!(%reason, "not a member of a cluster yet"),
                Err(_) => {}
            }
            rounds = rounds.wrapping_add(1);
            LOOK_EVERY
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            changed = directory.changed(), if !member => if changed.is_err() { return },
        }
    }
}

/// Tells the leader if this server's entry is missing or wrong, or may be: who was removed while it was cut off is not
/// told so, and nobody calls it any more. A server that is not called may know no leader, or one of the past; then whoever
/// is there is asked to pass it on. Where the entry is right, that changes nothing.
async fn keep_entry(raft: &Handle, node: &Node, seen: &[Seen]) {
    let status = raft.status();
    let right = status.members.iter().any(|m| m.id == status.id && m.node == *node);
    let called = raft.standing().staleness_ms.is_some_and(|ms| ms < SILENT_MS);
    if right && called {
        return;
    }
    let leader = async { raft.enrol(status.id, node.clone()).await.map_err(|e| e.to_string()) };
    let others = seen.iter().filter(|s| !called && s.presence == Presence::Alive && s.id != node.id);
    let others = others.map(|s| raft.enrol_at(&s.address).boxed());
    match select_ok(others.chain([leader.boxed()])).await {
        // It may have been a member all the time.
        Ok(_) if right => debug!("a leader that was not heard of knows this server"),
        Ok(_) => info!(name = node.name, address = node.address, "the cluster knows this server by its new entry"),
        Err(error) if right => debug!(%error, "no leader knows this server"),
        Err(error) => warn!(%error, "cannot tell the leader this server's name and address"),
    }
}

/// Servers that this server's log does not know may be of what became of its cluster. Those that it knows say so when
/// raft asks them.
async fn look_for_successor(raft: &Handle, node: &Node, seen: &[Seen]) {
    let Some(cluster) = raft.cluster() else { return };
    let members = raft.status().members;
    let unknown = |s: &&Seen| !members.iter().any(|m| m.node.id == s.id);
    for other in seen.iter().filter(|s| s.presence == Presence::Alive && s.id != node.id).filter(unknown) {
        let Ok(probed) = raft.probe(&other.address).await else { continue };
        if let Some(why) = probed.supersedes(cluster) {
            return raft.hear_superseded(why);
        }
    }
}

/// One attempt to become a member; the error says what is missing.
async fn attempt(raft: &Handle, clock: &Clock, founding: &Founding, seen: &[Seen]) -> Result<(), String> {
    let own = raft.status().id;
    let there = seen.iter().filter(|s| s.presence == Presence::Alive && s.id != founding.node.id);
    let asked = there.map(async |s| (s.address.clone(), raft.probe(&s.address).await));
    let answers = join_all(asked).await;
    let found: Vec<Found> =
        answers.into_iter().filter_map(|(at, probed)| Some((at, probed.ok()?))).filter(|(_, p)| p.id != own).collect();
    let clusters: BTreeSet<Uuid> = found.iter().filter(|(_, p)| p.initialized).filter_map(|(_, p)| p.cluster).collect();
    match (raft.cluster(), clusters.len()) {
        (Some(cluster), _) if clusters.contains(&cluster) => join(raft, cluster, &found).await,
        (None, 1) => {
            let cluster = clusters.into_iter().next().unwrap_or_default();
            let former = found.iter().filter(|(_, p)| p.cluster == Some(cluster)).map(|(_, p)| &p.former[..]);
            raft.adopt(cluster, former.max_by_key(|f| f.len()).unwrap_or(&[])).await.map_err(|e| e.to_string())?;
            join(raft, cluster, &found).await
        }
        (None, 2..) => Err(format!("there are {} clusters here; this server joins none of them", clusters.len())),
        (cluster, _) if founding.expect > 1 => found_with(raft, clock, founding, cluster, &found).await,
        _ => Err(format!("found {} other server(s), none of which is in a cluster", found.len())),
    }
}

async fn join(raft: &Handle, cluster: Uuid, found: &[Found]) -> Result<(), String> {
    let mut last = "no server of the cluster answers".to_owned();
    for (address, _) in found.iter().filter(|(_, p)| p.initialized && p.cluster == Some(cluster)) {
        match raft.enrol_at(address).await {
            Ok(()) => {
                info!(%cluster, through = address, "joined");
                return Ok(());
            }
            Err(reason) => last = format!("{address}: {reason}"),
        }
    }
    Err(last)
}

/// `cluster`: this server's word, if it gave it already.
async fn found_with(
    raft: &Handle,
    clock: &Clock,
    founding: &Founding,
    cluster: Option<Uuid>,
    found: &[Found],
) -> Result<(), String> {
    let expect = founding.expect;
    if let Some((address, other)) = found.iter().find(|(_, p)| p.expect > 1 && p.expect != expect) {
        return Err(format!(
            "{address} waits for {} servers, this one for {expect}: bootstrap_expect must be the same everywhere",
            other.expect
        ));
    }
    // Those who gave their word to somebody else wait for that one.
    let free = |p: &Probed| !p.initialized && p.expect == expect && (p.cluster.is_none() || p.cluster == cluster);
    let mut others: Vec<&Found> = found.iter().filter(|(_, p)| free(p)).collect();
    others.sort_by_key(|(_, p)| p.node.id);
    let count = others.len() + 1;
    if count < expect as usize {
        return Err(format!("found {count} of {expect} servers that it waits for"));
    }
    others.truncate(expect as usize - 1);
    let first = others.iter().all(|(_, p)| founding.node.id < p.node.id);
    if !first {
        return Err("waiting for another server to found the cluster".to_owned());
    }
    let cluster = cluster.unwrap_or_else(|| clock.uuid());
    raft.adopt(cluster, &[]).await.map_err(|e| e.to_string())?;
    for (address, other) in &others {
        raft.adopt_at(other.id, address, cluster).await.map_err(|reason| format!("{address}: {reason}"))?;
    }
    let own = (raft.status().id, founding.node.clone());
    let members = others.iter().map(|(_, p)| (p.id, p.node.clone()));
    let members: BTreeMap<u64, Node> = members.chain([own]).collect();
    info!(%cluster, servers = members.len(), "founding a cluster");
    raft.found(members).await.map_err(|e| e.to_string())
}
