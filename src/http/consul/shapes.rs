//! Consul's documents, borrowed from the state. The order of fields, and where an empty list is `[]`, `{}` or `null`,
//! are Consul's.

use super::mesh_shapes::{Connect, Proxy};
use crate::http::json::{Pairs, Raw};
use crate::machine::State;
use crate::model::{Check, Health, Instance, Lifecycle, NodeRecord, TaggedAddress, Text};
use crate::service::AGENTLESS;
use serde::ser::{Serialize, Serializer};
use std::borrow::Cow;

/// A node of the catalog.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Node<'a> {
    #[serde(rename = "ID")]
    pub(super) id: NodeIdText,
    pub(super) node: &'a str,
    pub(super) address: &'a str,
    pub(super) datacenter: &'a str,
    pub(super) tagged_addresses: Option<Pairs<'a>>,
    pub(super) meta: Option<Pairs<'a>>,
    pub(super) create_index: u64,
    pub(super) modify_index: u64,
}

/// A UUID, or nothing.
pub(super) struct NodeIdText(Option<uuid::Uuid>);

impl NodeIdText {
    /// Calls `f` with the text.
    pub(super) fn with<T>(&self, f: impl FnOnce(&str) -> T) -> T {
        match self.0 {
            Some(id) => f(id.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer())),
            None => f(""),
        }
    }
}

impl Serialize for NodeIdText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with(|text| serializer.serialize_str(text))
    }
}

impl<'a> Node<'a> {
    pub(super) fn of(record: &'a NodeRecord, datacenter: &'a str) -> Node<'a> {
        Node {
            id: NodeIdText(record.id),
            node: &record.name,
            address: &record.address,
            datacenter,
            tagged_addresses: record.tagged_addresses.as_deref().map(Pairs),
            meta: record.meta.as_deref().map(Pairs),
            create_index: record.create_revision,
            modify_index: record.modify_revision,
        }
    }

    /// The node of an instance; one without a node is shown on a node of its own address.
    pub(super) fn under(instance: &'a Instance, state: &'a State, datacenter: &'a str) -> Node<'a> {
        match state.node(&instance.node).filter(|_| !instance.node.is_empty()) {
            Some(node) => Node::of(&node.record, datacenter),
            None => Node {
                id: NodeIdText(None),
                node: AGENTLESS,
                address: &instance.address,
                datacenter,
                tagged_addresses: None,
                meta: None,
                create_index: instance.create_revision,
                modify_index: instance.modify_revision,
            },
        }
    }
}

/// `{"Passing":1,"Warning":1}`
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Weights {
    pub(super) passing: u16,
    pub(super) warning: u16,
}

impl Weights {
    pub(super) fn of(instance: &Instance) -> Weights {
        let warning = instance.extra.as_ref().and_then(|e| e.weight_warning).unwrap_or(1);
        Weights { passing: instance.weight(), warning }
    }
}

/// The tagged addresses of a service; left out when there are none.
pub(super) struct Addresses<'a>(pub(super) &'a [TaggedAddress]);

impl<'a> Addresses<'a> {
    pub(super) fn of(instance: &'a Instance) -> Option<Addresses<'a>> {
        let list = instance.extra.as_deref().map(|e| &e.tagged_addresses[..]).unwrap_or_default();
        (!list.is_empty()).then_some(Addresses(list))
    }
}

impl Serialize for Addresses<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Address<'a> {
            address: &'a str,
            port: i32,
        }
        serializer.collect_map(self.0.iter().map(|a| (a.tag.as_str(), Address { address: &a.address, port: a.port })))
    }
}

/// Consul's `Kind`.
pub(super) fn kind(instance: &Instance) -> &str {
    instance.extra.as_deref().map_or("", |e| &e.kind)
}

/// Consul's `EnableTagOverride`.
pub(super) fn enable_tag_override(instance: &Instance) -> bool {
    instance.extra.as_deref().is_some_and(|e| e.enable_tag_override)
}

fn some_pairs(pairs: &[(Text, Text)]) -> Option<Pairs<'_>> {
    (!pairs.is_empty()).then_some(Pairs(pairs))
}

/// Tags; an empty list is `[]` or null, as the endpoint has it.
#[derive(Clone, Copy)]
pub(super) struct Tags<'a> {
    pub(super) list: &'a [Text],
    null_when_empty: bool,
}

impl<'a> Tags<'a> {
    fn of(list: &'a [Text]) -> Tags<'a> {
        Tags { list, null_when_empty: false }
    }
}

impl Serialize for Tags<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.null_when_empty && self.list.is_empty() {
            true => serializer.serialize_none(),
            false => serializer.collect_seq(self.list),
        }
    }
}

/// A service on a node, in health/service and catalog/node.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NodeService<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) kind: &'a str,
    #[serde(rename = "ID")]
    pub(super) id: Text,
    pub(super) service: &'a str,
    pub(super) tags: Tags<'a>,
    pub(super) address: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tagged_addresses: Option<Addresses<'a>>,
    pub(super) meta: Option<Pairs<'a>>,
    pub(super) port: i32,
    pub(super) weights: Weights,
    pub(super) enable_tag_override: bool,
    pub(super) proxy: Proxy<'a>,
    pub(super) connect: Connect<'a>,
    pub(super) create_index: u64,
    pub(super) modify_index: u64,
}

impl<'a> NodeService<'a> {
    pub(super) fn of(instance: &'a Instance) -> NodeService<'a> {
        NodeService {
            kind: kind(instance),
            id: instance.consul_id(),
            service: &instance.service.name,
            tags: Tags::of(&instance.tags),
            address: &instance.address,
            tagged_addresses: Addresses::of(instance),
            meta: some_pairs(&instance.meta),
            port: instance.port,
            weights: Weights::of(instance),
            enable_tag_override: enable_tag_override(instance),
            proxy: Proxy::of(instance),
            connect: Connect::of(instance),
            create_index: instance.create_revision,
            modify_index: instance.modify_revision,
        }
    }

    /// With null for no tags.
    pub(super) fn with_null_tags(self) -> NodeService<'a> {
        NodeService { tags: Tags { null_when_empty: true, ..self.tags }, ..self }
    }
}

/// A check of a node or of a service.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HealthCheck<'a> {
    pub(super) node: &'a str,
    #[serde(rename = "CheckID")]
    pub(super) check_id: &'a str,
    pub(super) name: &'a str,
    pub(super) status: &'static str,
    pub(super) notes: &'a str,
    pub(super) output: Cow<'a, str>,
    #[serde(rename = "ServiceID")]
    pub(super) service_id: Text,
    pub(super) service_name: &'a str,
    pub(super) service_tags: Tags<'a>,
    #[serde(rename = "Type")]
    pub(super) kind: &'a str,
    pub(super) definition: Raw<'a>,
    pub(super) create_index: u64,
    pub(super) modify_index: u64,
}

impl<'a> HealthCheck<'a> {
    pub(super) fn of_node(check: &'a Check, node: &'a str) -> HealthCheck<'a> {
        HealthCheck {
            node,
            check_id: &check.id,
            name: &check.name,
            status: check.health.as_str(),
            notes: &check.notes,
            output: Cow::Borrowed(&check.output),
            service_id: Text::default(),
            service_name: "",
            service_tags: Tags::of(&[]),
            kind: &check.kind,
            definition: Raw(check.definition.as_deref().unwrap_or("{}")),
            create_index: check.create_revision,
            modify_index: check.modify_revision,
        }
    }

    pub(super) fn of_service(check: &'a Check, instance: &'a Instance, node: &'a str) -> HealthCheck<'a> {
        HealthCheck {
            service_id: instance.consul_id(),
            service_name: &instance.service.name,
            service_tags: Tags::of(&instance.tags),
            ..HealthCheck::of_node(check, node)
        }
    }

    /// With null for no tags.
    pub(super) fn with_null_tags(self) -> HealthCheck<'a> {
        HealthCheck { service_tags: Tags { null_when_empty: true, ..self.service_tags }, ..self }
    }

    /// Why a healthy instance takes no traffic, in the only way that Consul's clients understand.
    fn of_lifecycle(instance: &'a Instance, node: &'a str) -> HealthCheck<'a> {
        let output = match instance.overriding().filter(|word| word.drain) {
            Some(word) if word.reason.is_empty() => Cow::Borrowed("drained by an operator"),
            Some(word) => Cow::Owned(format!("drained by an operator: {}", word.reason)),
            None => Cow::Borrowed(match instance.lifecycle {
                Lifecycle::Starting => "starting",
                Lifecycle::Draining => "draining",
                Lifecycle::Serving => "serving",
            }),
        };
        HealthCheck {
            node,
            check_id: "lictor:lifecycle",
            name: "Lifecycle",
            status: Health::Critical.as_str(),
            notes: "",
            output,
            service_id: instance.consul_id(),
            service_name: &instance.service.name,
            service_tags: Tags::of(&instance.tags),
            kind: "",
            definition: Raw("{}"),
            create_index: instance.create_revision,
            modify_index: instance.modify_revision,
        }
    }
}

/// The checks that decide on an instance: its node's, then its own, each in order of id.
pub(super) fn checks<'a>(instance: &'a Instance, state: &'a State) -> Vec<HealthCheck<'a>> {
    let record = record_of(instance, state);
    let mut list: Vec<HealthCheck<'a>> = record.into_iter().flat_map(node_checks).collect();
    list.extend(own_checks(instance, state));
    list
}

/// The checks of a node itself.
pub(super) fn node_checks(record: &NodeRecord) -> impl Iterator<Item = HealthCheck<'_>> {
    record.checks.iter().map(|check| HealthCheck::of_node(check, &record.name))
}

/// The checks of an instance itself.
pub(super) fn own_checks<'a>(instance: &'a Instance, state: &'a State) -> impl Iterator<Item = HealthCheck<'a>> {
    let node = record_of(instance, state).map_or(AGENTLESS, |record| record.name.as_str());
    let own = instance.checks.iter().map(move |check| HealthCheck::of_service(check, instance, node));
    own.chain((!instance.is_serving()).then(|| HealthCheck::of_lifecycle(instance, node)))
}

fn record_of<'a>(instance: &Instance, state: &'a State) -> Option<&'a NodeRecord> {
    state.node(&instance.node).filter(|_| !instance.node.is_empty()).map(|node| &*node.record)
}
