//! Which followers wait to be told what is committed: those whose clients write or read there. Others may be told with
//! the next entries.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// A follower that has asked something is in haste for so long.
const LASTS: Duration = Duration::from_millis(100);

/// When each follower has last asked for a write or a fresh read. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Haste(Arc<Mutex<HashMap<u64, Instant>>>);

impl Haste {
    fn asked(&self) -> MutexGuard<'_, HashMap<u64, Instant>> {
        // Every change of it is a single call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server `id` waits for something to be committed.
    pub(super) fn note(&self, id: u64) {
        let now = Instant::now();
        let mut asked = self.asked();
        if asked.insert(id, now).is_none() {
            // A newcomer: those who have left long ago need not be kept.
            asked.retain(|_, at| now - *at < LASTS);
        }
    }

    pub(super) fn of(&self, id: u64) -> bool {
        self.asked().get(&id).is_some_and(|at| at.elapsed() < LASTS)
    }
}
