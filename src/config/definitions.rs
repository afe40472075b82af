//! Services and checks of configuration files: `service`, `services`, `check`, `checks`, with the keys of Consul's files
//! and, as there, the spellings of its HTTP API. What they mean is [`crate::model::definition`]'s.

use super::block::{Block, Faults};
use super::error::ConfigError;
use super::source::Origin;
use crate::model::definition::{NATIVE, TaggedAddressDefinition, WeightsDefinition};
use crate::model::{CheckDefinition, Definitions, ServiceDefinition};
use serde_json::Value;

/// Reads the blocks of one file, of the kind `service` or `check`, and adds them.
pub(super) fn read(origin: &Origin, kind: &str, blocks: &[Value], into: &mut Definitions) -> Result<(), ConfigError> {
    let mut faults = Faults::default();
    let mut refused = Vec::new();
    for (index, value) in blocks.iter().enumerate() {
        let path = if blocks.len() == 1 { kind.to_owned() } else { format!("{kind}s[{index}]") };
        if kind == "service" {
            if let Some(found) = Block::read(path, value, &mut faults, service) {
                // As in Consul, one without a name is refused by whoever registers it.
                let fit = found.validate().and_then(|()| found.clone().take_sidecar());
                if let (false, Err(error)) = (found.name.is_empty(), fit) {
                    refused.push(format!("service {:?}: {error}", found.own_id()));
                }
                into.services.push(found);
            }
        } else if let Some(found) = Block::read(path, value, &mut faults, check) {
            refused.extend(refusal(&found).map(|e| format!("check {:?}: {e}", found.id)));
            into.checks.push(found);
        }
    }
    if !faults.types.is_empty() {
        let lines: Vec<String> = faults.types.iter().map(|t| format!("* {t}")).collect();
        let reason = format!("{} error(s) decoding:\n\n{}", lines.len(), lines.join("\n"));
        return Err(ConfigError::Parse { origin: origin.to_string(), reason });
    }
    if !faults.unknown.is_empty() {
        return Err(ConfigError::UnknownKeys { origin: origin.to_string(), keys: faults.unknown });
    }
    match faults.values.into_iter().chain(refused).next() {
        Some(fault) => Err(ConfigError::at(&origin.to_string(), fault)),
        None => Ok(()),
    }
}

fn refusal(check: &CheckDefinition) -> Option<String> {
    if check.id.is_empty() {
        return Some("it has neither id nor name".to_owned());
    }
    check.validate().err().map(|e| e.to_string())
}

fn service(block: &mut Block<'_>) -> ServiceDefinition {
    // Of other editions and versions.
    for name in ["namespace", "partition", "locality", "socket_path"] {
        block.skip(name);
    }
    let (connect, sidecar) = block.block("connect", connect).unwrap_or_default();
    ServiceDefinition {
        id: block.short("id"),
        name: block.short("name"),
        tags: block.texts("tags").into_iter().map(Into::into).collect(),
        address: block.short("address"),
        port: block.int("port").unwrap_or(0),
        meta: block.text_map("meta"),
        tagged_addresses: block.named_blocks("tagged_addresses", |tag, inner| TaggedAddressDefinition {
            tag: tag.into(),
            address: inner.short("address"),
            port: inner.int("port").unwrap_or(0),
        }),
        enable_tag_override: block.switch("enable_tag_override"),
        weights: block.block("weights", |inner| WeightsDefinition {
            passing: inner.int("passing").unwrap_or(1),
            warning: inner.int("warning").unwrap_or(1),
        }),
        check: block.block("check", check_of_service),
        checks: block.blocks("checks", check_of_service),
        token: block.short("token"),
        kind: block.short("kind"),
        proxy: block.block("proxy", proxy::read).and_then(|proxy| proxy.text()),
        connect,
        sidecar,
        ..ServiceDefinition::default()
    }
}

/// What is kept of `connect`, and the sidecar in it.
fn connect(block: &mut Block<'_>) -> (Option<Box<str>>, Option<Box<ServiceDefinition>>) {
    let native = block.switch("native").then(|| NATIVE.into());
    (native, block.block("sidecar_service", service).map(Box::new))
}

/// A check by itself is known by its name if it has no id.
fn check(block: &mut Block<'_>) -> CheckDefinition {
    let mut found = check_of_service(block);
    if found.id.is_empty() {
        found.id = found.name.clone();
    }
    found
}

fn check_of_service(block: &mut Block<'_>) -> CheckDefinition {
    for name in ["namespace", "partition", "os_service"] {
        block.skip(name);
    }
    let (id, check_id) = (block.short("id"), block.short("check_id"));
    let (args, script_args) = (block.texts("args"), block.texts("script_args"));
    CheckDefinition {
        id: if id.is_empty() { check_id } else { id },
        name: block.short("name"),
        notes: block.short("notes"),
        status: block.short("status"),
        service_id: block.short("service_id"),
        token: block.short("token"),
        interval: block.duration("interval"),
        timeout: block.duration("timeout"),
        ttl: block.duration("ttl"),
        args: if args.is_empty() { script_args } else { args },
        docker_container_id: block.short("docker_container_id"),
        shell: block.short("shell"),
        http: block.text("http"),
        header: block.text_lists("header"),
        method: block.short("method"),
        body: block.text("body"),
        disable_redirects: block.switch("disable_redirects"),
        tcp: block.text("tcp"),
        tcp_use_tls: block.switch("tcp_use_tls"),
        udp: block.text("udp"),
        grpc: block.text("grpc"),
        grpc_use_tls: block.switch("grpc_use_tls"),
        h2ping: block.text("h2ping"),
        h2ping_use_tls: block.choice("h2ping_use_tls"),
        tls_server_name: block.short("tls_server_name"),
        tls_skip_verify: block.switch("tls_skip_verify"),
        alias_node: block.short("alias_node"),
        alias_service: block.short("alias_service"),
        success_before_passing: block.int("success_before_passing").unwrap_or(0),
        failures_before_warning: block.int("failures_before_warning").unwrap_or(0),
        failures_before_critical: block.int("failures_before_critical").unwrap_or(0),
        deregister_critical_service_after: block.duration("deregister_critical_service_after"),
        output_max_size: block.int("output_max_size").unwrap_or(0),
    }
}

mod proxy;
#[cfg(test)]
mod tests;
