//! A catalog to ask about, a way to ask, and replies as text.

use crate::command::{CatalogCheck, CatalogRegister, Command, Record, Register};
use crate::dns::options::{LiveOptions, Options};
use crate::dns::responder::{Responder, Transport};
use crate::dns::reverse::ReverseTree;
use crate::dns::types::TYPE_OPT;
use crate::dns::zone::{Identity, Zone};
use crate::machine::{self, State};
use crate::model::{Check, Health, Instance, InstanceKey, NodeRecord, ServiceKey};
use hickory_proto::op::Message;
use hickory_proto::rr::{RData, Record as WireRecord, RecordType};
use std::sync::Arc;

/// Applies a command as the next entry of the log.
pub(in crate::dns) fn apply(state: &mut State, command: Command) {
    let record = Record { time_ms: 1, request_id: None, command };
    let applied = machine::apply(state, state.revision() + 1, 1, &record);
    assert!(applied.reply.is_ok(), "{:?}", applied.reply);
}

/// A registration of a node, and maybe of a service on it.
pub(in crate::dns) fn catalog(node: NodeRecord, service: Option<Instance>, checks: Vec<CatalogCheck>) -> Command {
    Command::CatalogRegister(Box::new(CatalogRegister { node, skip_node_update: false, service, checks }))
}

/// A node without more than a name and an address.
pub(in crate::dns) fn node(name: &str, address: &str) -> NodeRecord {
    NodeRecord { name: name.into(), address: address.into(), ..NodeRecord::default() }
}

/// An instance.
pub(in crate::dns) fn instance(service: &str, node: &str, id: &str, address: &str, port: i32) -> Instance {
    let key = InstanceKey { service: ServiceKey::of(service), node: node.into(), id: id.into() };
    Instance::new(key, address.into(), port)
}

/// A check of a node, or of a service with this id.
pub(in crate::dns) fn check(service_id: &str, id: &str, health: Health) -> CatalogCheck {
    CatalogCheck { service_id: service_id.into(), check: Check { id: id.into(), health, ..Check::default() } }
}

/// Registers instances without a node.
pub(in crate::dns) fn register(state: &mut State, instances: Vec<Instance>) {
    apply(state, Command::Register(Register { session: None, instances }));
}

/// A service with this many instances, each on a node of its own.
pub(in crate::dns) fn crowd(state: &mut State, service: &str, count: u32) {
    for at in 0..count {
        let (name, address) = (format!("m{at:05}"), std::net::Ipv4Addr::from(0x0A00_0000 + at).to_string());
        apply(state, catalog(node(&name, &address), Some(instance(service, &name, service, "", 7000)), Vec::new()));
    }
}

pub(in crate::dns) fn identity() -> Identity {
    Identity {
        domain: "consul".into(),
        alt_domain: Some("alt.example".into()),
        datacenter: "dc1".into(),
        node_name: "self".into(),
        address: [127, 0, 0, 9].into(),
    }
}

/// A responder with a fixed seed.
pub(in crate::dns) fn responder(options: Options) -> Responder {
    let live = LiveOptions::new(options.clone());
    let zone = Zone::new(&identity(), options).unwrap();
    Responder::new(Arc::new(zone), &live, Arc::new(ReverseTree::default()), 7)
}

/// A query; EDNS size 0: without EDNS.
pub(in crate::dns) fn query(name: &str, kind: RecordType, edns: u16) -> Vec<u8> {
    // Header with RD set, one question, and maybe EDNS.
    let mut bytes = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns > 0)];
    for label in name.split('.').filter(|l| !l.is_empty()) {
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend_from_slice(&u16::from(kind).to_be_bytes());
    bytes.extend_from_slice(&[0, 1]);
    if edns > 0 {
        bytes.push(0);
        bytes.extend_from_slice(&TYPE_OPT.to_be_bytes());
        bytes.extend_from_slice(&edns.to_be_bytes());
        bytes.extend_from_slice(&[0; 6]);
    }
    bytes
}

/// A reply in the form of the golden files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::dns) struct Reply {
    pub(in crate::dns) rcode: u16,
    pub(in crate::dns) flags: String,
    pub(in crate::dns) bytes: usize,
    pub(in crate::dns) answers: Vec<String>,
    pub(in crate::dns) authority: Vec<String>,
    pub(in crate::dns) additional: Vec<String>,
}

/// Asks and reads the reply.
pub(in crate::dns) fn ask(responder: &mut Responder, state: &State, query: &[u8], transport: Transport) -> Reply {
    let mut out = Vec::new();
    responder.respond(state, query, transport, &mut out);
    read(&out)
}

/// Asks over UDP with EDNS size 4096.
pub(in crate::dns) fn quick(responder: &mut Responder, state: &State, name: &str, kind: RecordType) -> Reply {
    ask(responder, state, &query(name, kind, 4096), Transport::Udp)
}

/// Reads a reply with hickory.
pub(in crate::dns) fn read(bytes: &[u8]) -> Reply {
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
