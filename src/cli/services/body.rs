//! The body of a registration, with the names and the order of Consul's own client.

use crate::model::duration::format_duration;
use crate::model::{CheckDefinition, ServiceDefinition};
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A service. What is not set is left out, but for the two lists of checks.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Body<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    kind: &'a str,
    #[serde(rename = "ID", skip_serializing_if = "str::is_empty")]
    id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<&'a str>,
    #[serde(skip_serializing_if = "is_default")]
    port: i64,
    #[serde(skip_serializing_if = "str::is_empty")]
    address: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tagged_addresses: BTreeMap<&'a str, Address<'a>>,
    #[serde(skip_serializing_if = "is_default")]
    enable_tag_override: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    meta: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weights: Option<Weights>,
    check: Option<Check<'a>>,
    checks: Option<Vec<Check<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connect: Option<Connect<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Connect<'a> {
    #[serde(skip_serializing_if = "is_default")]
    native: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    sidecar_service: Option<Box<Body<'a>>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Address<'a> {
    address: &'a str,
    port: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Weights {
    passing: i64,
    warning: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Check<'a> {
    #[serde(rename = "CheckID", skip_serializing_if = "str::is_empty")]
    id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    script_args: &'a [String],
    #[serde(rename = "DockerContainerID", skip_serializing_if = "str::is_empty")]
    docker_container_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    shell: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    interval: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    timeout: String,
    #[serde(rename = "TTL", skip_serializing_if = "String::is_empty")]
    ttl: String,
    #[serde(rename = "HTTP", skip_serializing_if = "str::is_empty")]
    http: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    header: BTreeMap<&'a str, Vec<&'a str>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    method: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    body: &'a str,
    #[serde(skip_serializing_if = "is_default")]
    disable_redirects: bool,
    #[serde(rename = "TCP", skip_serializing_if = "str::is_empty")]
    tcp: &'a str,
    #[serde(rename = "TCPUseTLS", skip_serializing_if = "is_default")]
    tcp_use_tls: bool,
    #[serde(rename = "UDP", skip_serializing_if = "str::is_empty")]
    udp: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    status: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    notes: &'a str,
    #[serde(rename = "TLSServerName", skip_serializing_if = "str::is_empty")]
    tls_server_name: &'a str,
    #[serde(rename = "TLSSkipVerify", skip_serializing_if = "is_default")]
    tls_skip_verify: bool,
    #[serde(rename = "GRPC", skip_serializing_if = "str::is_empty")]
    grpc: &'a str,
    #[serde(rename = "GRPCUseTLS", skip_serializing_if = "is_default")]
    grpc_use_tls: bool,
    #[serde(rename = "H2PING", skip_serializing_if = "str::is_empty")]
    h2ping: &'a str,
    #[serde(rename = "H2PingUseTLS", skip_serializing_if = "Option::is_none")]
    h2ping_use_tls: Option<bool>,
    #[serde(skip_serializing_if = "str::is_empty")]
    alias_node: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    alias_service: &'a str,
    #[serde(skip_serializing_if = "is_default")]
    success_before_passing: i64,
    #[serde(skip_serializing_if = "is_default")]
    failures_before_warning: i64,
    #[serde(skip_serializing_if = "is_default")]
    failures_before_critical: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    deregister_critical_service_after: String,
    #[serde(skip_serializing_if = "is_default")]
    output_max_size: i64,
}

impl<'a> Body<'a> {
    pub(super) fn of(service: &'a ServiceDefinition) -> Body<'a> {
        let addresses = service.tagged_addresses.iter();
        let checks: Vec<Check<'_>> = service.checks.iter().map(Check::of).collect();
        // What a definition holds was JSON when it was read.
        let json = |text: &'a Option<Box<str>>| text.as_deref().and_then(|text| serde_json::from_str(text).ok());
        Body {
            kind: &service.kind,
            id: &service.id,
            name: &service.name,
            tags: service.tags.iter().map(|tag| tag.as_str()).collect(),
            port: service.port,
            address: &service.address,
            tagged_addresses: addresses
                .map(|a| (a.tag.as_str(), Address { address: &a.address, port: a.port }))
                .collect(),
            enable_tag_override: service.enable_tag_override,
            meta: service.meta.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect(),
            weights: service.weights.map(|w| Weights { passing: w.passing, warning: w.warning }),
            check: service.check.as_ref().filter(|check| !check.is_empty()).map(Check::of),
            checks: (!checks.is_empty()).then_some(checks),
            proxy: json(&service.proxy),
            connect: Connect::of(service),
        }
    }
}

impl<'a> Connect<'a> {
    fn of(service: &'a ServiceDefinition) -> Option<Connect<'a>> {
        let sidecar_service = service.sidecar.as_deref().map(|sidecar| Box::new(Body::of(sidecar)));
        let native = service.is_native();
        (native || sidecar_service.is_some()).then_some(Connect { native, sidecar_service })
    }
}

impl<'a> Check<'a> {
    fn of(check: &'a CheckDefinition) -> Check<'a> {
        let duration = |ns: i64| if ns == 0 { String::new() } else { format_duration(ns) };
        let header = check.header.iter();
        Check {
            id: &check.id,
            name: &check.name,
            script_args: &check.args,
            docker_container_id: &check.docker_container_id,
            shell: &check.shell,
            interval: duration(check.interval),
            timeout: duration(check.timeout),
            ttl: duration(check.ttl),
            http: &check.http,
            header: header.map(|(k, v)| (k.as_str(), v.iter().map(|v| v.as_str()).collect())).collect(),
            method: &check.method,
            body: &check.body,
            disable_redirects: check.disable_redirects,
            tcp: &check.tcp,
            tcp_use_tls: check.tcp_use_tls,
            udp: &check.udp,
            status: &check.status,
            notes: &check.notes,
            tls_server_name: &check.tls_server_name,
            tls_skip_verify: check.tls_skip_verify,
            grpc: &check.grpc,
            grpc_use_tls: check.grpc_use_tls,
            h2ping: &check.h2ping,
            h2ping_use_tls: check.h2ping_use_tls,
            alias_node: &check.alias_node,
            alias_service: &check.alias_service,
            success_before_passing: check.success_before_passing,
            failures_before_warning: check.failures_before_warning,
            failures_before_critical: check.failures_before_critical,
            deregister_critical_service_after: duration(check.deregister_critical_service_after),
            output_max_size: check.output_max_size,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::go_json::to_json;

    fn body(service: &ServiceDefinition) -> String {
        String::from_utf8(to_json(&Body::of(service)).unwrap()).unwrap()
    }

    #[test]
    fn what_is_not_set_is_left_out() {
        let mut service = ServiceDefinition { name: "web".into(), ..ServiceDefinition::default() };
        assert_eq!(body(&service), r#"{"Name":"web","Check":null,"Checks":null}"#);
        service.sidecar = Some(Box::new(ServiceDefinition { port: 7, ..ServiceDefinition::default() }));
        service.connect = Some(crate::model::definition::NATIVE.into());
        assert_eq!(
            body(&service),
            r#"{"Name":"web","Check":null,"Checks":null,"Connect":{"Native":true,"SidecarService":{"Port":7,"Check":null,"Checks":null}}}"#
        );
        (service.sidecar, service.connect) = (None, None);
        service.proxy = Some(r#"{"DestinationServiceName":"db"}"#.into());
        service.check = Some(CheckDefinition { ttl: 10_000_000_000, ..CheckDefinition::default() });
        service.meta = vec![("b".into(), "1".into()), ("a".into(), "<".into())];
        assert_eq!(
            body(&service),
            r#"{"Name":"web","Meta":{"a":"\u003c","b":"1"},"Check":{"TTL":"10s"},"Checks":null,"Proxy":{"DestinationServiceName":"db"}}"#
        );
    }
}
