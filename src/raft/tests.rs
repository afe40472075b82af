//! The storage contract of openraft, and replication as a whole on a single server.

use super::bootstrap::start_on;
use super::log_store::LogStore;
use super::state_machine::StateMachine;
use super::types::TypeConfig;
use super::{Barrier, Handle, Node, Options, ProposeError, Role};
use crate::clock::Clock;
use crate::command::{Command, Outcome, Put};
use crate::store::fault::{Disk, Fault};
use crate::store::{Checkpoint, Fatal, Log, Medium};
use crate::watch::Hub;
use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use std::sync::Arc;

pub(super) mod applied;
mod cluster;
pub(super) mod runtime;
mod session;
mod simulation;

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, ()> for Builder {
    async fn build(&self) -> Result<((), LogStore, StateMachine), StorageError<TypeConfig>> {
        let medium = Medium::Memory;
        let opened = Log::open(&medium, Fatal::new()).expect("opens");
        let log = LogStore::new(opened).expect("is empty");
        let (checkpoint, loaded) = Checkpoint::open(&medium, [7; 16], Fatal::new()).expect("opens");
        let (machine, _) = StateMachine::new(loaded, hub(), checkpoint, log.clone()).expect("is empty");
        Ok(((), log, machine))
    }
}

#[tokio::test]
async fn the_stores_keep_the_contract_of_openraft() {
    Suite::test_all(Builder).await.expect("the suite passes");
}

fn hub() -> Arc<Hub> {
    Arc::new(Hub::default())
}

fn options(clock: &Clock) -> Options {
    Options::alone(Node { name: "one".into(), ..Node::default() }, clock.clone())
}

async fn started(medium: &Medium) -> Handle {
    start_on(medium.clone(), options(&Clock::manual(1_000, 5)), hub()).await.expect("starts")
}

fn put(key: &str, value: &str) -> Command {
    Command::Put(Put { key: key.to_owned().into(), value: value.to_owned().into(), ..Put::default() })
}

fn value(handle: &Handle, key: &str) -> Option<String> {
    handle.state().kv(key.as_bytes()).map(|e| String::from_utf8_lossy(&e.value).into_owned())
}

#[tokio::test]
async fn a_new_server_leads_at_once_and_an_answer_can_be_read() {
    let handle = started(&Medium::Memory).await;
    let status = handle.status();
    assert_eq!((Role::Leader, 1), (status.role, status.id));
    assert_eq!(Some(1), status.leader.map(|(id, _)| id));
    let (revision, reply) = handle.propose(None, put("a", "1")).await.expect("is accepted");
    assert!(matches!(reply, Ok(Outcome::Put { done: true, .. })));
    assert_eq!(Some("1".into()), value(&handle, "a"));
    assert_eq!(revision, handle.state().revision());
    for level in [Barrier::Linearizable, Barrier::Lease, Barrier::Local] {
        handle.barrier(level).await.expect("leads alone");
    }
    handle.shutdown().await.expect("stops");
}

#[tokio::test]
async fn a_restart_never_goes_back_in_time() {
    let disk = Medium::Simulated(Disk::new(1));
    let mut last = 0;
    for round in 0..4 {
        let handle = started(&disk).await;
        assert!(handle.state().revision() >= last, "round {round}");
        for n in 0..round * 20 {
            assert_eq!(Some(format!("{n}")), value(&handle, &format!("{}/{n}", round - 1)), "round {round}");
        }
        for n in 0..(round + 1) * 20 {
            let (revision, _) = handle.propose(None, put(&format!("{round}/{n}"), &n.to_string())).await.expect("ok");
            last = revision;
        }
        handle.shutdown().await.expect("stops");
    }
}

#[tokio::test]
async fn every_acknowledged_write_survives_a_crash() {
    for seed in 0..8 {
        let disk = Disk::new(seed);
        let handle = started(&Medium::Simulated(disk.clone())).await;
        let cluster = handle.status().cluster;
        disk.plan(seed * 13 % 90, Fault::Crash);
        let mut acknowledged = 0;
        while handle.propose(None, put(&format!("k{acknowledged}"), "v")).await.is_ok() {
            acknowledged += 1;
        }
        let message = handle.fatal().await;
        assert!(message.contains(" on a simulated disk: cannot"), "seed {seed}: {message}");
        // A dead disk fails the last checkpoint; that is not what is tested.
        let _ = handle.shutdown().await;
        disk.restart();

        let handle = started(&Medium::Simulated(disk)).await;
        assert_eq!(cluster, handle.status().cluster, "seed {seed}");
        for n in 0..acknowledged {
            assert_eq!(Some("v".into()), value(&handle, &format!("k{n}")), "seed {seed}: write {n} of {acknowledged}");
        }
        handle.shutdown().await.expect("stops");
    }
}

#[tokio::test]
async fn a_full_disk_stops_the_server_with_the_mend() {
    for (fault, mend) in [(Fault::NoSpace, "free space on that disk"), (Fault::SyncFails, "check the disk")] {
        let disk = Disk::new(3);
        let handle = started(&Medium::Simulated(disk.clone())).await;
        handle.propose(None, put("before", "1")).await.expect("is accepted").1.expect("is done");
        disk.plan(0, fault);
        let error = handle.propose(None, put("after", "1")).await.expect_err("is not acknowledged");
        let ProposeError::Fatal(message) = error else { panic!("{fault:?}: {error:?}") };
        assert!(message.starts_with("raft-") && message.contains(mend), "{fault:?}: {message}");
        assert_eq!(message, handle.fatal().await);
        handle.propose(None, put("later", "1")).await.expect_err("nothing is acknowledged any more");
        assert_eq!(None, value(&handle, "after"), "{fault:?}");
    }
}

#[tokio::test]
async fn a_crash_while_starting_leaves_a_server_that_starts() {
    for seed in 0..60 {
        let disk = Disk::new(seed);
        disk.plan(seed, Fault::Crash);
        let options = options(&Clock::manual(1_000, 5));
        if let Ok(handle) = start_on(Medium::Simulated(disk.clone()), options.clone(), hub()).await {
            // The disk dies later, or has died when the files were closed.
            let _ = handle.shutdown().await;
        }
        disk.restart();
        let handle = start_on(Medium::Simulated(disk), options, hub()).await;
        let handle = handle.unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        assert!(handle.propose(None, put("a", "1")).await.is_ok(), "seed {seed}");
        handle.shutdown().await.expect("stops");
    }
}

#[tokio::test]
async fn the_log_is_purged_behind_the_checkpoint_only() {
    let disk = Disk::new(1);
    let handle = started(&Medium::Simulated(disk.clone())).await;
    let mut written = 0;
    while handle.status().purged == 0 {
        for _ in 0..50 {
            handle.propose(None, put(&format!("k{written}"), "v")).await.expect("is accepted").1.expect("is done");
            written += 1;
        }
    }
    disk.restart();
    // The old handle's files are dead; it is dropped without a last word.
    drop(handle);
    let opened = Log::open(&Medium::Simulated(disk.clone()), Fatal::new()).expect("opens");
    opened.log.close().await.expect("closes");
    let cluster = opened.identity.expect("was set up").cluster;
    let (checkpoint, loaded) =
        Checkpoint::open(&Medium::Simulated(disk.clone()), cluster, Fatal::new()).expect("opens");
    checkpoint.close().await.expect("closes");
    assert!(loaded.position.map(|p| p.index) >= opened.purged.map(|(index, _)| index));
    let handle = started(&Medium::Simulated(disk)).await;
    for n in 0..written {
        assert_eq!(Some("v".into()), value(&handle, &format!("k{n}")), "write {n} of {written}");
    }
}

#[tokio::test]
async fn half_a_data_directory_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options { data_dir: Some(dir.path().into()), ..options(&Clock::manual(1_000, 5)) };
    let handle = super::start(options.clone(), hub()).await.expect("starts");
    handle.propose(None, put("a", "1")).await.expect("is accepted").1.expect("is done");
    handle.shutdown().await.expect("stops");
    let segment = dir.path().join("raft-0000000000000000.log");
    let aside = dir.path().join("aside");
    std::fs::rename(&segment, &aside).expect("moves");
    let error = super::start(options.clone(), hub()).await.expect_err("is refused").to_string();
    assert!(error.contains("raft-0000000000000000.log: it is missing, and with it the raft log; restore"), "{error}");
    std::fs::rename(&aside, &segment).expect("moves");
    std::fs::remove_file(dir.path().join("raft.redb")).expect("removes");
    let error = super::start(options, hub()).await.expect_err("is refused");
    assert_eq!(
        "the data directory is incomplete: there is a checkpoint, but no raft log; restore both files from one backup, \
         or remove both",
        error.to_string()
    );
}

#[tokio::test]
async fn a_new_name_or_address_reaches_the_membership() {
    let disk = Medium::Simulated(Disk::new(1));
    let handle = started(&disk).await;
    let first = handle.status();
    handle.shutdown().await.expect("stops");
    let node = Node { name: "one".into(), address: "10.0.0.9:8300".into(), ..Node::default() };
    let moved = Options { node, ..options(&Clock::manual(1_000, 5)) };
    let handle = start_on(disk.clone(), moved, hub()).await.expect("starts");
    let status = handle.status();
    assert_eq!("10.0.0.9:8300", status.members[0].node.address);
    assert_eq!((first.cluster, first.id), (status.cluster, status.id));
    assert_eq!(1, status.members.len());
    handle.shutdown().await.expect("stops");
}
