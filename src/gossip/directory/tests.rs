//! Statements and lives in every order.

use super::*;
use crate::gossip::peer::Peer;

fn record(name: &str, id: u128, port: u16, generation: u64, version: u32) -> Record {
    let peer = Peer { address: SocketAddr::from(([10, 0, 0, 1], port)), generation };
    Record { name: name.into(), id: Uuid::from_u128(id), peer, version, tags: BTreeMap::new(), leaving: false }
}

fn up(record: &Record) -> Change {
    Change::Up(record.peer)
}

fn down(record: &Record) -> Change {
    Change::Down(record.peer)
}

fn status(directory: &Directory, name: &str) -> Option<Status> {
    directory.named(name).and_then(|(_, status)| status)
}

#[test]
fn statement_and_life_may_come_in_any_order() {
    let a = record("a", 1, 1, 5, 0);
    for life_first in [true, false] {
        let mut directory = Directory::default();
        if life_first {
            directory.life(up(&a), 1);
            assert_eq!(directory.nameless(), [a.peer.address]);
        }
        assert_eq!(directory.merge(a.clone(), None, 1), Merged::News);
        if !life_first {
            assert_eq!(status(&directory, "a"), None);
            directory.life(up(&a), 1);
        }
        assert_eq!(status(&directory, "A"), Some(Status::Alive));
        assert!(directory.nameless().is_empty());
        assert_eq!(directory.merge(a.clone(), None, 1), Merged::Known);
    }
}

#[test]
fn who_said_so_has_left_and_who_did_not_has_failed() {
    let (a, mut b) = (record("a", 1, 1, 5, 0), record("b", 2, 2, 5, 0));
    let mut directory = Directory::default();
    for one in [&a, &b] {
        directory.merge(one.clone(), None, 1);
        directory.life(up(one), 1);
    }
    (b.leaving, b.version) = (true, 1);
    directory.merge(b.clone(), None, 2);
    assert_eq!(status(&directory, "b"), Some(Status::Leaving));
    directory.life(down(&a), 3);
    directory.life(down(&b), 3);
    assert_eq!((status(&directory, "a"), status(&directory, "b")), (Some(Status::Failed), Some(Status::Left)));
    let members = directory.members().unwrap();
    assert_eq!(members.iter().map(|m| (m.name.as_str(), m.since_ms)).collect::<Vec<_>>(), [("a", 3), ("b", 3)]);
    assert!(directory.members().is_none());
    directory.reap(3, 10);
    assert!(directory.named("a").is_some());
    directory.reap(14, 10);
    assert!(directory.named("a").is_none() && directory.named("b").is_none());
}

#[test]
fn a_restart_and_a_new_address_are_the_same_member() {
    let (first, again, moved) = (record("a", 1, 1, 5, 3), record("a", 1, 1, 6, 0), record("a", 1, 9, 7, 0));
    let mut directory = Directory::default();
    directory.merge(first.clone(), None, 1);
    directory.life(up(&first), 1);
    directory.life(Change::Replaced(first.peer, again.peer), 2);
    assert_eq!(status(&directory, "a"), Some(Status::Alive), "its statement is on its way");
    assert_eq!(directory.nameless(), [again.peer.address]);
    assert_eq!(directory.merge(again.clone(), None, 2), Merged::News);
    assert_eq!(directory.merge(first, None, 2), Merged::Known, "what is old stays out");
    directory.merge(moved.clone(), None, 3);
    directory.life(up(&moved), 3);
    directory.life(down(&again), 9);
    let (record, status) = directory.named("a").unwrap();
    assert_eq!((record.peer, status), (moved.peer, Some(Status::Alive)));
}

#[test]
fn a_name_belongs_to_the_first_who_lives() {
    let (a, thief) = (record("a", 1, 1, 5, 0), record("A", 2, 2, 6, 0));
    let mut directory = Directory::default();
    directory.merge(a.clone(), None, 1);
    directory.life(up(&a), 1);
    assert_eq!(directory.merge(thief.clone(), None, 2), Merged::NameTaken);
    directory.life(down(&a), 3);
    assert_eq!(directory.merge(thief.clone(), None, 4), Merged::News);
    directory.life(up(&thief), 4);
    assert_eq!(directory.named("a").unwrap().0.id, thief.id);
    // Another name for the same id is a new name.
    let renamed = Record { name: "z".into(), version: 1, ..thief };
    directory.merge(renamed, None, 5);
    assert!(directory.named("a").is_none());
    assert_eq!(status(&directory, "z"), Some(Status::Alive));
}

#[test]
fn another_member_on_the_same_address_ends_the_first() {
    let (a, b) = (record("a", 1, 1, 5, 0), record("b", 2, 1, 6, 0));
    let mut directory = Directory::default();
    directory.merge(a.clone(), None, 1);
    directory.life(up(&a), 1);
    directory.life(Change::Replaced(a.peer, b.peer), 2);
    directory.merge(b, None, 2);
    assert_eq!((status(&directory, "a"), status(&directory, "b")), (Some(Status::Failed), Some(Status::Alive)));
}

#[test]
fn operators_end_what_has_failed_and_nothing_else() {
    let a = record("a", 1, 1, 5, 0);
    let verdict = Verdict { id: a.id, generation: 5, prune: false };
    let mut directory = Directory::default();
    directory.merge(a.clone(), None, 1);
    directory.life(up(&a), 1);
    assert!(!directory.condemn(verdict, 2), "it lives");
    directory.life(down(&a), 3);
    assert!(directory.condemn(verdict, 4));
    assert!(!directory.condemn(verdict, 4), "no news");
    assert_eq!(status(&directory, "a"), Some(Status::Left));
    assert!(directory.condemn(Verdict { prune: true, ..verdict }, 5));
    assert_eq!(directory.merge(a.clone(), Some(Status::Failed), 6), Merged::Known, "it stays away");
    let back = record("a", 1, 1, 6, 0);
    assert_eq!(directory.merge(back, None, 7), Merged::News, "until it lives again");
}

#[test]
fn what_others_have_seen_counts_where_nothing_else_is_known() {
    let (a, b, c) = (record("a", 1, 1, 5, 0), record("b", 2, 2, 5, 0), record("c", 3, 3, 5, 0));
    let mut directory = Directory::default();
    directory.merge(a.clone(), Some(Status::Failed), 1);
    directory.merge(b.clone(), Some(Status::Left), 1);
    directory.merge(c.clone(), Some(Status::Alive), 1);
    assert_eq!(["a", "b", "c"].map(|n| status(&directory, n)), [Some(Status::Failed), Some(Status::Left), None]);
    directory.life(up(&a), 2);
    directory.merge(a, Some(Status::Left), 3);
    assert_eq!(status(&directory, "a"), Some(Status::Alive), "who lives has not left");
}

#[test]
fn nobody_takes_the_address_of_who_keeps_the_records() {
    let (own, other) = (record("own", 1, 1, 5, 0), record("other", 2, 1, 9, 0));
    let mut directory = Directory::of(own.id);
    directory.merge(own.clone(), None, 1);
    directory.life(up(&own), 1);
    assert_eq!(directory.merge(other, None, 2), Merged::News);
    assert_eq!(directory.name_at(&own.peer.address), Some("own"));
    assert_eq!((status(&directory, "own"), status(&directory, "other")), (Some(Status::Alive), None));
}
