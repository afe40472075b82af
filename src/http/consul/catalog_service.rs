//! An instance as catalog/service and catalog/connect show it, and what filters select in it.

use super::filter;
use super::mesh_shapes::{Connect, Proxy};
use super::shapes::{Addresses, Node, NodeIdText, Weights, enable_tag_override, kind};
use crate::http::json::Pairs;
use crate::machine::State;
use crate::model::filter::{Fields, Path, Test, Value};
use crate::model::{Instance, Text};

/// An instance in catalog/service.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CatalogService<'a> {
    #[serde(rename = "ID")]
    id: NodeIdText,
    pub(super) node: &'a str,
    address: &'a str,
    datacenter: &'a str,
    tagged_addresses: Option<Pairs<'a>>,
    node_meta: Option<Pairs<'a>>,
    service_kind: &'a str,
    #[serde(rename = "ServiceID")]
    service_id: Text,
    service_name: &'a str,
    service_tags: &'a [Text],
    service_address: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tagged_addresses: Option<Addresses<'a>>,
    service_weights: Weights,
    service_meta: Pairs<'a>,
    service_port: i32,
    service_enable_tag_override: bool,
    service_proxy: Proxy<'a>,
    service_connect: Connect<'a>,
    create_index: u64,
    modify_index: u64,
}

impl<'a> CatalogService<'a> {
    pub(super) fn of(instance: &'a Instance, state: &'a State, datacenter: &'a str) -> CatalogService<'a> {
        let Node { id, node, address, datacenter, tagged_addresses, meta, .. } =
            Node::under(instance, state, datacenter);
        CatalogService {
            id,
            node,
            address,
            datacenter,
            tagged_addresses,
            node_meta: meta,
            service_kind: kind(instance),
            service_id: instance.consul_id(),
            service_name: &instance.service.name,
            service_tags: &instance.tags,
            service_address: &instance.address,
            service_tagged_addresses: Addresses::of(instance),
            service_weights: Weights::of(instance),
            service_meta: Pairs(&instance.meta),
            service_port: instance.port,
            service_enable_tag_override: enable_tag_override(instance),
            service_proxy: Proxy::of(instance),
            service_connect: Connect::of(instance),
            create_index: instance.create_revision,
            modify_index: instance.modify_revision,
        }
    }
}

impl Fields for CatalogService<'_> {
    fn visit(&self, path: Path<'_>, test: Test<'_>) -> bool {
        match path.next() {
            Some(("ID", _)) => self.id.with(|id| test(Value::Text(id))),
            Some(("Node", _)) => test(Value::Text(self.node)),
            Some(("Address", _)) => test(Value::Text(self.address)),
            Some(("Datacenter", _)) => test(Value::Text(self.datacenter)),
            Some(("TaggedAddresses", rest)) => {
                filter::pairs(self.tagged_addresses.as_ref().map(|p| p.0).unwrap_or_default(), rest, test)
            }
            Some(("NodeMeta", rest)) => {
                filter::pairs(self.node_meta.as_ref().map(|p| p.0).unwrap_or_default(), rest, test)
            }
            Some(("ServiceKind", _)) => test(Value::Text(self.service_kind)),
            Some(("ServiceID", _)) => test(Value::Text(&self.service_id)),
            Some(("ServiceName", _)) => test(Value::Text(self.service_name)),
            Some(("ServiceTags", _)) => test(Value::Items(&|| self.service_tags.iter())),
            Some(("ServiceAddress", _)) => test(Value::Text(self.service_address)),
            Some(("ServiceTaggedAddresses", rest)) => {
                filter::addresses(self.service_tagged_addresses.as_ref(), rest, test)
            }
            Some(("ServiceWeights", rest)) => self.service_weights.visit(rest, test),
            Some(("ServiceMeta", rest)) => filter::pairs(self.service_meta.0, rest, test),
            Some(("ServicePort", _)) => test(Value::Int(self.service_port.into())),
            Some(("ServiceEnableTagOverride", _)) => test(Value::Bool(self.service_enable_tag_override)),
            Some(("ServiceProxy", rest)) => self.service_proxy.visit(rest, test),
            Some(("ServiceConnect", rest)) => self.service_connect.visit(rest, test),
            _ => test(Value::Absent),
        }
    }
}
