//! This server as Consul shows its servers: the node, its health, and the service `consul`.

use crate::command::{CatalogCheck, CatalogRegister};
use crate::model::{Check, Coordinate, Health, Instance, InstanceKey, NodeRecord, ServiceKey, Text};
use crate::service::{Core, Error, Facts};
use std::net::IpAddr;

/// Name and id of the service that every server offers, as in Consul.
pub const SERVER_SERVICE: &str = "consul";

/// The check that says whether a node is reachable, as in Consul.
pub const SERF_HEALTH: &str = "serfHealth";

/// This node as the catalog has it.
pub fn own_node(facts: &Facts) -> NodeRecord {
    let address: Text = facts.advertise.to_string().into();
    let family = match facts.advertise {
        IpAddr::V4(_) => ["lan", "lan_ipv4", "wan", "wan_ipv4"],
        IpAddr::V6(_) => ["lan", "lan_ipv6", "wan", "wan_ipv6"],
    };
    let mut meta: Vec<(Text, Text)> = vec![("consul-network-segment".into(), Text::default())];
    meta.extend(facts.node_meta.iter().map(|(k, v)| (k.into(), v.into())));
    meta.sort();
    NodeRecord {
        name: facts.node_name.as_str().into(),
        id: Some(facts.node_id),
        tagged_addresses: Some(family.map(|tag| (tag.into(), address.clone())).into()),
        address,
        meta: Some(meta.into()),
        ..NodeRecord::default()
    }
}

/// Registers this server: its node, the check `serfHealth` and the service `consul`. Doing it again changes nothing.
///
/// # Errors
/// Those of a write; [`Error::Rejected`] if the node's name belongs to another node.
pub async fn register_self(core: &Core) -> Result<(), Error> {
    let facts = core.facts();
    let node = own_node(facts);
    let key =
        InstanceKey { service: ServiceKey::of(SERVER_SERVICE), node: node.name.clone(), id: SERVER_SERVICE.into() };
    let mut service = Instance::new(key, Text::default(), i32::from(facts.server_port));
    service.meta = [
        ("non_voter", "false"),
        ("raft_version", "3"),
        ("serf_protocol_current", "2"),
        ("serf_protocol_max", "5"),
        ("serf_protocol_min", "1"),
        ("version", facts.version),
    ]
    .map(|(key, value)| (key.into(), value.into()))
    .into();
    let check = Check {
        id: SERF_HEALTH.into(),
        name: "Serf Health Status".into(),
        health: Health::Passing,
        output: "Agent alive and reachable".into(),
        ..Check::default()
    };
    let checks = vec![CatalogCheck { service_id: Text::default(), check }];
    let register = CatalogRegister { node, skip_node_update: false, service: Some(service), checks };
    core.catalog_register(Box::new(register)).await?;
    if core.local().state.coordinates_of(&facts.node_name).next().is_none() {
        // Every node begins at the origin, and a list in order of distance needs a place to start from.
        core.update_coordinates(vec![Coordinate::origin(facts.node_name.as_str().into())]).await?;
    }
    Ok(())
}
