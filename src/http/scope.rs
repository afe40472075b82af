//! What a question is about: which changes can alter its answer, which index it has, what wakes those who wait.

use crate::machine::State;
use crate::model::{ServiceKey, Text};
use crate::watch::Topic;
use bytes::Bytes;

/// A part of the state. The granularity of each index is Consul's or finer, never missing a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// A service with checks and nodes.
    Health(ServiceKey),
    /// A service with nodes, without checks.
    Catalog(ServiceKey),
    /// The names and tags of all services.
    Services,
    /// The same, of the nodes that a filter picks.
    ServicesOfNodes,
    /// All nodes.
    Nodes,
    /// A node and what runs on it.
    Node(Text),
    /// All prepared queries.
    Queries,
    /// The checks of a node and of what runs on it.
    ChecksOfNode(Text),
    /// All checks; they are shown with the tags of their services.
    Checks,
    /// All nodes with all that runs on them, and all checks.
    Everything,
    /// A key.
    Key(Bytes),
    /// The keys with a prefix.
    Prefix(Bytes),
    /// All sessions.
    Sessions,
    /// All network coordinates.
    Coordinates,
    /// Nothing: the answer stays as it is.
    Nothing,
    /// Something whose order depends on network coordinates, which move without a word.
    Near(Box<Scope>),
}

impl Scope {
    /// A number that grows whenever the answer may change, cheap to take.
    pub(super) fn mark(&self, state: &State) -> u64 {
        match self {
            // Finding the newest revision of a prefix means a walk; any write makes the answer suspect instead.
            Scope::Prefix(_) => state.meta().kv_revision,
            Scope::Node(_) | Scope::ChecksOfNode(_) => self.index(state).max(state.meta().nodes_revision),
            Scope::Near(inner) => inner.mark(state).max(state.meta().coordinates_revision),
            _ => self.index(state),
        }
    }

    /// Consul's index of the answer, never 0.
    pub(super) fn index(&self, state: &State) -> u64 {
        let meta = state.meta();
        let index = match self {
            Scope::Health(service) => state.service_revision(service),
            Scope::Catalog(service) => {
                state.service(service).map_or(meta.vanished_revision, |found| found.catalog_revision)
            }
            Scope::Services => meta.services_revision,
            Scope::ServicesOfNodes => meta.services_revision.max(meta.nodes_revision),
            Scope::Nodes => meta.nodes_revision,
            Scope::Node(name) => state.node(name).map_or(meta.nodes_revision, |node| node.revision),
            Scope::Queries => meta.queries_revision,
            Scope::ChecksOfNode(name) => {
                state.node(name).map_or(meta.nodes_revision.max(meta.checks_revision), |node| node.revision)
            }
            Scope::Checks => meta.checks_revision.max(meta.services_revision),
            Scope::Everything => meta.checks_revision.max(meta.services_revision).max(meta.nodes_revision),
            Scope::Key(key) => state.kv_key_revision(key),
            Scope::Prefix(prefix) => state.kv_prefix_revision(prefix),
            Scope::Sessions => meta.sessions_revision,
            Scope::Coordinates => meta.coordinates_revision,
            Scope::Nothing => 1,
            Scope::Near(inner) => inner.index(state),
        };
        index.max(1)
    }

    /// Whether an answer means a walk over a whole table or prefix.
    pub(super) fn is_list(&self) -> bool {
        match self {
            Scope::Services
            | Scope::ServicesOfNodes
            | Scope::Nodes
            | Scope::Queries
            | Scope::Checks
            | Scope::Everything
            | Scope::Prefix(_)
            | Scope::Sessions
            | Scope::Coordinates => true,
            Scope::Health(_)
            | Scope::Catalog(_)
            | Scope::Node(_)
            | Scope::ChecksOfNode(_)
            | Scope::Key(_)
            | Scope::Nothing => false,
            Scope::Near(inner) => inner.is_list(),
        }
    }

    /// What to wait for: any of these.
    pub(super) fn topics(&self) -> Vec<Topic> {
        match self {
            Scope::Health(service) | Scope::Catalog(service) => vec![Topic::service(service)],
            Scope::Services => vec![Topic::Services],
            Scope::Nodes => vec![Topic::Nodes],
            Scope::ServicesOfNodes => vec![Topic::Services, Topic::Nodes],
            Scope::Node(name) | Scope::ChecksOfNode(name) => vec![Topic::node(name)],
            Scope::Checks => vec![Topic::Checks, Topic::Services],
            Scope::Everything => vec![Topic::Checks, Topic::Services, Topic::Nodes],
            Scope::Key(key) => vec![Topic::Key(key.clone())],
            Scope::Prefix(prefix) => vec![Topic::Prefix(prefix.clone())],
            Scope::Queries => vec![Topic::Queries],
            Scope::Sessions => vec![Topic::Sessions],
            Scope::Coordinates => vec![Topic::Coordinates],
            Scope::Nothing => Vec::new(),
            Scope::Near(inner) => inner.topics(),
        }
    }
}
