//! Services and checks of configuration files: `service`, `services`, `check`, `checks`, with the keys of Consul's files
//! and, as there, the spellings of its HTTP API. What they mean is [`crate::model::definition`]'s.

use super::block::{Block, Faults};
use super::error::ConfigError;
use super::source::Origin;
use crate::model::definition::{TaggedAddressDefinition, WeightsDefinition};
use crate::model::{CheckDefinition, Definitions, ServiceDefinition};
use serde_json::{Map, Value};

/// Reads the blocks of one file, of the kind `service` or `check`, and adds them.
pub(super) fn read(origin: &Origin, kind: &str, blocks: &[Value], into: &mut Definitions) -> Result<(), ConfigError> {
    let mut faults = Faults::default();
    let mut refused = Vec::new();
    for (index, value) in blocks.iter().enumerate() {
        let path = if blocks.len() == 1 { kind.to_owned() } else { format!("{kind}s[{index}]") };
        if kind == "service" {
            if let Some(found) = Block::read(path, value, &mut faults, service) {
                // As in Consul, one without a name is refused by whoever registers it.
                if let (false, Err(error)) = (found.name.is_empty(), found.validate()) {
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
        proxy: block.opaque("proxy").map(of_api),
        connect: block.opaque("connect").map(of_api),
    }
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

/// The fields of the mesh as JSON with the names of the HTTP API: they are kept and shown, never used.
fn of_api(value: &Value) -> Box<str> {
    renamed(value).to_string().into()
}

fn renamed(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut out = Map::new();
            for (key, value) in map {
                // What is in `config` is the proxy's own.
                let inner = if key.eq_ignore_ascii_case("config") { value.clone() } else { renamed(value) };
                out.insert(camel(key), inner);
            }
            Value::Object(out)
        }
        Value::Array(items) => items.iter().map(renamed).collect(),
        other => other.clone(),
    }
}

/// `DestinationServiceID` for `destination_service_id`.
fn camel(key: &str) -> String {
    let word = |word: &str| match word {
        "id" | "ttl" | "tls" => word.to_ascii_uppercase(),
        _ => {
            let mut chars = word.chars();
            chars.next().map_or_else(String::new, |c| c.to_ascii_uppercase().to_string() + chars.as_str())
        }
    };
    key.split('_').map(word).collect()
}

#[cfg(test)]
mod tests;
