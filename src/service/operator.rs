//! What operators ask of the servers: their configuration, their health, removing one.

use super::core::unexpected;
use super::{Core, Error, Written};
use crate::command::{Command, Outcome, Rejection, SetAutopilot};
use crate::model::Autopilot;
use std::net::SocketAddr;

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
        let peer = |member: crate::raft::Member| {
            let own = member.id == status.id;
            // A server that is alone may have no listener for others, and is then known by its own facts.
            let address = match member.node.address.as_str() {
                "" => SocketAddr::new(facts.advertise, facts.server_port).to_string(),
                known => known.to_owned(),
            };
            Peer {
                id: if own { facts.node_id.to_string() } else { member.id.to_string() },
                name: member.node.name,
                address,
                leader: leader == Some(member.id),
                voter: member.voter,
            }
        };
        status.members.into_iter().map(peer).collect()
    }

    /// Removes a server from the cluster.
    ///
    /// # Errors
    /// There is no such server, or it is the only one that has a vote.
    pub fn remove_peer(&self, name: &PeerName) -> Result<(), Error> {
        let refused = |reason| Error::Rejected(Rejection::Refused(reason));
        let peers = self.peers();
        let (found, words) = match name {
            PeerName::Id(id) => (peers.iter().find(|p| p.id == *id), format!("id {id:?}")),
            PeerName::Address(at) => (peers.iter().find(|p| p.address == *at), format!("address {at:?}")),
        };
        match found {
            None => Err(refused(format!("{words} was not found in the Raft configuration"))),
            // This version runs one server per cluster.
            Some(_) => Err(refused("Need at least one voter in configuration: {[]}".to_owned())),
        }
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

    /// A new cluster gets this autopilot configuration, so that operators find one to change.
    ///
    /// # Errors
    /// It could not be replicated.
    pub async fn init_autopilot(&self, first: Autopilot) -> Result<(), Error> {
        if self.local().state.autopilot().is_none() {
            self.set_autopilot(first, Some(0)).await?;
        }
        Ok(())
    }
}
