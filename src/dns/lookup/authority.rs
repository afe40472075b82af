//! The zone itself: SOA, NS and negative answers.

use super::Lookup;
use crate::dns::answer::{Answer, Data, Group, Owner, Record};
use crate::dns::types::Rcode;
use crate::model::{Health, ServiceKey};
use std::net::IpAddr;

/// The service of the servers, as Consul's catalog names it.
const SERVERS: &str = "consul";
/// Name servers per answer, at most.
const NAME_SERVERS_MAX: usize = 3;

impl Lookup<'_> {
    /// The SOA record. Its serial is the state's revision.
    fn soa(&self) -> Record {
        let ttl = self.zone.options.soa.min_ttl;
        let serial = self.state.revision() as u32;
        Record { owner: Owner::Named(self.zone.domain.clone()), ttl, data: Data::Soa { serial } }
    }

    /// An answer without records; who asks is told how long it holds.
    pub(super) fn negative(&self, rcode: Rcode) -> Answer {
        Answer { authority: vec![Group::of(self.soa())], ..Answer::new(rcode) }
    }

    /// Any name with type SOA.
    pub(super) fn start_of_authority(&mut self) -> Answer {
        let servers = self.servers();
        let mut answer = Answer::new(Rcode::NoError);
        answer.answers.push(Group::of(self.soa()));
        answer.authority = servers;
        answer
    }

    /// Any name with type NS.
    pub(super) fn name_servers(&mut self) -> Answer {
        let servers = self.servers();
        Answer { answers: servers, ..Answer::new(Rcode::NoError) }
    }

    /// Up to three healthy servers with their addresses; this one if the catalog knows none.
    fn servers(&mut self) -> Vec<Group> {
        let mut groups = Vec::new();
        if let Some(service) = self.state.service(&ServiceKey::of(SERVERS)) {
            for instance in service.instances.iter() {
                let Some(node) = self.state.node(&instance.node) else { continue };
                let usable = instance.is_serving() && self.state.health(instance) != Health::Critical;
                if let (true, Ok(address)) = (usable, node.record.address.parse()) {
                    groups.extend(self.server(&node.record.name, address));
                }
            }
        }
        if groups.is_empty() {
            groups.extend(self.server(&self.zone.own.0, self.zone.own.1));
        }
        for at in 0..groups.len().min(NAME_SERVERS_MAX) {
            let other = at + self.dice.below((groups.len() - at) as u32) as usize;
            groups.swap(at, other);
        }
        groups.truncate(NAME_SERVERS_MAX);
        groups
    }

    /// A server whose name is not one plain label is left out, as in Consul.
    fn server(&self, node: &str, address: IpAddr) -> Option<Group> {
        if !node.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-') {
            return None;
        }
        let name = self.zone.node_name(node)?;
        let ttl = self.zone.node_ttl;
        Some(Group {
            records: vec![Record { owner: Owner::Named(self.zone.domain.clone()), ttl, data: Data::Ns(name) }],
            extras: vec![Record { owner: Owner::Target, ttl, data: Data::Address(address) }],
        })
    }
}
