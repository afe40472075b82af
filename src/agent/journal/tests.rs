//! What is stored comes back, and what is damaged is skipped alone.

use super::row::{Change, Row, TtlState};
use super::writer::Journal;
use crate::model::{CheckDefinition, ServiceDefinition};
use proptest::prelude::*;
use std::fs;
use std::path::Path;

fn service(id: &str, port: i64) -> Row {
    let service = ServiceDefinition { id: id.into(), name: "web".into(), port, ..ServiceDefinition::default() };
    Row::Service(Box::new(service))
}

fn check(id: &str) -> Row {
    Row::Check(Box::new(CheckDefinition { id: id.into(), ttl: 1, ..CheckDefinition::default() }))
}

async fn store(dir: &Path, changes: Vec<Change>) {
    let (journal, _) = Journal::open(dir).unwrap();
    journal.slot().await.store(changes).wait().await.unwrap();
}

fn rows(dir: &Path) -> Vec<Row> {
    Journal::open(dir).unwrap().1
}

#[tokio::test]
async fn the_last_change_of_an_id_counts() {
    let dir = tempfile::tempdir().unwrap();
    let state = TtlState { id: "c".into(), status: "passing".into(), output: "ok".into(), expires_ms: 5 };
    store(dir.path(), vec![Change::Put(service("a", 1)), Change::Put(check("c")), Change::Put(Row::Ttl(state))]).await;
    store(dir.path(), vec![Change::Put(service("A", 2)), Change::Put(service("b", 3))]).await;
    store(dir.path(), vec![Change::DropService("b".into()), Change::DropCheck("C".into())]).await;
    assert_eq!(rows(dir.path()), [service("A", 2)]);
    assert_eq!(rows(dir.path()), [service("A", 2)]);
}

#[tokio::test]
async fn a_damaged_line_is_skipped_alone() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), vec![Change::Put(service("a", 1)), Change::Put(service("b", 2))]).await;
    let path = dir.path().join("agent.journal");
    let text = fs::read_to_string(&path).unwrap().replacen("\"a\"", "\"x\"", 1) + "0000 {\"put";
    fs::write(&path, text).unwrap();
    assert_eq!(rows(dir.path()), [service("b", 2)]);
}

#[tokio::test]
async fn a_file_of_another_format_is_kept_aside() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("agent.journal"), "something else").unwrap();
    assert!(rows(dir.path()).is_empty());
    assert_eq!(fs::read_to_string(dir.path().join("agent.journal.damaged")).unwrap(), "something else");
}

#[tokio::test]
async fn the_file_does_not_grow_with_the_number_of_changes() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(dir.path()).unwrap();
    for round in 0..40 {
        let changes = (0..1000).map(|port| Change::Put(service("a", round * 1000 + port))).collect();
        journal.slot().await.store(changes).wait().await.unwrap();
    }
    let size = fs::metadata(dir.path().join("agent.journal")).unwrap().len();
    assert!(size < 3 * 1024 * 1024, "{size} bytes");
    drop(journal);
    assert_eq!(rows(dir.path()), [service("a", 39_999)]);
}

proptest! {
    #[test]
    fn a_line_is_read_as_it_was_written(id in ".{1,20}", port in any::<i64>()) {
        let change = Change::Put(service(&id, port));
        prop_assert_eq!(Change::parse(change.line().unwrap().trim_end_matches('\n')).unwrap(), change);
    }

    #[test]
    fn any_line_is_answered(line in ".{0,60}") {
        let _ = Change::parse(&line);
    }
}
