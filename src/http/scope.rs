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
    /// A key.
    Key(Bytes),
    /// The keys with a prefix.
    Prefix(Bytes),
}

impl Scope {
    /// A number that grows whenever the answer may change, cheap to take.
    pub(super) fn mark(&self, state: &State) -> u64 {
        match self {
            // Finding the newest revision of a prefix means a walk; any write makes the answer suspect instead.
            Scope::Prefix(_) => state.meta().kv_revision,
            Scope::Node(_) => self.index(state).max(state.meta().nodes_revision),
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
            Scope::Key(key) => state.kv_key_revision(key),
            Scope::Prefix(prefix) => state.kv_prefix_revision(prefix),
        };
        index.max(1)
    }

    /// What to wait for.
    pub(super) fn topic(&self) -> Topic {
        match self {
            Scope::Health(service) | Scope::Catalog(service) => Topic::service(service),
            Scope::Services => Topic::Services,
            // Whatever changes on a node touches a service or the node.
            Scope::ServicesOfNodes | Scope::Nodes => Topic::Nodes,
            Scope::Node(name) => Topic::node(name),
            Scope::Queries => Topic::Queries,
            Scope::Key(key) => Topic::Key(key.clone()),
            Scope::Prefix(prefix) => Topic::Prefix(prefix.clone()),
        }
    }

    /// A second thing to wait for.
    pub(super) fn other_topic(&self) -> Option<Topic> {
        match self {
            Scope::ServicesOfNodes => Some(Topic::Services),
            _ => None,
        }
    }
}
