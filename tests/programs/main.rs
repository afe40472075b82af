//! Programs of other people that discover services through Consul, pointed at this server: Prometheus over HTTP,
//! HAProxy, dnsmasq and dig over DNS. Each test awaits what the program itself says it has found.
//!
//! A program that is not installed (`.ci/install` brings it) is told loudly and its test skipped; where `CI` is set, a
//! missing program is an error.

#[path = "../common/mod.rs"]
mod common;
mod dig;
mod dnsmasq;
mod haproxy;
mod program;
mod prometheus;

use common::Server;

/// Registers an instance, on a node of its own, with one check.
fn register(server: &Server, service: &str, port: u16, tags: &[&str], status: &str) {
    let id = format!("{service}-{port}");
    let body = serde_json::json!({
        "Node": format!("node-{id}"), "Address": "127.0.0.1",
        "Service": {"ID": id, "Service": service, "Port": port, "Tags": tags, "Meta": {"team": "blue"}},
        "Check": {"Node": format!("node-{id}"), "CheckID": "alive", "ServiceID": id, "Status": status},
    });
    server.put("/v1/catalog/register", body.to_string()).ok();
}

fn deregister(server: &Server, service: &str, port: u16) {
    let body = serde_json::json!({"Node": format!("node-{service}-{port}")});
    server.put("/v1/catalog/deregister", body.to_string()).ok();
}
