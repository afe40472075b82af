//! The entries of documents: the fields, the order and the omissions that Consul's own client has.

use crate::model::duration::{format_duration, parse_duration};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

type Texts = BTreeMap<String, String>;

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A key.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct KeyEntry {
    key: String,
    create_index: u64,
    modify_index: u64,
    lock_index: u64,
    flags: u64,
    /// In base 64.
    value: Option<String>,
    session: String,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct NodeEntry {
    #[serde(rename = "ID")]
    id: String,
    node: String,
    address: String,
    datacenter: String,
    tagged_addresses: Option<Texts>,
    meta: Option<Texts>,
    create_index: u64,
    modify_index: u64,
}

/// An instance with its node and checks.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct ServiceEntry {
    node: Option<NodeEntry>,
    service: Option<InstanceEntry>,
    checks: Option<Vec<CheckEntry>>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "PascalCase")]
struct InstanceEntry {
    #[serde(skip_serializing_if = "is_default")]
    kind: String,
    #[serde(rename = "ID")]
    id: String,
    service: String,
    tags: Option<Vec<String>>,
    meta: Option<Texts>,
    port: i64,
    address: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "or_default")]
    tagged_addresses: BTreeMap<String, AddressEntry>,
    weights: WeightsEntry,
    enable_tag_override: bool,
    #[serde(skip_serializing_if = "is_default")]
    create_index: u64,
    #[serde(skip_serializing_if = "is_default")]
    modify_index: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<ProxyEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connect: Option<ConnectEntry>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "PascalCase")]
struct AddressEntry {
    address: String,
    port: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "PascalCase")]
struct WeightsEntry {
    passing: i64,
    warning: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "PascalCase")]
struct ProxyEntry {
    #[serde(skip_serializing_if = "is_default")]
    destination_service_name: String,
    #[serde(rename = "DestinationServiceID", skip_serializing_if = "is_default")]
    destination_service_id: String,
    #[serde(skip_serializing_if = "is_default")]
    local_service_address: String,
    #[serde(skip_serializing_if = "is_default")]
    local_service_port: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstreams: Option<Vec<UpstreamEntry>>,
    mesh_gateway: MeshGatewayEntry,
    expose: ExposeEntry,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "PascalCase")]
struct MeshGatewayEntry {
    #[serde(skip_serializing_if = "is_default")]
    mode: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "PascalCase")]
struct ExposeEntry {
    #[serde(skip_serializing_if = "is_default")]
    checks: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    paths: Option<Vec<PathEntry>>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "PascalCase")]
struct UpstreamEntry {
    #[serde(skip_serializing_if = "is_default")]
    destination_type: String,
    #[serde(skip_serializing_if = "is_default")]
    destination_namespace: String,
    destination_name: String,
    #[serde(skip_serializing_if = "is_default")]
    datacenter: String,
    #[serde(skip_serializing_if = "is_default")]
    local_bind_address: String,
    #[serde(skip_serializing_if = "is_default")]
    local_bind_port: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<Value>,
    mesh_gateway: MeshGatewayEntry,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "PascalCase")]
struct PathEntry {
    #[serde(skip_serializing_if = "is_default")]
    listener_port: i64,
    #[serde(skip_serializing_if = "is_default")]
    path: String,
    #[serde(skip_serializing_if = "is_default")]
    local_path_port: i64,
    #[serde(skip_serializing_if = "is_default")]
    protocol: String,
    parsed_from_check: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "PascalCase")]
struct ConnectEntry {
    #[serde(skip_serializing_if = "is_default")]
    native: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    sidecar_service: Option<Value>,
}

/// A check.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct CheckEntry {
    node: String,
    #[serde(rename = "CheckID")]
    check_id: String,
    name: String,
    status: String,
    notes: String,
    output: String,
    #[serde(rename = "ServiceID")]
    service_id: String,
    service_name: String,
    service_tags: Option<Vec<String>>,
    #[serde(rename = "Type")]
    kind: String,
    definition: DefinitionEntry,
    create_index: u64,
    modify_index: u64,
}

/// The definition of a check that was registered with the catalog. Durations are always written.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "PascalCase")]
struct DefinitionEntry {
    #[serde(deserialize_with = "duration")]
    interval: String,
    #[serde(deserialize_with = "duration")]
    timeout: String,
    #[serde(deserialize_with = "duration")]
    deregister_critical_service_after: String,
    #[serde(rename = "HTTP")]
    http: String,
    header: Option<BTreeMap<String, Option<Vec<String>>>>,
    method: String,
    body: String,
    #[serde(rename = "TLSSkipVerify")]
    tls_skip_verify: bool,
    #[serde(rename = "TCP")]
    tcp: String,
}

impl Default for DefinitionEntry {
    fn default() -> Self {
        let zero = || "0s".to_owned();
        DefinitionEntry {
            interval: zero(),
            timeout: zero(),
            deregister_critical_service_after: zero(),
            http: String::new(),
            header: None,
            method: String::new(),
            body: String::new(),
            tls_skip_verify: false,
            tcp: String::new(),
        }
    }
}

/// A user event.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct EventEntry {
    #[serde(rename = "ID")]
    pub(super) id: String,
    name: String,
    /// In base 64.
    payload: Option<String>,
    node_filter: String,
    service_filter: String,
    tag_filter: String,
    version: i64,
    #[serde(rename = "LTime")]
    l_time: u64,
}

fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// A duration as a text or as nanoseconds, in Go's form.
fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let ns = match Value::deserialize(deserializer)? {
        Value::Null => 0,
        Value::String(text) if text.is_empty() => 0,
        Value::String(text) => parse_duration(&text).map_err(serde::de::Error::custom)?,
        Value::Number(number) => number.as_i64().ok_or_else(|| serde::de::Error::custom("not a duration"))?,
        _ => return Err(serde::de::Error::custom("not a duration")),
    };
    Ok(format_duration(ns))
}
