//! Where servers say that they are.

use super::{Directory, Presence};
use crate::raft::Handle;

/// Tells raft until this server stops. A server that has moved is called at its new place even when the cluster has no
/// leader that could note it.
pub async fn run(raft: Handle, mut directory: Directory) {
    loop {
        let seen = directory.borrow_and_update().clone();
        let alive = seen.iter().filter(|s| s.presence == Presence::Alive);
        raft.hear_places(alive.map(|s| (s.id, s.address.clone())).collect());
        if directory.changed().await.is_err() {
            return;
        }
    }
}
