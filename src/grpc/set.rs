//! What a selector shows of one state: instances encoded once, kept from one state to the next.
//!
//! Owns: the set, and the difference of two sets. Must never: hold more of a state than what it shows, so that a quiet
//! watcher does not keep old states alive.

use super::convert::instance::{Shown, instance_out, key_out};
use super::convert::registry::folded;
use super::select::{Selector, Which};
use super::wire::{field_len, put_message, put_parts};
use crate::machine::catalog::cmp_folded;
use crate::machine::{Service, State};
use crate::model::{Health, Instance, InstanceKey, NodeRecord, ServiceKey};
use crate::proto::v1 as pb;
use prost::Message;
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// An instance as it is shown.
pub(super) struct Entry {
    pub(super) instance: Arc<Instance>,
    node: Option<Arc<NodeRecord>>,
    /// The wire form without its `modify_revision`.
    shown: Vec<u8>,
    /// Field `modify_revision`, ready to be put behind it.
    revision: Vec<u8>,
}

impl Entry {
    fn new(state: &State, instance: &Arc<Instance>, node: Option<Arc<NodeRecord>>, full: bool) -> Entry {
        let mut message = instance_out(instance, Shown::of(state, instance), full);
        let modify_revision = std::mem::take(&mut message.modify_revision);
        let shown = message.encode_to_vec();
        let revision = pb::Instance { modify_revision, ..pb::Instance::default() }.encode_to_vec();
        Entry { instance: instance.clone(), node, shown, revision }
    }

    /// Made from the very same records.
    fn is_of(&self, instance: &Arc<Instance>, node: Option<&Arc<NodeRecord>>) -> bool {
        let same_node = match (&self.node, node) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        same_node && Arc::ptr_eq(&self.instance, instance)
    }

    /// Whether a reader sees no difference. The revision alone makes one only where everything is shown.
    fn looks_like(&self, other: &Entry, full: bool) -> bool {
        self.shown == other.shown && (!full || self.revision == other.revision)
    }

    /// Bytes that [`Entry::put`] adds.
    pub(super) fn len(&self, tag: u32) -> usize {
        field_len(tag, self.shown.len() + self.revision.len())
    }

    /// Adds it as a field.
    pub(super) fn put(&self, tag: u32, out: &mut Vec<u8>) {
        put_parts(tag, &[&self.shown, &self.revision], out);
    }

    fn order(&self, other: &Entry) -> Ordering {
        let (a, b) = (&self.instance, &other.instance);
        cmp_folded(&a.node, &b.node).then_with(|| cmp_folded(&a.id, &b.id))
    }
}

/// A service as it is shown.
pub(super) struct ServiceSet {
    source: Option<Arc<Service>>,
    /// Facts about it as a whole.
    pub(super) facts: pb::ServiceState,
    /// Those that are meant, in order of node and id.
    pub(super) entries: Vec<Arc<Entry>>,
}

impl ServiceSet {
    fn order(&self, other: &ServiceSet) -> Ordering {
        let (a, b) = (&self.facts, &other.facts);
        cmp_folded(&a.namespace, &b.namespace).then_with(|| cmp_folded(&a.service, &b.service))
    }
}

/// Everything that a selector shows of one state.
pub(super) struct Set {
    /// Of this revision.
    pub(super) revision: u64,
    /// In order of name; the one service asked for is there even if it does not exist.
    pub(super) services: Vec<Arc<ServiceSet>>,
}

/// Facts about a service that exists.
pub(super) fn facts(state: &State, service: &Service) -> pb::ServiceState {
    let passing = service.instances.iter().filter(|i| state.health(i) == Health::Passing).count();
    pb::ServiceState {
        namespace: service.key.namespace.to_string(),
        service: service.key.name.to_string(),
        exists: true,
        total: service.instances.len() as u32,
        passing: passing as u32,
        modify_revision: service.revision,
    }
}

impl Set {
    /// What `selector` shows of `state`; what did not change since `before` is taken from there.
    pub(super) fn build(state: &State, selector: &Selector, full: bool, before: Option<&Set>) -> Set {
        let mut old = before.map_or(&[][..], |set| &set.services).iter().peekable();
        let mut services: Vec<Arc<ServiceSet>> = Vec::new();
        for service in selector.services(state) {
            let before = |s: &&Arc<ServiceSet>| {
                cmp_folded(&s.facts.namespace, &service.key.namespace)
                    .then_with(|| cmp_folded(&s.facts.service, &service.key.name))
            };
            while old.next_if(|s| before(s).is_lt()).is_some() {}
            let same = old.next_if(|s| before(s).is_eq());
            match same {
                Some(set) if set.source.as_ref().is_some_and(|s| Arc::ptr_eq(s, &service)) => {
                    services.push(set.clone())
                }
                _ => services.push(Arc::new(service_set(state, selector, full, service, same.map(|s| &**s)))),
            }
        }
        if let (Which::Service(key), true) = (&selector.which, services.is_empty()) {
            let facts = pb::ServiceState {
                namespace: key.namespace.to_string(),
                service: key.name.to_string(),
                ..pb::ServiceState::default()
            };
            services.push(Arc::new(ServiceSet { source: None, facts, entries: Vec::new() }));
        }
        Set { revision: state.revision(), services }
    }

    /// Whether both hold the same services in the same state.
    pub(super) fn is_same(&self, other: &Set) -> bool {
        self.services.len() == other.services.len()
            && self
                .services
                .iter()
                .zip(&other.services)
                .all(|(a, b)| Arc::ptr_eq(a, b) || (a.source.is_none() && b.source.is_none() && a.facts == b.facts))
    }

    /// All instances, service by service.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.services.iter().flat_map(|s| &s.entries)
    }
}

fn service_set(
    state: &State,
    selector: &Selector,
    full: bool,
    service: Arc<Service>,
    before: Option<&ServiceSet>,
) -> ServiceSet {
    let mut old = before.map_or(&[][..], |set| &set.entries).iter().peekable();
    let chosen = selector.choose(state, &service);
    let mut entries = Vec::with_capacity(chosen.len());
    for (instance, _) in chosen {
        let node = if instance.node.is_empty() { None } else { state.node(&instance.node) };
        let node = node.map(|n| n.record.clone());
        let order = |e: &&Arc<Entry>| {
            cmp_folded(&e.instance.node, &instance.node).then_with(|| cmp_folded(&e.instance.id, &instance.id))
        };
        while old.next_if(|e| order(e).is_lt()).is_some() {}
        let kept = old.next_if(|e| order(e).is_eq()).filter(|e| e.is_of(instance, node.as_ref()));
        entries.push(match kept {
            Some(entry) => entry.clone(),
            None => Arc::new(Entry::new(state, instance, node, full)),
        });
    }
    let facts = facts(state, &service);
    ServiceSet { source: Some(service), facts, entries }
}

/// What leads from one set to another.
#[derive(Default)]
pub(super) struct Difference {
    /// New or changed.
    pub(super) upserts: Vec<Arc<Entry>>,
    /// No longer there.
    pub(super) removed: Vec<pb::InstanceKey>,
    /// Services whose facts changed.
    pub(super) services: Vec<pb::ServiceState>,
}

impl Difference {
    /// From one set to a later one of the same selector.
    pub(super) fn between(from: &Set, to: &Set, full: bool) -> Difference {
        let mut out = Difference::default();
        merge(
            &from.services,
            &to.services,
            |a, b| a.order(b),
            |a, b| match (a, b) {
                (Some(a), Some(b)) if Arc::ptr_eq(a, b) => {}
                (Some(a), Some(b)) => out.service(a, b, full),
                (None, Some(b)) => {
                    out.upserts.extend(b.entries.iter().cloned());
                    out.services.push(b.facts.clone());
                }
                (Some(a), None) => {
                    out.removed.extend(a.entries.iter().map(|e| key_out(&e.instance)));
                    out.services.push(gone(&a.facts));
                }
                (None, None) => {}
            },
        );
        out
    }

    fn service(&mut self, from: &ServiceSet, to: &ServiceSet, full: bool) {
        merge(
            &from.entries,
            &to.entries,
            |a, b| a.order(b),
            |a, b| match (a, b) {
                (Some(a), Some(b)) if Arc::ptr_eq(a, b) || a.looks_like(b, full) => {}
                (_, Some(b)) => self.upserts.push(b.clone()),
                (Some(a), None) => self.removed.push(key_out(&a.instance)),
                (None, None) => {}
            },
        );
        // The revision of a service moves with changes that do not show; alone it is no news.
        let plain = |facts: &pb::ServiceState| pb::ServiceState { modify_revision: 0, ..facts.clone() };
        if plain(&from.facts) != plain(&to.facts) {
            self.services.push(to.facts.clone());
        }
    }

    /// Whether a reader would see nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.upserts.is_empty() && self.removed.is_empty() && self.services.is_empty()
    }

    /// The fields of a `WatchResponse.Delta`.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.upserts.iter().for_each(|e| e.put(1, &mut out));
        self.removed.iter().for_each(|key| put_message(2, key, &mut out));
        self.services.iter().for_each(|s| put_message(3, s, &mut out));
        out
    }
}

/// A service that was there.
pub(super) fn gone(facts: &pb::ServiceState) -> pb::ServiceState {
    pb::ServiceState { exists: false, total: 0, passing: 0, ..facts.clone() }
}

/// Walks two ordered lists side by side: each pair of equals once, and each item that is only in one of them.
fn merge<'a, T>(
    from: &'a [Arc<T>],
    to: &'a [Arc<T>],
    order: impl Fn(&T, &T) -> Ordering,
    mut visit: impl FnMut(Option<&'a Arc<T>>, Option<&'a Arc<T>>),
) {
    let (mut from, mut to) = (from.iter().peekable(), to.iter().peekable());
    loop {
        let next = match (from.peek(), to.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => order(a, b),
        };
        match next {
            Ordering::Less => visit(from.next(), None),
            Ordering::Greater => visit(None, to.next()),
            Ordering::Equal => visit(from.next(), to.next()),
        }
    }
}

/// What brings a reader of an older set to `to`, when all that is known is which instances were touched in between.
/// `whole`: one touched instance can change which others are shown, so its service is sent as a whole.
pub(super) fn catch_up(to: &Set, touched: &HashSet<InstanceKey>, whole: bool) -> Difference {
    let mut out = Difference::default();
    let mut left: HashMap<InstanceKey, &InstanceKey> = touched.iter().map(|k| (folded(k), k)).collect();
    let mut services: HashMap<ServiceKey, &ServiceKey> =
        touched.iter().map(|k| (k.service.folded(), &k.service)).collect();
    for service in &to.services {
        let (namespace, name) = (service.facts.namespace.as_str().into(), service.facts.service.as_str().into());
        if services.remove(&ServiceKey { namespace, name }.folded()).is_none() {
            continue;
        }
        out.services.push(service.facts.clone());
        for entry in &service.entries {
            if left.remove(&folded(&entry.instance.key())).is_some() || whole {
                out.upserts.push(entry.clone());
            }
        }
        // Those that are registered but not shown now may have been shown before.
        if let (true, Some(source)) = (whole, &service.source) {
            let shown: HashSet<_> = service.entries.iter().map(|e| Arc::as_ptr(&e.instance)).collect();
            for hidden in source.instances.iter().filter(|i| !shown.contains(&Arc::as_ptr(i))) {
                left.remove(&folded(&hidden.key()));
                out.removed.push(key_out(hidden));
            }
        }
    }
    out.removed.extend(left.values().map(|key| pb::InstanceKey {
        namespace: key.service.namespace.to_string(),
        service: key.service.name.to_string(),
        instance_id: key.id.to_string(),
        node: key.node.to_string(),
    }));
    // What is left has no instance any more.
    out.services.extend(services.values().map(|key| pb::ServiceState {
        namespace: key.namespace.to_string(),
        service: key.name.to_string(),
        ..pb::ServiceState::default()
    }));
    out
}
