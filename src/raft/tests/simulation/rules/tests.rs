//! A history of two sessions that keeps the rules, and one that breaks each of them.

use super::*;
use crate::command::{CloseSession, Compare, Proclaim};
use crate::model::{KvEntry, NodeBinding, Session};
use std::sync::Arc;

const TERM: u64 = 7;
const A: SessionId = SessionId::from_u128(1);
const B: SessionId = SessionId::from_u128(2);

type Step = (Record, Reply);

fn step(time_ms: u64, command: Command, reply: Reply) -> Step {
    (Record { time_ms, request_id: None, command }, reply)
}

/// A session whose keys cannot be locked for 300 ms after its end.
fn create(at: u64, id: SessionId, behavior: Behavior) -> Step {
    let binding = Some(Box::new(NodeBinding { lock_delay_ns: 300_000_000, ..NodeBinding::default() }));
    let create = CreateSession { id, behavior, binding: binding.clone(), ..CreateSession::default() };
    let session = Session {
        id,
        secret: [0; 16],
        ttl_ms: 0,
        grace_ms: 0,
        labels: Box::default(),
        behavior,
        create_ms: 0,
        create_revision: at,
        binding,
    };
    step(0, Command::CreateSession(create), Ok(Outcome::SessionCreated(Arc::new(session))))
}

fn door(session: SessionId, wait: bool, token: Option<u64>, holder: Option<SessionId>) -> Step {
    let (kind, name, value) = (LockKind::Lock, "door".into(), Bytes::new());
    let acquire = AcquireLock { kind, name, session, value, permits: 1, wait };
    step(0, Command::AcquireLock(acquire), Ok(Outcome::Lock { token, queued: wait && token.is_none(), holder }))
}

fn no_session(id: SessionId) -> Reply {
    Err(Rejection::SessionExpired(id))
}

fn not_held() -> Reply {
    Err(Rejection::LockNotHeld("door".into()))
}

fn release(session: SessionId, token: Option<u64>, reply: Reply) -> Step {
    let release = ReleaseLock { kind: LockKind::Lock, name: "door".into(), session, token };
    step(0, Command::ReleaseLock(release), reply)
}

fn proclaim(token: u64, reply: Reply) -> Step {
    let proclaim = Proclaim { kind: LockKind::Lock, name: "door".into(), token, value: Bytes::new() };
    step(0, Command::Proclaim(proclaim), reply)
}

/// What a write of the key answers: it is held by this session and was locked so often.
fn written(session: Option<SessionId>, lock_index: u64) -> Outcome {
    let entry = KvEntry {
        key: "l".into(),
        value: Bytes::new(),
        flags: 0,
        create_revision: 1,
        modify_revision: 1,
        version: 1,
        session,
        ephemeral: false,
        lock_index,
        expire_ms: None,
    };
    Outcome::Put { done: true, kv: Some(Arc::new(entry)), previous: None }
}

fn put(time_ms: u64, lock: LockOp, outcome: Option<Outcome>) -> Step {
    let refused = Outcome::Put { done: false, kv: None, previous: None };
    step(time_ms, Command::Put(Put { key: "l".into(), lock, ..Put::default() }), Ok(outcome.unwrap_or(refused)))
}

fn fenced(session: SessionId, succeeded: bool, results: Vec<Outcome>) -> Step {
    let compares = vec![Compare { key: "l".into(), expect: Expect::Session(Some(session)) }];
    let success = vec![Op::Put(Put { key: "l".into(), ..Put::default() })];
    let txn = Txn { compares, success, failure: Vec::new() };
    step(0, Command::Txn(txn), Ok(Outcome::Txn { succeeded, results }))
}

fn expire(term: u64, session: (SessionId, u64), gone: u32) -> Step {
    let expire = Expire { term, sessions: vec![session], ..Expire::default() };
    step(0, Command::Expire(expire), Ok(Outcome::Expired(gone)))
}

/// The first step is at 1.
fn history() -> Vec<Step> {
    vec![
        create(1, A, Behavior::Release),
        create(2, B, Behavior::Delete),
        door(A, false, Some(3), None),
        door(B, false, None, Some(A)),
        proclaim(3, Ok(Outcome::LockChanged)),
        door(B, true, None, Some(A)),
        release(A, Some(3), Ok(Outcome::LockChanged)),
        proclaim(3, not_held()),
        door(B, true, Some(7), None),
        release(A, Some(3), not_held()),
        put(0, LockOp::Acquire(A), Some(written(Some(A), 1))),
        put(0, LockOp::Acquire(B), None),
        fenced(A, true, vec![written(Some(A), 1)]),
        fenced(B, false, vec![]),
        expire(TERM - 1, (A, 1), 0),
        expire(TERM, (A, 2), 0),
        expire(TERM, (A, 1), 1),
        put(299, LockOp::Acquire(B), None),
        put(300, LockOp::Acquire(B), Some(written(Some(B), 2))),
        step(0, door(A, true, None, None).0.command, no_session(A)),
        put(0, LockOp::Release(A), None),
        put(0, LockOp::Release(B), Some(written(None, 2))),
        put(0, LockOp::Attach(B), Some(written(Some(B), 2))),
        step(0, Command::CloseSession(CloseSession { id: B }), Ok(Outcome::SessionClosed(2))),
        step(0, Command::CloseSession(CloseSession { id: B }), no_session(B)),
        create(26, B, Behavior::Release),
        door(B, false, Some(27), None),
    ]
}

/// Where the first rule is broken.
fn wrong_at(history: &[Step]) -> Option<(u64, &'static str)> {
    let mut rules = Rules::default();
    (1..).zip(history).find_map(|(at, (record, reply))| Some((at, rules.step(at, TERM, record, reply)?)))
}

/// That it is noticed at once if the answer at this place is another one.
fn notices(at: u64, reply: Reply, why: &str) {
    let mut history = history();
    history[at as usize - 1].1 = reply;
    assert_eq!(wrong_at(&history).map(|(at, _)| at), Some(at), "{why}");
}

fn lock(token: Option<u64>, queued: bool, holder: Option<SessionId>) -> Reply {
    Ok(Outcome::Lock { token, queued, holder })
}

#[test]
fn a_history_in_order_passes() {
    assert_eq!(wrong_at(&history()), None);
}

#[test]
fn what_is_held_is_known() {
    let mut rules = Rules::default();
    for (at, (record, reply)) in (1..=13).zip(&history()) {
        rules.step(at, TERM, record, reply);
    }
    let locks = vec![("door".into(), vec![(B, 7)], vec![])];
    let keys = vec![("l".into(), A, false, 1)];
    assert_eq!(rules.held(), Held { sessions: vec![(A, 1), (B, 2)], locks, keys });
}

#[test]
fn each_rule_can_be_broken() {
    notices(3, lock(None, false, Some(B)), "a free lock is refused");
    notices(3, lock(Some(2), false, None), "a token that is not its own");
    notices(4, lock(Some(4), false, None), "two hold a lock");
    notices(4, lock(None, false, Some(B)), "refused for one who does not hold it");
    notices(4, lock(None, true, Some(A)), "in a queue that it did not ask for");
    notices(5, not_held(), "the holder cannot write");
    notices(7, not_held(), "the holder cannot release");
    notices(8, Ok(Outcome::LockChanged), "a stale token writes");
    notices(9, lock(Some(9), false, None), "acquired twice");
    notices(9, lock(None, true, Some(A)), "whoever waited does not come in");
    notices(10, Ok(Outcome::LockChanged), "released by one who does not hold it");
    notices(11, put(0, LockOp::Keep, None).1, "a free key is refused");
    notices(11, Ok(written(Some(B), 1)), "locked for another one");
    notices(11, Ok(written(Some(A), 0)), "the fencing number of a key does not grow");
    notices(12, Ok(written(Some(B), 2)), "two hold a key");
    notices(13, fenced(A, false, vec![]).1, "the holder of a key cannot write");
    notices(14, fenced(B, true, vec![written(Some(A), 1)]).1, "one writes who does not hold the key");
    notices(15, Ok(Outcome::Expired(1)), "a leader of another term ends a session");
    notices(16, Ok(Outcome::Expired(1)), "the end of an older session");
    notices(17, Ok(Outcome::Expired(0)), "a session does not end");
    notices(18, Ok(written(Some(B), 2)), "locked before the delay is over");
    notices(19, put(0, LockOp::Keep, None).1, "refused after the delay");
    notices(20, lock(Some(20), false, None), "a lock for a session that is over");
    notices(21, Ok(written(None, 2)), "unlocked by one who does not hold it");
    notices(24, no_session(B), "a live session is not there");
    notices(25, Ok(Outcome::SessionClosed(0)), "closed twice");
    notices(26, no_session(B), "a session is not created");
}

#[test]
fn a_repeated_request_is_answered_as_before_and_does_nothing() {
    let mut history = history();
    let first = &mut history[2];
    first.0.request_id = Some(RequestId::from_u128(5));
    let again = first.clone();
    history.truncate(7);
    // By now B holds the door; the answer is the old one.
    history.push(again.clone());
    history.push(door(B, true, Some(7), None));
    assert_eq!(wrong_at(&history), None);
    history[7].1 = lock(Some(8), false, None);
    assert_eq!(wrong_at(&history).map(|(at, _)| at), Some(8), "a retry acquires again");
}
