//! What fuzzing asks of the DNS edge: any message gets a well-formed reply within the limits, or none.
//!
//! Must never: be part of the program.

use super::options::{LiveOptions, Options};
use super::query::{HEADER_BYTES, Query};
use super::responder::{Responder, TCP_REPLY_BYTES_MAX, Transport, UDP_REPLY_BYTES_MAX};
use super::reverse::ReverseTree;
use super::zone::{Identity, Zone};
use crate::command::{CatalogRegister, Command, Record};
use crate::machine::{self, State};
use crate::model::{Instance, InstanceKey, NodeRecord, ServiceKey};
use std::cell::RefCell;
use std::sync::Arc;

thread_local! {
    static SERVER: RefCell<(State, Responder)> = RefCell::new((state(), responder()));
}

/// Answers a message; the first byte says over what it came.
pub(crate) fn respond(bytes: &[u8]) {
    let Some((&how, message)) = bytes.split_first() else { return };
    let (transport, most) = match how & 1 {
        0 => (Transport::Udp, UDP_REPLY_BYTES_MAX),
        _ => (Transport::Tcp, TCP_REPLY_BYTES_MAX),
    };
    let mut out = Vec::new();
    SERVER.with_borrow_mut(|(state, responder)| responder.respond(state, message, transport, &mut out));
    if out.is_empty() {
        return;
    }
    assert!((HEADER_BYTES..=most).contains(&out.len()), "{} bytes of reply", out.len());
    assert_eq!(out[..2], message[..2], "the reply is to another query");
    assert_eq!(out[2] & 0x80, 0x80, "the reply is a query");
    if let (Ok(query), Transport::Udp) = (Query::parse(message), transport) {
        assert!(out.len() <= query.udp_limit(), "{} bytes for a client that takes {}", out.len(), query.udp_limit());
    }
}

fn responder() -> Responder {
    let identity = Identity {
        domain: "consul".into(),
        alt_domain: Some("alt.example".into()),
        datacenter: "dc1".into(),
        node_name: "self".into(),
        address: [127, 0, 0, 9].into(),
    };
    let zone = Zone::new(&identity, Options::default()).unwrap_or_else(|e| panic!("{e}"));
    Responder::new(Arc::new(zone), &LiveOptions::new(Options::default()), Arc::new(ReverseTree::default()), 7)
}

/// Thirty instances of `web`, with tags, addresses of both families, names as addresses, and metadata.
fn state() -> State {
    let mut state = State::new();
    for at in 0..30_u8 {
        let name = format!("n{at}");
        let address = match at % 3 {
            0 => format!("10.0.0.{at}"),
            1 => format!("2001:db8::{at}"),
            _ => format!("host-{at}.example"),
        };
        let mut node = NodeRecord { name: name.as_str().into(), address: address.into(), ..NodeRecord::default() };
        let meta = [("rfc1035-txt".into(), "text".into()), ("k".into(), "v".repeat(at.into()).into())];
        node.meta = Some(Box::new(meta));
        let key = InstanceKey { service: ServiceKey::of("web"), node: name.into(), id: format!("web-{at}").into() };
        let mut instance = Instance::new(key, Default::default(), 80 + i32::from(at));
        instance.tags = Box::new(["a".into(), format!("t{at}").into()]);
        let register = CatalogRegister { node, skip_node_update: false, service: Some(instance), checks: Vec::new() };
        let command = Command::CatalogRegister(Box::new(register));
        let applied =
            machine::apply(&mut state, u64::from(at) + 1, 1, &Record { time_ms: 1, request_id: None, command });
        assert!(applied.reply.is_ok(), "{:?}", applied.reply);
    }
    state
}
