//! Values of the model.

use crate::model::{
    Behavior, Check, Coordinate, Extra, Health, Instance, InstanceKey, KvEntry, Lifecycle, Locality, Lock, LockHolder,
    LockKind, LockWaiter, NodeBinding, NodeRecord, Override, ServiceKey, Session, SessionId, TaggedAddress, Text,
    Tombstone,
};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::sync::Arc;

pub(crate) fn text() -> BoxedStrategy<Text> {
    let word = prop_oneof![6 => "[abAB]{1,2}", 1 => Just(String::new()), 2 => "\\PC{0,40}"];
    word.prop_map(Text::from).boxed()
}

pub(crate) fn bytes() -> BoxedStrategy<Bytes> {
    let small = vec(b'a'..=b'c', 0..4);
    prop_oneof![3 => small, 1 => vec(any::<u8>(), 0..80)].prop_map(Bytes::from).boxed()
}

/// Few sessions, so that commands meet each other's.
pub(crate) fn session_id() -> BoxedStrategy<SessionId> {
    prop_oneof![(1u128..5).prop_map(SessionId::from_u128), any::<u128>().prop_map(SessionId::from_u128)].boxed()
}

pub(crate) fn pairs() -> BoxedStrategy<Vec<(Text, Text)>> {
    vec((text(), text()), 0..4).boxed()
}

pub(crate) fn health() -> BoxedStrategy<Health> {
    prop_oneof![Just(Health::Passing), Just(Health::Warning), Just(Health::Critical)].boxed()
}

pub(crate) fn lifecycle() -> BoxedStrategy<Lifecycle> {
    prop_oneof![Just(Lifecycle::Starting), Just(Lifecycle::Serving), Just(Lifecycle::Draining)].boxed()
}

pub(crate) fn behavior() -> BoxedStrategy<Behavior> {
    prop_oneof![Just(Behavior::Release), Just(Behavior::Delete)].boxed()
}

pub(crate) fn lock_kind() -> BoxedStrategy<LockKind> {
    prop_oneof![Just(LockKind::Lock), Just(LockKind::Election)].boxed()
}

fn json() -> BoxedStrategy<Option<Box<str>>> {
    option::of(text().prop_map(|t| t.as_str().into())).boxed()
}

pub(crate) fn check() -> BoxedStrategy<Check> {
    let texts = (text(), text(), text(), text(), text(), json());
    (texts, health(), any::<[u64; 3]>())
        .prop_map(|((id, name, notes, output, kind, definition), health, numbers)| {
            let [create_revision, modify_revision, changed_ms] = numbers;
            Check { id, name, health, notes, output, kind, definition, create_revision, modify_revision, changed_ms }
        })
        .boxed()
}

pub(crate) fn service_key() -> BoxedStrategy<ServiceKey> {
    (text(), text()).prop_map(|(namespace, name)| ServiceKey { namespace, name }).boxed()
}

pub(crate) fn instance_key() -> BoxedStrategy<InstanceKey> {
    (service_key(), text(), text()).prop_map(|(service, node, id)| InstanceKey { service, node, id }).boxed()
}

pub(crate) fn locality() -> BoxedStrategy<Locality> {
    let some = (text(), text(), text()).prop_map(|(region, zone, sub_zone)| Locality { region, zone, sub_zone });
    prop_oneof![Just(Locality::default()), some].boxed()
}

pub(crate) fn overriding() -> BoxedStrategy<Override> {
    (any::<bool>(), any::<Option<u16>>(), text(), text(), any::<Option<u64>>())
        .prop_map(|(drain, weight, reason, author, expire_ms)| Override { drain, weight, reason, author, expire_ms })
        .boxed()
}

fn tagged_address() -> BoxedStrategy<TaggedAddress> {
    (text(), text(), any::<i32>()).prop_map(|(tag, address, port)| TaggedAddress { tag, address, port }).boxed()
}

pub(crate) fn extra() -> BoxedStrategy<Extra> {
    let ports = vec((text(), any::<u16>()), 0..3).prop_map(Vec::into_boxed_slice);
    let addresses = vec(tagged_address(), 0..3).prop_map(Vec::into_boxed_slice);
    let consul = (any::<Option<u16>>(), any::<bool>(), addresses, text(), json(), json());
    (locality(), ports, text(), any::<Option<u16>>(), consul, option::of(overriding()))
        .prop_map(|(locality, named_ports, version, weight, consul, overriding)| {
            let (weight_warning, enable_tag_override, tagged_addresses, kind, proxy, connect) = consul;
            Extra {
                locality,
                named_ports,
                version,
                weight,
                weight_warning,
                enable_tag_override,
                tagged_addresses,
                kind,
                proxy,
                connect,
                overriding,
            }
        })
        .boxed()
}

pub(crate) fn instance() -> BoxedStrategy<Instance> {
    let place = (instance_key(), text(), any::<i32>(), lifecycle());
    let lists = (vec(text(), 0..4), pairs(), vec(check(), 0..3));
    (place, lists, option::of(session_id()), option::of(extra()), any::<[u64; 2]>())
        .prop_map(|((key, address, port, lifecycle), (tags, meta, checks), session, extra, revisions)| Instance {
            lifecycle,
            tags: tags.into(),
            meta: meta.into(),
            checks: checks.into(),
            session,
            extra: extra.map(Box::new),
            create_revision: revisions[0],
            modify_revision: revisions[1],
            ..Instance::new(key, address, port)
        })
        .boxed()
}

pub(crate) fn node() -> BoxedStrategy<NodeRecord> {
    let boxed = || option::of(pairs().prop_map(Vec::into_boxed_slice));
    (text(), option::of(session_id()), text(), boxed(), boxed(), vec(check(), 0..3), any::<[u64; 2]>())
        .prop_map(|(name, id, address, tagged_addresses, meta, checks, revisions)| NodeRecord {
            name,
            id,
            address,
            tagged_addresses,
            meta,
            checks: checks.into(),
            create_revision: revisions[0],
            modify_revision: revisions[1],
        })
        .boxed()
}

pub(crate) fn kv() -> BoxedStrategy<KvEntry> {
    (bytes(), bytes(), any::<[u64; 5]>(), option::of(session_id()), any::<bool>(), any::<Option<u64>>())
        .prop_map(|(key, value, numbers, session, ephemeral, expire_ms)| {
            let [flags, create_revision, modify_revision, version, lock_index] = numbers;
            KvEntry {
                key,
                value,
                flags,
                create_revision,
                modify_revision,
                version,
                session,
                ephemeral,
                lock_index,
                expire_ms,
            }
        })
        .boxed()
}

pub(crate) fn shared_kv() -> BoxedStrategy<Arc<KvEntry>> {
    kv().prop_map(Arc::new).boxed()
}

pub(crate) fn tombstone() -> BoxedStrategy<Tombstone> {
    (bytes(), any::<[u64; 2]>()).prop_map(|(key, [revision, time_ms])| Tombstone { key, revision, time_ms }).boxed()
}

pub(crate) fn session() -> BoxedStrategy<Session> {
    (session_id(), any::<[u8; 16]>(), pairs(), behavior(), any::<[u64; 4]>(), option::of(binding()))
        .prop_map(|(id, secret, labels, behavior, [ttl_ms, grace_ms, create_ms, create_revision], binding)| Session {
            id,
            secret,
            ttl_ms,
            grace_ms,
            labels: labels.into(),
            behavior,
            create_ms,
            create_revision,
            binding: binding.map(Box::new),
        })
        .boxed()
}

/// Mostly one that is fit: without checks.
pub(crate) fn binding() -> BoxedStrategy<NodeBinding> {
    let texts = || vec(text(), 0..2).prop_map(Vec::into_boxed_slice);
    let checks = (option::of(texts()), option::of(pairs().prop_map(Vec::into_boxed_slice)), texts());
    let checks = prop_oneof![2 => Just(Default::default()), 1 => checks];
    ([text(), text(), text()], any::<u64>(), checks)
        .prop_map(|([node, name, ttl], lock_delay_ns, (node_checks, service_checks, checks))| NodeBinding {
            node,
            name,
            ttl,
            lock_delay_ns,
            node_checks,
            service_checks,
            checks,
        })
        .boxed()
}

pub(crate) fn coordinate() -> BoxedStrategy<Coordinate> {
    let finite = || -1e9f64..1e9;
    let vec = proptest::array::uniform8(finite());
    (text(), prop_oneof![3 => Just(Text::default()), 1 => text()], vec, proptest::array::uniform3(finite()))
        .prop_map(|(node, segment, vec, [error, adjustment, height])| Coordinate {
            node,
            segment,
            vec,
            error,
            adjustment,
            height,
        })
        .boxed()
}

pub(crate) fn lock() -> BoxedStrategy<Lock> {
    let holder =
        (session_id(), any::<u64>(), bytes()).prop_map(|(session, token, value)| LockHolder { session, token, value });
    let waiter = (session_id(), bytes()).prop_map(|(session, value)| LockWaiter { session, value });
    (lock_kind(), text(), any::<u32>(), vec(holder, 0..3), vec(waiter, 0..3), any::<u64>())
        .prop_map(|(kind, name, permits, holders, waiters, modify_revision)| Lock {
            kind,
            name,
            permits,
            holders,
            waiters,
            modify_revision,
        })
        .boxed()
}
