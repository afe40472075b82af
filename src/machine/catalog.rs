//! Services and nodes as the state holds them: with their instances, and with the revisions that questions wait on.

use super::table::{Keyed, Table};
use crate::model::{Check, Instance, InstanceKey, NodeRecord, ServiceKey, Text, fold};
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
    /// The instance with this id.
    pub(super) fn key_of(&self, id: &str) -> Option<InstanceKey> {
        let service = self.services.get(&fold(id))?;
        Some(InstanceKey { service: (**service).clone(), node: self.record.name.clone(), id: id.into() })
    }

    /// Follows an instance on the node from one content to another.
    pub(super) fn index_checks<'a>(&mut self, before: Option<&'a Instance>, after: Option<&'a Instance>) {
        let ids = |instance: Option<&'a Instance>| instance.into_iter().flat_map(|i| &i.checks).map(|c| &c.id);
        let (old, new) = (ids(before), ids(after));
        if old.clone().eq(new.clone()) {
            return;
        }
        let Some(instance) = before.or(after).map(|i| fold(&i.id)) else { return };
        let row = |id: &Text| Some(fold(id)).filter(|id| tells(id) != Some(&instance)).map(|id| (id, instance.clone()));
        for row in old.filter_map(row) {
            self.checks.remove(&row);
        }
        for row in new.filter_map(row) {
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
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let differs = (0..a.len().min(b.len())).step_by(8).find_map(|at| {
        let (a, b) = (word_from(a, at), word_from(b, at));
        Some(folded_word(a).cmp(&folded_word(b))).filter(|order| a != b && order.is_ne())
    });
    // Zeros at the end of the longer one look like the end of the shorter one.
    differs.unwrap_or_else(|| a.len().cmp(&b.len()))
}

/// The eight bytes from here on; what is missing is filled up with zeros, which no byte is less than: what is longer
/// comes later, as it should. They are never put together in memory, byte by byte: reading that as a word has to wait
/// until each byte is there.
fn word_from(text: &[u8], at: usize) -> u64 {
    let rest = &text[at..];
    match (rest.first_chunk(), text.last_chunk()) {
        (Some(word), _) => u64::from_be_bytes(*word),
        (None, Some(last)) => u64::from_be_bytes(*last) << (64 - 8 * rest.len()),
        (None, None) => rest.iter().rev().fold(0, |word, byte| word >> 8 | u64::from(*byte) << 56),
    }
}

/// Eight bytes with their ASCII capitals made small.
fn folded_word(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let seven = word & !HIGH;
    // In each byte the high bit: from 'A' on; after 'Z'. No sum of seven bits reaches the next byte.
    let from_a = seven + ONES * (0x80 - b'A' as u64);
    let after_z = seven + ONES * (0x7f - b'Z' as u64);
    let capital = from_a & !after_z & !word & HIGH;
    word | capital >> 2
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn names_are_in_the_order_of_their_small_letters(
            (start, a, b) in ("[@A-Z\\[`a-z{\0é]{0,18}", "[@AZ\\[`az{\0é]{0,10}", "[@AZ\\[`az{\0é]{0,10}"), flip in any::<bool>(),
        ) {
            let second = if flip { start.to_ascii_uppercase() } else { start.clone() };
            let (a, b) = (start + &a, second + &b);
            let small = |text: &str| text.to_ascii_lowercase().into_bytes();
            prop_assert_eq!(small(&a).cmp(&small(&b)), cmp_folded(&a, &b), "{:?} {:?}", a, b);
        }
    }
}
