//! Waiting for locks.

use super::*;
use crate::model::LockKind;

fn ask(wait_ms: u64) -> LockAsk {
    LockAsk { kind: LockKind::Lock, name: "db".into(), value: Default::default(), permits: 1, wait_ms }
}

async fn session(core: &Core) -> Proof {
    proof_of(&core.create_session(None, SessionSpec::default()).await.unwrap().value)
}

/// Until the lock has this many waiters.
async fn until_waiting(core: &Core, count: usize) {
    let mut changes = core.hub().subscribe(crate::watch::Topic::Lock(LockKind::Lock, "db".into()));
    while core.local().state.lock(LockKind::Lock, "db").map_or(0, |l| l.waiters.len()) != count {
        changes.changed().await;
    }
}

#[tokio::test]
async fn the_next_waiter_gets_the_lock_with_a_larger_token() {
    let (core, _) = started(Medium::Memory, &Clock::manual(1_000, 1)).await;
    let (first, second) = (session(&core).await, session(&core).await);
    let held = core.acquire_lock(&first, ask(0)).await.unwrap().value.token.unwrap();
    assert_eq!(
        core.acquire_lock(&second, ask(0)).await.unwrap().value,
        LockDone { token: None, holder: Some(first.id) }
    );
    let waiting = tokio::spawn({
        let (core, second) = (core.clone(), second.clone());
        async move { core.acquire_lock(&second, ask(3_600_000)).await }
    });
    until_waiting(&core, 1).await;
    core.release_lock(&first, LockKind::Lock, "db", held).await.unwrap();
    assert!(waiting.await.unwrap().unwrap().value.token.unwrap() > held);
    let stale = core.release_lock(&first, LockKind::Lock, "db", held).await.unwrap_err();
    assert!(matches!(stale, Error::Rejected(Rejection::LockNotHeld(_))));
}

#[tokio::test]
async fn a_waiter_that_goes_away_gives_up_its_place() {
    let (core, _) = started(Medium::Memory, &Clock::manual(1_000, 1)).await;
    let (first, second, third) = (session(&core).await, session(&core).await, session(&core).await);
    let held = core.acquire_lock(&first, ask(0)).await.unwrap().value.token.unwrap();
    let waiting = tokio::spawn({
        let core = core.clone();
        async move { core.acquire_lock(&second, ask(3_600_000)).await }
    });
    until_waiting(&core, 1).await;
    waiting.abort();
    until_waiting(&core, 0).await;
    core.release_lock(&first, LockKind::Lock, "db", held).await.unwrap();
    assert!(core.acquire_lock(&third, ask(0)).await.unwrap().value.token.is_some());
}

#[tokio::test]
async fn a_wait_that_ends_leaves_the_queue() {
    let (core, _) = started(Medium::Memory, &Clock::manual(1_000, 1)).await;
    let (first, second) = (session(&core).await, session(&core).await);
    core.acquire_lock(&first, ask(0)).await.unwrap();
    let done = core.acquire_lock(&second, ask(1)).await.unwrap().value;
    assert_eq!(done, LockDone { token: None, holder: Some(first.id) });
    assert!(core.local().state.lock(LockKind::Lock, "db").unwrap().waiters.is_empty());
}

#[tokio::test]
async fn closing_the_session_of_a_waiter_ends_its_wait() {
    let (core, _) = started(Medium::Memory, &Clock::manual(1_000, 1)).await;
    let (first, second) = (session(&core).await, session(&core).await);
    core.acquire_lock(&first, ask(0)).await.unwrap();
    let waiting = tokio::spawn({
        let (core, second) = (core.clone(), second.clone());
        async move { core.acquire_lock(&second, ask(3_600_000)).await }
    });
    until_waiting(&core, 1).await;
    core.close_session(None, &second).await.unwrap();
    assert_eq!(waiting.await.unwrap(), Err(Rejection::SessionExpired(second.id).into()));
}
