//! How far something has come, for many who wait for it. They are woken in the order in which they came.

use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

/// A number, and who waits for it.
#[derive(Debug)]
pub(super) struct Progress {
    at: AtomicU64,
    moved: Notify,
}

impl Progress {
    pub(super) fn new(at: u64) -> Progress {
        Progress { at: AtomicU64::new(at), moved: Notify::new() }
    }

    /// It is there now.
    pub(super) fn set(&self, at: u64) {
        self.at.store(at, Ordering::Release);
        self.moved.notify_waiters();
    }

    /// Resolves when it has come to `wanted`.
    pub(super) async fn reached(&self, wanted: u64) {
        loop {
            // Before the look: a move after it wakes this one.
            let moved = self.moved.notified();
            if self.at.load(Ordering::Acquire) >= wanted {
                return;
            }
            moved.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn wakes_those_who_have_what_they_wait_for() {
        let progress = Progress::new(3);
        assert!(progress.reached(3).now_or_never().is_some());
        let mut waiting = Box::pin(progress.reached(5));
        assert!((&mut waiting).now_or_never().is_none());
        progress.set(4);
        assert!((&mut waiting).now_or_never().is_none());
        progress.set(6);
        assert!((&mut waiting).now_or_never().is_some());
    }
}
