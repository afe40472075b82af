//! GETs of /v1/catalog. Missing: connect, gateway-services, node-services, nodes found by their ID.

use super::filter;
use super::selection::Selection;
use super::shapes::{Addresses, Connect, Node, NodeIdText, NodeService, Proxy, Weights, enable_tag_override, kind};
use crate::http::call::Call;
use crate::http::error::Error;
use crate::http::json::Pairs;
use crate::http::read::Question;
use crate::http::reply::Answer;
use crate::http::scope::Scope;
use crate::machine::State;
use crate::model::filter::{Fields, Path, Test, Value};
use crate::model::{DEFAULT_NAMESPACE, Instance, ServiceKey, Text};
use std::collections::{BTreeMap, BTreeSet};

/// GET catalog/datacenters
pub(super) async fn datacenters(call: Call) -> Result<Answer, Error> {
    Answer::json(&[&call.gateway.core.facts().datacenter], call.layout())
}

/// GET catalog/nodes
pub(super) async fn nodes(call: Call) -> Result<Answer, Error> {
    let read = call.read()?;
    let selection = Selection::of(&call);
    let filter = filter::of(&call, filter::NODE)?;
    let layout = call.layout();
    let gateway = &*call.gateway;
    let datacenter = &gateway.core.facts().datacenter;
    let question = Question {
        scope: Scope::Nodes,
        content: call.query.content_key(&call.path),
        answer: |state: &State| {
            let found = state.nodes().filter(|node| selection.takes_node(node.record.meta.as_deref()));
            let nodes = found.map(|node| Node::of(&node.record, datacenter));
            let nodes: Vec<Node<'_>> = nodes.filter(|node| filter.matches(node)).collect();
            Answer::json(&nodes, layout)
        },
    };
    question.ask(gateway, read, &call.target).await
}

/// GET catalog/services
pub(super) async fn services(call: Call) -> Result<Answer, Error> {
    let read = call.read()?;
    call.refuse_filter()?;
    let selection = Selection::of(&call);
    let layout = call.layout();
    let question = Question {
        scope: if selection.filters_nodes() { Scope::ServicesOfNodes } else { Scope::Services },
        content: call.query.content_key(&call.path),
        answer: |state: &State| {
            let mut services: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
            for service in state.services(DEFAULT_NAMESPACE, "") {
                for instance in selection.of_service(state, &service.key) {
                    // Each spelling of a name is an entry of its own, as in Consul.
                    let tags = services.entry(&instance.service.name).or_default();
                    tags.extend(instance.tags.iter().map(Text::as_str));
                }
            }
            Answer::json(&services, layout)
        },
    };
    question.ask(&call.gateway, read, &call.target).await
}

/// An instance in catalog/service.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct CatalogService<'a> {
    #[serde(rename = "ID")]
    id: NodeIdText,
    node: &'a str,
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
    fn of(instance: &'a Instance, state: &'a State, datacenter: &'a str) -> CatalogService<'a> {
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
            _ => test(Value::Absent),
        }
    }
}

/// GET catalog/service/:name
pub(super) async fn service(call: Call) -> Result<Answer, Error> {
    let read = call.read()?;
    let service = ServiceKey::of(&call.name("Missing service name")?);
    let selection = Selection::of(&call);
    let filter = filter::of(&call, filter::CATALOG_SERVICE)?;
    let layout = call.layout();
    let gateway = &*call.gateway;
    let datacenter = &gateway.core.facts().datacenter;
    let question = Question {
        scope: Scope::Catalog(service.clone()),
        content: call.query.content_key(&call.path),
        answer: |state: &State| {
            let found = selection.of_service(state, &service);
            let services = found.map(|i| CatalogService::of(i, state, datacenter));
            let services: Vec<_> = services.filter(|service| filter.matches(service)).collect();
            Answer::json(&services, layout)
        },
    };
    question.ask(gateway, read, &call.target).await
}

/// GET catalog/node/:node
pub(super) async fn node(call: Call) -> Result<Answer, Error> {
    #[derive(serde::Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct NodeServices<'a> {
        node: Node<'a>,
        services: BTreeMap<&'a str, NodeService<'a>>,
    }
    let read = call.read()?;
    let name: Text = call.name("Missing node name")?.as_ref().into();
    let filter = filter::of(&call, filter::SERVICE)?;
    let layout = call.layout();
    let gateway = &*call.gateway;
    let datacenter = &gateway.core.facts().datacenter;
    let question = Question {
        scope: Scope::Node(name.clone()),
        content: call.query.content_key(&call.path),
        answer: |state: &State| {
            let found = state.node(&name).map(|node| {
                let services = state.instances_on(node).map(|i| (i.id.as_str(), NodeService::of(i)));
                NodeServices {
                    node: Node::of(&node.record, datacenter),
                    services: services.filter(|(_, service)| filter.matches(service)).collect(),
                }
            });
            Answer::json(&found, layout)
        },
    };
    question.ask(gateway, read, &call.target).await
}
