//! The checkpoint: durability, crashes, history and foreign files.

use super::{CLUSTER, Random, batch, batch_of, contents};
use crate::machine::State;
use crate::store::checkpoint::{BRAKE_FROM, PENDING_LIMIT, PENDING_TARGET};
use crate::store::fault::{Disk, Fault};
use crate::store::tables::{self, FORMAT, META_FORMAT, STATE_FILE};
use crate::store::{Checkpoint, Fatal, Loaded, Medium, StoreError};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

fn open(disk: &Disk) -> (Checkpoint, Loaded) {
    Checkpoint::open(&Medium::Simulated(disk.clone()), CLUSTER, Fatal::new()).expect("opens")
}

#[tokio::test]
async fn a_flush_makes_everything_before_it_durable() {
    let disk = Disk::new(1);
    let (checkpoint, loaded) = open(&disk);
    assert_eq!(None, loaded.position);
    let mut state = State::new();
    checkpoint.push(batch(&mut state, 1, ["a".into(), "b".into()])).await;
    let last = batch(&mut state, 3, ["a".into()]);
    let position = last.position.clone();
    checkpoint.push(last).await;
    checkpoint.flush().await.expect("flushes");
    assert_eq!(Some(3), *checkpoint.durable().borrow());
    checkpoint.close().await.expect("closes");
    disk.restart();
    let (_, loaded) = open(&disk);
    assert_eq!(Some(position), loaded.position);
    assert_eq!(contents(&state), contents(&loaded.state));
    assert_eq!(state.meta(), loaded.state.meta());
    assert_eq!(0, loaded.floor);
    assert_eq!(vec![1, 2, 3], loaded.events.iter().map(|e| e.revision).collect::<Vec<_>>());
}

/// In virtual time, on a disk that takes seconds. It makes no difference whether many changes wait or large ones.
#[tokio::test(start_paused = true)]
async fn applying_is_braked_before_it_must_wait_for_room() {
    for (keys, value) in [(2048, 2), (4, 200_000)] {
        let disk = Disk::in_tasks(1);
        let (checkpoint, _) = open(&disk);
        disk.slow_down(10_000);
        let (mut state, mut next) = (State::new(), 1);
        let mut push = async || {
            let keys = (0..keys).map(|key| format!("key {key}"));
            let delta = batch_of(&mut state, next, keys, |_, index| index.to_string().repeat(value));
            next = delta.position.index + 1;
            let weight = delta.weight();
            let begun = Instant::now();
            checkpoint.push(delta).await;
            (weight, begun.elapsed())
        };
        // The writer takes the first third when it is together, and is away with it.
        let mut taken = 0;
        while taken < PENDING_TARGET {
            let (weight, waited) = push().await;
            assert_eq!(Duration::ZERO, waited);
            taken += weight;
        }
        tokio::task::yield_now().await;
        let (mut waiting, mut braked) = (0, Vec::new());
        while waiting < PENDING_LIMIT {
            let (weight, waited) = push().await;
            waiting += weight;
            match waiting <= BRAKE_FROM {
                true => assert_eq!(Duration::ZERO, waited),
                false => braked.push(waited),
            }
        }
        assert!(braked.is_sorted() && braked.len() > 8 && !braked[0].is_zero(), "{braked:?}");
        assert!(braked.iter().all(|waited| *waited < Duration::from_millis(5)), "{braked:?}");
        let (_, waited) = push().await;
        assert!(waited > Duration::from_secs(1), "at the limit there is no room until the disk is done: {waited:?}");
        disk.slow_down(0);
        checkpoint.close().await.expect("closes");
    }
}

#[tokio::test]
async fn after_a_crash_the_checkpoint_is_exactly_one_that_was_made() {
    for seed in 0..20 {
        let mut random = Random(seed);
        let disk = Disk::new(seed);
        let (checkpoint, _) = open(&disk);
        disk.plan(random.below(150), Fault::Crash);
        let mut state = State::new();
        let mut made = BTreeMap::from([(None, Vec::new())]);
        let mut sure = None;
        let mut next = 1;
        loop {
            let keys: Vec<_> = (0..=random.below(30)).map(|_| format!("key {}", random.below(40))).collect();
            let delta = batch(&mut state, next, keys);
            next = delta.position.index + 1;
            made.insert(Some(delta.position.index), contents(&state));
            checkpoint.push(delta).await;
            if checkpoint.flush().await.is_err() {
                break;
            }
            sure = Some(next - 1);
        }
        disk.restart();
        let (_, loaded) = open(&disk);
        let index = loaded.position.map(|p| p.index);
        assert!(index >= sure, "seed {seed}: {index:?} is before the acknowledged {sure:?}");
        assert_eq!(made[&index], contents(&loaded.state), "seed {seed}: at {index:?}");
        assert_eq!(index.unwrap_or(0), loaded.state.revision(), "seed {seed}");
    }
}

#[tokio::test]
async fn a_failing_disk_is_fatal_and_frees_those_who_wait() {
    let disk = Disk::new(1);
    let fatal = Fatal::new();
    let (checkpoint, _) = Checkpoint::open(&Medium::Simulated(disk.clone()), CLUSTER, fatal.clone()).expect("opens");
    disk.plan(0, Fault::NoSpace);
    let mut state = State::new();
    checkpoint.push(batch(&mut state, 1, ["a".into()])).await;
    checkpoint.flush().await.expect_err("cannot be durable");
    let message = fatal.wait().await;
    assert!(message.starts_with("state.redb on a simulated disk: cannot write the checkpoint"), "{message}");
    checkpoint.flush().await.expect_err("the writer has stopped");
    checkpoint.push(batch(&mut state, 2, ["a".into()])).await;
}

#[tokio::test]
async fn what_has_changed_is_written_without_being_asked() {
    let (checkpoint, _) = open(&Disk::new(1));
    let mut durable = checkpoint.durable();
    checkpoint.push(batch(&mut State::new(), 1, ["a".into()])).await;
    durable.wait_for(|index| *index == Some(1)).await.expect("the writer lives");
}

#[tokio::test]
async fn the_history_is_trimmed_to_its_limit() {
    let disk = Disk::new(1);
    let (checkpoint, _) = open(&disk);
    let mut state = State::new();
    let value = "v".repeat(80 << 10);
    for revision in 1..=30 {
        checkpoint.push(batch(&mut state, revision, [value.clone()])).await;
        checkpoint.flush().await.expect("flushes");
    }
    checkpoint.close().await.expect("closes");
    let (_, loaded) = open(&disk);
    let revisions: Vec<_> = loaded.events.iter().map(|e| e.revision).collect();
    assert!(revisions.len() < 30 && revisions.last() == Some(&30), "{revisions:?}");
    assert!(revisions.is_sorted());
    assert_eq!(revisions[0] - 1, loaded.floor);
}

#[tokio::test]
async fn of_a_burst_the_newest_history_is_kept() {
    let disk = Disk::new(1);
    let (checkpoint, _) = open(&disk);
    let mut state = State::new();
    checkpoint.push(batch(&mut state, 1, ["a".into(), "b".into()])).await;
    checkpoint.flush().await.expect("flushes");
    let burst = (0..40).map(|_| "a".to_owned());
    checkpoint.push(batch_of(&mut state, 3, burst, |_, index| "v".repeat(200_000 + index as usize))).await;
    checkpoint.flush().await.expect("flushes");
    checkpoint.push(batch(&mut state, 43, ["b".into()])).await;
    checkpoint.close().await.expect("closes");
    let (_, loaded) = open(&disk);
    assert_eq!(22, loaded.floor, "4 MiB are 20 of these");
    assert_eq!((23..=43).collect::<Vec<u64>>(), loaded.events.iter().map(|e| e.revision).collect::<Vec<_>>());
}

#[tokio::test]
async fn another_cluster_and_a_newer_format_are_refused() {
    let medium = Medium::Simulated(Disk::new(1));
    let (checkpoint, _) = Checkpoint::open(&medium, CLUSTER, Fatal::new()).expect("opens");
    checkpoint.close().await.expect("closes");
    let error = Checkpoint::open(&medium, [1; 16], Fatal::new()).expect_err("is refused");
    assert!(error.to_string().contains("it belongs to another cluster than the raft log"));
    let database = medium.open(STATE_FILE, 1 << 20).expect("opens");
    tables::write_meta(&database, "x", META_FORMAT, &(FORMAT + 1).to_le_bytes()).expect("writes");
    drop(database);
    let error = Checkpoint::open(&medium, CLUSTER, Fatal::new()).expect_err("is refused");
    assert!(matches!(error, StoreError::NewerFormat { .. }), "{error}");
}
