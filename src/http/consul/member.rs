//! Members of the pool as serf describes them.

use crate::gossip;
use crate::http::gateway::Gateway;
use crate::model::filter::{Field, Fields, Kind, Path, Test, Value};
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

/// What a filter of members can select.
pub(super) const MEMBER: &[Field] = &[
    Field::new("Name", Kind::Text),
    Field::new("Addr", Kind::Text),
    Field::new("Port", Kind::Int),
    Field::new("Tags", Kind::Map(&Kind::Text)),
    Field::new("Status", Kind::Int),
    Field::new("ProtocolMin", Kind::Int),
    Field::new("ProtocolMax", Kind::Int),
    Field::new("ProtocolCur", Kind::Int),
    Field::new("DelegateMin", Kind::Int),
    Field::new("DelegateMax", Kind::Int),
    Field::new("DelegateCur", Kind::Int),
];

impl Fields for Member {
    fn visit(&self, path: Path<'_>, test: Test<'_>) -> bool {
        let number = match path.next() {
            Some(("Name", _)) => return test(Value::Text(&self.name)),
            Some(("Addr", _)) => return test(Value::Text(&self.addr)),
            Some(("Tags", rest)) => {
                return rest.text_map(|| self.tags.keys(), |tag| self.tags.get(tag).map(String::as_str), test);
            }
            Some(("Port", _)) => i64::from(self.port),
            Some(("Status", _)) => self.status.into(),
            Some(("ProtocolMin", _)) => self.protocol_min.into(),
            Some(("ProtocolMax", _)) => self.protocol_max.into(),
            Some(("ProtocolCur", _)) => self.protocol_cur.into(),
            Some(("DelegateMin", _)) => self.delegate_min.into(),
            Some(("DelegateMax", _)) => self.delegate_max.into(),
            Some(("DelegateCur", _)) => self.delegate_cur.into(),
            _ => return test(Value::Absent),
        };
        test(Value::Int(number))
    }
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
