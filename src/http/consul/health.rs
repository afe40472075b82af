//! /v1/health. Missing: node, checks, state, connect, ingress.

use super::filter;
use super::selection::Selection;
use super::shapes::{HealthCheck, Node, NodeService, checks};
use crate::http::call::Call;
use crate::http::error::Error;
use crate::http::read::Question;
use crate::http::reply::Answer;
use crate::http::scope::Scope;
use crate::model::ServiceKey;
use crate::model::filter::{Fields, Path, Test, Value};

/// An instance with its node and all that decides on its health.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    node: Node<'a>,
    service: NodeService<'a>,
    checks: Vec<HealthCheck<'a>>,
}

impl Fields for Entry<'_> {
    fn visit(&self, path: Path<'_>, test: Test<'_>) -> bool {
        match path.next() {
            Some(("Node", rest)) => self.node.visit(rest, test),
            Some(("Service", rest)) => self.service.visit(rest, test),
            Some(("Checks", rest)) => rest.structs(|| self.checks.iter(), test),
            _ => test(Value::Absent),
        }
    }
}

/// GET health/service/:name
pub(super) async fn service(call: Call) -> Result<Answer, Error> {
    let read = call.read()?;
    let service = ServiceKey::of(&call.name("Missing service name")?);
    let mut selection = Selection::of(&call);
    selection.passing = match call.query.get("passing") {
        None => false,
        Some("") => true,
        Some(word) => parse_bool(word).ok_or(Error::bad_request("Invalid value for ?passing"))?,
    };
    let filter = filter::of(&call, filter::ENTRY)?;
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
                checks: checks(instance, state),
            };
            let entries: Vec<Entry<'_>> =
                selection.of_service(state, &service).map(|i| entry(i)).filter(|e| filter.matches(e)).collect();
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
