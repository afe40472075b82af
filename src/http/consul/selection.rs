//! Which instances and nodes a query asks for.

use crate::http::call::Call;
use crate::machine::State;
use crate::model::{Health, Instance, ServiceKey};
use std::sync::Arc;

/// The conditions that catalog/service and health/service share; all must hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    tags: Vec<String>,
    node_meta: Vec<(String, String)>,
    pub(super) passing: bool,
}

impl Selection {
    pub(super) fn of(call: &Call) -> Selection {
        let pair = |text: &str| {
            let (key, value) = text.split_once(':').unwrap_or((text, ""));
            (key.to_owned(), value.to_owned())
        };
        Selection {
            tags: call.query.all("tag").map(str::to_owned).collect(),
            node_meta: call.query.all("node-meta").map(pair).collect(),
            passing: false,
        }
    }

    pub(super) fn filters_nodes(&self) -> bool {
        !self.node_meta.is_empty()
    }

    /// Whether the node has all the metadata asked for.
    pub(super) fn takes_node(&self, meta: Option<&[(crate::model::Text, crate::model::Text)]>) -> bool {
        self.node_meta.iter().all(|(key, value)| meta.unwrap_or_default().iter().any(|(k, v)| k == key && v == value))
    }

    fn takes(&self, instance: &Instance, state: &State) -> bool {
        let node = || state.node(&instance.node).filter(|_| !instance.node.is_empty());
        self.tags.iter().all(|tag| instance.has_tag(tag))
            && (!self.filters_nodes() || self.takes_node(node().and_then(|n| n.record.meta.as_deref())))
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
}
