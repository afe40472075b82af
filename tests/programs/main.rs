//! Programs of other people that discover services through Consul, pointed at this server: Prometheus over HTTP,
//! HAProxy and dnsmasq over DNS. Each test awaits what the program itself says it has found.
//!
//! A program that is not installed (`.ci/install` brings it) is told loudly and its test skipped; where `CI` is set, a
//! missing program is an error.

#[path = "../common/mod.rs"]
mod common;
mod dnsmasq;
mod haproxy;
mod program;
mod prometheus;

use common::Server;

/// Registers an instance with a check that a client keeps up, passing.
fn register(server: &Server, service: &str, id: &str, port: u16, tags: &str) {
    let body = format!(
        r#"{{"ID":"{id}","Name":"{service}","Port":{port},"Address":"127.0.0.1","Tags":{tags},
            "Meta":{{"team":"blue"}},"Check":{{"TTL":"10m","Status":"passing"}}}}"#
    );
    server.put("/v1/agent/service/register", body).ok();
}

fn deregister(server: &Server, id: &str) {
    server.put(&format!("/v1/agent/service/deregister/{id}"), "").ok();
}
