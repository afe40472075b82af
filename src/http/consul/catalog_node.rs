//! GETs of /v1/catalog about one node, which is named by its name, its id or the beginning of its id. What runs on no
//! node is shown on one of its own, as everywhere in this API.

use super::filter;
use super::shapes::{Node, NodeService};
use crate::http::call::Call;
use crate::http::error::Error;
use crate::http::json::Layout;
use crate::http::read::Question;
use crate::http::reply::Answer;
use crate::http::scope::Scope;
use crate::machine::{self, State};
use crate::model::filter::Filter;
use crate::model::{DEFAULT_NAMESPACE, Instance, Text};
use crate::service::AGENTLESS;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Shorter beginnings of ids are not looked for.
const ID_DIGITS_MIN: usize = 2;

/// GET catalog/node/:node
pub(super) async fn node(call: Call) -> Result<Answer, Error> {
    #[derive(serde::Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct NodeServices<'a> {
        node: Node<'a>,
        services: BTreeMap<Text, NodeService<'a>>,
    }
    ask(call, &|found, filter, layout| {
        let found = found.map(|Found { node, services }| {
            let services = services.into_iter().map(|service| (service.id.clone(), service));
            NodeServices { node, services: services.filter(|(_, service)| filter.matches(service)).collect() }
        });
        Answer::json(&found, layout)
    })
    .await
}

/// GET catalog/node-services/:node
pub(super) async fn services(call: Call) -> Result<Answer, Error> {
    #[derive(serde::Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct NodeServices<'a> {
        node: Option<Node<'a>>,
        services: Option<Vec<NodeService<'a>>>,
    }
    ask(call, &|found, filter, layout| {
        let (node, services) = found.map(|found| (found.node, found.services)).unzip();
        let services = services.filter(|services| !services.is_empty());
        let services = services.map(|services| services.into_iter().filter(|s| filter.matches(s)).collect());
        Answer::json(&NodeServices { node, services }, layout)
    })
    .await
}

/// A node and what runs on it.
struct Found<'a> {
    node: Node<'a>,
    services: Vec<NodeService<'a>>,
}

type Show<'f> = &'f (dyn Fn(Option<Found<'_>>, &Filter, Layout) -> Result<Answer, Error> + Sync);

async fn ask(call: Call, show: Show<'_>) -> Result<Answer, Error> {
    let read = call.read()?;
    let asked = call.name("Missing node name")?.into_owned();
    let filter = filter::of(&call, filter::SERVICE)?;
    let layout = call.layout();
    let gateway = call.gateway.clone();
    let datacenter = &gateway.facts().datacenter;
    let question = Question {
        scope: scope(&call.core.local().state, &asked),
        content: call.query.content_key(&call.path),
        answer: &|state: &State| show(found(state, &asked, datacenter), &filter, layout),
    };
    question.ask(call, read).await
}

fn found<'a>(state: &'a State, asked: &str, datacenter: &'a str) -> Option<Found<'a>> {
    if asked.eq_ignore_ascii_case(AGENTLESS) {
        let instances = state.services(DEFAULT_NAMESPACE, "").flat_map(|service| service.instances.iter());
        let free: Vec<&Arc<Instance>> = instances.filter(|instance| instance.node.is_empty()).collect();
        let node = Node { address: "", ..Node::under(free.first()?, state, datacenter) };
        return Some(Found { node, services: free.into_iter().map(|i| NodeService::of(i)).collect() });
    }
    let node = find(state, asked)?;
    let services = state.instances_on(node).map(|i| NodeService::of(i)).collect();
    Some(Found { node: Node::of(&node.record, datacenter), services })
}

/// What the answer depends on: the node if it is there, else the coming of a node by this name or id.
fn scope(state: &State, asked: &str) -> Scope {
    if asked.eq_ignore_ascii_case(AGENTLESS) {
        return Scope::Services;
    }
    match find(state, asked) {
        Some(node) => Scope::Node(node.record.name.clone()),
        None if id_digits(asked).is_some() => Scope::Nodes,
        None => Scope::Node(asked.into()),
    }
}

fn find<'a>(state: &'a State, asked: &str) -> Option<&'a Arc<machine::Node>> {
    state.node(asked).or_else(|| {
        let digits = id_digits(asked)?;
        let begins =
            |node: &&Arc<machine::Node>| node.record.id.is_some_and(|id| id.simple().to_string().starts_with(&digits));
        let mut found = state.nodes().filter(begins);
        // An ambiguous beginning names no node.
        found.next().filter(|_| found.next().is_none())
    })
}

/// The digits of an id or of its beginning; Consul compares whole bytes.
fn id_digits(text: &str) -> Option<String> {
    let mut digits: String = text.chars().filter(|c| *c != '-').map(|c| c.to_ascii_lowercase()).collect();
    if digits.len() < ID_DIGITS_MIN || digits.len() > 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    digits.truncate(digits.len() & !1);
    Some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_of_ids_have_whole_bytes() {
        assert_eq!(id_digits("ABc").as_deref(), Some("ab"));
        assert_eq!(id_digits("bf598bfb-12").as_deref(), Some("bf598bfb12"));
        for no in ["a", "", "-", "node-1", "xyz", "bf598bfb-0000-0000-0000-000000000000-00"] {
            assert_eq!(id_digits(no), None, "{no}");
        }
    }
}
