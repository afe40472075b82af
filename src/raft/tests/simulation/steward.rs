//! Gives newcomers their vote, as autopilot does.

use super::world::World;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Works until the run ends.
pub(super) async fn run(world: Arc<World>) {
    loop {
        sleep(Duration::from_millis(500)).await;
        let Some((at, leader)) = world.leader() else { continue };
        let ids: Vec<u64> = world.lives().iter().map(|(_, life)| life.handle.status().id).collect();
        let members = leader.handle.status().members;
        let Some(waits) = members.iter().find(|member| !member.voter && ids.contains(&member.id)) else { continue };
        let done = timeout(Duration::from_secs(5), leader.handle.set_voter(waits.id, true)).await;
        world.trace.note(format_args!("s{at} gives {} a vote: {done:?}", waits.node.name));
    }
}
