//! Members of the pool as serf describes them.

use crate::gossip;
use crate::http::gateway::Gateway;
use std::collections::BTreeMap;

/// A member.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Member {
    name: String,
    addr: String,
    port: u16,
    tags: BTreeMap<String, String>,
    status: u8,
    protocol_min: u8,
    protocol_max: u8,
    protocol_cur: u8,
    delegate_min: u8,
    delegate_max: u8,
    delegate_cur: u8,
}

impl Member {
    pub(super) fn of(member: &gossip::Member) -> Member {
        Member {
            name: member.name.clone(),
            addr: member.address.ip().to_string(),
            port: member.address.port(),
            tags: member.tags.clone(),
            status: member.status.number(),
            protocol_min: 1,
            protocol_max: 5,
            protocol_cur: 2,
            delegate_min: 2,
            delegate_max: 5,
            delegate_cur: 4,
        }
    }

    /// A server as the pool between datacenters would show it, in which it is alone.
    pub(super) fn of_wan(member: &gossip::Member, gateway: &Gateway) -> Member {
        let facts = gateway.facts();
        let mut wan = Member::of(member);
        wan.name = format!("{}.{}", wan.name, facts.datacenter);
        wan.port = facts.serf_wan_port;
        wan.tags.remove("wan_join_port");
        wan
    }
}

/// The members of the datacenter, in order of name.
pub(super) fn lan(gateway: &Gateway) -> Vec<Member> {
    let members = gateway.gossip().map(gossip::Gossip::members).unwrap_or_default();
    members.iter().map(|member| Member::of(member)).collect()
}

/// This node in the pool between datacenters.
pub(super) fn wan(gateway: &Gateway) -> Vec<Member> {
    let members = gateway.gossip().map(gossip::Gossip::members).unwrap_or_default();
    let servers = members.iter().filter(|member| member.tag("role") == "consul");
    servers.map(|member| Member::of_wan(member, gateway)).collect()
}

/// This node.
pub(super) fn own(gateway: &Gateway) -> Option<Member> {
    let members = gateway.gossip()?.members();
    members.named(&gateway.facts().node_name).map(|member| Member::of(member))
}
