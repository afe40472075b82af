//! Services and checks as the agent shows its own.

use super::filter;
use super::mesh_shapes::{Connect, Proxy};
use super::shapes::{Addresses, Weights, enable_tag_override, kind};
use crate::agent::CheckView;
use crate::http::json::Pairs;
use crate::model::filter::{Fields, Path, Test, Value};
use crate::model::{Instance, Text};
use serde::ser::{Serialize, SerializeStruct, Serializer};

/// A service.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AgentService<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    kind: &'a str,
    #[serde(rename = "ID")]
    id: &'a str,
    service: &'a str,
    tags: &'a [Text],
    meta: Pairs<'a>,
    port: i32,
    address: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tagged_addresses: Option<Addresses<'a>>,
    weights: Weights,
    enable_tag_override: bool,
    /// Only when a single service is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    content_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<Proxy<'a>>,
    #[serde(skip_serializing_if = "Connect::is_unset")]
    connect: Connect<'a>,
}

impl<'a> AgentService<'a> {
    pub(super) fn of(instance: &'a Instance) -> AgentService<'a> {
        AgentService {
            kind: kind(instance),
            id: &instance.id,
            service: &instance.service.name,
            tags: &instance.tags,
            meta: Pairs(&instance.meta),
            port: instance.port,
            address: &instance.address,
            tagged_addresses: Addresses::of(instance),
            weights: Weights::of(instance),
            enable_tag_override: enable_tag_override(instance),
            content_hash: None,
            proxy: Proxy::of_own(instance),
            connect: Connect::of(instance),
        }
    }

    /// With the hash of everything else.
    pub(super) fn with_hash(self, hash: String) -> AgentService<'a> {
        AgentService { content_hash: Some(hash), ..self }
    }
}

impl Fields for AgentService<'_> {
    fn visit(&self, path: Path<'_>, test: Test<'_>) -> bool {
        match path.next() {
            Some(("Kind", _)) => test(Value::Text(self.kind)),
            Some(("ID", _)) => test(Value::Text(self.id)),
            Some(("Service", _)) => test(Value::Text(self.service)),
            Some(("Tags", _)) => test(Value::Items(&|| self.tags.iter())),
            Some(("Address", _)) => test(Value::Text(self.address)),
            Some(("TaggedAddresses", rest)) => filter::addresses(self.tagged_addresses.as_ref(), rest, test),
            Some(("Meta", rest)) => filter::pairs(self.meta.0, rest, test),
            Some(("Port", _)) => test(Value::Int(self.port.into())),
            Some(("Weights", rest)) => self.weights.visit(rest, test),
            Some(("EnableTagOverride", _)) => test(Value::Bool(self.enable_tag_override)),
            Some(("Proxy", rest)) => match &self.proxy {
                Some(proxy) => proxy.visit(rest, test),
                None => test(Value::Absent),
            },
            Some(("Connect", rest)) => self.connect.visit(rest, test),
            _ => test(Value::Absent),
        }
    }
}

/// A check.
pub(super) struct AgentCheck<'a> {
    pub(super) node: &'a str,
    pub(super) view: &'a CheckView,
    /// As Consul prints it where load balancers ask: every field of the definition, no type, null for no tags.
    pub(super) spelled_out: bool,
}

impl AgentCheck<'_> {
    fn service_name(&self) -> &str {
        self.view.service.as_ref().map_or("", |service| &service.service.name)
    }

    fn service_tags(&self) -> &[Text] {
        self.view.service.as_ref().map_or(&[], |service| &service.tags)
    }
}

/// What a definition prints with nothing set.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct NoDefinition {
    interval: &'static str,
    timeout: &'static str,
    deregister_critical_service_after: &'static str,
    #[serde(rename = "HTTP")]
    http: &'static str,
    header: Option<()>,
    method: &'static str,
    body: &'static str,
    #[serde(rename = "TLSSkipVerify")]
    tls_skip_verify: bool,
    #[serde(rename = "TCP")]
    tcp: &'static str,
}

const NO_DEFINITION: NoDefinition = NoDefinition {
    interval: "0s",
    timeout: "0s",
    deregister_critical_service_after: "0s",
    http: "",
    header: None,
    method: "",
    body: "",
    tls_skip_verify: false,
    tcp: "",
};

#[derive(serde::Serialize)]
struct Empty {}

impl Serialize for AgentCheck<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let check = &self.view.check;
        let mut out = serializer.serialize_struct("Check", 13)?;
        out.serialize_field("Node", self.node)?;
        out.serialize_field("CheckID", &check.id)?;
        out.serialize_field("Name", &check.name)?;
        out.serialize_field("Status", check.health.as_str())?;
        out.serialize_field("Notes", &check.notes)?;
        out.serialize_field("Output", &check.output)?;
        out.serialize_field("ServiceID", &self.view.service_id)?;
        out.serialize_field("ServiceName", self.service_name())?;
        match self.service_tags() {
            [] if self.spelled_out => out.serialize_field("ServiceTags", &None::<()>)?,
            tags => out.serialize_field("ServiceTags", tags)?,
        }
        if self.spelled_out {
            out.serialize_field("Type", "")?;
            out.serialize_field("Definition", &NO_DEFINITION)?;
        } else {
            out.serialize_field("Type", &check.kind)?;
            out.serialize_field("Definition", &Empty {})?;
        }
        out.serialize_field("CreateIndex", &0)?;
        out.serialize_field("ModifyIndex", &0)?;
        out.end()
    }
}

impl Fields for AgentCheck<'_> {
    fn visit(&self, path: Path<'_>, test: Test<'_>) -> bool {
        let check = &self.view.check;
        match path.next() {
            Some(("Node", _)) => test(Value::Text(self.node)),
            Some(("CheckID", _)) => test(Value::Text(&check.id)),
            Some(("Name", _)) => test(Value::Text(&check.name)),
            Some(("Status", _)) => test(Value::Text(check.health.as_str())),
            Some(("Notes", _)) => test(Value::Text(&check.notes)),
            Some(("Output", _)) => test(Value::Text(&check.output)),
            Some(("ServiceID", _)) => test(Value::Text(&self.view.service_id)),
            Some(("ServiceName", _)) => test(Value::Text(self.service_name())),
            Some(("ServiceTags", _)) => test(Value::Items(&|| self.service_tags().iter())),
            Some(("Type", _)) => test(Value::Text(&check.kind)),
            _ => test(Value::Absent),
        }
    }
}
