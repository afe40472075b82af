//! Which instances and nodes a query asks for, and in which order.

use super::mesh_shapes::{Connect, Proxy};
use super::near::Near;
use crate::http::call::Call;
use crate::http::error::Error;
use crate::machine::State;
use crate::model::{DEFAULT_NAMESPACE, Health, Instance, ServiceKey, Text};
use std::sync::Arc;

/// The conditions that the lists of catalog and health share; all must hold.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    tags: Vec<String>,
    node_meta: Vec<(String, String)>,
    passing: bool,
    pub(super) near: Near,
}

impl Selection {
    /// The parameters `tag`, `node-meta` and `near`.
    pub(super) fn of(call: &Call) -> Selection {
        let pair = |text: &str| {
            let (key, value) = text.split_once(':').unwrap_or((text, ""));
            (key.to_owned(), value.to_owned())
        };
        Selection {
            tags: call.query.all("tag").map(str::to_owned).collect(),
            node_meta: call.query.all("node-meta").map(pair).collect(),
            passing: false,
            near: Near::of(call),
        }
    }

    /// Only `node-meta` and `near`, where there are no tags to ask for.
    pub(super) fn node_meta_of(call: &Call) -> Selection {
        Selection { tags: Vec::new(), ..Selection::of(call) }
    }

    /// Everything, in the order that it has.
    pub(super) fn everything() -> Selection {
        Selection { tags: Vec::new(), node_meta: Vec::new(), passing: false, near: Near::nowhere() }
    }

    /// Tags, metadata, order, and `passing`, which is the one flag of Consul's that has a value.
    pub(super) fn with_health(call: &Call) -> Result<Selection, Error> {
        let passing = match call.query.get("passing") {
            None => false,
            Some("") => true,
            Some(word) => parse_bool(word).ok_or(Error::bad_request("Invalid value for ?passing"))?,
        };
        Ok(Selection { passing, ..Selection::of(call) })
    }

    pub(super) fn filters_nodes(&self) -> bool {
        !self.node_meta.is_empty()
    }

    /// Whether the node has all the metadata asked for.
    pub(super) fn takes_node(&self, meta: Option<&[(Text, Text)]>) -> bool {
        self.node_meta.iter().all(|(key, value)| meta.unwrap_or_default().iter().any(|(k, v)| k == key && v == value))
    }

    /// Whether the node of the instance has all the metadata asked for.
    pub(super) fn takes_node_of(&self, instance: &Instance, state: &State) -> bool {
        let node = || state.node(&instance.node).filter(|_| !instance.node.is_empty());
        !self.filters_nodes() || self.takes_node(node().and_then(|n| n.record.meta.as_deref()))
    }

    /// Whether the instance is asked for.
    pub(super) fn takes(&self, instance: &Instance, state: &State) -> bool {
        self.tags.iter().all(|tag| instance.has_tag(tag))
            && self.takes_node_of(instance, state)
            && (!self.passing || (instance.is_serving() && state.health(instance) == Health::Passing))
    }

    /// The instances asked for, in order of node and id.
    pub(super) fn of_service<'a>(
        &'a self,
        state: &'a State,
        service: &ServiceKey,
    ) -> impl Iterator<Item = &'a Arc<Instance>> {
        let found = state.service(service).into_iter().flat_map(|service| service.instances.iter());
        found.filter(|instance| self.takes(instance, state))
    }

    /// The instances asked for that take connections for a service in a mesh: its proxies, and those of its own that
    /// say so. In order of service, node and id.
    pub(super) fn of_mesh<'a>(&'a self, state: &'a State, service: &str) -> Vec<&'a Arc<Instance>> {
        let all = state.services(DEFAULT_NAMESPACE, "").flat_map(|service| service.instances.iter());
        all.filter(|instance| stands_for(instance, service) && self.takes(instance, state)).collect()
    }
}

fn stands_for(instance: &Instance, service: &str) -> bool {
    let Some(extra) = instance.extra.as_deref() else { return false };
    if extra.kind == "connect-proxy" {
        return Proxy::of(instance).destination().is_some_and(|name| name.eq_ignore_ascii_case(service));
    }
    instance.service.name.eq_ignore_ascii_case(service) && Connect::of(instance).is_native()
}

/// Go's `strconv.ParseBool`.
pub(super) fn parse_bool(word: &str) -> Option<bool> {
    match word {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}
