//! Sessions that depend on a node and checks, lock delays, and network coordinates.

use super::*;
use crate::command::*;
use crate::model::{Behavior, Check, Coordinate, Health, NodeBinding, NodeRecord};
use bytes::Bytes;

fn node(name: &str, checks: &[(&str, Health)]) -> Command {
    let check = |(id, health): &(&str, Health)| {
        let check = Check { id: (*id).into(), health: *health, ..Check::default() };
        CatalogCheck { service_id: Default::default(), check }
    };
    let node = NodeRecord { name: name.into(), address: "10.0.0.1".into(), ..NodeRecord::default() };
    let checks = checks.iter().map(check).collect();
    Command::CatalogRegister(Box::new(CatalogRegister { node, skip_node_update: false, service: None, checks }))
}

fn bound(id: u128, node: &str, check: Option<&str>, lock_delay_ns: u64) -> Command {
    let node_checks = Some(check.map(Into::into).into_iter().collect());
    let binding = NodeBinding { node: node.into(), node_checks, lock_delay_ns, ..NodeBinding::default() };
    let id = Uuid::from_u128(id);
    Command::CreateSession(CreateSession { id, binding: Some(Box::new(binding)), ..CreateSession::default() })
}

fn acquire(key: &'static str, session: u128) -> Command {
    let lock = LockOp::Acquire(Uuid::from_u128(session));
    Command::Put(Put { key: key.into(), value: session.to_string().into(), lock, ..Put::default() })
}

fn done(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Put { done: true, .. })
}

fn close(id: u128) -> Command {
    Command::CloseSession(CloseSession { id: Uuid::from_u128(id) })
}

fn lives(server: &Server, id: u128) -> bool {
    server.state.session(&Uuid::from_u128(id)).is_some()
}

#[test]
fn a_session_needs_its_node_and_living_checks() {
    let mut server = Server::default();
    let why = |rejection: Rejection| rejection.to_string();
    assert_eq!(why(server.err(bound(1, "n", None, 0))), "Missing node registration");
    server.ok(node("N", &[("bad", Health::Critical), ("slow", Health::Warning)]));
    assert_eq!(why(server.err(bound(1, "n", Some("c"), 0))), "Missing check 'c' registration");
    assert_eq!(why(server.err(bound(1, "n", Some("bad"), 0))), "Check 'bad' is in critical state");
    server.ok(bound(1, "n", Some("SLOW"), 0));
    assert_eq!(server.state.sessions_bound_to("N").count(), 1);
}

#[test]
fn it_ends_with_its_check_and_with_its_node_only() {
    let mut server = Server::default();
    server.ok(node("n", &[("a", Health::Passing), ("b", Health::Passing)]));
    server.ok(bound(1, "n", Some("a"), 0));
    server.ok(bound(2, "n", Some("b"), 0));
    server.ok(bound(3, "n", None, 0));
    server.ok(acquire("k", 1));
    server.ok(node("n", &[("a", Health::Warning)]));
    assert!(lives(&server, 1));
    server.ok(node("n", &[("a", Health::Critical)]));
    assert!(!lives(&server, 1) && lives(&server, 2) && lives(&server, 3));
    assert_eq!(server.state.kv(b"k").and_then(|entry| entry.session), None);
    let (node, check_id) = ("n".into(), "b".into());
    server.ok(Command::CatalogDeregister(CatalogDeregister { node, check_id, ..CatalogDeregister::default() }));
    assert!(!lives(&server, 2) && lives(&server, 3));
    server.ok(Command::CatalogDeregister(CatalogDeregister { node: "N".into(), ..CatalogDeregister::default() }));
    assert!(!lives(&server, 3));
    assert_eq!(server.state.sessions_bound_to("n").count(), 0);
}

#[test]
fn the_end_of_a_session_keeps_its_keys_from_being_locked_for_a_while() {
    let mut server = Server::default();
    server.ok(node("n", &[]));
    for (id, delay_ns) in [(1, 15_000_000_000), (2, 0), (3, 1)] {
        server.ok(bound(id, "n", None, delay_ns));
    }
    assert!(done(&server.ok(acquire("k", 1))));
    server.ok(close(1));
    assert_eq!(server.reloaded().is_lock_delayed(b"k"), server.state.is_lock_delayed(b"k"));
    assert!(!done(&server.ok(acquire("k", 2))), "delayed");
    assert!(done(&server.ok(acquire("other", 2))), "another key is not");
    server.time_ms += 14_999;
    assert!(!done(&server.ok(acquire("k", 2))));
    server.time_ms += 1;
    assert!(done(&server.ok(acquire("k", 2))));
    server.ok(close(2));
    assert!(done(&server.ok(acquire("k", 3))), "no delay was asked for");
    server.ok(close(3));
    assert!(server.state.is_lock_delayed(b"k"), "less than a millisecond counts as one");
    // Any write drops what is over.
    server.time_ms += 1;
    server.ok(Command::Put(Put { key: "x".into(), ..Put::default() }));
    assert!(server.state.lock_delays.is_empty() && server.state.lock_delay_ends.is_empty());
}

#[test]
fn deleted_keys_are_delayed_and_released_ones_are_not() {
    let mut server = Server::default();
    server.ok(node("n", &[]));
    let Command::CreateSession(create) = bound(1, "n", None, 1_000_000_000) else { unreachable!("made so") };
    server.ok(Command::CreateSession(CreateSession { behavior: Behavior::Delete, ..create }));
    server.ok(acquire("held", 1));
    server.ok(acquire("released", 1));
    let lock = LockOp::Release(Uuid::from_u128(1));
    server.ok(Command::Put(Put { key: "released".into(), lock, ..Put::default() }));
    server.ok(close(1));
    assert!(server.state.kv(b"held").is_none() && server.state.is_lock_delayed(b"held"));
    assert!(server.state.kv(b"released").is_some() && !server.state.is_lock_delayed(b"released"));
}

#[test]
fn coordinates_belong_to_nodes_of_the_catalog() {
    let mut server = Server::default();
    server.ok(node("N", &[]));
    let place = |node: &str, x: f64| Coordinate {
        vec: [x, 0., 0., 0., 0., 0., 0., 0.],
        node: node.into(),
        ..Coordinate::default()
    };
    let update = |list: Vec<Coordinate>| Command::UpdateCoordinates(UpdateCoordinates { coordinates: list });
    let moved = server.ok(update(vec![place("n", 1.0), place("unknown", 1.0)]));
    assert_eq!(moved, Outcome::CoordinatesUpdated(1));
    assert_eq!(server.state.coordinates().map(|c| c.node.as_str()).collect::<Vec<_>>(), ["N"]);
    let again = server.apply(update(vec![place("N", 1.0)]));
    assert!(again.changes.is_empty());
    server.ok(node("m", &[]));
    server.ok(update(vec![place("m", 3.0)]));
    assert_eq!(server.state.distance_s("n", "M"), Some(2.0));
    assert_eq!(server.state.distance_s("n", "x"), None);
    server.ok(Command::CatalogDeregister(CatalogDeregister { node: "n".into(), ..CatalogDeregister::default() }));
    assert_eq!(server.state.coordinates().count(), 1);
    assert_eq!(server.reloaded().coordinates().count(), 1);
}

#[test]
fn rows_of_a_release_without_coordinates_are_read() {
    let mut server = Server::default();
    server.ok(Command::Put(Put { key: Bytes::from("k"), ..Put::default() }));
    let meta = server.rows.get_mut(&(rows::META, Vec::new())).expect("the row of the state as a whole");
    meta.truncate(8 * 8);
    assert_eq!(server.reloaded().meta().kv_revision, server.state.meta().kv_revision);
}
