//! Keeping the log short: when a checkpoint has made enough of the log superfluous, openraft is told that there is a
//! snapshot, and purges up to it.

use super::types::Raft;
use tokio::sync::watch;

/// Entries between two snapshots. A restart replays from the checkpoint, so this bounds the file, not the replay.
const EVERY: u64 = if cfg!(test) { 200 } else { 16_384 };
/// Entries that stay behind a snapshot, for a follower that was away for a moment.
pub(super) const KEEP: u64 = if cfg!(test) { 50 } else { 4096 };

/// Works until raft or the checkpoint stops. `durable` tells up to which index the checkpoint is on disk.
pub(super) async fn run(raft: Raft, mut durable: watch::Receiver<Option<u64>>) {
    let mut done = durable.borrow_and_update().unwrap_or(0);
    while durable.changed().await.is_ok() {
        let index = durable.borrow_and_update().unwrap_or(0);
        if index.saturating_sub(done) < EVERY {
            continue;
        }
        done = index;
        if raft.trigger().snapshot().await.is_err() {
            return;
        }
    }
}
