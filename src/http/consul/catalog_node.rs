//! GETs of /v1/catalog about one node, which is named by its name, its id or the beginning of its id.

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
        services: BTreeMap<&'a str, NodeService<'a>>,
    }
    ask(call, |found, state, datacenter, filter, layout| {
        let found = found.map(|node| {
            let services = state.instances_on(node).map(|i| (i.id.as_str(), NodeService::of(i)));
            NodeServices {
                node: Node::of(&node.record, datacenter),
                services: services.filter(|(_, service)| filter.matches(service)).collect(),
            }
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
    ask(call, |found, state, datacenter, filter, layout| {
        let services = found
            .filter(|node| !node.services.is_empty())
            .map(|node| state.instances_on(node).map(|i| NodeService::of(i)).filter(|s| filter.matches(s)).collect());
        let node = found.map(|node| Node::of(&node.record, datacenter));
        Answer::json(&NodeServices { node, services }, layout)
    })
    .await
}

async fn ask<F>(call: Call, show: F) -> Result<Answer, Error>
where
    F: for<'a> Fn(Option<&'a Arc<machine::Node>>, &'a State, &'a str, &'a Filter, Layout) -> Result<Answer, Error>,
{
    let read = call.read()?;
    let asked = call.name("Missing node name")?;
    let filter = filter::of(&call, filter::SERVICE)?;
    let layout = call.layout();
    let gateway = &*call.gateway;
    let datacenter = &gateway.core.facts().datacenter;
    let question = Question {
        scope: scope(&gateway.core.local().state, &asked),
        content: call.query.content_key(&call.path),
        answer: |state: &State| show(find(state, &asked), state, datacenter, &filter, layout),
    };
    question.ask(gateway, read, &call.target).await
}

/// What the answer depends on: the node if it is there, else the coming of a node by this name or id.
fn scope(state: &State, asked: &str) -> Scope {
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
