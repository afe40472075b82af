//! What must come of each command on sessions, locks and locked keys, given the log before it. Written from what is
//! promised to clients, apart from the machine.

use super::held::Held;
use crate::command::{
    AcquireLock, Command, CreateSession, Expect, Expire, LockOp, Op, Outcome, Put, Record, Rejection, ReleaseLock,
    Reply, Target, Txn,
};
use crate::model::{Behavior, LockKind, RequestId, SessionId, Text};
use bytes::Bytes;
use std::collections::BTreeMap;

mod tests;

/// Broken rules are told in these words.
type Verdict = Option<&'static str>;

fn unless(right: bool, wrong: &'static str) -> Verdict {
    (!right).then_some(wrong)
}

struct Live {
    created: u64,
    behavior: Behavior,
    delay_ms: u64,
}

#[derive(Default)]
struct Queue {
    holders: Vec<(SessionId, u64)>,
    waiters: Vec<SessionId>,
    permits: usize,
    /// Token of the last one who came in.
    newest: u64,
}

#[derive(Default)]
struct Key {
    holder: Option<SessionId>,
    ephemeral: bool,
    /// How often it was locked.
    locked: u64,
}

/// Who holds what after the log so far.
#[derive(Default)]
pub(super) struct Rules {
    time_ms: u64,
    done: BTreeMap<RequestId, Reply>,
    sessions: BTreeMap<SessionId, Live>,
    locks: BTreeMap<(LockKind, Text), Queue>,
    keys: BTreeMap<Bytes, Key>,
    /// Keys that nobody may lock before that time.
    delays: BTreeMap<Bytes, u64>,
}

impl Queue {
    fn token(&self, session: &SessionId) -> Option<u64> {
        self.holders.iter().find(|(holder, _)| holder == session).map(|(_, token)| *token)
    }

    /// Whoever has waited longest comes in.
    fn let_in(&mut self, at: u64) {
        while self.holders.len() < self.permits && !self.waiters.is_empty() {
            self.holders.push((self.waiters.remove(0), at));
            self.newest = at;
        }
    }

    fn leave(&mut self, session: &SessionId, at: u64) {
        self.holders.retain(|(holder, _)| holder != session);
        self.waiters.retain(|waiter| waiter != session);
        self.let_in(at);
    }
}

impl Rules {
    /// The next entry of the log, in this term, and what came of it.
    pub(super) fn step(&mut self, at: u64, term: u64, record: &Record, reply: &Reply) -> Verdict {
        self.time_ms = self.time_ms.max(record.time_ms);
        if let Some(id) = record.request_id {
            if let Some(first) = self.done.get(&id) {
                return unless(first == reply, "a request that is repeated has another result");
            }
            self.done.insert(id, reply.clone());
        }
        match &record.command {
            Command::CreateSession(c) => self.create(at, c, reply),
            Command::CloseSession(c) => {
                let live = self.end_session(&c.id, at);
                let closed = matches!(reply, Ok(Outcome::SessionClosed(_)));
                let expired = matches!(reply, Err(Rejection::SessionExpired(_)));
                unless(if live { closed } else { expired }, "a session is closed that is not there, or not closed")
            }
            Command::Expire(c) => self.expire(at, term, c, reply),
            Command::AcquireLock(c) => self.acquire(at, c, reply),
            Command::ReleaseLock(c) => self.release(at, c, reply),
            Command::Proclaim(c) => {
                let queue = self.locks.get(&(c.kind, c.name.clone()));
                match queue.is_some_and(|queue| queue.holders.iter().any(|(_, token)| *token == c.token)) {
                    true => unless(*reply == Ok(Outcome::LockChanged), "the holder cannot write"),
                    false => unless(is_not_held(reply), "a write with a stale token is done"),
                }
            }
            Command::Put(c) => self.put(c, reply.as_ref()),
            Command::Txn(c) => self.fenced(c, reply),
            Command::Delete(c) => {
                if let (Target::Key(key), Ok(Outcome::Deleted(_))) = (&c.target, reply) {
                    self.keys.remove(key);
                }
                None
            }
            _ => None,
        }
    }

    fn create(&mut self, at: u64, c: &CreateSession, reply: &Reply) -> Verdict {
        let delay_ns = c.binding.as_ref().map_or(0, |binding| binding.lock_delay_ns);
        let live = Live { created: at, behavior: c.behavior, delay_ms: delay_ns / 1_000_000 };
        let first = self.sessions.insert(c.id, live).is_none();
        let stored = matches!(reply, Ok(Outcome::SessionCreated(s)) if s.id == c.id && s.create_revision == at);
        unless(first && stored, "a session is not created, or twice")
    }

    fn expire(&mut self, at: u64, term: u64, c: &Expire, reply: &Reply) -> Verdict {
        let mut gone = 0;
        for (id, created) in c.sessions.iter().filter(|_| c.term == term) {
            if self.sessions.get(id).is_some_and(|live| live.created == *created) {
                self.end_session(id, at);
                gone += 1;
            }
        }
        unless(*reply == Ok(Outcome::Expired(gone)), "other sessions expire than a leader of this term has named")
    }

    /// What the session held is free, gone, or the next one's.
    fn end_session(&mut self, id: &SessionId, at: u64) -> bool {
        let Some(live) = self.sessions.remove(id) else { return false };
        for (key, _) in self.keys.iter().filter(|(_, key)| key.holder == Some(*id)) {
            if live.delay_ms > 0 {
                self.delays.insert(key.clone(), self.time_ms + live.delay_ms);
            }
        }
        let goes = |key: &Key| key.holder == Some(*id) && (key.ephemeral || live.behavior == Behavior::Delete);
        self.keys.retain(|_, key| !goes(key));
        self.keys.values_mut().filter(|key| key.holder == Some(*id)).for_each(|key| key.holder = None);
        self.locks.values_mut().for_each(|queue| queue.leave(id, at));
        true
    }

    fn acquire(&mut self, at: u64, c: &AcquireLock, reply: &Reply) -> Verdict {
        if !self.sessions.contains_key(&c.session) {
            let refused = matches!(reply, Err(Rejection::SessionExpired(_)));
            return unless(refused, "a session that is over gets a lock");
        }
        let queue = self.locks.entry((c.kind, c.name.clone())).or_default();
        queue.permits = c.permits as usize;
        let Ok(Outcome::Lock { token, queued, holder }) = reply else {
            return Some("the holder of a session is refused");
        };
        if let Some(held) = queue.token(&c.session) {
            return unless(*token == Some(held), "who holds a lock has another token than before");
        }
        let room = queue.holders.len() < queue.permits;
        let newest = queue.newest;
        if !queue.waiters.contains(&c.session) && (room || c.wait) {
            queue.waiters.push(c.session);
        }
        queue.let_in(at);
        let waits = queue.waiters.contains(&c.session);
        match (token, queue.token(&c.session)) {
            (Some(_), None) => Some("a lock is acquired that others hold"),
            (None, Some(_)) => Some("a lock is refused that nobody holds"),
            (Some(token), Some(_)) => unless(*token == at && *token > newest, "a token is not above those before it"),
            (None, None) => {
                let named = holder.as_ref().is_some_and(|holder| queue.token(holder).is_some());
                unless(named && *queued == waits, "a lock is refused for one who does not hold it")
            }
        }
    }

    fn release(&mut self, at: u64, c: &ReleaseLock, reply: &Reply) -> Verdict {
        let queue = self.locks.entry((c.kind, c.name.clone())).or_default();
        match c.token {
            Some(token) if queue.token(&c.session) != Some(token) => {
                unless(is_not_held(reply), "a lock is released by one who does not hold it")
            }
            None if !queue.waiters.contains(&c.session) => None,
            _ => {
                queue.leave(&c.session, at);
                unless(*reply == Ok(Outcome::LockChanged), "the holder cannot release a lock")
            }
        }
    }

    fn put(&mut self, c: &Put, reply: Result<&Outcome, &Rejection>) -> Verdict {
        let key = self.keys.get(&c.key);
        let holder = key.and_then(|key| key.holder);
        let live = |session: &SessionId| self.sessions.contains_key(session);
        let may = match &c.lock {
            LockOp::Keep => true,
            LockOp::Attach(session) => live(session) && holder.is_none_or(|holder| holder == *session),
            LockOp::Acquire(session) => {
                let delayed = self.delays.get(&c.key).is_some_and(|until_ms| *until_ms > self.time_ms);
                !delayed && live(session) && holder.is_none_or(|holder| holder == *session)
            }
            LockOp::Release(session) => holder == Some(*session),
        };
        let Ok(Outcome::Put { done: true, kv: Some(kv), .. }) = reply else {
            return unless(!may || c.expected_revision.is_some(), "a key is refused that nobody holds");
        };
        let locks = matches!(c.lock, LockOp::Acquire(_)) && holder.is_none();
        let key = self.keys.entry(c.key.clone()).or_default();
        key.locked += u64::from(locks);
        match c.lock {
            LockOp::Keep => {}
            LockOp::Attach(session) => (key.holder, key.ephemeral) = (Some(session), true),
            LockOp::Acquire(session) => key.holder = Some(session),
            LockOp::Release(_) => (key.holder, key.ephemeral) = (None, false),
        }
        if !may {
            return Some("a key is locked that others hold, or that is not free yet, or for a session that is over");
        }
        unless(kv.session == key.holder && kv.lock_index == key.locked, "a key's lock is not as it should be")
    }

    /// A write under the condition that a session holds a key.
    fn fenced(&mut self, c: &Txn, reply: &Reply) -> Verdict {
        let holds = c.compares.iter().all(|compare| {
            let holder = self.keys.get(&compare.key).and_then(|key| key.holder);
            matches!(compare.expect, Expect::Session(session) if session == holder)
        });
        let Ok(Outcome::Txn { succeeded, results }) = reply else { return Some("a transaction is refused") };
        if *succeeded != holds {
            return Some("a write is done although its session does not hold the key, or the other way round");
        }
        let done = if holds { &c.success } else { &c.failure };
        done.iter().zip(results).find_map(|(op, result)| match op {
            Op::Put(put) => self.put(put, Ok(result)),
            _ => None,
        })
    }

    /// What is held after the log so far.
    pub(super) fn held(&self) -> Held {
        let sessions = self.sessions.iter().map(|(id, live)| (*id, live.created));
        let locks = self.locks.iter().filter(|(_, queue)| !queue.holders.is_empty());
        let locks = locks.map(|((_, name), queue)| (name.clone(), queue.holders.clone(), queue.waiters.clone()));
        let keys = self.keys.iter();
        let keys = keys.filter_map(|(key, lock)| Some((key.clone(), lock.holder?, lock.ephemeral, lock.locked)));
        Held { sessions: sessions.collect(), locks: locks.collect(), keys: keys.collect() }
    }
}

fn is_not_held(reply: &Reply) -> bool {
    matches!(reply, Err(Rejection::LockNotHeld(_)))
}
