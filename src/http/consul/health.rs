//! GETs of /v1/health about instances; those about checks alone are in `health_checks`.

use super::filter;
use super::selection::Selection;
use super::shapes::{HealthCheck, Node, NodeService, checks};
use crate::http::call::Call;
use crate::http::error::Error;
use crate::http::read::Question;
use crate::http::reply::Answer;
use crate::http::scope::Scope;
use crate::machine::State;
use crate::model::filter::{Fields, Path, Test, Value};
use crate::model::{Instance, ServiceKey};
use std::sync::Arc;

/// An instance with its node and all that decides on its health.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Entry<'a> {
    pub(super) node: Node<'a>,
    pub(super) service: NodeService<'a>,
    pub(super) checks: Vec<HealthCheck<'a>>,
}

impl<'a> Entry<'a> {
    pub(super) fn of(instance: &'a Instance, state: &'a State, datacenter: &'a str) -> Entry<'a> {
        Entry {
            node: Node::under(instance, state, datacenter),
            service: NodeService::of(instance),
            checks: checks(instance, state),
        }
    }
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
    let service = ServiceKey::of(&call.name("Missing service name")?);
    let scope = Scope::Health(service.clone());
    instances(call, scope, &|selection, state| selection.of_service(state, &service).collect()).await
}

/// GET health/connect/:name
pub(super) async fn connect(call: Call) -> Result<Answer, Error> {
    let name = call.name("Missing service name")?.into_owned();
    // Any instance may stand for any service.
    instances(call, Scope::Everything, &|selection, state| selection.of_mesh(state, &name)).await
}

/// GET health/ingress/:name: there are no gateways, because the entries that bind services to them are refused.
pub(super) async fn ingress(call: Call) -> Result<Answer, Error> {
    call.name("Missing service name")?;
    Selection::with_health(&call)?;
    super::catalog::nothing(call, true, |layout| Answer::json::<[(); 0]>(&[], layout)).await
}

type Find<'f> = &'f (dyn for<'a> Fn(&'a Selection, &'a State) -> Vec<&'a Arc<Instance>> + Sync);

async fn instances(call: Call, scope: Scope, find: Find<'_>) -> Result<Answer, Error> {
    let read = call.read()?.or_cached(&call.query);
    let selection = Selection::with_health(&call)?;
    let filter = filter::of(&call, filter::ENTRY)?;
    let layout = call.layout();
    let gateway = call.gateway.clone();
    let datacenter = &gateway.facts().datacenter;
    let question = Question {
        scope: selection.near.scope(scope),
        content: call.query.content_key(&call.path),
        answer: &|state: &State| {
            let found = find(&selection, state).into_iter();
            let entries = found.map(|instance| Entry::of(instance, state, datacenter));
            let mut entries: Vec<Entry<'_>> = entries.filter(|entry| filter.matches(entry)).collect();
            selection.near.sort(state, &mut entries, |entry| entry.node.node);
            Answer::json(&entries, layout)
        },
    };
    question.ask(call, read).await
}
