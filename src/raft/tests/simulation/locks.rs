//! Clients with sessions: they acquire locks, seats, a chair and keys, write under what they got, give it back, and end
//! each other's sessions as expiry does.

use super::caller::{Answer, Caller};
use super::world::World;
use crate::command::{
    AcquireLock, CatalogRegister, CloseSession, Command, Compare, CreateSession, Expect, Expire, LockOp, Op, Outcome,
    Proclaim, Put, Rejection, ReleaseLock, Txn,
};
use crate::model::{Behavior, LockKind, NodeBinding, NodeRecord, SessionId};
use crate::raft::Barrier;
use std::sync::Arc;

/// Locks and their permits, in order.
pub(super) const LOCKS: [(LockKind, &str, u32); 3] =
    [(LockKind::Lock, "door", 1), (LockKind::Lock, "seats", 2), (LockKind::Election, "chair", 1)];
/// Keys that are locked; no other clients write them.
const KEYS: u64 = 2;
/// The node that sessions of Consul's kind depend on.
const NODE: &str = "n";

struct Locker {
    caller: Caller,
    /// Its session, unless that is known to be over.
    session: Option<SessionId>,
    /// The token that it got last, held or not any more, and the one before.
    tokens: [[Option<u64>; 2]; LOCKS.len()],
    /// Sessions may depend on the node.
    has_node: bool,
    written: u64,
}

/// Works until the run closes.
pub(super) async fn run(world: Arc<World>, number: u64) {
    let dice = world.dice(300 + number);
    let caller = Caller { world, name: format!("l{number}"), dice };
    let mut locker = Locker { caller, session: None, tokens: [[None; 2]; LOCKS.len()], has_node: false, written: 0 };
    locker.register_node().await;
    while !locker.caller.closing() {
        locker.caller.rest().await;
        match locker.session {
            None => locker.open().await,
            Some(session) => locker.step(session).await,
        }
    }
}

impl Locker {
    async fn step(&mut self, session: SessionId) {
        let lock = self.caller.dice.below(LOCKS.len() as u64) as usize;
        let key = format!("l{}", self.caller.dice.below(KEYS));
        match self.caller.dice.below(26) {
            0..=5 => self.acquire(lock, session).await,
            6 | 7 => self.proclaim(lock).await,
            8..=10 => self.release(lock, session).await,
            11 => self.leave(lock, session).await,
            12..=14 => self.put(&key, LockOp::Acquire(session)).await,
            15 => self.put(&key, LockOp::Attach(session)).await,
            16 | 17 => self.put(&key, LockOp::Release(session)).await,
            18 | 19 => self.put_if_held(&key, session).await,
            20 => self.close(session).await,
            21 => self.end_another().await,
            22 | 23 => self.look(Barrier::Lease).await,
            _ => self.look(Barrier::Linearizable).await,
        }
    }

    /// What the next write says; nobody writes it again.
    fn value(&mut self) -> String {
        self.written += 1;
        format!("{}-{}", self.caller.name, self.written)
    }

    /// Asks for what nobody asks for again.
    async fn ask(&mut self, command: Command) -> Option<Result<Outcome, Rejection>> {
        let insists = self.caller.dice.below(2) == 0;
        match self.caller.ask(&command, insists).await {
            Answer::Done(_, reply) => {
                if matches!(reply, Err(Rejection::SessionExpired(id)) if self.session == Some(id)) {
                    self.session = None;
                }
                Some(reply)
            }
            Answer::Refused => {
                self.caller.world.check.refused(command);
                None
            }
            Answer::Unknown => None,
        }
    }

    async fn register_node(&mut self) {
        let node = NodeRecord { name: NODE.into(), address: "127.0.0.1".into(), ..NodeRecord::default() };
        let register = CatalogRegister { node, skip_node_update: false, service: None, checks: Vec::new() };
        let answer = self.caller.ask(&Command::CatalogRegister(Box::new(register)), true).await;
        self.has_node = matches!(answer, Answer::Done(..));
    }

    async fn open(&mut self) {
        let dice = &mut self.caller.dice;
        let id = SessionId::from_u128(u128::from(dice.below(u64::MAX)));
        let behavior = if dice.below(3) == 0 { Behavior::Delete } else { Behavior::Release };
        let lock_delay_ns = [0, 300, 2_000][dice.below(3) as usize] * 1_000_000;
        let binding = NodeBinding { node: NODE.into(), lock_delay_ns, ..NodeBinding::default() };
        let binding = (self.has_node && dice.below(2) == 0).then(|| Box::new(binding));
        let create =
            CreateSession { id, ttl_ms: 15_000, grace_ms: 5_000, behavior, binding, ..CreateSession::default() };
        if self.ask(Command::CreateSession(create)).await.is_some() {
            self.session = Some(id);
        }
    }

    async fn acquire(&mut self, lock: usize, session: SessionId) {
        let (kind, name, permits) = LOCKS[lock];
        let (value, wait) = (self.value().into(), self.caller.dice.below(2) == 0);
        let acquire = AcquireLock { kind, name: name.into(), session, value, permits, wait };
        if let Some(Ok(Outcome::Lock { token: Some(token), .. })) = self.ask(Command::AcquireLock(acquire)).await {
            let [last, before] = &mut self.tokens[lock];
            if *last != Some(token) {
                *before = last.replace(token);
            }
        }
    }

    /// The token of a lock, which may be stale; at times it is for certain.
    fn token(&mut self, lock: usize) -> Option<u64> {
        let old = self.caller.dice.below(4) == 0;
        self.tokens[lock][usize::from(old)]
    }

    async fn proclaim(&mut self, lock: usize) {
        let Some(token) = self.token(lock) else { return };
        let (kind, name, _) = LOCKS[lock];
        let value = self.value().into();
        self.ask(Command::Proclaim(Proclaim { kind, name: name.into(), token, value })).await;
    }

    async fn release(&mut self, lock: usize, session: SessionId) {
        let Some(token) = self.token(lock) else { return };
        let (kind, name, _) = LOCKS[lock];
        // One that was refused may be asked for again, so it is not told to the check.
        let release = ReleaseLock { kind, name: name.into(), session, token: Some(token) };
        let insists = self.caller.dice.below(2) == 0;
        self.caller.ask(&Command::ReleaseLock(release), insists).await;
    }

    async fn leave(&mut self, lock: usize, session: SessionId) {
        let (kind, name, _) = LOCKS[lock];
        let leave = ReleaseLock { kind, name: name.into(), session, token: None };
        self.caller.ask(&Command::ReleaseLock(leave), false).await;
    }

    async fn put(&mut self, key: &str, lock: LockOp) {
        let value = self.value().into();
        self.ask(Command::Put(Put { key: key.to_owned().into(), value, lock, ..Put::default() })).await;
    }

    async fn put_if_held(&mut self, key: &str, session: SessionId) {
        let put = Put { key: key.to_owned().into(), value: self.value().into(), ..Put::default() };
        let compare = Compare { key: put.key.clone(), expect: Expect::Session(Some(session)) };
        let txn = Txn { compares: vec![compare], success: vec![Op::Put(put)], failure: Vec::new() };
        self.ask(Command::Txn(txn)).await;
    }

    async fn close(&mut self, session: SessionId) {
        self.caller.ask(&Command::CloseSession(CloseSession { id: session }), true).await;
        self.session = None;
    }

    /// Ends any session, as a leader does that has not heard of it for too long; or as one does that is not the leader
    /// any more, or that means an older session, and then nothing may end.
    async fn end_another(&mut self) {
        let Some((_, life)) = self.caller.server() else { return };
        let state = life.handle.state();
        let (term, revision) = (life.handle.leadership().term, state.revision());
        let nth = self.caller.dice.below(state.session_count().max(1) as u64) as usize;
        let Some(session) = state.sessions().nth(nth) else { return };
        let (term, created) = match self.caller.dice.below(4) {
            0 => (term.saturating_sub(1), session.create_revision),
            1 => (term, revision + 1),
            _ => (term, session.create_revision),
        };
        let expire = Expire { term, sessions: vec![(session.id, created)], ..Expire::default() };
        self.caller.ask(&Command::Expire(expire), false).await;
    }

    async fn look(&mut self, level: Barrier) {
        let Some((server, life, began)) = self.caller.reader(level).await else { return };
        let (check, state) = (&self.caller.world.check, life.handle.state());
        self.caller.note(format_args!("looks at s{server}, {}, {level:?}", state.revision()));
        check.end(began, state.revision(), false, &format!("a look at s{server}"));
        check.state(&format!("{}, asked at s{server},", self.caller.name), &state);
    }
}
