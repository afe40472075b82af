//! Who holds what, at a place in the log.

use super::locks::LOCKS;
use crate::machine::State;
use crate::model::{KvEntry, SessionId, Text};
use bytes::Bytes;
use std::sync::Arc;

/// Sessions, locks and locked keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Held {
    /// With the revision of their creation.
    pub(super) sessions: Vec<(SessionId, u64)>,
    /// Holders with their tokens, and waiters.
    pub(super) locks: Vec<(Text, Vec<(SessionId, u64)>, Vec<SessionId>)>,
    /// Holder, whether the key goes with it, and how often it was locked.
    pub(super) keys: Vec<(Bytes, SessionId, bool, u64)>,
}

/// What a server was seen to have.
#[derive(Clone, Debug)]
pub(super) struct Sight {
    /// The state in short.
    pub(super) short: String,
    pub(super) held: Held,
    /// Where it was seen first.
    pub(super) by: String,
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Sight {
    pub(super) fn of(by: &str, state: &State) -> Sight {
        let entry = |e: &Arc<KvEntry>| {
            format!(" {}={}@{}/{}", text(&e.key), text(&e.value), e.modify_revision, e.create_revision)
        };
        let keys: String = state.kv_from(b"").map(entry).collect();
        Sight { short: format!("{} ms{keys}", state.time_ms()), held: Held::of(state), by: by.to_owned() }
    }
}

impl Held {
    pub(super) fn of(state: &State) -> Held {
        let locks = LOCKS.iter().filter_map(|(kind, name, _)| state.lock(*kind, name));
        let locks = locks.map(|lock| {
            let holders = lock.holders.iter().map(|holder| (holder.session, holder.token)).collect();
            (lock.name.clone(), holders, lock.waiters.iter().map(|waiter| waiter.session).collect())
        });
        let keys = state.kv_from(b"");
        Held {
            sessions: state.sessions().map(|session| (session.id, session.create_revision)).collect(),
            locks: locks.collect(),
            keys: keys.filter_map(|e| Some((e.key.clone(), e.session?, e.ephemeral, e.lock_index))).collect(),
        }
    }
}
