//! Sessions through the service: proofs, leases, what validation writes, reads with a minimum revision.

use super::*;
use crate::command::CatalogRegister;
use crate::model::{NodeBinding, NodeRecord};

#[tokio::test]
async fn a_wrong_secret_opens_nothing() {
    let (core, _) = started(Medium::Memory, &Clock::manual(1_000, 1)).await;
    let session = core.create_session(None, SessionSpec::default()).await.unwrap().value;
    let wrong = Proof { id: session.id, secret: vec![0; 16] };
    assert_eq!(core.keep_alive(&wrong).await, Err(Error::SecretMismatch(session.id)));
    assert!(core.register(None, Some(wrong.clone()), vec![instance("1")], false).await.is_err());
    assert_eq!(core.close_session(None, &wrong).await, Err(Error::SecretMismatch(session.id)));
    assert!(core.keep_alive(&proof_of(&session)).await.is_ok());
}

#[tokio::test]
async fn heartbeats_write_nothing_and_silence_ends_the_session() {
    let clock = Clock::manual(1_000, 1);
    let (core, raft) = started(Medium::Memory, &clock).await;
    let session = core.create_session(None, SessionSpec::default()).await.unwrap().value;
    core.register(None, Some(proof_of(&session)), vec![instance("1")], false).await.unwrap();
    let revision = core.local().state.revision();
    for _ in 0..10 {
        clock.advance(14_000);
        assert_eq!(core.keep_alive(&proof_of(&session)).await.unwrap().1, 15_000);
        core.expire_due(raft.leadership().term).await;
    }
    assert_eq!(core.local().state.revision(), revision);
    clock.advance(15_000);
    core.expire_due(raft.leadership().term).await;
    assert_eq!((core.local().state.session_count(), core.local().state.service_count()), (0, 0));
}

fn bound() -> SessionSpec {
    let binding = NodeBinding { node: "one".into(), ..NodeBinding::default() };
    SessionSpec { ttl_ms: Some(10_000), binding: Some(binding), ..SessionSpec::default() }
}

async fn started_with_a_node(clock: &Clock) -> (Core, crate::raft::Handle) {
    let (core, raft) = started(Medium::Memory, clock).await;
    let node = NodeRecord { name: "one".into(), ..NodeRecord::default() };
    let register = CatalogRegister { node, skip_node_update: false, service: None, checks: Vec::new() };
    core.catalog_register(Box::new(register)).await.unwrap();
    (core, raft)
}

#[tokio::test]
async fn a_bound_session_has_twice_its_time_and_is_renewed_by_its_id() {
    let clock = Clock::manual(1_000, 1);
    let (core, raft) = started_with_a_node(&clock).await;
    let id = core.create_session(None, bound()).await.unwrap().value.id;
    let term = raft.leadership().term;
    for _ in 0..3 {
        clock.advance(19_999);
        core.expire_due(term).await;
        assert!(core.renew_bound(&id).await.unwrap().is_some());
    }
    clock.advance(20_000);
    core.expire_due(term).await;
    assert_eq!(core.renew_bound(&id).await, Ok(None));
    assert_eq!(core.close_bound(&id).await, Ok(()), "ended already");
}

#[tokio::test]
async fn a_bound_session_without_a_time_to_live_needs_no_heartbeat() {
    let clock = Clock::manual(1_000, 1);
    let (core, raft) = started_with_a_node(&clock).await;
    let id = core.create_session(None, SessionSpec { ttl_ms: Some(0), ..bound() }).await.unwrap().value.id;
    clock.advance(100 * 24 * 3600 * 1000);
    core.expire_due(raft.leadership().term).await;
    assert!(core.renew_bound(&id).await.unwrap().is_some());
    core.close_bound(&id).await.unwrap();
    assert_eq!(core.local().state.session_count(), 0);
    for ttl_ms in [1, 999, 24 * 3600 * 1000 + 1] {
        let spec = SessionSpec { ttl_ms: Some(ttl_ms), ..bound() };
        assert!(matches!(core.create_session(None, spec).await, Err(Error::Invalid(_))), "{ttl_ms}");
    }
}

#[tokio::test]
async fn a_session_with_a_secret_cannot_be_ended_by_its_id() {
    let (core, _) = started(Medium::Memory, &Clock::manual(1_000, 1)).await;
    let id = core.create_session(None, SessionSpec::default()).await.unwrap().value.id;
    assert_eq!(core.close_bound(&id).await, Err(Error::SecretMismatch(id)));
    assert_eq!(core.renew_bound(&id).await, Err(Error::SecretMismatch(id)));
}

#[tokio::test]
async fn events_are_kept_for_this_node_up_to_their_number() {
    let (core, _) = started(Medium::Memory, &Clock::manual(1_000, 1)).await;
    let fire = |name: String, node_filter: &str| {
        core.fire_event(UserEvent { name, node_filter: node_filter.to_owned(), ..UserEvent::default() }).unwrap()
    };
    let mut changes = core.subscribe_events();
    fire("elsewhere".to_owned(), "^two$");
    assert!(!changes.has_changed().unwrap() && core.events().is_empty());
    let fired = fire("here".to_owned(), "^on");
    assert!(changes.has_changed().unwrap());
    assert_eq!((core.events()[0].id, core.events()[0].ltime, fired.ltime), (fired.id, 3, 0));
    for n in 0..EVENTS_MAX {
        fire(n.to_string(), "");
    }
    changes.borrow_and_update();
    let names: Vec<String> = core.events().iter().map(|event| event.name.clone()).collect();
    assert_eq!((names.len(), names[0].as_str(), names[EVENTS_MAX - 1].as_str()), (EVENTS_MAX, "0", "255"));
}

#[tokio::test]
async fn a_retried_creation_is_one_session() {
    let (core, _) = started(Medium::Memory, &Clock::manual(1_000, 1)).await;
    let id = Some(uuid::Uuid::from_u128(9));
    let first = core.create_session(id, SessionSpec::default()).await.unwrap();
    let retry = core.create_session(id, SessionSpec::default()).await.unwrap();
    assert_eq!(first.value, retry.value);
    assert_eq!(core.local().state.session_count(), 1);
}

#[tokio::test]
async fn validation_writes_nothing_and_finds_what_a_write_would() {
    let (core, _) = started(Medium::Memory, &Clock::manual(1_000, 1)).await;
    let session = core.create_session(None, SessionSpec::default()).await.unwrap().value;
    core.register(None, Some(proof_of(&session)), vec![instance("1")], false).await.unwrap();
    let revision = core.local().state.revision();
    let refused = core.register(None, None, vec![instance("1")], true).await.unwrap_err();
    assert!(matches!(refused, Error::Rejected(Rejection::InstanceOwned { .. })));
    assert_eq!(core.register(None, None, vec![instance("2")], true).await.unwrap().value.len(), 1);
    assert_eq!(core.local().state.revision(), revision);
}

#[tokio::test]
async fn a_read_waits_for_the_revision_it_asks_for() {
    let (core, _) = started(Medium::Memory, &Clock::manual(1_000, 1)).await;
    let min_revision = core.local().state.revision() + 1;
    let reader = tokio::spawn({
        let core = core.clone();
        async move { core.view(&ReadOptions { min_revision, ..ReadOptions::default() }).await }
    });
    core.put(None, Put { key: "k".into(), ..Put::default() }).await.unwrap();
    assert!(reader.await.unwrap().unwrap().state.revision() >= min_revision);
    let deadline = Some(tokio::time::Instant::now());
    let late = core.view(&ReadOptions { min_revision: u64::MAX, deadline, ..ReadOptions::default() }).await;
    assert!(matches!(late, Err(Error::TooStale(_))));
}
