//! What operators ask of the servers: their configuration, their health, removing one.

use super::core::unexpected;
use super::{Core, Error, Written};
use crate::cluster::{self, Directory, ServerHealth};
use crate::command::{Command, Outcome, Rejection, SetAutopilot};
use crate::model::Autopilot;
use std::net::SocketAddr;
use std::sync::Arc;

/// A server of the cluster, as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Identity of its node.
    pub id: String,
    /// Name of its node.
    pub name: String,
    /// host:port of server traffic.
    pub address: String,
    /// It leads.
    pub leader: bool,
    /// It has a vote.
    pub voter: bool,
}

/// By what a server is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerName {
    /// [`Peer::id`].
    Id(String),
    /// [`Peer::address`].
    Address(String),
}

impl Core {
    /// The servers, in order of raft id.
    pub fn peers(&self) -> Vec<Peer> {
        let (status, facts) = (self.raft_status(), self.facts());
        let leader = status.leader.as_ref().map(|(id, _)| *id);
        let peer = |member: crate::raft::Member| Peer {
            id: member.node.id.to_string(),
            name: member.node.name,
            // A server that is alone may have no listener for others, and is then known by its own facts.
            address: match member.node.address {
                empty if empty.is_empty() => SocketAddr::new(facts.advertise, facts.server_port).to_string(),
                known => known,
            },
            leader: leader == Some(member.id),
            voter: member.voter,
        };
        status.members.into_iter().map(peer).collect()
    }

    /// Removes a server from the cluster.
    ///
    /// # Errors
    /// There is no such server, it is the only one that has a vote, or there is no leader.
    pub async fn remove_peer(&self, name: &PeerName) -> Result<(), Error> {
        let peers = self.peers();
        let (found, words) = match name {
            PeerName::Id(id) => (peers.iter().position(|p| p.id == *id), format!("id {id:?}")),
            PeerName::Address(at) => (peers.iter().position(|p| p.address == *at), format!("address {at:?}")),
        };
        // In the same order as the peers.
        let member = found.and_then(|at| self.raft_status().members.into_iter().nth(at));
        let Some(member) = member else {
            let reason = format!("{words} was not found in the Raft configuration");
            return Err(Error::Rejected(Rejection::Refused(reason)));
        };
        Ok(self.inner.raft.remove(member.id).await?)
    }

    /// Hands leadership over, to the server with this id or to the one that has most of the log.
    ///
    /// # Errors
    /// There is no such voter, there is no leader, or nobody took over in time.
    pub async fn transfer_leader(&self, to: Option<&str>) -> Result<(), Error> {
        let to = match to {
            None => None,
            Some(id) => {
                let members = self.raft_status().members;
                let member = members.into_iter().find(|m| m.node.id.to_string() == id && m.voter);
                let unknown = || Error::Rejected(Rejection::Refused(format!("there is no voter with the id {id:?}")));
                Some(member.ok_or_else(unknown)?.id)
            }
        };
        Ok(self.inner.raft.hand_over(to).await?)
    }

    /// From now on `directory` tells which servers gossip knows. The first one stays.
    pub fn know_servers(&self, directory: Directory) {
        // Set once, when the parts are put together.
        let _ = self.inner.directory.set(directory);
    }

    /// How the servers are. The leader knows by replication; any other server asks each of them.
    pub async fn server_health(&self) -> Vec<ServerHealth> {
        let seen = self.inner.directory.get().map_or_else(|| Arc::from([]), |d| d.borrow().clone());
        let raft = &self.inner.raft;
        let mut servers = cluster::health(raft, &self.autopilot(), &seen);
        if !self.leads() {
            let last = self.raft_status().last_log;
            let asked = servers.iter_mut().map(async |server| {
                let Ok(found) = raft.probe(&server.member.node.address).await else { return };
                server.contact_ms = Some(0);
                server.last_log = found.last_log;
                let behind = last.saturating_sub(found.last_log);
                server.healthy = found.leader.is_some() && behind <= self.autopilot().max_trailing_logs;
            });
            futures::future::join_all(asked).await;
        }
        servers
    }

    /// Replaces the autopilot configuration; false if the present one is not of the expected revision.
    ///
    /// # Errors
    /// It could not be replicated.
    pub async fn set_autopilot(
        &self,
        autopilot: Autopilot,
        expected_revision: Option<u64>,
    ) -> Result<Written<bool>, Error> {
        let written = self.propose(None, Command::SetAutopilot(SetAutopilot { autopilot, expected_revision })).await?;
        match written.value {
            Outcome::AutopilotSet(done) => Ok(written.map(|_| done)),
            other => Err(unexpected(&other)),
        }
    }

    /// What the operator said about the care of the servers, or the defaults.
    pub fn autopilot(&self) -> Autopilot {
        self.local().state.autopilot().map_or_else(Autopilot::default, |a| (**a).clone())
    }

    /// Stores `first` when this server leads a cluster that has no configuration; runs until the server stops.
    pub async fn run_first_autopilot(self, first: Autopilot) {
        let mut status = self.inner.raft.subscribe_status();
        loop {
            if self.inner.raft.leadership().leads
                && let Err(error) = self.init_autopilot(&first).await
            {
                tracing::warn!(%error, "cannot store the autopilot configuration");
            }
            tokio::select! {
                changed = status.changed() => if changed.is_err() { return },
                () = self.drained() => return,
            }
        }
    }

    /// A new cluster gets this autopilot configuration, so that operators find one to change.
    ///
    /// # Errors
    /// It could not be replicated.
    pub async fn init_autopilot(&self, first: &Autopilot) -> Result<(), Error> {
        if self.local().state.autopilot().is_none() {
            self.set_autopilot(first.clone(), Some(0)).await?;
        }
        Ok(())
    }
}
