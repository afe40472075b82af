//! Who is in the cluster: founding it, joining it, changing it. When to do any of this is decided elsewhere.

use super::codec;
use super::error::ProposeError;
use super::handle::Handle;
use super::link::CallError;
use super::recovery::FORMER_MAX;
use super::types::{LogId, Node};
use super::unfinished;
use crate::proto::internal as pb;
use crate::proto::internal::call_request::Body as Question;
use crate::proto::internal::call_response::Body as Answer;
use crate::store::Identity;
use openraft::type_config::async_runtime::watch::WatchReceiver;
use openraft::{ChangeMembers, Instant};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use uuid::Uuid;

/// How long a server may take to say who it is, or to change the membership.
const PROBE_LIMIT: Duration = Duration::from_secs(2);
const CHANGE_LIMIT: Duration = Duration::from_secs(10);
/// How long another server may take to lead.
const HAND_OVER_LIMIT: Duration = Duration::from_secs(3);

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// Its cluster, if it is in one.
    pub cluster: Option<Uuid>,
    /// Its raft id.
    pub id: u64,
    /// Its name, address and identity.
    pub node: Node,
    /// Its log is not empty.
    pub initialized: bool,
    /// The leader that it knows.
    pub leader: Option<u64>,
    /// Number of servers that it waits for to found a cluster; 0: it only joins.
    pub expect: u32,
    /// Last entry that it has applied.
    pub applied: u64,
    /// Last entry of its log.
    pub last_log: u64,
    /// Raft term.
    pub term: u64,
    /// Clusters that were recovered as `cluster`.
    pub former: Vec<Uuid>,
}

/// A server as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follower {
    /// Raft id.
    pub id: u64,
    /// Last entry that it is known to have.
    pub matched: u64,
    /// Milliseconds since it last answered; `None`: it never did.
    pub contact_ms: Option<u64>,
}

impl Handle {
    /// Nodes were heard of at these addresses (host:port of their server ports). Servers are called where they were last
    /// known to be, by this or by the log.
    pub fn hear_places(&self, heard: BTreeMap<Uuid, String>) {
        self.link().places.learn_heard(heard);
    }

    pub(super) fn describe(&self) -> pb::Probed {
        let status = self.status();
        pb::Probed {
            cluster: self.link().cluster_bytes(),
            id: status.id,
            node: Some(codec::to_node(self.own_node())),
            initialized: status.last_log > 0 || !status.members.is_empty(),
            leader: status.leader.map_or(0, |(id, _)| id),
            expect: self.inner().parts.expect,
            applied: status.applied,
            term: status.term,
            last_log: status.last_log,
            former: self.former().iter().map(|id| id.as_bytes().to_vec().into()).collect(),
        }
    }

    /// Asks the server at `address` (host:port) who it is.
    ///
    /// # Errors
    /// Why it did not answer.
    pub async fn probe(&self, address: &str) -> Result<Probed, String> {
        let answer = self.link().ask(0, address, Question::Probe(pb::Probe {}), PROBE_LIMIT).await;
        let Answer::Probe(probed) = answer.map_err(|e| e.to_string())? else {
            return Err(CallError::Confused.to_string());
        };
        Ok(Probed {
            cluster: Uuid::from_slice(&probed.cluster).ok(),
            id: probed.id,
            node: codec::from_node(probed.node.unwrap_or_default()).map_err(|e| e.to_string())?,
            initialized: probed.initialized,
            leader: Some(probed.leader).filter(|id| *id != 0),
            expect: probed.expect,
            applied: probed.applied,
            last_log: probed.last_log,
            term: probed.term,
            former: probed.former.iter().take(FORMER_MAX).filter_map(|id| Uuid::from_slice(id).ok()).collect(),
        })
    }

    /// From now on this server is in `cluster`, durably. The same again is no error. `former`: what was recovered as it.
    ///
    /// # Errors
    /// It is in another one.
    pub async fn adopt(&self, cluster: Uuid, former: &[Uuid]) -> Result<(), ProposeError> {
        let _one = self.inner().changing.lock().await;
        let parts = &self.inner().parts;
        match parts.link.cluster.get() {
            Some(own) if *own == cluster => return Ok(()),
            Some(own) => return Err(ProposeError::Refused(format!("this server is of cluster {own}"))),
            None => {}
        }
        let failed = |e: std::io::Error| ProposeError::Fatal(e.to_string());
        let identity = Identity { cluster: cluster.into_bytes(), node: parts.link.id };
        let bytes: Vec<[u8; 16]> = former.iter().map(|id| id.into_bytes()).collect();
        parts.log.save_lineage(identity, &bytes).await.map_err(failed)?;
        parts.checkpoint.adopt(cluster.into_bytes()).await.map_err(failed)?;
        // Under the lock, and only here.
        parts.link.belong_to(cluster, former.to_vec());
        tracing::info!(%cluster, "this server belongs to a cluster now");
        Ok(())
    }

    /// Asks the server `id` at `address` to be in `cluster`.
    ///
    /// # Errors
    /// Why it did not.
    pub async fn adopt_at(&self, id: u64, address: &str, cluster: Uuid) -> Result<(), String> {
        let question = Question::Adopt(pb::Adopt { cluster: cluster.as_bytes().to_vec().into() });
        self.link().ask(id, address, question, CHANGE_LIMIT).await.map(drop).map_err(|e| e.to_string())
    }

    /// Founds the cluster with these servers, all of which have adopted it.
    ///
    /// # Errors
    /// It was founded before, or raft stops.
    pub async fn found(&self, members: BTreeMap<u64, Node>) -> Result<(), ProposeError> {
        self.raft().initialize(members).await.map_err(|e| ProposeError::Refused(e.to_string()))
    }

    /// Makes a server a member, without a vote at first, or notes its new name or address. A member of the same
    /// identity, or at the same address, under another raft id is one that has lost its data: it is removed.
    ///
    /// # Errors
    /// There is no leader, or the change is not possible now.
    pub async fn enrol(&self, id: u64, node: Node) -> Result<(), ProposeError> {
        let Some(leader) = self.leader_elsewhere() else { return self.enrol_here(id, node).await };
        let question = Question::Enrol(pb::Enrol { id, read_only: node.read_only, node: Some(codec::to_node(&node)) });
        let answer = self.link().ask_node(&leader, question, CHANGE_LIMIT).await;
        answer.map(drop).map_err(CallError::of_write)
    }

    /// [`Handle::enrol`] at another server: this one is not in a cluster yet and cannot know the leader.
    ///
    /// # Errors
    /// Why it was not done.
    pub async fn enrol_at(&self, address: &str) -> Result<(), String> {
        let node = codec::to_node(self.own_node());
        let enrol = pb::Enrol { id: self.link().id, read_only: node.read_only, node: Some(node) };
        let answer = self.link().ask(0, address, Question::Enrol(enrol), CHANGE_LIMIT).await;
        answer.map(drop).map_err(|e| e.to_string())
    }

    pub(super) async fn enrol_here(&self, id: u64, node: Node) -> Result<(), ProposeError> {
        let _one = self.inner().changing.lock().await;
        let members = self.status().members;
        let known = members.iter().find(|m| m.id == id);
        let same_id = |m: &Node| !node.id.is_nil() && m.id == node.id;
        // One that has moved may stand where another one stood that moves, too.
        let in_place = |m: &Node| known.is_none() && !node.address.is_empty() && m.address == node.address;
        let replaced = members.iter().filter(|m| m.id != id && (same_id(&m.node) || in_place(&m.node)));
        for old in replaced.map(|m| m.id) {
            tracing::info!(old, new = id, name = %node.name, "a server has come back without its data");
            self.drop_member(old).await?;
        }
        match known {
            Some(known) if known.node == node => Ok(()),
            Some(_) => self.change(ChangeMembers::SetNodes(BTreeMap::from([(id, node)]))).await,
            None => {
                let added = self.raft().add_learner(id, node, false).await;
                added.map(drop).map_err(|e| changed_error(&e))
            }
        }
    }

    /// Gives members a vote, or takes it.
    ///
    /// # Errors
    /// This server does not lead, or another change is on its way.
    pub async fn set_voter(&self, id: u64, voter: bool) -> Result<(), ProposeError> {
        let _one = self.inner().changing.lock().await;
        let ids = BTreeSet::from([id]);
        match voter {
            true => self.change(ChangeMembers::AddVoterIds(ids)).await,
            // Retained: it goes on as a learner.
            false => {
                let done = self.raft().change_membership(ChangeMembers::RemoveVoters(ids), true).await;
                done.map(drop).map_err(|e| changed_error(&e))
            }
        }
    }

    /// Removes a server from the cluster. Its raft id is never used again.
    ///
    /// # Errors
    /// There is no leader, it is not a member, or it is the last one with a vote.
    pub async fn remove(&self, id: u64) -> Result<(), ProposeError> {
        let Some(leader) = self.leader_elsewhere() else { return self.remove_here(id).await };
        let answer = self.link().ask_node(&leader, Question::Remove(pb::Remove { id }), CHANGE_LIMIT).await;
        answer.map(drop).map_err(CallError::of_write)
    }

    pub(super) async fn remove_here(&self, id: u64) -> Result<(), ProposeError> {
        let _one = self.inner().changing.lock().await;
        self.drop_member(id).await
    }

    async fn drop_member(&self, id: u64) -> Result<(), ProposeError> {
        let members = self.status().members;
        let Some(member) = members.iter().find(|m| m.id == id) else {
            return Err(ProposeError::Refused(format!("there is no server {id} in the raft configuration")));
        };
        if !member.voter {
            return self.change(ChangeMembers::RemoveNodes(BTreeSet::from([id]))).await;
        }
        if members.iter().filter(|m| m.voter).count() == 1 {
            // In Consul's words, which scripts may look for.
            return Err(ProposeError::Refused("Need at least one voter in configuration: {[]}".to_owned()));
        }
        self.change(ChangeMembers::RemoveVoters(BTreeSet::from([id]))).await
    }

    /// Makes the second step of a change whose leader died after the first one.
    pub(super) async fn end_change(&self) -> Result<(), ProposeError> {
        let _one = self.inner().changing.lock().await;
        if !unfinished::waits_for_us(&self.raft().server_metrics().borrow_watched()) {
            return Ok(());
        }
        tracing::info!("a change of the members was begun by a leader that is gone, ending it");
        // Nothing is added: what is between two configurations goes on to the second one.
        self.change(ChangeMembers::AddVoterIds(BTreeSet::new())).await
    }

    async fn change(&self, change: ChangeMembers<u64, Node>) -> Result<(), ProposeError> {
        let done = self.raft().change_membership(change, false).await;
        done.map(drop).map_err(|e| changed_error(&e))
    }

    /// Has the leader, whoever it is, hand over to the member `to`, or to the voter that has most of the log.
    ///
    /// # Errors
    /// There is no leader, or nobody took over.
    pub async fn hand_over(&self, to: Option<u64>) -> Result<(), ProposeError> {
        let Some(leader) = self.leader_elsewhere() else { return self.hand_over_here(to).await };
        let question = Question::HandOver(pb::HandOver { to: to.unwrap_or_default() });
        let answer = self.link().ask_node(&leader, question, CHANGE_LIMIT).await;
        answer.map(drop).map_err(CallError::of_write)
    }

    pub(super) async fn hand_over_here(&self, to: Option<u64>) -> Result<(), ProposeError> {
        if !self.leadership().leads {
            return Err(ProposeError::NoLeader { hint: None });
        }
        match self.give_up_lead(to, HAND_OVER_LIMIT).await {
            true => Ok(()),
            false => Err(ProposeError::Refused("no other server took over".to_owned())),
        }
    }

    /// Returns whether somebody else leads when it returns.
    async fn give_up_lead(&self, to: Option<u64>, limit: Duration) -> bool {
        let mut status = self.subscribe_status();
        let own = self.link().id;
        let voters: BTreeSet<u64> = self.status().members.iter().filter(|m| m.voter).map(|m| m.id).collect();
        let best = self.followers().into_iter().filter(|f| voters.contains(&f.id)).max_by_key(|f| f.matched);
        let Some(to) = to.or(best.map(|f| f.id)) else { return false };
        if self.raft().trigger().transfer_leader(to).await.is_err() {
            return false;
        }
        let replaced = status.wait_for(|s| s.leader.as_ref().is_some_and(|(id, _)| *id != own));
        tokio::time::timeout(limit, replaced).await.is_ok_and(|seen| seen.is_ok())
    }

    /// The other servers as this leader sees them; none if it does not lead.
    pub fn followers(&self) -> Vec<Follower> {
        let metrics = self.raft().metrics();
        let metrics = metrics.borrow_watched();
        let Some(replication) = &metrics.replication else { return Vec::new() };
        let own = self.link().id;
        let contact = |id: &u64| {
            let at = metrics.heartbeat.as_ref()?.get(id)?.as_ref()?;
            Some(at.elapsed().as_millis() as u64)
        };
        let follower = |(id, matched): (&u64, &Option<LogId>)| Follower {
            id: *id,
            matched: matched.map_or(0, |at| at.index),
            contact_ms: contact(id),
        };
        replication.iter().filter(|(id, _)| **id != own).map(follower).collect()
    }
}

fn changed_error(
    error: &openraft::errors::RaftError<
        super::types::TypeConfig,
        openraft::errors::ClientWriteError<super::types::TypeConfig>,
    >,
) -> ProposeError {
    use openraft::errors::{ClientWriteError, RaftError};
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => super::error::no_leader(forward.clone()),
        other => ProposeError::Refused(other.to_string()),
    }
}
