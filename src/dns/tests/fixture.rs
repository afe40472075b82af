//! A catalog to ask about, a way to ask, and replies as text.

use crate::command::{CatalogCheck, CatalogRegister, Command, Record, Register};
use crate::dns::options::Options;
use crate::dns::responder::{Responder, Transport};
use crate::dns::reverse::ReverseTree;
use crate::dns::types::TYPE_OPT;
use crate::dns::zone::{Identity, Zone};
use crate::machine::{self, State};
use crate::model::{Check, Health, Instance, InstanceKey, NodeRecord, ServiceKey};
use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RData, Record as WireRecord, RecordType};
use std::str::FromStr;
use std::sync::Arc;

/// Applies a command as the next entry of the log.
pub(super) fn apply(state: &mut State, command: Command) {
    let record = Record { time_ms: 1, request_id: None, command };
    let applied = machine::apply(state, state.revision() + 1, 1, &record);
    assert!(applied.reply.is_ok(), "{:?}", applied.reply);
}

/// A registration of a node, and maybe of a service on it.
pub(super) fn catalog(node: NodeRecord, service: Option<Instance>, checks: Vec<CatalogCheck>) -> Command {
    Command::CatalogRegister(Box::new(CatalogRegister { node, skip_node_update: false, service, checks }))
}

/// A node without more than a name and an address.
pub(super) fn node(name: &str, address: &str) -> NodeRecord {
    NodeRecord { name: name.into(), address: address.into(), ..NodeRecord::default() }
}

/// An instance.
pub(super) fn instance(service: &str, node: &str, id: &str, address: &str, port: i32) -> Instance {
    let key = InstanceKey { service: ServiceKey::of(service), node: node.into(), id: id.into() };
    Instance::new(key, address.into(), port)
}

/// A check of a node, or of a service with this id.
pub(super) fn check(service_id: &str, id: &str, health: Health) -> CatalogCheck {
    CatalogCheck { service_id: service_id.into(), check: Check { id: id.into(), health, ..Check::default() } }
}

/// Registers instances without a node.
pub(super) fn register(state: &mut State, instances: Vec<Instance>) {
    apply(state, Command::Register(Register { session: None, instances }));
}

/// A service with this many instances, each on a node of its own.
pub(super) fn crowd(state: &mut State, service: &str, count: u32) {
    for at in 0..count {
        let (name, address) = (format!("m{at:05}"), std::net::Ipv4Addr::from(0x0A00_0000 + at).to_string());
        apply(state, catalog(node(&name, &address), Some(instance(service, &name, service, "", 7000)), Vec::new()));
    }
}

pub(super) fn identity() -> Identity {
    Identity {
        domain: "consul".into(),
        alt_domain: Some("alt.example".into()),
        datacenter: "dc1".into(),
        node_name: "self".into(),
        address: [127, 0, 0, 9].into(),
    }
}

/// A responder with a fixed seed.
pub(super) fn responder(options: Options) -> Responder {
    let zone = Zone::new(&identity(), options).unwrap();
    Responder::new(Arc::new(zone), Arc::new(ReverseTree::default()), 7)
}

/// A query; EDNS size 0: without EDNS.
pub(super) fn query(name: &str, kind: RecordType, edns: u16) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.id = 0x1234;
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_str(name).unwrap(), kind));
    let mut bytes = message.to_vec().unwrap();
    if edns > 0 {
        bytes[11] = 1;
        bytes.push(0);
        bytes.extend_from_slice(&TYPE_OPT.to_be_bytes());
        bytes.extend_from_slice(&edns.to_be_bytes());
        bytes.extend_from_slice(&[0; 6]);
    }
    bytes
}

/// A reply in the form of the golden files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) rcode: u16,
    pub(super) flags: String,
    pub(super) bytes: usize,
    pub(super) answers: Vec<String>,
    pub(super) authority: Vec<String>,
    pub(super) additional: Vec<String>,
}

/// Asks and reads the reply.
pub(super) fn ask(responder: &mut Responder, state: &State, query: &[u8], transport: Transport) -> Reply {
    let mut out = Vec::new();
    responder.respond(state, query, transport, &mut out);
    read(&out)
}

/// Asks over UDP with EDNS size 4096.
pub(super) fn quick(responder: &mut Responder, state: &State, name: &str, kind: RecordType) -> Reply {
    ask(responder, state, &query(name, kind, 4096), Transport::Udp)
}

/// Reads a reply with hickory.
pub(super) fn read(bytes: &[u8]) -> Reply {
    let message = Message::from_vec(bytes).unwrap();
    let metadata = &message.metadata;
    let bits = [
        ("aa", metadata.authoritative),
        ("tc", metadata.truncation),
        ("rd", metadata.recursion_desired),
        ("ra", metadata.recursion_available),
    ];
    let flags: Vec<&str> = bits.into_iter().filter(|(_, set)| *set).map(|(name, _)| name).collect();
    let section = |records: &[WireRecord]| {
        let mut texts: Vec<String> = records.iter().map(text).collect();
        texts.sort();
        texts
    };
    let mut additional = section(&message.additionals);
    if let Some(edns) = &message.edns {
        additional.push(format!("OPT {}", edns.max_payload()));
        additional.sort();
    }
    Reply {
        rcode: metadata.response_code.into(),
        flags: flags.join(" "),
        bytes: bytes.len(),
        answers: section(&message.answers),
        authority: section(&message.authorities),
        additional,
    }
}

fn text(record: &WireRecord) -> String {
    let data = match &record.data {
        RData::A(a) => a.to_string(),
        RData::AAAA(a) => a.to_string(),
        RData::CNAME(n) => n.to_string(),
        RData::NS(n) => n.to_string(),
        RData::PTR(n) => n.to_string(),
        RData::SRV(s) => format!("{} {} {} {}", s.priority, s.weight, s.port, s.target),
        RData::SOA(s) => {
            format!("{} {} SERIAL {} {} {} {}", s.mname, s.rname, s.refresh, s.retry, s.expire, s.minimum)
        }
        RData::TXT(t) => {
            let strings: Vec<String> =
                t.txt_data.iter().map(|s| format!("\"{}\"", String::from_utf8_lossy(s))).collect();
            strings.join(" ")
        }
        other => format!("{other:?}"),
    };
    format!("{} {} {} {data}", record.name, record.ttl, record.record_type())
}
