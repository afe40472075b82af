//! The raft log: durability, order, purge, formats and failing disks.

use super::Random;
use crate::store::fault::{Disk, Fault};
use crate::store::tables::{self, FORMAT, LOG_FILE, META_FORMAT};
use crate::store::{Fatal, Identity, Log, Medium, OpenedLog, StoreError};
use bytes::Bytes;
use std::collections::BTreeMap;
use tokio::sync::oneshot;

fn open(disk: &Disk) -> OpenedLog {
    Log::open(&Medium::Simulated(disk.clone()), Fatal::new()).expect("opens")
}

/// Queues an append; the receiver tells when it is durable.
async fn append(log: &Log, entries: Vec<(u64, Bytes)>) -> oneshot::Receiver<std::io::Result<()>> {
    let (sender, receiver) = oneshot::channel();
    // A closed log drops the callback, and the receiver fails with it.
    let _ = log.append(entries, Box::new(move |result| drop(sender.send(result)))).await;
    receiver
}

async fn append_and_wait(log: &Log, entries: Vec<(u64, Bytes)>) -> bool {
    matches!(append(log, entries).await.await, Ok(Ok(())))
}

fn entry(index: u64, tag: u64) -> (u64, Bytes) {
    (index, Bytes::from(format!("entry {index} {tag} {}", "x".repeat((tag % 700) as usize))))
}

/// What the log must hold after a crash: every index with what may stand there.
#[derive(Default)]
struct Model {
    /// Acknowledged, and not truncated since.
    sure: BTreeMap<u64, Bytes>,
    /// Everything that was ever written at an index.
    written: BTreeMap<u64, Vec<Bytes>>,
    purged: Option<u64>,
    vote: Vec<u8>,
}

impl Model {
    /// Compares; returns the log and the index that comes next.
    fn check(&self, disk: &Disk, seed: u64) -> (Log, u64) {
        let opened = open(disk);
        let purged = opened.purged.map(|(index, _)| index);
        assert!(purged <= self.purged, "seed {seed}: purged more than was asked");
        let last = opened.last.map(|(index, _)| index);
        let found: BTreeMap<_, _> = opened.log.read(0..=u64::MAX - 1, usize::MAX).expect("reads").into_iter().collect();
        for (index, bytes) in &self.sure {
            if Some(*index) > purged {
                assert_eq!(Some(&bytes[..]), found.get(index).map(Vec::as_slice), "seed {seed}: entry {index}");
            }
        }
        let mut expected = None;
        for (index, bytes) in found.iter().filter(|(index, _)| Some(**index) > purged) {
            assert!(expected.is_none_or(|e| e == *index), "seed {seed}: a hole before {index}");
            assert!(self.written[index].iter().any(|w| w == bytes), "seed {seed}: entry {index} was never written");
            expected = Some(index + 1);
        }
        assert_eq!(expected.map(|e| e - 1), last, "seed {seed}: last entry");
        assert!(opened.vote.unwrap_or_default() >= self.vote, "seed {seed}: the vote went back");
        (opened.log, last.max(purged).map_or(0, |last| last + 1))
    }
}

/// Random work until the disk dies.
async fn work_until_crash(log: &Log, mut next: u64, random: &mut Random, model: &mut Model) {
    loop {
        let alive = match random.below(10) {
            0 if next > 0 => {
                let from = next - random.below(next.min(5) + 1).min(next - model.purged.map_or(0, |p| p + 1));
                model.sure.split_off(&from);
                next = from;
                log.truncate_from(from).await.is_ok()
            }
            1 if next > 0 => {
                let purged = random.below(next).max(model.purged.unwrap_or(0));
                model.purged = Some(purged);
                log.purge_through(purged, b"id".to_vec()).await.is_ok()
            }
            2 => {
                let vote = vec![model.vote.first().map_or(1, |v| v + 1)];
                let saved = log.save_vote(vote.clone()).await.is_ok();
                if saved {
                    model.vote = vote;
                }
                saved
            }
            _ => {
                let mut waiting = Vec::new();
                for _ in 0..=random.below(4) {
                    let tag = random.below(1_000_000);
                    let entries: Vec<_> = (0..=random.below(3)).map(|n| entry(next + n, tag + n)).collect();
                    next += entries.len() as u64;
                    for (index, bytes) in &entries {
                        model.written.entry(*index).or_default().push(bytes.clone());
                    }
                    waiting.push((entries.clone(), append(log, entries).await));
                }
                let mut alive = true;
                for (entries, receiver) in waiting {
                    let durable = matches!(receiver.await, Ok(Ok(())));
                    assert!(alive || !durable, "acknowledged after a failure");
                    alive = durable;
                    if durable {
                        model.sure.extend(entries);
                    }
                }
                alive
            }
        };
        if !alive {
            return;
        }
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_crashes_at_random_points() {
    for seed in 0..60 {
        let mut random = Random(seed);
        let disk = Disk::new(seed);
        let mut model = Model::default();
        let (mut log, mut next) = (open(&disk).log, 0);
        for _ in 0..4 {
            disk.plan(random.below(120), Fault::Crash);
            work_until_crash(&log, next, &mut random, &mut model).await;
            log.close().await.expect_err("the disk is dead");
            disk.restart();
            (log, next) = model.check(&disk, seed);
            // From here on it must stay what it is: later entries are acknowledged on top of it.
            let found = log.read(0..=u64::MAX - 1, usize::MAX).expect("reads");
            model.sure = found.into_iter().map(|(index, bytes)| (index, bytes.into())).collect();
        }
    }
}

#[tokio::test]
async fn after_a_failure_nothing_is_acknowledged() {
    for (fault, reason, mend) in [
        (Fault::SyncFails, "input/output error", "check the disk"),
        (Fault::NoSpace, "no space left on device", "free space on that disk"),
        (Fault::Crash, "the power is off", "check the disk"),
    ] {
        let disk = Disk::new(11);
        let fatal = Fatal::new();
        let log = Log::open(&Medium::Simulated(disk.clone()), fatal.clone()).expect("opens").log;
        assert!(append_and_wait(&log, vec![entry(0, 0)]).await);
        disk.plan(0, fault);
        assert!(!append_and_wait(&log, vec![entry(1, 0)]).await, "{fault:?}");
        let message = fatal.wait().await;
        assert!(
            message.starts_with("raft-0000000000000000.log on a simulated disk: cannot write the raft log"),
            "{message}"
        );
        assert!(message.contains(reason) && message.contains(mend), "{fault:?}: {message}");
        assert!(!append_and_wait(&log, vec![entry(1, 0)]).await, "{fault:?}: acknowledged afterwards");
        log.save_vote(vec![1]).await.expect_err("acknowledged afterwards");
    }
}

#[tokio::test]
async fn many_appends_share_one_sync() {
    let disk = Disk::new(5);
    let log = open(&disk).log;
    assert!(append_and_wait(&log, vec![entry(0, 0)]).await);
    let before = disk.syncs();
    let mut waiting = Vec::new();
    for index in 1..=500 {
        waiting.push(append(&log, vec![entry(index, 0)]).await);
    }
    for receiver in waiting {
        receiver.await.expect("answers").expect("is durable");
    }
    let syncs = disk.syncs() - before;
    assert!(syncs < 500, "{syncs} syncs for 500 appends");
}

#[tokio::test]
async fn identity_vote_and_marks_persist() {
    let disk = Disk::new(2);
    let opened = open(&disk);
    assert_eq!((None, None), (opened.identity, opened.vote));
    let identity = Identity { cluster: [4; 16], node: 77 };
    opened.log.save_identity(identity).await.expect("saves");
    opened.log.save_vote(b"vote".to_vec()).await.expect("saves");
    assert!(append_and_wait(&opened.log, (1..=20).map(|n| entry(n, 0)).collect()).await);
    opened.log.note_committed(19, b"nineteen".to_vec());
    opened.log.purge_through(12, b"twelve".to_vec()).await.expect("queues");
    opened.log.close().await.expect("closes");

    let opened = open(&disk);
    assert_eq!(Some(identity), opened.identity);
    assert_eq!(Some(b"vote".to_vec()), opened.vote);
    assert_eq!(Some(b"nineteen".to_vec()), opened.committed);
    assert_eq!(Some((12, b"twelve".to_vec())), opened.purged);
    assert_eq!(Some(20), opened.last.map(|(index, _)| index));
}

#[tokio::test]
async fn committed_never_names_an_entry_that_is_not_on_disk() {
    let disk = Disk::new(2);
    let opened = open(&disk);
    assert!(append_and_wait(&opened.log, vec![entry(5000, 0)]).await);
    opened.log.note_committed(5001, b"later".to_vec());
    opened.log.save_vote(b"v".to_vec()).await.expect("saves");
    disk.restart();
    let opened = open(&disk);
    assert_eq!(None, opened.committed);
    opened.log.note_committed(5001, b"later".to_vec());
    assert!(append_and_wait(&opened.log, vec![entry(5001, 0)]).await);
    disk.restart();
    assert_eq!(Some(b"later".to_vec()), open(&disk).committed);
}

#[tokio::test]
async fn a_purge_keeps_what_comes_later_and_a_truncation_leaves_no_trace() {
    let disk = Disk::new(8);
    let log = open(&disk).log;
    let total = 20_000;
    assert!(append_and_wait(&log, (0..total).map(|n| entry(n, 0)).collect()).await);
    log.purge_through(17_999, b"p".to_vec()).await.expect("queues");
    log.truncate_from(19_000).await.expect("queues");
    assert!(append_and_wait(&log, vec![entry(19_000, 5)]).await);
    log.close().await.expect("closes");
    let opened = open(&disk);
    assert_eq!(Some(19_000), opened.last.map(|(index, _)| index));
    let found = opened.log.read(18_000..=total, usize::MAX).expect("reads");
    assert_eq!((1001, 18_000), (found.len(), found[0].0));
    assert_eq!(entry(19_000, 5).1[..], found[1000].1[..]);
    let few = opened.log.read(18_000..=total, 100).expect("reads");
    assert!(!few.is_empty() && few.len() < 10);
}

#[tokio::test]
async fn purged_files_are_taken_over_and_never_pile_up() {
    let dir = tempfile::tempdir().expect("a directory");
    let medium = Medium::Directory(dir.path().to_owned());
    let mut log = Log::open(&medium, Fatal::new()).expect("opens").log;
    let mut next = 0;
    for round in 0..40 {
        // Some segments each, with a purge that leaves a part of the last one.
        for _ in 0..5 {
            assert!(append_and_wait(&log, (next..next + 60).map(|n| entry(n, 199)).collect()).await);
            next += 60;
        }
        log.purge_through(next - 7, b"p".to_vec()).await.expect("queues");
        if round % 10 == 9 {
            log.close().await.expect("closes");
            let opened = Log::open(&medium, Fatal::new()).expect("opens");
            assert_eq!(Some(next - 1), opened.last.map(|(index, _)| index));
            log = opened.log;
        }
        let found = log.read(next - 6..=next, usize::MAX).expect("reads");
        let expected: Vec<_> = (next - 6..next).map(|n| (n, entry(n, 199).1.to_vec())).collect();
        assert_eq!(expected, found);
    }
    let files = std::fs::read_dir(dir.path()).expect("lists").count();
    assert!(files <= 12, "{files} files");
}

#[tokio::test]
async fn a_segment_that_is_damaged_in_the_middle_of_the_log_is_refused() {
    let disk = Disk::new(3);
    let log = open(&disk).log;
    for n in 0..4 {
        assert!(append_and_wait(&log, (n * 100..n * 100 + 100).map(|n| entry(n, 199)).collect()).await);
    }
    log.close().await.expect("closes");
    let medium = Medium::Simulated(disk);
    let file = medium.open_file("raft-0000000000000000.log").expect("opens");
    file.write(1000, b"damage").expect("writes");
    let error = Log::open(&medium, Fatal::new()).expect_err("is refused").to_string();
    assert!(error.starts_with("raft-0000000000000001.log on a simulated disk: the entries between"), "{error}");
}

#[test]
fn a_file_of_a_newer_format_is_refused() {
    let disk = Medium::Simulated(Disk::new(1));
    let database = disk.open(LOG_FILE, 1 << 20).expect("opens");
    tables::write_meta(&database, "x", META_FORMAT, &(FORMAT + 1).to_le_bytes()).expect("writes");
    drop(database);
    let error = Log::open(&disk, Fatal::new()).expect_err("is refused");
    assert!(matches!(error, StoreError::NewerFormat { found: 2, supported: 1, .. }));
    assert_eq!(
        "raft.redb on a simulated disk: format 2 is newer than 1, the newest this version reads; run a newer version",
        error.to_string()
    );
}

#[test]
fn a_file_in_use_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let medium = Medium::Directory(dir.path().to_owned());
    let _open = Log::open(&medium, Fatal::new()).expect("opens");
    let error = Log::open(&medium, Fatal::new()).expect_err("is refused");
    assert!(
        error.to_string().ends_with("raft.redb: in use by another process; stop it, or choose another data directory")
    );
}
