//! GETs of /v1/catalog about services; those about one node are in `catalog_node`.

use super::catalog_service::CatalogService;
use super::filter;
use super::selection::Selection;
use super::shapes::Node;
use crate::http::call::Call;
use crate::http::error::Error;
use crate::http::json::Layout;
use crate::http::read::Question;
use crate::http::reply::{Answer, X_CACHE};
use crate::http::scope::Scope;
use crate::machine::State;
use crate::model::{DEFAULT_NAMESPACE, Instance, ServiceKey, Text};
use http::HeaderValue;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// GET catalog/datacenters
pub(super) async fn datacenters(call: Call) -> Result<Answer, Error> {
    call.read_anywhere(false)?;
    let answer = Answer::json(&[&call.gateway.facts().datacenter], call.layout())?;
    // It is made each time.
    Ok(if call.query.has("cached") { answer.with(X_CACHE, HeaderValue::from_static("MISS")) } else { answer })
}

/// GET catalog/nodes
pub(super) async fn nodes(call: Call) -> Result<Answer, Error> {
    let read = call.read()?;
    let selection = Selection::of(&call);
    let filter = filter::of(&call, filter::NODE)?;
    let layout = call.layout();
    let gateway = call.gateway.clone();
    let datacenter = &gateway.facts().datacenter;
    let question = Question {
        scope: selection.near.scope(Scope::Nodes),
        content: call.query.content_key(&call.path),
        answer: &|state: &State| {
            let found = state.nodes().filter(|node| selection.takes_node(node.record.meta.as_deref()));
            let nodes = found.map(|node| Node::of(&node.record, datacenter));
            let mut nodes: Vec<Node<'_>> = nodes.filter(|node| filter.matches(node)).collect();
            selection.near.sort(state, &mut nodes, |node| node.node);
            Answer::json(&nodes, layout)
        },
    };
    question.ask(call, read).await
}

/// GET catalog/services. Consul 1.8 knows no filter here; later ones do, and ask it of each instance.
pub(super) async fn services(call: Call) -> Result<Answer, Error> {
    let read = call.read()?.or_cached(&call.query);
    let selection = Selection::node_meta_of(&call);
    let filter = match call.query.get("filter") {
        None | Some("") => None,
        Some(_) => Some(filter::of(&call, filter::CATALOG_SERVICE)?),
    };
    let layout = call.layout();
    let gateway = call.gateway.clone();
    let datacenter = &gateway.facts().datacenter;
    let of_nodes = selection.filters_nodes() || filter.is_some();
    let question = Question {
        scope: if of_nodes { Scope::ServicesOfNodes } else { Scope::Services },
        content: call.query.content_key(&call.path),
        answer: &|state: &State| {
            let mut services: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
            for service in state.services(DEFAULT_NAMESPACE, "") {
                let instances = selection.of_service(state, &service.key);
                let wanted = |i: &&Arc<Instance>| {
                    filter.as_ref().is_none_or(|f| f.matches(&CatalogService::of(i, state, datacenter)))
                };
                for instance in instances.filter(wanted) {
                    // Each spelling of a name is an entry of its own, as in Consul.
                    let tags = services.entry(&instance.service.name).or_default();
                    tags.extend(instance.tags.iter().map(Text::as_str));
                }
            }
            Answer::json(&services, layout)
        },
    };
    question.ask(call, read).await
}

/// GET catalog/service/:name
pub(super) async fn service(call: Call) -> Result<Answer, Error> {
    let service = ServiceKey::of(&call.name("Missing service name")?);
    let scope = Scope::Catalog(service.clone());
    instances(call, scope, &|selection, state| selection.of_service(state, &service).collect()).await
}

/// GET catalog/connect/:name
pub(super) async fn connect(call: Call) -> Result<Answer, Error> {
    let name = call.name("Missing service name")?.into_owned();
    // Any instance may stand for any service.
    instances(call, Scope::ServicesOfNodes, &|selection, state| selection.of_mesh(state, &name)).await
}

type Find<'f> = &'f (dyn for<'a> Fn(&'a Selection, &'a State) -> Vec<&'a Arc<Instance>> + Sync);

async fn instances(call: Call, scope: Scope, find: Find<'_>) -> Result<Answer, Error> {
    let read = call.read()?.or_cached(&call.query);
    let selection = Selection::of(&call);
    let filter = filter::of(&call, filter::CATALOG_SERVICE)?;
    let layout = call.layout();
    let gateway = call.gateway.clone();
    let datacenter = &gateway.facts().datacenter;
    let question = Question {
        scope: selection.near.scope(scope),
        content: call.query.content_key(&call.path),
        answer: &|state: &State| {
            let found = find(&selection, state).into_iter();
            let services = found.map(|i| CatalogService::of(i, state, datacenter));
            let mut services: Vec<_> = services.filter(|service| filter.matches(service)).collect();
            selection.near.sort(state, &mut services, |service| service.node);
            Answer::json(&services, layout)
        },
    };
    question.ask(call, read).await
}

/// GET catalog/gateway-services/:name: there are no gateways, because the entries that bind services to them are
/// refused.
pub(super) async fn gateway_services(call: Call) -> Result<Answer, Error> {
    call.name("Missing gateway name")?;
    nothing(call, true, |layout| Answer::json(&None::<()>, layout)).await
}

/// An answer that stays as it is, in the form of a read. `announced`: it says its consistency.
pub(super) async fn nothing(
    call: Call,
    announced: bool,
    answer: fn(Layout) -> Result<Answer, Error>,
) -> Result<Answer, Error> {
    let read = if announced { call.read()?.or_cached(&call.query) } else { call.quiet_read()? };
    let layout = call.layout();
    let content = call.query.content_key(&call.path);
    let question = Question { scope: Scope::Nothing, content, answer: &|_: &State| answer(layout) };
    question.ask(call, read).await
}
