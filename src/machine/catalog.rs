//! Services and nodes as the state holds them: with their instances, and with the revisions that questions wait on.

use super::table::{Keyed, Table};
use crate::model::{Check, Instance, NodeRecord, ServiceKey, Text, fold};
use imbl::{OrdMap, OrdSet};
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
    /// Folded check id and folded id of the instance that has it, unless the one tells the other (`tells`). In
    /// Consul's API a check id is unique on its node; in ours instances may share one.
    pub(super) checks: OrdSet<(Text, Text)>,
    /// Last change of the node, its checks or its instances.
    pub revision: u64,
}

impl Node {
    /// Follows an instance on the node from one content to another.
    pub(super) fn index_checks(&mut self, before: Option<&Instance>, after: Option<&Instance>) {
        let ids = |instance: Option<&Instance>| -> Vec<Text> {
            instance.map_or_else(Vec::new, |i| i.checks.iter().map(|c| c.id.clone()).collect())
        };
        let (old, new) = (ids(before), ids(after));
        if old == new {
            return;
        }
        let Some(instance) = before.or(after).map(|i| fold(&i.id)) else { return };
        let indexed = |ids: Vec<Text>| {
            let instance = instance.clone();
            let folded = ids.into_iter().map(|id| fold(&id));
            folded.filter(|id| tells(id) != Some(&instance)).map(|id| (id, instance.clone())).collect::<Vec<_>>()
        };
        for row in indexed(old) {
            self.checks.remove(&row);
        }
        for row in indexed(new) {
            self.checks.insert(row);
        }
    }

    /// Folded ids of the instances that may have this check: all that have it, and at most one that has not.
    pub(super) fn instances_with_check(&self, id: &str) -> impl Iterator<Item = &Text> {
        let id = fold(id);
        let told = tells(&id).and_then(|instance| self.services.get_key_value(instance)).map(|(instance, _)| instance);
        let from = (id.clone(), Text::default());
        let others = self.checks.range(from..).take_while(move |(check, _)| *check == id).map(|(_, instance)| instance);
        told.into_iter().chain(others)
    }
}

/// The instance that a check's id names by itself: agents call an instance's only check `service:` and its id, so nearly
/// all checks of a large catalog do, and need no row of the index.
fn tells(check: &str) -> Option<&str> {
    check.strip_prefix("service:")
}

/// The check with this id, without case.
pub(super) fn find_check<'a>(checks: &'a [Check], id: &str) -> Option<&'a Check> {
    checks.iter().find(|check| check.id.eq_ignore_ascii_case(id))
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
