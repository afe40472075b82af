//! The same for Consul's transaction, prepared queries, autopilot and restoring.

use super::*;
use crate::command::{
    Batch, BatchFailure, BatchOp, BatchResult, CatalogVerb, CheckOp, DeleteQuery, KvOp, KvVerb, NodeOp, Restore,
    ServiceOp, SetAutopilot, SetQuery,
};
use crate::model::{Autopilot, PreparedQuery, QueryTemplate, ServiceQuery, Text};

const KV_VERBS: [KvVerb; 12] = [
    KvVerb::Set,
    KvVerb::Cas,
    KvVerb::Lock,
    KvVerb::Unlock,
    KvVerb::Get,
    KvVerb::GetTree,
    KvVerb::CheckIndex,
    KvVerb::CheckSession,
    KvVerb::CheckNotExists,
    KvVerb::Delete,
    KvVerb::DeleteTree,
    KvVerb::DeleteCas,
];
const VERBS: [CatalogVerb; 5] =
    [CatalogVerb::Get, CatalogVerb::Set, CatalogVerb::Cas, CatalogVerb::Delete, CatalogVerb::DeleteCas];

fn query() -> PreparedQuery {
    let texts = |list: &[&str]| Some(list.iter().map(|t| Text::from(*t)).collect());
    PreparedQuery {
        id: SESSION,
        name: "geo-".into(),
        session: Some(SESSION),
        token: "secret".into(),
        template: QueryTemplate {
            kind: "name_prefix_match".into(),
            regexp: "^geo-(.*)$".into(),
            remove_empty_tags: true,
        },
        service: ServiceQuery {
            service: "${match(1)}".into(),
            nearest_n: 3,
            datacenters: texts(&["dc2"]),
            only_passing: true,
            ignore_check_ids: texts(&["slow"]),
            near: "_agent".into(),
            tags: texts(&["a", "!b"]),
            node_meta: Some([("rack".into(), "1".into())].into()),
            service_meta: Some([("v".into(), "2".into())].into()),
            connect: true,
        },
        dns_ttl: "10s".into(),
        create_revision: 1,
        modify_revision: 2,
    }
}

/// Empty lists are not absent ones.
fn empty_lists() -> PreparedQuery {
    let service = ServiceQuery { tags: Some(Box::default()), node_meta: Some(Box::default()), ..query().service };
    PreparedQuery { template: QueryTemplate::default(), session: None, service, ..query() }
}

fn autopilot() -> Autopilot {
    Autopilot {
        cleanup_dead_servers: true,
        last_contact_threshold_ns: -1,
        max_trailing_logs: 2,
        min_quorum: 3,
        server_stabilization_time_ns: 4,
        redundancy_zone_tag: "az".into(),
        disable_upgrade_migration: true,
        upgrade_version_tag: "v".into(),
        create_revision: 5,
        modify_revision: 6,
    }
}

pub(super) fn commands() -> Vec<Command> {
    let kv =
        |verb| BatchOp::Kv(KvOp { verb, key: "k".into(), value: "v".into(), flags: 1, index: 2, session: "s".into() });
    let mut ops: Vec<BatchOp> = KV_VERBS.into_iter().map(kv).collect();
    ops.extend(VERBS.map(|verb| BatchOp::Node(NodeOp { verb, node: node(), index: 3 })));
    ops.push(BatchOp::Service(ServiceOp { verb: CatalogVerb::Set, service: instance(), index: 4 }));
    ops.push(BatchOp::Check(CheckOp {
        verb: CatalogVerb::Cas,
        node: "n1".into(),
        service_id: "web-1".into(),
        check: check(),
        index: 5,
    }));
    ops.push(BatchOp::Unknown("unknown KV verb".into()));
    let expected_revision = Some(0);
    vec![
        Command::Batch(Batch { ops }),
        Command::SetQuery(Box::new(SetQuery { query: query(), update: true })),
        Command::SetQuery(Box::new(SetQuery { query: empty_lists(), update: false })),
        Command::DeleteQuery(DeleteQuery { id: SESSION }),
        Command::SetAutopilot(SetAutopilot { autopilot: autopilot(), expected_revision }),
        Command::Restore(Restore { id: SESSION, part: 1, parts: 2, rows: "rows".into() }),
    ]
}

pub(super) fn replies() -> Vec<Reply> {
    let on_service = BatchResult::Check { node: "n1".into(), service: Some(Arc::new(instance())), check: check() };
    let results = vec![
        BatchResult::Kv(Arc::new(kv())),
        BatchResult::Node(Arc::new(node())),
        BatchResult::Service(Arc::new(instance())),
        on_service,
        BatchResult::Check { node: "n1".into(), service: None, check: check() },
    ];
    let failures = vec![BatchFailure { index: 1, reason: "index is stale".into() }];
    vec![
        Ok(Outcome::Batch { results, failures }),
        Ok(Outcome::Stored),
        Ok(Outcome::AutopilotSet(true)),
        Err(Rejection::Refused("no".into())),
    ]
}

#[test]
fn record_operator_v1() {
    let record = |command| Record { time_ms: 1, request_id: None, command };
    let records: Vec<Record> = commands().into_iter().map(record).collect();
    let file = include_str!("../../../../tests/compat/record_operator_v1.hex");
    compare(file, &records, Record::encode, Record::decode);
}

#[test]
fn reply_operator_v1() {
    let file = include_str!("../../../../tests/compat/reply_operator_v1.hex");
    compare(file, &replies(), encode_reply, decode_reply);
}

#[test]
fn row_operator_v1() {
    let file = include_str!("../../../../tests/compat/row_query_v1.hex");
    compare(file, &[query(), empty_lists()], encode_query, decode_query);
    let file = include_str!("../../../../tests/compat/row_autopilot_v1.hex");
    compare(file, &[autopilot()], encode_autopilot, decode_autopilot);
}
