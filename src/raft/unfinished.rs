//! Ends changes of the members that a dead leader has begun.
//!
//! A change goes through a configuration in which the majorities of before and of after are both needed, and its leader
//! makes the second step. Where that leader dies in between, the cluster would stay there, and could not spare the servers
//! that its members seem to spare. So whoever leads and finds such a configuration makes the second step.

use super::handle::{Handle, Inner};
use super::types::{Raft, TypeConfig};
use openraft::ServerState;
use openraft::metrics::RaftServerMetrics;
use openraft::type_config::async_runtime::watch::WatchReceiver;
use std::sync::Weak;
use std::time::Duration;

/// Before the next attempt, where one has failed: the first step may not be agreed on yet.
const RETRY: Duration = Duration::from_millis(200);

/// Works until raft stops, or nobody has the handle any more.
pub(super) async fn run(handle: Weak<Inner>, raft: Raft) {
    let mut server = raft.server_metrics();
    loop {
        let waits = waits_for_us(&server.borrow_watched());
        if waits {
            let Some(inner) = handle.upgrade() else { return };
            // It waits for a change of this leader's own, which makes its second step itself.
            if let Err(error) = Handle::of(inner).end_change().await {
                tracing::debug!(%error, "an unfinished change of the members cannot be ended yet");
            }
            tokio::time::sleep(RETRY).await;
        } else if server.changed().await.is_err() {
            return;
        }
    }
}

/// Whether this server leads, between two configurations.
pub(super) fn waits_for_us(now: &RaftServerMetrics<TypeConfig>) -> bool {
    now.state == ServerState::Leader && now.membership_config.get_joint_config().len() > 1
}
