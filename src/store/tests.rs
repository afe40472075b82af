//! The log and the checkpoint on a simulated disk: what was acknowledged survives, what fails is never acknowledged.

mod checkpoint;
mod log;
mod snapshot;

use crate::command::{Command, Put, Record};
use crate::machine::{self, State};
use crate::store::{Delta, Position};
use std::sync::Arc;

const CLUSTER: [u8; 16] = [9; 16];

/// Applies puts of the keys at the revisions from `first` on, as one batch.
fn batch(state: &mut State, first: u64, keys: impl IntoIterator<Item = String>) -> Delta {
    batch_of(state, first, keys, |key, index| format!("{key}@{index}"))
}

/// The same with values of one's own.
fn batch_of(
    state: &mut State,
    first: u64,
    keys: impl IntoIterator<Item = String>,
    value: impl Fn(&str, u64) -> String,
) -> Delta {
    let (mut changes, mut bytes) = (Vec::new(), 0);
    let mut index = first;
    for key in keys {
        let put = Put { key: key.clone().into(), value: value(&key, index).into(), ..Put::default() };
        let record = Record { time_ms: index * 10, request_id: None, command: Command::Put(put) };
        let applied = machine::apply(state, index, 1, &record);
        applied.reply.expect("a put is never rejected");
        changes.extend(applied.changes);
        bytes += record.encode().len();
        index += 1;
    }
    let position = Position { index: index - 1, applied: vec![1, 2], membership: vec![3] };
    Delta { state: Arc::new(state.clone()), position, changes, bytes }
}

/// The keys and values of a state.
fn contents(state: &State) -> Vec<(String, String)> {
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    state.kv_prefix(b"").map(|e| (text(&e.key), text(&e.value))).collect()
}

/// A small seeded generator for tests.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        // Numerical Recipes' linear congruential generator; its high bits are good enough here.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
