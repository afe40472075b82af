//! /v1/internal/ui: what the web interface reads. Lists of tags that are empty are null here.

use super::filter;
use super::health::Entry;
use super::shapes::{HealthCheck, Node, NodeIdText, NodeService, node_checks, own_checks};
use crate::http::call::Call;
use crate::http::error::Error;
use crate::http::json::Pairs;
use crate::http::read::Question;
use crate::http::reply::Answer;
use crate::http::scope::Scope;
use crate::machine::{self, State};
use crate::model::filter::{Fields, Path, Test, Value};
use crate::model::{DEFAULT_NAMESPACE, Health, Text, fold};
use http::StatusCode;
use std::collections::{BTreeMap, BTreeSet};

/// Metadata key that says who registered a service.
const EXTERNAL_SOURCE: &str = "external-source";

/// A node with all that is on it.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct NodeInfo<'a> {
    #[serde(rename = "ID")]
    id: NodeIdText,
    node: &'a str,
    address: &'a str,
    tagged_addresses: Option<Pairs<'a>>,
    meta: Option<Pairs<'a>>,
    services: Vec<NodeService<'a>>,
    checks: Vec<HealthCheck<'a>>,
}

impl<'a> NodeInfo<'a> {
    fn of(node: &'a machine::Node, state: &'a State, datacenter: &'a str) -> NodeInfo<'a> {
        let Node { id, node: name, address, tagged_addresses, meta, .. } = Node::of(&node.record, datacenter);
        let of_instances = state.instances_on(node).flat_map(|instance| own_checks(instance, state));
        let mut checks: Vec<_> =
            node_checks(&node.record).chain(of_instances).map(HealthCheck::with_null_tags).collect();
        checks.sort_by_cached_key(|check| fold(check.check_id));
        NodeInfo {
            id,
            node: name,
            address,
            tagged_addresses,
            meta,
            services: state.instances_on(node).map(|i| NodeService::of(i).with_null_tags()).collect(),
            checks,
        }
    }
}

impl Fields for NodeInfo<'_> {
    fn visit(&self, path: Path<'_>, test: Test<'_>) -> bool {
        match path.next() {
            Some(("ID", _)) => self.id.with(|id| test(Value::Text(id))),
            Some(("Node", _)) => test(Value::Text(self.node)),
            Some(("Address", _)) => test(Value::Text(self.address)),
            Some(("TaggedAddresses", rest)) => {
                filter::pairs(self.tagged_addresses.as_ref().map(|p| p.0).unwrap_or_default(), rest, test)
            }
            Some(("Meta", rest)) => filter::pairs(self.meta.as_ref().map(|p| p.0).unwrap_or_default(), rest, test),
            Some(("Services", rest)) => rest.structs(|| self.services.iter(), test),
            Some(("Checks", rest)) => rest.structs(|| self.checks.iter(), test),
            _ => test(Value::Absent),
        }
    }
}

/// GET internal/ui/nodes
pub(super) async fn nodes(call: Call) -> Result<Answer, Error> {
    let read = call.quiet_read()?;
    let filter = filter::of(&call, filter::UI_NODE)?;
    let layout = call.layout();
    let gateway = call.gateway.clone();
    let datacenter = &gateway.facts().datacenter;
    let question = Question {
        scope: Scope::Everything,
        content: call.query.content_key(&call.path),
        answer: &|state: &State| {
            let nodes = state.nodes().map(|node| NodeInfo::of(node, state, datacenter));
            Answer::json(&nodes.filter(|node| filter.matches(node)).collect::<Vec<_>>(), layout)
        },
    };
    question.ask(call, read).await
}

/// GET internal/ui/node/:node
pub(super) async fn node(call: Call) -> Result<Answer, Error> {
    let read = call.quiet_read()?;
    let name: Text = call.name("Missing node name")?.as_ref().into();
    let layout = call.layout();
    let gateway = call.gateway.clone();
    let datacenter = &gateway.facts().datacenter;
    let question = Question {
        scope: Scope::Node(name.clone()),
        content: call.query.content_key(&call.path),
        answer: &|state: &State| match state.node(&name) {
            Some(node) => Answer::json(&NodeInfo::of(node, state, datacenter), layout),
            None => Ok(Answer::empty(StatusCode::NOT_FOUND)),
        },
    };
    question.ask(call, read).await
}

/// A service with what its instances have in common.
#[derive(Default, serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct Summary<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    kind: &'a str,
    name: &'a str,
    tags: Option<BTreeSet<&'a str>>,
    nodes: Vec<&'a str>,
    instance_count: usize,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    proxy_for: BTreeSet<String>,
    checks_passing: usize,
    checks_warning: usize,
    checks_critical: usize,
    external_sources: Option<BTreeSet<&'a str>>,
    gateway_config: GatewayConfig,
}

#[derive(Default, serde::Serialize)]
struct GatewayConfig {}

impl<'a> Summary<'a> {
    fn add(&mut self, entry: &Entry<'a>) {
        (self.kind, self.name) = (entry.service.kind, entry.service.service);
        if !entry.service.tags.list.is_empty() {
            self.tags.get_or_insert_default().extend(entry.service.tags.list.iter().map(Text::as_str));
        }
        self.nodes.push(entry.node.node);
        self.instance_count += 1;
        if entry.service.kind == "connect-proxy" {
            self.proxy_for.extend(entry.service.proxy.destination());
        }
        for check in &entry.checks {
            match Health::parse(check.status) {
                Some(Health::Passing) => self.checks_passing += 1,
                Some(Health::Warning) => self.checks_warning += 1,
                Some(Health::Critical) | None => self.checks_critical += 1,
            }
        }
        let meta = entry.service.meta.as_ref().map(|pairs| pairs.0).unwrap_or_default();
        if let Some((_, source)) = meta.iter().find(|(key, _)| key == EXTERNAL_SOURCE) {
            self.external_sources.get_or_insert_default().insert(source);
        }
    }
}

/// GET internal/ui/services
pub(super) async fn services(call: Call) -> Result<Answer, Error> {
    let read = call.quiet_read()?;
    let filter = filter::of(&call, filter::ENTRY)?;
    let layout = call.layout();
    let gateway = call.gateway.clone();
    let datacenter = &gateway.facts().datacenter;
    let question = Question {
        scope: Scope::Everything,
        content: call.query.content_key(&call.path),
        answer: &|state: &State| {
            let mut summaries: BTreeMap<&str, Summary<'_>> = BTreeMap::new();
            for service in state.services(DEFAULT_NAMESPACE, "") {
                let entries = service.instances.iter().map(|i| Entry::of(i, state, datacenter));
                for entry in entries.filter(|entry| filter.matches(entry)) {
                    summaries.entry(entry.service.service).or_default().add(&entry);
                }
            }
            let mut summaries: Vec<Summary<'_>> = summaries.into_values().collect();
            summaries.iter_mut().for_each(|summary| summary.nodes.sort_unstable());
            Answer::json(&summaries, layout)
        },
    };
    question.ask(call, read).await
}

/// GET internal/ui/gateway-services-nodes/:gateway: there are no gateways.
pub(super) async fn gateway_services(call: Call) -> Result<Answer, Error> {
    call.name("Missing gateway name")?;
    super::mesh::none(call).await
}
