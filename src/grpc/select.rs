//! Selectors: which services and instances a reader means.
//!
//! Owns: the match of one instance, and the choice within one service. Must never: know the wire format.

use super::filter::InstanceFilter;
use crate::machine::{Service, State};
use crate::model::{Health, Instance, Locality, ServiceKey, Text};
use crate::watch::Topic;
use std::sync::Arc;

/// Which instances an answer holds, by health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    /// Passing or warning, serving, not drained.
    Serving = 1,
    /// The same, passing only.
    Passing = 2,
    /// All.
    Any = 3,
    /// Serving; all when none is.
    FailOpen = 4,
}

/// Which services are meant.
#[derive(Clone, Debug)]
pub(super) enum Which {
    /// One.
    Service(ServiceKey),
    /// Those of a namespace whose names start so, without case.
    Prefix {
        /// The namespace.
        namespace: Text,
        /// How their names start.
        prefix: Text,
    },
}

/// Which instances are meant; all conditions must hold.
#[derive(Clone, Debug)]
pub(super) struct Selector {
    /// Of these services.
    pub(super) which: Which,
    /// Have all these tags; folded, in order.
    pub(super) tags: Vec<Text>,
    /// Have all these pairs.
    pub(super) metadata: Vec<(Text, Text)>,
    /// By health.
    pub(super) health: Policy,
    /// And pass this.
    pub(super) filter: InstanceFilter,
    /// The same for two selectors that mean the same.
    pub(super) digest: u64,
}

impl Selector {
    /// The services that exist and are meant, in order of name.
    pub(super) fn services(&self, state: &State) -> Vec<Arc<Service>> {
        match &self.which {
            Which::Service(key) => state.service(key).into_iter().cloned().collect(),
            Which::Prefix { namespace, prefix } => state.services(namespace, prefix).cloned().collect(),
        }
    }

    /// Whether this service is meant.
    pub(super) fn names(&self, service: &ServiceKey) -> bool {
        match &self.which {
            Which::Service(key) => {
                key.name.eq_ignore_ascii_case(&service.name) && key.namespace.eq_ignore_ascii_case(&service.namespace)
            }
            Which::Prefix { namespace, prefix } => {
                let head = service.name.as_bytes().get(..prefix.len());
                namespace.eq_ignore_ascii_case(&service.namespace)
                    && head.is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_bytes()))
            }
        }
    }

    /// What to wait on for a change of the selected set.
    pub(super) fn topics(&self) -> Vec<Topic> {
        match &self.which {
            Which::Service(key) => vec![Topic::service(key)],
            Which::Prefix { .. } => vec![Topic::Services, Topic::Checks, Topic::Nodes],
        }
    }

    /// A number that changes whenever the answer may.
    pub(super) fn revision(&self, state: &State) -> u64 {
        match &self.which {
            Which::Service(key) => state.service(key).map_or(state.meta().vanished_revision, |s| s.revision),
            Which::Prefix { .. } => {
                let meta = state.meta();
                meta.services_revision.max(meta.checks_revision).max(meta.nodes_revision)
            }
        }
    }

    /// The instances of a service that are meant, each with its health.
    pub(super) fn choose<'a>(&self, state: &State, service: &'a Service) -> Vec<(&'a Arc<Instance>, Health)> {
        let all = || service.instances.iter().map(|i| (i, state.health(i)));
        let fits = |policy: Policy| -> Vec<_> {
            all().filter(|(i, health)| policy.admits(i, *health) && self.matches(i, *health)).collect()
        };
        match self.health {
            Policy::FailOpen => {
                let serving = fits(Policy::Serving);
                if serving.is_empty() { fits(Policy::Any) } else { serving }
            }
            policy => fits(policy),
        }
    }

    /// Everything but the health policy.
    fn matches(&self, i: &Instance, health: Health) -> bool {
        self.tags.iter().all(|tag| i.has_tag(tag))
            && self.metadata.iter().all(|(k, v)| i.meta(k) == Some(v.as_str()))
            && self.filter.admits(i, health)
    }
}

impl Policy {
    /// Whether an instance of this health takes part. Fail-open is decided over a whole service.
    fn admits(self, i: &Instance, health: Health) -> bool {
        match self {
            Policy::Any => true,
            Policy::Serving | Policy::FailOpen => i.is_serving() && health != Health::Critical,
            Policy::Passing => i.is_serving() && health == Health::Passing,
        }
    }
}

/// Puts the instances nearest to a client first; those equally near keep their order.
pub(super) fn by_distance<T>(items: &mut [T], client: &Locality, of: impl Fn(&T) -> &Instance) {
    if client.region.is_empty() {
        return;
    }
    let nowhere = Locality::default();
    items.sort_by_key(|item| client.distance(of(item).extra.as_ref().map_or(&nowhere, |e| &e.locality)));
}
