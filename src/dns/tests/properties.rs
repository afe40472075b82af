//! Properties for every message: no panic, never too long, always readable, and the same from the cache.

use super::fixture::*;
use crate::dns::options::Options;
use crate::dns::query::Query;
use crate::dns::responder::{Responder, Transport};
use crate::machine::State;
use crate::model::Health;
use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
use proptest::prelude::*;
use std::sync::OnceLock;

/// A catalog with every kind of address, made once.
fn state() -> &'static State {
    static STATE: OnceLock<State> = OnceLock::new();
    STATE.get_or_init(|| {
        let mut state = State::new();
        crowd(&mut state, "web", 40);
        let mut fat = node("fat", "2001:db8::1");
        fat.meta = Some((0..30).map(|at| (format!("k{at}").into(), "v".repeat(at * 15).into())).collect());
        for (record, service) in [
            (fat.clone(), instance("big", "fat", "b1", "", 1)),
            (fat, instance("big", "fat", "b2", "10.9.9.9", 70_000)),
            (node("host", "fat.node.consul"), instance("big", "host", "b3", "", -1)),
            (node("loop", "loop.node.consul"), instance("loop", "loop", "l", "loop.service.consul", 1)),
            (node("Odd Name", "not/a..name"), instance("big", "Odd Name", "b4", "", 1)),
            (node("n", "10.0.0.1"), instance("alias", "n", "a1", "web.service.consul", 1)),
        ] {
            apply(&mut state, catalog(record, Some(service), Vec::new()));
        }
        apply(&mut state, catalog(node("m00003", "10.0.0.3"), None, vec![check("", "c", Health::Critical)]));
        state
    })
}

const NAMES: [&str; 16] = [
    "web.service.consul.",
    "WEB.Service.DC1.consul.",
    "_web._tcp.service.consul.",
    "tag.web.service.consul.",
    "big.service.consul.",
    "loop.service.consul.",
    "alias.service.alt.example.",
    "nobody.service.consul.",
    "fat.node.consul.",
    "host.node.consul.",
    "loop.node.dc1.consul.",
    "0a000001.addr.consul.",
    "consul.",
    ".",
    "1.0.0.10.in-addr.arpa.",
    "www.example.com.",
];

fn kind() -> impl Strategy<Value = RecordType> {
    proptest::sample::select(vec![1u16, 2, 5, 6, 12, 15, 16, 28, 33, 252, 255]).prop_map(RecordType::from)
}

fn edns() -> impl Strategy<Value = u16> {
    prop_oneof![Just(0), Just(512), Just(1232), Just(4096), Just(65535), 1..9000u16]
}

fn options() -> impl Strategy<Value = Options> {
    (0..10usize, any::<bool>(), any::<bool>(), any::<bool>(), 0..4usize).prop_map(
        |(udp_answer_limit, enable_truncate, node_meta_txt, disable_compression, a_record_limit)| Options {
            udp_answer_limit,
            enable_truncate,
            node_meta_txt,
            disable_compression,
            a_record_limit,
            ..Options::default()
        },
    )
}

/// Asks, and checks what holds for every reply.
fn respond(responder: &mut Responder, message: &[u8], transport: Transport) -> Vec<u8> {
    // What is in the buffer before stays, and the reply does not depend on it.
    let mut out = b"before".to_vec();
    responder.respond(state(), message, transport, &mut out);
    let reply = out.split_off(6);
    assert_eq!(out, b"before");
    let limit = match (transport, Query::parse(message)) {
        (Transport::Tcp, _) => 65_535,
        (Transport::Udp, Ok(query)) => query.edns.map_or(512, |e| usize::from(e.udp_bytes).max(512)),
        (Transport::Udp, Err(_)) => 12,
    };
    assert!(reply.len() <= limit, "{} of {limit}", reply.len());
    if !reply.is_empty() {
        let read = Message::from_vec(&reply).expect("a reply can be read");
        assert_eq!(read.metadata.id, u16::from_be_bytes([message[0], message[1]]));
        if let Ok(query) = Query::parse(message) {
            assert_eq!(&reply[12..12 + query.question.len()], query.question, "the question is echoed");
            let records = |r: &Message| r.answers.len() + r.authorities.len() + r.additionals.len();
            assert!(read.edns.is_some() == query.edns.is_some() || records(&read) == 0);
        }
    }
    reply
}

proptest! {
    #[test]
    fn any_bytes_are_safe(bytes in proptest::collection::vec(any::<u8>(), 0..300), tcp in any::<bool>()) {
        let transport = if tcp { Transport::Tcp } else { Transport::Udp };
        respond(&mut responder(Options::default()), &bytes, transport);
    }

    #[test]
    fn changed_queries_are_safe(
        name in proptest::sample::select(NAMES.to_vec()),
        kind in kind(),
        edns in edns(),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<Option<proptest::sample::Index>>(),
        options in options(),
    ) {
        let mut bytes = query(name, kind, edns);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let mut responder = responder(options);
        for transport in [Transport::Udp, Transport::Tcp, Transport::Udp] {
            respond(&mut responder, &bytes, transport);
        }
    }

    #[test]
    fn queries_are_read_as_hickory_reads_them(bytes in changed_query()) {
        if let Ok(ours) = Query::parse(&bytes) {
            let theirs = Message::from_vec(&bytes);
            // Hickory looks into records and options that do not matter here.
            if let Ok(theirs) = theirs {
                let question = &theirs.queries[0];
                let mut name = question.name().to_lowercase();
                name.set_fqdn(true);
                let wire: Vec<u8> = name.iter().flat_map(|l| {
                    let mut label = vec![l.len() as u8];
                    label.extend_from_slice(l);
                    label
                }).chain([0]).collect();
                prop_assert_eq!(ours.name(), &wire[..]);
                prop_assert_eq!(RecordType::from(ours.qtype), question.query_type());
                prop_assert_eq!(ours.recursion_desired(), theirs.metadata.recursion_desired);
                prop_assert_eq!(ours.edns.is_some(), theirs.edns.is_some());
                if let (Some(ours), Some(theirs)) = (ours.edns, &theirs.edns) {
                    prop_assert_eq!(ours.udp_bytes.max(512), theirs.max_payload().max(512));
                    prop_assert_eq!(ours.version, theirs.version());
                }
            }
        }
    }

    #[test]
    fn cached_answers_are_fresh_answers(
        asked in proptest::collection::vec((proptest::sample::select(NAMES.to_vec()), kind(), edns()), 1..12),
        options in options(),
    ) {
        let mut cached = responder(options.clone());
        for (name, kind, edns) in asked {
            let bytes = query(name, kind, edns);
            for transport in [Transport::Tcp, Transport::Udp] {
                let once = read(&respond(&mut cached, &bytes, transport));
                let twice = read(&respond(&mut cached, &bytes, transport));
                let fresh = read(&respond(&mut responder(options.clone()), &bytes, transport));
                let counts = |r: &Reply| (r.rcode, r.flags.clone(), r.answers.len(), r.authority.clone());
                // What is cut, or chosen out of several aliases, is so at random: a cut TXT may even fit or not.
                if transport == Transport::Tcp && options.a_record_limit == 0 {
                    // The order is random, and with it which names can point to an earlier one.
                    let content = |r: &Reply| Reply { bytes: 0, ..r.clone() };
                    prop_assert_eq!(content(&once), content(&twice));
                    prop_assert_eq!(content(&once), content(&fresh));
                } else if edns >= 512 && !name.contains("fat") && !name.contains("big") {
                    prop_assert_eq!(counts(&once), counts(&twice));
                    prop_assert_eq!(counts(&once), counts(&fresh));
                }
            }
        }
    }
}

/// A query with a few bytes changed.
fn changed_query() -> impl Strategy<Value = Vec<u8>> {
    let changes = proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..3);
    (proptest::sample::select(NAMES.to_vec()), kind(), edns(), changes).prop_map(|(name, kind, edns, changes)| {
        let mut bytes = query(name, kind, edns);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes
    })
}
