//! Services and nodes as the state holds them: with their instances, and with the revisions that questions wait on.

use super::table::{Keyed, Table};
use crate::model::{Instance, NodeRecord, ServiceKey, Text};
use imbl::OrdMap;
use std::cmp::Ordering;
use std::sync::Arc;

/// A service with at least one instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its name, as the first instance spelled it.
    pub key: Arc<ServiceKey>,
    /// In order of node and id, without case.
    pub instances: Table<Instance>,
    /// Last change of anything that is shown of its instances: themselves, their checks, their nodes.
    pub revision: u64,
    /// The same without checks.
    pub catalog_revision: u64,
}

/// A node and what runs on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The node itself.
    pub record: Arc<NodeRecord>,
    /// Folded instance id to service. On one node an id names one instance.
    pub services: OrdMap<Text, Arc<ServiceKey>>,
    /// Last change of the node, its checks or its instances.
    pub revision: u64,
}

/// The place of an instance within its service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Node; empty: none.
    pub node: Text,
    /// Instance id.
    pub id: Text,
}

impl Slot {
    /// The place of this instance.
    pub fn of(instance: &Instance) -> Slot {
        Slot { node: instance.node.clone(), id: instance.id.clone() }
    }
}

/// Order of two names without ASCII case.
pub fn cmp_folded(a: &str, b: &str) -> Ordering {
    a.bytes().map(|c| c.to_ascii_lowercase()).cmp(b.bytes().map(|c| c.to_ascii_lowercase()))
}

impl Keyed for Instance {
    type Lookup = Slot;
    fn compare(&self, other: &Self) -> Ordering {
        cmp_folded(&self.node, &other.node).then_with(|| cmp_folded(&self.id, &other.id))
    }
    fn compare_key(&self, key: &Slot) -> Ordering {
        cmp_folded(&self.node, &key.node).then_with(|| cmp_folded(&self.id, &key.id))
    }
}

impl Keyed for Service {
    type Lookup = ServiceKey;
    fn compare(&self, other: &Self) -> Ordering {
        self.compare_key(&other.key)
    }
    fn compare_key(&self, key: &ServiceKey) -> Ordering {
        cmp_folded(&self.key.namespace, &key.namespace).then_with(|| cmp_folded(&self.key.name, &key.name))
    }
}

impl Keyed for Node {
    type Lookup = str;
    fn compare(&self, other: &Self) -> Ordering {
        cmp_folded(&self.record.name, &other.record.name)
    }
    fn compare_key(&self, key: &str) -> Ordering {
        cmp_folded(&self.record.name, key)
    }
}
