//! Clients of keys: they write, compare and set, delete and read a few keys at any server, and remember what they were
//! told.

use super::caller::{Answer, Caller};
use super::check::Fate;
use super::world::World;
use crate::command::{Command, Delete, Outcome, Put, Target};
use crate::raft::Barrier;
use std::collections::BTreeMap;
use std::sync::Arc;

const KEYS: u64 = 4;

fn key(number: u64) -> String {
    format!("k{number}")
}

/// What clients write to.
pub(super) fn keys() -> impl Iterator<Item = String> {
    (0..KEYS).map(key)
}

struct Client {
    caller: Caller,
    written: u64,
    /// By key: the revision that this client saw last.
    known: BTreeMap<String, u64>,
}

/// Works until the run closes.
pub(super) async fn run(world: Arc<World>, number: u64) {
    let dice = world.dice(100 + number);
    let caller = Caller { world, name: format!("c{number}"), dice };
    let mut client = Client { caller, written: 0, known: BTreeMap::new() };
    while !client.caller.closing() {
        client.caller.rest().await;
        let key = key(client.caller.dice.below(KEYS));
        let known = client.known.get(&key).copied().unwrap_or(0);
        match client.caller.dice.below(20) {
            0..=4 => client.put(&key, None, false).await,
            5..=7 => client.put(&key, None, true).await,
            8..=10 => client.put(&key, Some(known), false).await,
            11 | 12 => client.put(&key, Some(known), true).await,
            13 => client.delete(&key).await,
            14..=16 => client.read(&key, Barrier::Lease).await,
            _ => client.read(&key, Barrier::Linearizable).await,
        }
    }
}

impl Client {
    async fn put(&mut self, key: &str, expected: Option<u64>, insists: bool) {
        self.written += 1;
        let value = format!("{}-{}", self.caller.name, self.written);
        let put = Put {
            key: key.to_owned().into(),
            value: value.clone().into(),
            expected_revision: expected,
            ..Put::default()
        };
        let world = self.caller.world.clone();
        world.check.write_began(&value);
        match self.caller.ask(&Command::Put(put), insists).await {
            Answer::Done(_, Ok(Outcome::Put { done: true, kv: Some(kv), .. })) => {
                self.known.insert(key.to_owned(), kv.modify_revision);
                world.check.write_ended(&value, Fate::Done(kv.modify_revision));
            }
            Answer::Done(_, Err(_)) | Answer::Refused => world.check.write_ended(&value, Fate::Refused),
            Answer::Done(at, other) => world.trace.fail(format_args!("a strange answer at {at}: {other:?}")),
            Answer::Unknown => {}
        }
    }

    async fn delete(&mut self, key: &str) {
        let delete = Delete { target: Target::Key(key.to_owned().into()), expected_revision: None };
        let world = self.caller.world.clone();
        match self.caller.ask_once(&Command::Delete(delete)).await {
            Answer::Done(_, Ok(Outcome::Deleted(gone))) if gone.is_empty() => {}
            Answer::Done(at, Ok(Outcome::Deleted(_))) => world.check.deleted(key, at),
            Answer::Done(at, other) => world.trace.fail(format_args!("a strange answer at {at}: {other:?}")),
            Answer::Refused | Answer::Unknown => {}
        }
    }

    async fn read(&mut self, key: &str, level: Barrier) {
        let Some((server, life, began)) = self.caller.reader(level).await else { return };
        let state = life.handle.state();
        let at = state.revision();
        let revision = state.kv(key.as_bytes()).map_or(0, |e| e.modify_revision);
        self.caller.note(format_args!("reads {key} at s{server}, {at}, {level:?}: {revision}"));
        self.caller.world.check.read(server, began, key, &state);
        self.known.insert(key.to_owned(), revision);
    }
}
