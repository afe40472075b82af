//! Consul's transaction, prepared queries, autopilot, restoring.

use super::*;
use crate::command::{
    Batch, BatchFailure, BatchOp, BatchResult, CatalogVerb, CheckOp, Command, DeleteQuery, KvOp, KvVerb, NodeOp,
    Restore, ServiceOp, SetAutopilot, SetQuery,
};
use crate::model::{Autopilot, PreparedQuery, QueryTemplate, ServiceQuery, Text};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::sync::Arc;

fn kv_verb() -> BoxedStrategy<KvVerb> {
    use KvVerb::*;
    let all =
        [Set, Cas, Lock, Unlock, Get, GetTree, CheckIndex, CheckSession, CheckNotExists, Delete, DeleteTree, DeleteCas];
    prop::sample::select(all.to_vec()).boxed()
}

fn catalog_verb() -> BoxedStrategy<CatalogVerb> {
    use CatalogVerb::*;
    prop::sample::select(vec![Get, Set, Cas, Delete, DeleteCas]).boxed()
}

/// Revisions that a short log has.
fn index() -> BoxedStrategy<u64> {
    prop_oneof![0u64..20, any::<u64>()].boxed()
}

fn kv_op() -> BoxedStrategy<KvOp> {
    let session = prop_oneof![session_id().prop_map(|id| Text::from(id.to_string())), text()];
    (kv_verb(), bytes(), bytes(), any::<u64>(), index(), session)
        .prop_map(|(verb, key, value, flags, index, session)| KvOp { verb, key, value, flags, index, session })
        .boxed()
}

fn batch_op() -> BoxedStrategy<BatchOp> {
    prop_oneof![
        3 => kv_op().prop_map(BatchOp::Kv),
        1 => (catalog_verb(), node(), index()).prop_map(|(verb, node, index)| BatchOp::Node(NodeOp { verb, node, index })),
        1 => (catalog_verb(), instance(), index())
            .prop_map(|(verb, service, index)| BatchOp::Service(ServiceOp { verb, service, index })),
        1 => (catalog_verb(), text(), text(), check(), index()).prop_map(|(verb, node, service_id, check, index)| {
            BatchOp::Check(CheckOp { verb, node, service_id, check, index })
        }),
        1 => text().prop_map(BatchOp::Unknown),
    ]
    .boxed()
}

fn texts() -> BoxedStrategy<Option<Box<[Text]>>> {
    option::of(vec(text(), 0..3).prop_map(Vec::into_boxed_slice)).boxed()
}

fn service_query() -> BoxedStrategy<ServiceQuery> {
    let map = || option::of(pairs().prop_map(Vec::into_boxed_slice));
    let lists = (texts(), texts(), texts(), map(), map());
    (text(), any::<u32>(), any::<bool>(), text(), any::<bool>(), lists)
        .prop_map(|(service, nearest_n, only_passing, near, connect, lists)| {
            let (datacenters, ignore_check_ids, tags, node_meta, service_meta) = lists;
            ServiceQuery {
                service,
                nearest_n,
                datacenters,
                only_passing,
                ignore_check_ids,
                near,
                tags,
                node_meta,
                service_meta,
                connect,
            }
        })
        .boxed()
}

pub(crate) fn query() -> BoxedStrategy<PreparedQuery> {
    let kind = prop_oneof![Just(Text::default()), Just("name_prefix_match".into()), text()];
    let template = (kind, text(), any::<bool>()).prop_map(|(kind, regexp, remove_empty_tags)| QueryTemplate {
        kind,
        regexp,
        remove_empty_tags,
    });
    (session_id(), text(), option::of(session_id()), text(), template, service_query(), text(), any::<[u64; 2]>())
        .prop_map(|(id, name, session, token, template, service, dns_ttl, [create_revision, modify_revision])| {
            PreparedQuery { id, name, session, token, template, service, dns_ttl, create_revision, modify_revision }
        })
        .boxed()
}

pub(crate) fn autopilot() -> BoxedStrategy<Autopilot> {
    (any::<[bool; 2]>(), any::<[i64; 2]>(), any::<[u64; 4]>(), text(), text())
        .prop_map(|(flags, times, numbers, redundancy_zone_tag, upgrade_version_tag)| Autopilot {
            cleanup_dead_servers: flags[0],
            last_contact_threshold_ns: times[0],
            max_trailing_logs: numbers[0],
            min_quorum: numbers[1],
            server_stabilization_time_ns: times[1],
            redundancy_zone_tag,
            disable_upgrade_migration: flags[1],
            upgrade_version_tag,
            create_revision: numbers[2],
            modify_revision: numbers[3],
        })
        .boxed()
}

fn restore() -> BoxedStrategy<Restore> {
    (session_id(), 0u32..3, 0u32..3, bytes())
        .prop_map(|(id, part, parts, rows)| Restore { id, part, parts, rows })
        .boxed()
}

pub(crate) fn operator_command() -> BoxedStrategy<Command> {
    prop_oneof![
        vec(batch_op(), 0..5).prop_map(|ops| Command::Batch(Batch { ops })),
        (query(), any::<bool>()).prop_map(|(query, update)| Command::SetQuery(Box::new(SetQuery { query, update }))),
        session_id().prop_map(|id| Command::DeleteQuery(DeleteQuery { id })),
        (autopilot(), option::of(index())).prop_map(|(autopilot, expected_revision)| {
            Command::SetAutopilot(SetAutopilot { autopilot, expected_revision })
        }),
        restore().prop_map(Command::Restore),
    ]
    .boxed()
}

pub(crate) fn batch_result() -> BoxedStrategy<BatchResult> {
    prop_oneof![
        shared_kv().prop_map(BatchResult::Kv),
        node().prop_map(|n| BatchResult::Node(Arc::new(n))),
        instance().prop_map(|i| BatchResult::Service(Arc::new(i))),
        (text(), option::of(instance().prop_map(Arc::new)), check())
            .prop_map(|(node, service, check)| BatchResult::Check { node, service, check }),
    ]
    .boxed()
}

pub(crate) fn batch_failure() -> BoxedStrategy<BatchFailure> {
    (any::<u32>(), text()).prop_map(|(index, reason)| BatchFailure { index, reason: reason.into() }).boxed()
}
