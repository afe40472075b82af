//! Encoded answers that were given before. Bounded: two halves, and when the young one is full the old one goes.

use super::encode::Encoded;
use crate::machine::State;
use std::collections::HashMap;

/// Memory of each half, bytes.
const HALF_BYTES_MAX: usize = 16 << 20;
/// What an entry takes besides its answer, about.
const ENTRY_BYTES: usize = 128;

/// One kept answer.
#[derive(Debug)]
struct Entry {
    encoded: Encoded,
    /// The last revision of the whole state for which it was found good.
    revision: u64,
}

/// Answers by folded name and type.
#[derive(Debug, Default)]
pub(super) struct Cache {
    young: HashMap<Box<[u8]>, Entry>,
    old: HashMap<Box<[u8]>, Entry>,
    young_bytes: usize,
}

impl Cache {
    /// The answer for this key, if what it was made from has not changed.
    pub(super) fn get(&mut self, key: &[u8], state: &State) -> Option<&mut Encoded> {
        if !self.young.contains_key(key) {
            let (key, entry) = self.old.remove_entry(key)?;
            self.insert_entry(key, entry);
        }
        let entry = self.young.get_mut(key)?;
        let revision = state.revision();
        if entry.revision != revision {
            if !entry.encoded.depends.iter().all(|d| d.holds(state)) {
                return None;
            }
            entry.revision = revision;
        }
        Some(&mut entry.encoded)
    }

    /// Keeps an answer that was made from this state.
    pub(super) fn insert(&mut self, key: &[u8], encoded: Encoded, state: &State) {
        self.insert_entry(key.into(), Entry { encoded, revision: state.revision() });
    }

    fn insert_entry(&mut self, key: Box<[u8]>, entry: Entry) {
        let bytes = |e: &Entry, key: &[u8]| e.encoded.memory() + key.len() + ENTRY_BYTES;
        let added = bytes(&entry, &key);
        if self.young_bytes + added > HALF_BYTES_MAX {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += added;
        let len = key.len();
        if let Some(before) = self.young.insert(key, entry) {
            self.young_bytes -= before.encoded.memory() + len + ENTRY_BYTES;
        }
    }
}
