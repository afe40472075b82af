//! Starting: open the files, load the checkpoint, replay the log, take the lead if this server is alone.

use super::contact::Contact;
use super::error::StartError;
use super::handle::{Handle, Parts};
use super::link::Link;
use super::log_store::LogStore;
use super::network::Network;
use super::peers::{NoPeers, Peers};
use super::state_machine::StateMachine;
use super::types::{Node, Raft};
use super::{purge, superseded};
use crate::clock::Clock;
use crate::store::{Checkpoint, Fatal, Identity, Log, Medium};
use crate::watch::Hub;
use openraft::type_config::async_runtime::watch::WatchReceiver;
use openraft::{ChangeMembers, Config, SnapshotPolicy};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Raft id of a server that founds a cluster alone. Others draw theirs when their files are made, so that a server which
/// has lost its files is another one: none is ever used twice.
const FIRST_NODE: u64 = 1;
/// In the identity of a server that is in no cluster yet.
pub(super) const NO_CLUSTER: [u8; 16] = [0; 16];
/// By this file Consul is told to recover; whoever puts it there expects something to happen.
const PEERS_FILE: &str = "raft/peers.json";
/// Replaying a log that the checkpoint leaves behind takes well under a second; this is for a very slow disk.
const RECOVERY_LIMIT: Duration = Duration::from_secs(120);

/// No election is later than this after the leader was last heard of; a leader that was not heard of for twice as long is
/// none.
const ELECTION_MAX: Duration = Duration::from_millis(1200);

/// How to start.
#[derive(Clone)]
pub struct Options {
    /// Where the files are; `None`: in memory, and lost with the process.
    pub data_dir: Option<PathBuf>,
    /// This server as its peers know it. The address is empty if it has no listener for them.
    pub node: Node,
    /// A server with empty stores founds a cluster of itself at once. Others wait to be founded or to be let in.
    pub alone: bool,
    /// Told to other servers: how many of them found a cluster together; 0: this one only joins.
    pub expect: u32,
    /// Heartbeats and election timeouts are this many times as long as usual, for slow networks.
    pub slowness: u32,
    /// The way to other servers.
    pub peers: Arc<dyn Peers>,
    /// Time for the records, randomness for ids.
    pub clock: Clock,
}

impl Options {
    /// A server that is alone, in memory unless it is started on another medium.
    pub fn alone(node: Node, clock: Clock) -> Options {
        Options { data_dir: None, node, alone: true, expect: 1, slowness: 1, peers: Arc::new(NoPeers), clock }
    }
}

/// Opens the stores, brings the state up to all that was acknowledged before, and starts replication. A server that is
/// alone leads when this returns; others take part, and [`Handle::caught_up`] tells when they have what they missed.
///
/// # Errors
/// The stores cannot be opened or contradict each other, or the log cannot be replayed.
pub async fn start(options: Options, hub: Arc<Hub>) -> Result<Handle, StartError> {
    if let Some(peers) = options.data_dir.as_ref().map(|dir| dir.join(PEERS_FILE)).filter(|file| file.exists()) {
        return Err(StartError::PeersFile(peers));
    }
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
    let refused = match &opened.superseded {
        _ if opened.recovering => Some(StartError::Unfinished),
        why => why.as_deref().map(superseded::advice).map(StartError::Superseded),
    };
    if let Some(refused) = refused {
        // What follows is the operator's work on the files, which nobody else must hold then.
        opened.log.close().await.map_err(fail)?;
        return Err(refused);
    }
    let former: Vec<Uuid> = opened.former.iter().copied().map(Uuid::from_bytes).collect();
    let identity = identify(opened.identity, &options, &opened.log).await?;
    let log = opened.log.clone();
    let log_store = LogStore::new(opened)?;
    let (checkpoint, loaded) = Checkpoint::open(&medium, identity.cluster, fatal.clone())?;
    check_no_gap(&log_store, loaded.position.as_ref().map(|p| p.index))?;
    let (machine, published) = StateMachine::new(loaded, hub, checkpoint.clone(), log_store.clone())?;
    let config = Arc::new(config(options.slowness.max(1)).validate().map_err(fail)?);
    let link = Link::new(options.peers, identity.node, options.data_dir.is_none());
    if identity.cluster != NO_CLUSTER {
        link.belong_to(Uuid::from_bytes(identity.cluster), former);
    }
    let raft = Raft::new(identity.node, config, Network { link: link.clone() }, log_store, machine);
    let raft = raft.await.map_err(fail)?;

    let limit = RECOVERY_LIMIT;
    let led = take_the_lead(&raft, identity.node, &options.node, options.alone).await;
    let alone = matches!(led, Ok(true));
    let recovered = if alone { raft.wait_for_recovery(Some(limit)).await.map(drop) } else { Ok(()) };
    // What the store said is the cause, whatever raft makes of it.
    if let Some(message) = fatal.message() {
        return Err(StartError::Raft(message));
    }
    led?;
    recovered.map_err(|_| StartError::Recovery(limit.as_secs()))?;
    if alone {
        refresh_own_entry(&raft, identity.node, options.node.clone()).await?;
    }
    let (node, expect, data_dir, clock) = (options.node, options.expect, options.data_dir, options.clock);
    let contact = Arc::new(Contact::new(ELECTION_MAX * 2 * options.slowness.max(1)));
    let parts = Parts { raft, published, link, contact, node, expect, data_dir, clock, fatal, log, checkpoint };
    Ok(Handle::new(parts, alone))
}

/// Who this server is: what it was before, or somebody new.
async fn identify(found: Option<Identity>, options: &Options, log: &Log) -> Result<Identity, StartError> {
    let wanted = match found {
        Some(known) if known.cluster != NO_CLUSTER || !options.alone => return Ok(known),
        // It waited for others before, and is now told to go on alone.
        Some(known) => Identity { cluster: options.clock.uuid().into_bytes(), ..known },
        None if options.alone => Identity { cluster: options.clock.uuid().into_bytes(), node: FIRST_NODE },
        None => {
            let random = u64::from_le_bytes(*options.clock.random().first_chunk().unwrap_or(&[2; 8]));
            // Not 0, which means nobody, nor the one that founders have.
            Identity { cluster: NO_CLUSTER, node: (random >> 1).max(FIRST_NODE + 1) }
        }
    };
    log.save_identity(wanted).await?;
    Ok(wanted)
}

/// A new server that is alone starts a cluster of itself, and one that is alone need not wait for an election timeout.
/// Returns whether it is alone.
async fn take_the_lead(raft: &Raft, id: u64, node: &Node, alone: bool) -> Result<bool, StartError> {
    if !raft.is_initialized().await.map_err(fail)? {
        if alone {
            raft.initialize(BTreeMap::from([(id, node.clone())])).await.map_err(fail)?;
        }
        return Ok(alone);
    }
    let mut voters = raft.voter_ids().peekable();
    let alone = voters.peek().is_some() && voters.all(|voter| voter == id);
    if alone {
        raft.trigger().elect(false).await.map_err(fail)?;
    }
    Ok(alone)
}

/// A server that leads alone tells the log when its name or address has changed.
async fn refresh_own_entry(raft: &Raft, id: u64, node: Node) -> Result<(), StartError> {
    let known = raft.server_metrics().borrow_watched().membership_config.get_node(&id).cloned();
    if known.as_ref() == Some(&node) {
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
/// an idle server awake. A leader whose process ends is replaced at once ([`super::failover`]); the timeouts are for
/// silence.
fn config(slowness: u32) -> Config {
    let times = |ms: u64| ms * u64::from(slowness);
    Config {
        cluster_name: "lictor".into(),
        heartbeat_interval: times(150),
        election_timeout_min: times(600),
        election_timeout_max: times(ELECTION_MAX.as_millis() as u64),
        enable_pre_vote: Some(true),
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: purge::KEEP,
        purge_batch_size: 1024,
        allow_log_reversion: Some(false),
        // A leader sends entries before they are on its own disk. If it led on in the same term after it has lost them, it
        // would make others under their ids, and no server could tell them apart.
        enable_leader_restore: Some(false),
        ..Config::default()
    }
}
