//! /v1/health. Missing: node, checks, state, connect, ingress.

use super::selection::Selection;
use super::shapes::{Checks, Node, NodeService};
use crate::http::call::Call;
use crate::http::error::Error;
use crate::http::read::Question;
use crate::http::reply::Answer;
use crate::http::scope::Scope;
use crate::model::ServiceKey;

/// GET health/service/:name
pub(super) async fn service(call: Call) -> Result<Answer, Error> {
    #[derive(serde::Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Entry<'a> {
        node: Node<'a>,
        service: NodeService<'a>,
        checks: Checks<'a>,
    }
    let read = call.read()?;
    let service = ServiceKey::of(&call.name("Missing service name")?);
    let mut selection = Selection::of(&call);
    selection.passing = match call.query.get("passing") {
        None => false,
        Some("") => true,
        Some(word) => parse_bool(word).ok_or(Error::bad_request("Invalid value for ?passing"))?,
    };
    let layout = call.layout();
    let gateway = &*call.gateway;
    let datacenter = &gateway.core.facts().datacenter;
    let question = Question {
        scope: Scope::Health(service.clone()),
        content: call.query.content_key(&call.path),
        answer: |state: &crate::machine::State| {
            let entry = |instance| Entry {
                node: Node::under(instance, state, datacenter),
                service: NodeService::of(instance),
                checks: Checks { instance, state },
            };
            let entries: Vec<Entry<'_>> = selection.of_service(state, &service).map(|i| entry(i)).collect();
            Answer::json(&entries, layout)
        },
    };
    question.ask(gateway, read, &call.target).await
}

/// Go's `strconv.ParseBool`.
fn parse_bool(word: &str) -> Option<bool> {
    match word {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}
