//! Nodes that the catalog takes for members and gossip does not know: they died or left while no server was there to
//! see it.
//!
//! Consul removes them at its first look. A server that has just started knows few members, and what it does not know yet
//! must not shrink an answer: such nodes have time to come back before they are critical, and then stay for as long as a
//! failed member does. The leader counts the time; another one begins again.

use super::{ABSENT_OUTPUT, serf_health};
use crate::gossip::Members;
use crate::model::{Health, NodeId, NodeRecord, Text, fold};
use crate::service::{Core, Error};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::warn;

/// How long nodes are waited for that gossip does not know.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Between two looks at everything.
    pub full_every: Duration,
    /// From the first look that misses a node until it is critical.
    pub critical_after: Duration,
    /// From the same look until it is removed.
    pub forget_after: Duration,
}

impl Patience {
    /// That of a server that forgets failed members after this time.
    pub fn forgetting_after(forget_after: Duration) -> Patience {
        Patience { full_every: Duration::from_secs(60), critical_after: Duration::from_secs(180), forget_after }
    }
}

/// The nodes that the last look missed, with the time of the first that did.
#[derive(Default)]
pub(super) struct Absent {
    since: HashMap<(Text, Option<NodeId>), Instant>,
}

impl Absent {
    /// Another server leads: the time that was counted here means nothing afterwards.
    pub(super) fn clear(&mut self) {
        self.since.clear();
    }

    #[cfg(test)]
    pub(super) fn since_of(&self, name: &str) -> Option<Instant> {
        self.since.iter().find(|((known, _), _)| known == name).map(|(_, since)| *since)
    }

    /// Notes who is missing, and how long each has been.
    fn look(&mut self, core: &Core, members: &Members) -> Vec<(Arc<NodeRecord>, Duration)> {
        let names: HashSet<Text> = members.iter().map(|member| fold(&member.name)).collect();
        let ids: HashSet<NodeId> = members.iter().map(|member| member.id).collect();
        let is_member =
            |record: &NodeRecord| names.contains(&fold(&record.name)) || record.id.is_some_and(|id| ids.contains(&id));
        let state = core.inner.raft.state();
        let missing = state.nodes().map(|node| &node.record);
        let missing = missing.filter(|record| serf_health(record).is_some() && !is_member(record));
        let before = std::mem::take(&mut self.since);
        let now = Instant::now();
        let noted = missing.map(|record| {
            let key = (record.name.clone(), record.id);
            let since = *before.get(&key).unwrap_or(&now);
            self.since.insert(key, since);
            (record.clone(), now - since)
        });
        noted.collect()
    }
}

impl Core {
    /// Shows nodes as failed that gossip has not known for long, and removes them in the end. What cannot be done now is
    /// done at the next look.
    pub(super) async fn reconcile_absent(&self, members: &Members, absent: &mut Absent, patience: &Patience) {
        for (record, waited) in absent.look(self, members) {
            let done = if waited >= patience.forget_after {
                self.remove_node(&record.name, record.id, "has not been a member for long").await
            } else if waited >= patience.critical_after && serf_health(&record) != Some(Health::Critical) {
                self.show_absent(&record).await
            } else {
                Ok(())
            };
            if let Err(error) = done {
                warn!(node = %record.name, %error, "a node that gossip does not know cannot be shown as such yet");
            }
        }
    }

    async fn show_absent(&self, record: &NodeRecord) -> Result<(), Error> {
        warn!(node = %record.name, "gossip does not know this node: it is shown as critical");
        self.set_serf_health(record.clone(), Health::Critical, ABSENT_OUTPUT).await
    }
}
