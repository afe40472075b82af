//! Starting: open the files, load the checkpoint, replay the log, take the lead if this server is alone.

use super::error::StartError;
use super::handle::Handle;
use super::log_store::LogStore;
use super::network::Network;
use super::purge;
use super::state_machine::StateMachine;
use super::types::{Node, Raft};
use crate::clock::Clock;
use crate::store::{Checkpoint, Fatal, Identity, Log, Medium};
use crate::watch::Hub;
use openraft::type_config::async_runtime::watch::WatchReceiver;
use openraft::{ChangeMembers, Config, SnapshotPolicy};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Raft id of the first server of a cluster. Others get theirs from the log; none is ever used twice.
const FIRST_NODE: u64 = 1;
/// Replaying a log that the checkpoint leaves behind takes well under a second; this is for a very slow disk.
const RECOVERY_LIMIT: Duration = Duration::from_secs(120);

/// How to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the files are; `None`: in memory, and lost with the process.
    pub data_dir: Option<PathBuf>,
    /// This server's name in the catalog.
    pub node_name: String,
    /// host:port at which other servers reach this one; empty if it has no such listener.
    pub advertise: String,
    /// Time for the records, randomness for the cluster's id.
    pub clock: Clock,
}

/// Opens the stores, brings the state up to all that was acknowledged before, and starts replication. A server with
/// empty stores starts a new cluster of one. Returns when commands are accepted.
///
/// # Errors
/// The stores cannot be opened or contradict each other, or the log cannot be replayed.
pub async fn start(options: Options, hub: Arc<Hub>) -> Result<Handle, StartError> {
    let medium = options.data_dir.clone().map_or(Medium::Memory, Medium::Directory);
    start_on(medium, options, hub).await
}

/// [`start`] on a medium of the caller's choice, such as a simulated disk.
///
/// # Errors
/// As [`start`].
pub(crate) async fn start_on(medium: Medium, options: Options, hub: Arc<Hub>) -> Result<Handle, StartError> {
    let fatal = Fatal::new();
    let new_log = !Log::exists(&medium);
    if new_log && Checkpoint::exists(&medium) {
        return Err(StartError::Incomplete("there is a checkpoint, but no raft log".into()));
    }
    let opened = Log::open(&medium, fatal.clone())?;
    let identity = match opened.identity {
        Some(identity) => identity,
        None => {
            let identity = Identity { cluster: options.clock.uuid().into_bytes(), node: FIRST_NODE };
            opened.log.save_identity(identity).await?;
            identity
        }
    };
    let log = opened.log.clone();
    let log_store = LogStore::new(opened)?;
    let (checkpoint, loaded) = Checkpoint::open(&medium, identity.cluster, fatal.clone())?;
    check_no_gap(&log_store, loaded.position.as_ref().map(|p| p.index))?;
    let (machine, published) = StateMachine::new(loaded, hub, checkpoint.clone(), log_store.clone())?;
    let config = Arc::new(config().validate().map_err(fail)?);
    let raft = Raft::new(identity.node, config, Network, log_store, machine);
    let raft = raft.await.map_err(fail)?;

    let node = Node { name: options.node_name, address: options.advertise };
    let limit = RECOVERY_LIMIT;
    let led = take_the_lead(&raft, identity.node, &node).await;
    let recovered = raft.wait_for_recovery(Some(limit)).await;
    // What the store said is the cause, whatever raft makes of it.
    if let Some(message) = fatal.message() {
        return Err(StartError::Raft(message));
    }
    led?;
    recovered.map_err(|_| StartError::Recovery(limit.as_secs()))?;
    refresh_own_entry(&raft, identity.node, node).await?;
    Ok(Handle::new(raft, published, identity, options.clock, fatal, log, checkpoint))
}

/// A new server starts a cluster of itself; one that is alone need not wait for an election timeout.
async fn take_the_lead(raft: &Raft, id: u64, node: &Node) -> Result<(), StartError> {
    if !raft.is_initialized().await.map_err(fail)? {
        return raft.initialize(BTreeMap::from([(id, node.clone())])).await.map_err(fail);
    }
    if raft.voter_ids().all(|voter| voter == id) {
        raft.trigger().elect(false).await.map_err(fail)?;
    }
    Ok(())
}

/// A server that leads alone tells the log when its name or address has changed.
async fn refresh_own_entry(raft: &Raft, id: u64, node: Node) -> Result<(), StartError> {
    let known = raft.server_metrics().borrow_watched().membership_config.get_node(&id).cloned();
    if known.as_ref() == Some(&node) || !raft.voter_ids().all(|voter| voter == id) {
        return Ok(());
    }
    let change = ChangeMembers::SetNodes(BTreeMap::from([(id, node)]));
    raft.change_membership(change, true).await.map(drop).map_err(fail)
}

fn fail(error: impl std::fmt::Display) -> StartError {
    StartError::Raft(error.to_string())
}

/// What was purged from the log must be in the checkpoint.
fn check_no_gap(log: &LogStore, checkpoint: Option<u64>) -> Result<(), StartError> {
    match log.purged() {
        Some(purged) if checkpoint.is_none_or(|index| index < purged.index) => {
            let held =
                checkpoint.map_or("there is no checkpoint".into(), |i| format!("the checkpoint holds it up to {i}"));
            Err(StartError::Incomplete(format!("the raft log starts after {}, but {held}", purged.index)))
        }
        _ => Ok(()),
    }
}

/// Timing for servers of one datacenter; the tick of openraft is a fifth of the heartbeat, so a shorter one would keep
/// an idle server awake.
fn config() -> Config {
    Config {
        cluster_name: "lictor".into(),
        heartbeat_interval: 200,
        election_timeout_min: 1000,
        election_timeout_max: 2000,
        enable_pre_vote: Some(true),
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: purge::KEEP,
        purge_batch_size: 1024,
        allow_log_reversion: Some(false),
        ..Config::default()
    }
}
