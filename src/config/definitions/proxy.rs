//! `proxy` of a service: the keys of Consul 1.8 one by one, and those of later versions as they came, with the names of
//! the HTTP API.

use crate::config::block::Block;
use crate::model::definition::{
    ExposeDefinition, ExposedPathDefinition, MeshGatewayDefinition, ProxyDefinition, UpstreamDefinition,
};
use serde_json::{Map, Value};

const LATER: &[(&str, &str)] = &[
    ("mode", "Mode"),
    ("transparent_proxy", "TransparentProxy"),
    ("mutual_tls_mode", "MutualTLSMode"),
    ("access_logs", "AccessLogs"),
    ("envoy_extensions", "EnvoyExtensions"),
    ("local_service_socket_path", "LocalServiceSocketPath"),
];
const LATER_UPSTREAM: &[(&str, &str)] = &[
    ("destination_partition", "DestinationPartition"),
    ("destination_peer", "DestinationPeer"),
    ("local_bind_socket_path", "LocalBindSocketPath"),
    ("local_bind_socket_mode", "LocalBindSocketMode"),
];

pub(super) fn read(block: &mut Block<'_>) -> ProxyDefinition {
    ProxyDefinition {
        destination_service_name: block.text("destination_service_name"),
        destination_service_id: block.text("destination_service_id"),
        local_service_address: block.text("local_service_address"),
        local_service_port: block.int("local_service_port").unwrap_or(0),
        config: block.anything("config"),
        upstreams: block.blocks("upstreams", upstream),
        mesh_gateway: mesh_gateway(block),
        expose: block.block("expose", expose).unwrap_or_default(),
        other: later(block, LATER),
    }
}

fn upstream(block: &mut Block<'_>) -> UpstreamDefinition {
    UpstreamDefinition {
        destination_type: block.text("destination_type"),
        destination_namespace: block.text("destination_namespace"),
        destination_name: block.text("destination_name"),
        datacenter: block.text("datacenter"),
        local_bind_address: block.text("local_bind_address"),
        local_bind_port: block.int("local_bind_port").unwrap_or(0),
        config: block.anything("config"),
        mesh_gateway: mesh_gateway(block),
        other: later(block, LATER_UPSTREAM),
    }
}

fn mesh_gateway(block: &mut Block<'_>) -> MeshGatewayDefinition {
    block.block("mesh_gateway", |inner| MeshGatewayDefinition { mode: inner.text("mode") }).unwrap_or_default()
}

fn expose(block: &mut Block<'_>) -> ExposeDefinition {
    let path = |path: &mut Block<'_>| ExposedPathDefinition {
        listener_port: path.int("listener_port").unwrap_or(0),
        path: path.text("path"),
        local_path_port: path.int("local_path_port").unwrap_or(0),
        protocol: path.text("protocol"),
        parsed_from_check: path.switch("parsed_from_check"),
    };
    ExposeDefinition { checks: block.switch("checks"), paths: block.blocks("paths", path) }
}

fn later(block: &mut Block<'_>, keys: &[(&str, &str)]) -> Map<String, Value> {
    keys.iter().filter_map(|(key, name)| Some(((*name).to_owned(), block.opaque(key)?.clone()))).collect()
}
