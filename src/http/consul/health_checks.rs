//! GETs of /v1/health about checks, in order of node and id, as all lists of checks are.

use super::filter;
use super::selection::Selection;
use super::shapes::{HealthCheck, node_checks, own_checks};
use crate::http::call::Call;
use crate::http::error::Error;
use crate::http::read::Question;
use crate::http::reply::Answer;
use crate::http::scope::Scope;
use crate::machine::State;
use crate::model::{DEFAULT_NAMESPACE, Health, Instance, ServiceKey, Text, fold};
use std::sync::Arc;

/// Which checks are asked for.
enum Asked {
    /// Those of a node and of what runs on it.
    Node(Text),
    /// Those of a service's instances, without those of their nodes.
    Service(ServiceKey),
    /// Those in this state; `None`: in any.
    State(Option<Health>),
    /// None: a word that is no state.
    Nothing,
}

/// GET health/node/:node
pub(super) async fn node(call: Call) -> Result<Answer, Error> {
    let name: Text = call.name("Missing node name")?.as_ref().into();
    // Consul knows neither near nor node-meta here.
    ask(call, Selection::everything(), Scope::ChecksOfNode(name.clone()), Asked::Node(name)).await
}

/// GET health/checks/:service
pub(super) async fn service(call: Call) -> Result<Answer, Error> {
    let service = ServiceKey::of(&call.name("Missing service name")?);
    let selection = Selection::node_meta_of(&call);
    ask(call, selection, Scope::Health(service.clone()), Asked::Service(service)).await
}

/// GET health/state/:state
pub(super) async fn state(call: Call) -> Result<Answer, Error> {
    let asked = match call.name("Missing check state")?.as_ref() {
        "any" => Asked::State(None),
        word => Health::parse(word).map_or(Asked::Nothing, |health| Asked::State(Some(health))),
    };
    let selection = Selection::node_meta_of(&call);
    let scope = if selection.filters_nodes() { Scope::Everything } else { Scope::Checks };
    ask(call, selection, scope, asked).await
}

async fn ask(call: Call, selection: Selection, scope: Scope, asked: Asked) -> Result<Answer, Error> {
    let read = call.read()?;
    let filter = filter::of(&call, filter::CHECK)?;
    let layout = call.layout();
    let question = Question {
        scope: selection.near.scope(scope),
        content: call.query.content_key(&call.path),
        answer: &|state: &State| {
            let mut checks = find(&asked, &selection, state);
            checks.retain(|check| filter.matches(check));
            checks.sort_by_cached_key(|check| (fold(check.node), fold(check.check_id)));
            selection.near.sort(state, &mut checks, |check| check.node);
            Answer::json(&checks, layout)
        },
    };
    question.ask(call, read).await
}

fn find<'a>(asked: &Asked, selection: &'a Selection, state: &'a State) -> Vec<HealthCheck<'a>> {
    let own = |instance: &'a Arc<Instance>| own_checks(instance, state);
    match asked {
        Asked::Node(name) => state.node(name).map_or_else(Vec::new, |node| {
            node_checks(&node.record).chain(state.instances_on(node).flat_map(own)).collect()
        }),
        Asked::Service(service) => selection.of_service(state, service).flat_map(own).collect(),
        Asked::State(health) => {
            let nodes = state.nodes().filter(|node| selection.takes_node(node.record.meta.as_deref()));
            let of_nodes = nodes.flat_map(|node| node_checks(&node.record));
            let services = state.services(DEFAULT_NAMESPACE, "").flat_map(|service| service.instances.iter());
            let of_services = services.filter(|instance| selection.takes_node_of(instance, state)).flat_map(own);
            let wanted = |check: &HealthCheck<'_>| health.is_none_or(|health| check.status == health.as_str());
            of_nodes.chain(of_services).filter(wanted).collect()
        }
        Asked::Nothing => Vec::new(),
    }
}
