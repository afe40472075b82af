//! Answers that are kept for when no server can be reached: the last of each question, the least used go first.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// At most so many answers, with so many bytes.
#[derive(Debug)]
pub(super) struct Kept<K, V> {
    entries_max: usize,
    bytes_max: usize,
    shelf: Mutex<Shelf<K, V>>,
}

#[derive(Debug)]
struct Shelf<K, V> {
    entries: HashMap<K, Entry<V>>,
    /// By when they were last used.
    order: BTreeMap<u64, K>,
    next: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry<V> {
    value: Arc<V>,
    bytes: usize,
    used: u64,
    heard: Instant,
}

impl<K: Hash + Eq + Clone, V> Kept<K, V> {
    pub(super) fn new(entries_max: usize, bytes_max: usize) -> Kept<K, V> {
        let shelf = Shelf { entries: HashMap::new(), order: BTreeMap::new(), next: 0, bytes: 0 };
        Kept { entries_max, bytes_max, shelf: Mutex::new(shelf) }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf<K, V>> {
        // Nothing below panics while holding it.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an answer in place of an older one, unless it is more than an eighth of all there may be.
    pub(super) fn put(&self, key: K, value: Arc<V>, bytes: usize) {
        let mut shelf = self.shelf();
        shelf.remove(&key);
        if bytes > self.bytes_max / 8 {
            return;
        }
        let used = shelf.tick();
        shelf.order.insert(used, key.clone());
        shelf.bytes += bytes;
        shelf.entries.insert(key, Entry { value, bytes, used, heard: Instant::now() });
        while shelf.entries.len() > self.entries_max || shelf.bytes > self.bytes_max {
            let Some((_, oldest)) = shelf.order.pop_first() else { return };
            shelf.remove(&oldest);
        }
    }

    /// The last answer, and when it was heard.
    pub(super) fn get(&self, key: &K) -> Option<(Arc<V>, Instant)> {
        let mut shelf = self.shelf();
        let used = shelf.tick();
        let entry = shelf.entries.get_mut(key)?;
        let (before, found) = (std::mem::replace(&mut entry.used, used), (entry.value.clone(), entry.heard));
        shelf.order.remove(&before);
        shelf.order.insert(used, key.clone());
        Some(found)
    }
}

impl<K: Hash + Eq, V> Shelf<K, V> {
    fn tick(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn remove(&mut self, key: &K) {
        if let Some(entry) = self.entries.remove(key) {
            self.order.remove(&entry.used);
            self.bytes -= entry.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_least_used_goes_first() {
        let kept = Kept::new(2, 1000);
        kept.put("a", Arc::new(1), 10);
        kept.put("b", Arc::new(2), 10);
        assert_eq!(*kept.get(&"a").expect("kept").0, 1);
        kept.put("c", Arc::new(3), 10);
        assert!(kept.get(&"b").is_none());
        assert!(kept.get(&"a").is_some() && kept.get(&"c").is_some());
    }

    proptest! {
        #[test]
        fn bounds_hold(ops in prop::collection::vec((0u8..20, 0usize..30, any::<bool>()), 0..200)) {
            let kept = Kept::new(5, 100);
            for (key, bytes, read) in ops {
                if read {
                    kept.get(&key);
                } else {
                    kept.put(key, Arc::new(()), bytes);
                }
                let shelf = kept.shelf();
                prop_assert!(shelf.entries.len() <= 5 && shelf.bytes <= 100);
                prop_assert_eq!(shelf.entries.len(), shelf.order.len());
                prop_assert_eq!(shelf.entries.values().map(|e| e.bytes).sum::<usize>(), shelf.bytes);
            }
        }
    }
}
