//! What gossip knows of nodes, made visible in the catalog by the leader: registered and `serfHealth` passing while they
//! live, critical when they have failed, gone when they have left.
//!
//! Before a node turns critical the leader asks it directly once: gossip may be wrong where one more path is right. Only
//! members and nodes with a `serfHealth`, which have been members, are touched; nodes that others registered are not. A
//! server's place in replication is not decided here: whoever does that finds servers by the tag `role` = `consul`, their
//! address and the tag `port`, their id, and `expect` or `bootstrap` among the tags.

mod absent;
#[cfg(test)]
mod tests;

pub use absent::Patience;

use super::admission::Lane;
use super::{Core, Error};
use crate::command::{CatalogCheck, CatalogDeregister, CatalogRegister};
use crate::gossip::{Member, Members, Status};
use crate::model::{Check, Health, NodeRecord, Text};
use absent::Absent;
use futures::future::BoxFuture;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::interval;
use tracing::{debug, info, warn};
use uuid::Uuid;

/// What could not be done is tried again after this time, and who failed but answered directly is asked again.
const RETRY: Duration = Duration::from_secs(5);
/// The check that says whether a node is reachable, as in Consul.
const SERF_HEALTH: &str = "serfHealth";
/// What that check says of a node that cannot be reached.
const ABSENT_OUTPUT: &str = "Agent not live or unreachable";

const HAS_LEFT: &str = "has left";

/// Asks a member directly whether it is there.
pub type Reach = Arc<dyn Fn(Arc<Member>) -> BoxFuture<'static, bool> + Send + Sync>;

/// What this process has seen.
#[derive(Default)]
struct Seen {
    /// Members by id, with the name under which they are in the catalog.
    names: HashMap<Uuid, String>,
    /// Somebody has to be looked at again soon.
    again: bool,
}

impl Core {
    /// Keeps the catalog in step with the members while this server leads, until it drains.
    pub async fn run_reconcile(self, mut members: watch::Receiver<Arc<Members>>, reach: Reach, patience: Patience) {
        let mut seen = Seen::default();
        let mut absent = Absent::default();
        let mut status = self.inner.raft.subscribe_status();
        let mut full = interval(patience.full_every);
        let mut looks_at_all = false;
        loop {
            let now = members.borrow_and_update().clone();
            status.mark_unchanged();
            let leads = self.leads();
            seen.again = false;
            if leads {
                self.reconcile(&now, &mut seen, &reach).await;
                if std::mem::take(&mut looks_at_all) {
                    self.reconcile_absent(&now, &mut absent, &patience).await;
                }
            } else {
                seen.note(&now);
                absent.clear();
            }
            let retry = async {
                match seen.again {
                    true => tokio::time::sleep(RETRY).await,
                    false => std::future::pending().await,
                }
            };
            let lead_changed = async {
                while status.changed().await.is_ok() {
                    if self.leads() != leads {
                        return;
                    }
                }
                // Replication has stopped; the fatal path ends the process.
                std::future::pending().await
            };
            tokio::select! {
                changed = members.changed() => if changed.is_err() { return },
                () = lead_changed => {}
                () = retry => {}
                _ = full.tick() => looks_at_all = true,
                () = self.drained() => return,
            }
        }
    }

    async fn reconcile(&self, members: &Members, seen: &mut Seen, reach: &Reach) {
        let own = self.inner.facts.node_id;
        for member in members.iter().filter(|member| member.id != own) {
            let done = match member.status {
                Status::Alive | Status::Leaving => self.show_alive(member).await,
                Status::Failed => self.show_failed(member, seen, reach).await,
                Status::Left => self.remove_node(&member.name, Some(member.id), HAS_LEFT).await,
            };
            seen.check(&member.name, done);
        }
        // Those who were members and are forgotten.
        let present: HashSet<Uuid> = members.iter().map(|member| member.id).collect();
        let gone: Vec<(Uuid, String)> =
            seen.names.iter().filter(|(id, _)| !present.contains(id)).map(|(id, name)| (*id, name.clone())).collect();
        for (id, name) in gone {
            let done = self.remove_node(&name, Some(id), HAS_LEFT).await;
            if done.is_ok() {
                seen.names.remove(&id);
            }
            seen.check(&name, done);
        }
        seen.note(members);
    }

    /// Registers the node if need be, with its check passing.
    async fn show_alive(&self, member: &Member) -> Result<(), Error> {
        let state = self.inner.raft.state();
        let address: Text = member.address.ip().to_string().into();
        let shown = state.node(&member.name).map(|node| node.record.clone());
        let healthy = |record: &NodeRecord| serf_health(record) == Some(Health::Passing);
        let same = |record: &NodeRecord| record.id == Some(member.id) && record.address == address;
        if shown.as_ref().is_some_and(|record| same(record) && healthy(record)) {
            return Ok(());
        }
        let node = match shown {
            // What the node's agent says about itself stays.
            Some(record) if same(&record) => (*record).clone(),
            _ => node_of(member, address),
        };
        info!(node = %member.name, "member is alive: its node is shown as reachable");
        self.set_serf_health(node, Health::Passing, "Agent alive and reachable").await
    }

    async fn show_failed(&self, member: &Arc<Member>, seen: &mut Seen, reach: &Reach) -> Result<(), Error> {
        let state = self.inner.raft.state();
        let Some(node) = state.node(&member.name).filter(|node| node.record.id == Some(member.id)) else {
            return Ok(());
        };
        if serf_health(&node.record) == Some(Health::Critical) {
            return Ok(());
        }
        if reach(member.clone()).await {
            info!(node = %member.name, "gossip takes a node for failed that answers: it is not shown as failed");
            seen.again = true;
            return Ok(());
        }
        warn!(node = %member.name, "member has failed: its node is shown as critical");
        self.set_serf_health((*node.record).clone(), Health::Critical, ABSENT_OUTPUT).await
    }

    async fn set_serf_health(&self, node: NodeRecord, health: Health, output: &str) -> Result<(), Error> {
        let check = Check {
            id: SERF_HEALTH.into(),
            name: "Serf Health Status".into(),
            health,
            output: output.into(),
            ..Check::default()
        };
        let checks = vec![CatalogCheck { service_id: Text::default(), check }];
        let node = NodeRecord { checks: Default::default(), ..node };
        let register = CatalogRegister { node, skip_node_update: false, service: None, checks };
        self.catalog_register_in(Lane::Own, Box::new(register)).await.map(drop)
    }

    /// Removes a node that is no longer a member, if it is still that one.
    async fn remove_node(&self, name: &str, id: Option<Uuid>, why: &str) -> Result<(), Error> {
        let state = self.inner.raft.state();
        if state.node(name).is_none_or(|node| node.record.id != id) {
            return Ok(());
        }
        info!(node = %name, "node {why}: it is removed from the catalog");
        let deregister =
            CatalogDeregister { node: name.into(), service_id: Text::default(), check_id: Text::default() };
        self.catalog_deregister_in(Lane::Own, deregister).await.map(drop)
    }
}

impl Seen {
    fn note(&mut self, members: &Members) {
        for member in members.iter() {
            match member.status {
                // Its node is gone, and may come back under another id.
                Status::Left => drop(self.names.remove(&member.id)),
                Status::Alive | Status::Leaving | Status::Failed => {
                    self.names.insert(member.id, member.name.clone());
                }
            }
        }
    }

    fn check(&mut self, name: &str, done: Result<(), Error>) {
        match done {
            Ok(()) => {}
            // What the state forbids now, such as another node's name, may be allowed at the next full look.
            Err(Error::Rejected(why)) => debug!(node = %name, %why, "the catalog refuses a member"),
            Err(error) => {
                debug!(node = %name, %error, "the catalog cannot show a member, trying again");
                self.again = true;
            }
        }
    }
}

/// Whether a node is reachable, as the catalog has it; `None` for one that was never a member.
fn serf_health(record: &NodeRecord) -> Option<Health> {
    let check = record.checks.iter().find(|check| check.id.eq_ignore_ascii_case(SERF_HEALTH));
    check.map(|check| check.health)
}

fn node_of(member: &Member, address: Text) -> NodeRecord {
    let family = match member.address.ip() {
        IpAddr::V4(_) => ["lan", "lan_ipv4", "wan", "wan_ipv4"],
        IpAddr::V6(_) => ["lan", "lan_ipv6", "wan", "wan_ipv6"],
    };
    NodeRecord {
        name: member.name.as_str().into(),
        id: Some(member.id),
        tagged_addresses: Some(family.map(|tag| (tag.into(), address.clone())).into()),
        address,
        meta: Some([("consul-network-segment".into(), Text::default())].into()),
        ..NodeRecord::default()
    }
}
