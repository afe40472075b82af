//! The use cases on a real log and store in memory, and the seeded simulation of a whole single server.

mod coordination;
mod sessions;
mod simulation;

use super::*;
use crate::clock::Clock;
use crate::command::{CatalogRegister, Put, Rejection};
use crate::model::{Instance, InstanceKey, NodeRecord, ServiceKey};
use crate::raft::{Node, Options, start_on};
use crate::store::Medium;
use crate::watch::Hub;
use std::sync::Arc;

/// A server named `one` on `medium`, without its edges.
pub(crate) async fn started(medium: Medium, clock: &Clock) -> (Core, crate::raft::Handle) {
    let hub = Arc::new(Hub::new());
    let node = Node { name: "one".into(), address: "127.0.0.1:8300".into(), ..Node::default() };
    let options = Options::alone(node, clock.clone());
    let raft = start_on(medium, options, hub.clone()).await.expect("starts");
    let facts = Facts {
        node_id: uuid::Uuid::from_u128(1),
        node_name: "one".into(),
        datacenter: "dc1".into(),
        domain: "consul".into(),
        alt_domain: None,
        version: "0",
        advertise: [127, 0, 0, 1].into(),
        server_port: 8300,
        serf_lan_port: 8301,
        serf_wan_port: 8302,
        grpc_port: 8502,
        http_port: 8500,
        dns_port: 8600,
        node_meta: Default::default(),
        dev: true,
    };
    (Core::new(raft.clone(), hub, clock.clone(), facts), raft)
}

fn instance(id: &str) -> Instance {
    let key = InstanceKey { service: ServiceKey::of("web"), node: Default::default(), id: id.into() };
    Instance::new(key, "10.0.0.1".into(), 80)
}

fn proof_of(session: &crate::model::Session) -> Proof {
    Proof { id: session.id, secret: session.secret.to_vec() }
}

/// Hundreds of these are under way at once on a busy server, and must fit into its processor's cache.
#[tokio::test]
async fn requests_that_wait_keep_little() {
    let (core, _raft) = started(Medium::Memory, &Clock::system()).await;
    let read = ReadOptions::default();
    let (node, checks) = (NodeRecord::default(), Vec::new());
    let cataloged = CatalogRegister { node, skip_node_update: true, service: None, checks };
    for (what, bytes, most) in [
        ("put", size_of_val(&core.put(None, Put::default())), 1536),
        ("catalog register", size_of_val(&core.catalog_register(Box::new(cataloged))), 1536),
        ("register", size_of_val(&core.register(None, None, Vec::new(), false)), 1536),
        ("view", size_of_val(&core.view(&read)), 256),
    ] {
        assert!(bytes <= most, "{what}: {bytes}");
    }
}
