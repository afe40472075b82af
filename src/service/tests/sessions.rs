//! Sessions through the service: proofs, leases, what validation writes, reads with a minimum revision.

use super::*;

#[tokio::test]
async fn a_wrong_secret_opens_nothing() {
    let (core, _) = started(Medium::Memory, &Clock::manual(1_000, 1)).await;
    let session = core.create_session(None, SessionSpec::default()).await.unwrap().value;
    let wrong = Proof { id: session.id, secret: vec![0; 16] };
    assert_eq!(core.keep_alive(&wrong), Err(Error::SecretMismatch(session.id)));
    assert!(core.register(None, Some(wrong.clone()), vec![instance("1")], false).await.is_err());
    assert_eq!(core.close_session(None, &wrong).await, Err(Error::SecretMismatch(session.id)));
    assert!(core.keep_alive(&proof_of(&session)).is_ok());
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
        assert_eq!(core.keep_alive(&proof_of(&session)).unwrap().1, 15_000);
        core.expire_due(raft.leadership().term).await;
    }
    assert_eq!(core.local().state.revision(), revision);
    clock.advance(15_000);
    core.expire_due(raft.leadership().term).await;
    assert_eq!((core.local().state.session_count(), core.local().state.service_count()), (0, 0));
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
