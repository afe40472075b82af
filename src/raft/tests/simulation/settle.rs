//! The end of a run: when nothing goes wrong any more, the cluster must come to rest by itself, and be whole.

use super::client;
use super::world::{End, World};
use crate::raft::Barrier;
use openraft::type_config::async_runtime::watch::WatchReceiver;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How long it may take, with restarts, snapshots and newcomers.
const LIMIT: Duration = Duration::from_secs(120);

impl World {
    /// Whether every server is up, has a vote, and has all of the log; the reason if not.
    fn unrest(&self) -> Option<String> {
        let Some((_, leader)) = self.leader() else { return Some("nobody leads".into()) };
        let status = leader.handle.status();
        let mut ids = BTreeSet::new();
        for (at, slot) in self.slots().iter().enumerate().filter(|(_, slot)| slot.wanted) {
            let Some(life) = &slot.life else { return Some(format!("s{at} is down")) };
            let id = life.handle.status().id;
            if !status.members.iter().any(|member| member.id == id && member.voter) {
                return Some(format!("s{at} ({id}) has no vote in {:?}", status.members));
            }
            let revision = life.handle.state().revision();
            if revision != status.last_log {
                return Some(format!("s{at} has applied {revision} of {}", status.last_log));
            }
            ids.insert(id);
        }
        let gone = status.members.iter().find(|member| !ids.contains(&member.id));
        gone.map(|member| format!("{member:?} is a member still"))
    }

    /// Whether the membership may be changed.
    pub(super) fn settled(&self) -> bool {
        let Some((_, leader)) = self.leader() else { return false };
        let status = leader.handle.status();
        let metrics = leader.handle.raft().server_metrics();
        let newest = metrics.borrow_watched().membership_config.clone();
        // Until it is committed, the configuration before it counts, too; and the one that a change comes from, until
        // the change is at its end.
        let agreed = newest.log_id().is_some_and(|id| id.index <= status.committed);
        if !agreed || newest.get_joint_config().len() > 1 {
            return false;
        }
        let members = status.members;
        let slots = self.slots();
        let mut wanted = slots.iter().filter(|slot| slot.wanted);
        let all = wanted.all(|slot| {
            let id = slot.life.as_ref().map(|life| life.handle.status().id);
            members.iter().any(|member| Some(member.id) == id && member.voter)
        });
        all && members.len() == slots.iter().filter(|slot| slot.wanted).count()
    }

    /// Servers that were removed although nobody was told so.
    fn retire(self: &Arc<World>) {
        let Some((_, leader)) = self.leader() else { return };
        let members = leader.handle.status().members;
        for (at, life) in self.lives() {
            let id = life.handle.status().id;
            let mut slots = self.slots();
            if slots[at].joins || members.iter().any(|member| member.id == id) {
                continue;
            }
            slots[at].wanted = false;
            drop(slots);
            self.end(at, End::Stop, 0);
        }
    }
}

/// Waits for the cluster to come to rest, and compares its servers.
pub(super) async fn run(world: &Arc<World>) {
    let deadline = Instant::now() + LIMIT;
    let mut calm = 0;
    while calm < 5 {
        sleep(Duration::from_millis(200)).await;
        if world.trace.broken().is_some() {
            return;
        }
        match world.unrest() {
            None => calm += 1,
            Some(reason) if Instant::now() > deadline => {
                return world.trace.fail(format_args!("the cluster does not come to rest: {reason}"));
            }
            Some(_) => {
                calm = 0;
                if Instant::now() + LIMIT / 2 > deadline {
                    world.retire();
                }
            }
        }
    }
    for (at, life) in world.lives() {
        for level in [Barrier::Linearizable, Barrier::Lease] {
            let began = world.check.begin();
            let fresh = timeout(Duration::from_secs(10), life.handle.barrier(level)).await;
            if !matches!(fresh, Ok(Ok(()))) {
                world.trace.fail(format_args!("s{at} cannot read at rest: {fresh:?}"));
                continue;
            }
            let state = life.handle.state();
            for key in client::keys() {
                world.check.read(at, began, &key, &state);
            }
        }
    }
    world.look();
}
