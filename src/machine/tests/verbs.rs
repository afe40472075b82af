//! What each command does and rejects.

use super::*;
use crate::command::*;
use crate::model::{Behavior, Check, Health, Instance, LockKind, NodeRecord, Override};

fn instance(service: &str, node: &str, id: &str) -> Instance {
    Instance::new(key(service, node, id), "10.0.0.1".into(), 80)
}

fn register(session: Option<u128>, instances: Vec<Instance>) -> Command {
    Command::Register(Register { session: session.map(Uuid::from_u128), instances })
}

fn create_session(id: u128, behavior: Behavior) -> Command {
    let (id, ttl_ms) = (Uuid::from_u128(id), 10_000);
    Command::CreateSession(CreateSession { id, ttl_ms, behavior, ..CreateSession::default() })
}

fn close_session(id: u128) -> Command {
    Command::CloseSession(CloseSession { id: Uuid::from_u128(id) })
}

fn catalog(node: &str, service: Option<Instance>, checks: Vec<CatalogCheck>) -> Command {
    let node = NodeRecord { name: node.into(), address: "10.0.0.9".into(), ..NodeRecord::default() };
    Command::CatalogRegister(Box::new(CatalogRegister { node, skip_node_update: false, service, checks }))
}

fn check(service_id: &str, id: &str, health: Health) -> CatalogCheck {
    CatalogCheck { service_id: service_id.into(), check: Check { id: id.into(), health, ..Check::default() } }
}

/// Into free places, into the last one, beside others, and one too many: on a service and on the node itself.
#[test]
fn a_registration_with_too_many_checks_changes_nothing() {
    for of in ["web-1", ""] {
        let mut server = Server::default();
        let checks = |ids: std::ops::Range<usize>| ids.map(|n| check(of, &format!("c{n}"), Health::Passing)).collect();
        let web = |address: &str| Some(Instance { address: address.into(), ..instance("web", "n1", "web-1") });
        server.ok(catalog("n1", web("10.0.0.1"), checks(0..30)));
        server.ok(catalog("n1", web("10.0.0.1"), checks(29..32)));
        let before = server.state.clone();
        let refused = server.err(catalog("n1", web("10.0.0.2"), checks(30..33)));
        assert!(matches!(&refused, Rejection::QuotaExceeded(text) if text.starts_with("33 checks")), "{refused}");
        assert_eq!(before.node("n1"), server.state.node("n1"));
        assert_eq!(before.instance(&key("web", "n1", "web-1")), server.state.instance(&key("web", "n1", "web-1")));
        server.ok(catalog("n1", web("10.0.0.2"), checks(31..32)));
        assert_eq!("10.0.0.2", server.state.instance(&key("web", "n1", "web-1")).unwrap().address);
    }
}

fn put(key: &'static str, lock: LockOp) -> Command {
    Command::Put(Put { key: key.into(), value: "v".into(), lock, ..Put::default() })
}

fn acquire(name: &str, session: u128, wait: bool) -> Command {
    let (kind, session) = (LockKind::Lock, Uuid::from_u128(session));
    Command::AcquireLock(AcquireLock { kind, name: name.into(), session, value: Default::default(), permits: 1, wait })
}

#[test]
fn registering_the_same_again_writes_nothing() {
    let mut server = Server::default();
    server.ok(register(None, vec![instance("web", "", "1")]));
    let revision = server.state.service_revision(&ServiceKey::of("web"));
    let again = server.apply(register(None, vec![instance("web", "", "1")]));
    assert!(again.changes.is_empty());
    assert_eq!(server.state.service_revision(&ServiceKey::of("WEB")), revision);
}

/// Also where the id names an instance: the one that has it, another one, one that is not there.
#[test]
fn a_check_id_is_once_on_its_node() {
    for id in ["c", "service:w", "service:d", "service:a", "service:none"] {
        is_once_on_its_node(id);
    }
}

fn is_once_on_its_node(name: &str) {
    let mut server = Server::default();
    server.ok(catalog("n", Some(instance("web", "n", "w")), vec![check("w", name, Health::Warning)]));
    server.ok(catalog("n", Some(instance("db", "n", "d")), Vec::new()));
    let checks = |server: &Server, service: &str, id: &str| {
        server.state.instance(&key(service, "n", id)).unwrap().checks.clone()
    };
    let created = checks(&server, "web", "w")[0].create_revision;
    server.ok(catalog("n", None, vec![check("d", &name.to_ascii_uppercase(), Health::Warning)]));
    assert!(checks(&server, "web", "w").is_empty());
    let moved = checks(&server, "db", "d")[0].clone();
    assert_eq!((moved.id.as_str(), moved.create_revision), (name.to_ascii_uppercase().as_str(), created));
    assert!(moved.modify_revision > created);
    server.ok(catalog("n", None, vec![check("", name, Health::Warning)]));
    assert!(checks(&server, "db", "d").is_empty());
    assert_eq!(server.state.node("n").unwrap().record.checks[0].create_revision, created);
    // Those of an instance that lives with a session are its client's.
    server.ok(create_session(1, Behavior::Release));
    server.ok(register(Some(1), vec![instance("api", "n", "a")]));
    let own = vec![check("", name, Health::Passing).check];
    server.ok(Command::Report(Report { key: key("api", "n", "a"), checks: own, lifecycle: None, session: None }));
    server.ok(catalog("n", None, vec![check("w", name, Health::Passing)]));
    assert_eq!((checks(&server, "api", "a").len(), checks(&server, "web", "w").len()), (1, 1));
    assert!(server.state.node("n").unwrap().record.checks.is_empty());
    let (node, service_id, check_id) = ("n".into(), Default::default(), name.into());
    server.ok(Command::CatalogDeregister(CatalogDeregister { node, service_id, check_id }));
    assert_eq!((checks(&server, "api", "a").len(), checks(&server, "web", "w").len()), (0, 0));
}

#[test]
fn a_node_that_changes_after_its_checks_in_one_record_changes_its_services() {
    let mut server = Server::default();
    server.ok(catalog("n", Some(instance("web", "n", "w")), Vec::new()));
    let node = NodeRecord { name: "n".into(), address: "10.0.0.10".into(), ..NodeRecord::default() };
    let (verb, index) = (CatalogVerb::Set, 0);
    let check = check("", "c", Health::Warning).check;
    let check = CheckOp { verb, node: "n".into(), service_id: Default::default(), check, index };
    let ops = vec![BatchOp::Check(check), BatchOp::Node(NodeOp { verb, node, index })];
    server.ok(Command::Batch(Batch { ops }));
    let service = server.state.service(&ServiceKey::of("web")).unwrap();
    assert_eq!(service.catalog_revision, server.state.revision());
    assert_eq!(service.revision, server.state.revision());
}

#[test]
fn an_instance_stays_what_it_was_under_a_new_name() {
    let mut server = Server::default();
    server.ok(catalog("n", Some(instance("web", "n", "w")), vec![check("w", "c", Health::Warning)]));
    let before = server.state.instance(&key("web", "n", "w")).unwrap().clone();
    server.ok(catalog("n", Some(instance("shop", "n", "w")), Vec::new()));
    assert!(server.state.instance(&key("web", "n", "w")).is_none());
    let after = server.state.instance(&key("shop", "n", "w")).unwrap();
    assert_eq!((after.create_revision, &after.checks), (before.create_revision, &before.checks));
    assert!(after.modify_revision > before.modify_revision);
}

#[test]
fn registering_keeps_checks_and_the_operators_word() {
    let mut server = Server::default();
    let web = key("web", "", "1");
    server.ok(register(None, vec![instance("web", "", "1")]));
    let checks = vec![Check { id: "c".into(), health: Health::Warning, ..Check::default() }];
    server.ok(Command::Report(Report { key: web.clone(), checks, lifecycle: None, session: None }));
    let drain = Override { drain: true, ..Override::default() };
    server.ok(Command::SetOverride(SetOverride { key: web.clone(), overriding: Some(drain.clone()) }));
    server.ok(register(None, vec![Instance { port: 81, ..instance("web", "", "1") }]));
    let stored = server.state.instance(&web).unwrap();
    assert_eq!((stored.port, stored.own_health(), stored.overriding()), (81, Health::Warning, Some(&drain)));
    assert_eq!(stored.create_revision, 1);
}

#[test]
fn an_instance_of_another_live_session_is_refused() {
    let mut server = Server::default();
    server.ok(create_session(1, Behavior::Release));
    server.ok(create_session(2, Behavior::Release));
    server.ok(register(Some(1), vec![instance("web", "", "1")]));
    let refused = server.err(register(Some(2), vec![instance("db", "", "1"), instance("web", "", "1")]));
    assert!(matches!(refused, Rejection::InstanceOwned { session, .. } if session == Uuid::from_u128(1)));
    assert!(server.state.instance(&key("db", "", "1")).is_none(), "all or nothing");
    server.ok(close_session(1));
    server.ok(register(Some(2), vec![instance("web", "", "1")]));
}

#[test]
fn one_id_on_a_node_is_one_service() {
    let mut server = Server::default();
    server.ok(register(None, vec![instance("web", "n1", "a")]));
    let taken = server.err(register(None, vec![instance("db", "n1", "A")]));
    assert!(matches!(taken, Rejection::InstanceIdTaken { .. }));
    let both = server.err(register(None, vec![instance("web", "n2", "a"), instance("db", "n2", "a")]));
    assert!(matches!(both, Rejection::InstanceIdTaken { .. }), "not even within one command");
    assert!(server.state.node("n2").is_none(), "all or nothing");
    server.ok(register(None, vec![instance("db", "", "a"), instance("web", "", "a")]));
    // Consul's registration replaces the service instead.
    server.ok(catalog("n1", Some(instance("db", "n1", "a")), vec![]));
    assert!(server.state.instance(&key("web", "n1", "a")).is_none());
    assert!(server.state.instance(&key("db", "n1", "a")).is_some());
}

#[test]
fn closing_a_session_takes_all_with_it_in_one_revision() {
    let mut server = Server::default();
    server.ok(create_session(1, Behavior::Release));
    server.ok(create_session(2, Behavior::Release));
    server.ok(register(Some(1), vec![instance("web", "", "1")]));
    let session = Uuid::from_u128(1);
    server.ok(put("ephemeral", LockOp::Attach(session)));
    server.ok(put("locked", LockOp::Acquire(session)));
    server.ok(acquire("l", 1, false));
    server.ok(acquire("l", 2, true));
    let applied = server.apply(close_session(1));
    assert_eq!(applied.reply, Ok(Outcome::SessionClosed(4)));
    let revision = server.state.revision();
    assert!(applied.changes.iter().all(|c| c.revision == revision));
    assert_eq!(server.state.service_count(), 0);
    assert!(server.state.kv(b"ephemeral").is_none());
    assert_eq!(server.state.kv(b"locked").unwrap().session, None);
    let lock = server.state.lock(LockKind::Lock, "l").unwrap();
    assert_eq!((lock.holders[0].session, lock.holders[0].token), (Uuid::from_u128(2), revision));
    assert_eq!(server.err(close_session(1)), Rejection::SessionExpired(session));
}

#[test]
fn locks_pass_in_order_of_arrival_with_growing_tokens() {
    let mut server = Server::default();
    (1..=3).for_each(|id| drop(server.ok(create_session(id, Behavior::Release))));
    let first = server.ok(acquire("l", 1, false));
    assert!(matches!(first, Outcome::Lock { token: Some(_), .. }));
    assert_eq!(server.ok(acquire("l", 1, true)), first, "asked twice is one holder");
    let taken = server.ok(acquire("l", 2, false));
    assert_eq!(taken, Outcome::Lock { token: None, queued: false, holder: Some(Uuid::from_u128(1)) });
    server.ok(acquire("l", 2, true));
    server.ok(acquire("l", 3, true));
    let mut last = 0;
    for id in 1..=3u128 {
        let held = server.state.lock(LockKind::Lock, "l").unwrap().holders[0].clone();
        assert_eq!(held.session, Uuid::from_u128(id));
        assert!(held.token > last);
        last = held.token;
        let release = ReleaseLock { kind: LockKind::Lock, name: "l".into(), session: held.session, token: Some(last) };
        server.ok(Command::ReleaseLock(release.clone()));
        assert!(matches!(server.err(Command::ReleaseLock(release)), Rejection::LockNotHeld(_)));
    }
    assert!(server.state.lock(LockKind::Lock, "l").is_none());
}

#[test]
fn a_nodes_check_is_a_change_of_its_services() {
    let mut server = Server::default();
    server.ok(catalog("n1", Some(instance("web", "n1", "web")), vec![]));
    let before = server.state.service_revision(&ServiceKey::of("web"));
    server.ok(catalog("N1", None, vec![check("", "serfHealth", Health::Critical)]));
    assert!(server.state.service_revision(&ServiceKey::of("web")) > before);
    let web = server.state.instance(&key("web", "n1", "web")).unwrap();
    assert_eq!(server.state.health(web), Health::Critical);
    assert_eq!(server.state.node("n1").unwrap().record.name, "N1", "the latest spelling is shown");
}

#[test]
fn a_check_of_an_unknown_service_is_refused_and_leaves_nothing() {
    let mut server = Server::default();
    let refused = server.err(catalog("n1", None, vec![check("nope", "c", Health::Passing)]));
    assert_eq!(refused.to_string(), r#"failed inserting check: Missing service registration on node "n1""#);
    assert!(server.state.node("n1").is_none());
}

#[test]
fn a_node_takes_its_services_with_it() {
    let mut server = Server::default();
    let checks = vec![check("web", "c", Health::Passing)];
    server.ok(catalog("n1", Some(instance("web", "n1", "web")), checks));
    server.ok(Command::CatalogDeregister(CatalogDeregister { node: "n1".into(), ..Default::default() }));
    assert_eq!((server.state.service_count(), server.state.nodes().count()), (0, 0));
    assert_eq!(server.state.service_revision(&ServiceKey::of("web")), server.state.revision());
}

#[test]
fn a_transaction_is_whole_or_nothing() {
    let mut server = Server::default();
    server.ok(put("a", LockOp::Keep));
    let op = |key: &'static str, expected_revision| {
        Op::Put(Put { key: key.into(), value: "2".into(), expected_revision, ..Put::default() })
    };
    let txn = |success| Command::Txn(Txn { compares: vec![], success, failure: vec![] });
    let refused = server.err(txn(vec![op("b", None), op("a", Some(99))]));
    assert!(matches!(refused, Rejection::TxnOp { index: 1, .. }));
    assert!(server.state.kv(b"b").is_none());
    server.ok(txn(vec![op("b", Some(0)), op("a", Some(1))]));
    let revisions: Vec<u64> = server.state.kv_from(b"").map(|e| e.modify_revision).collect();
    assert_eq!(revisions, [3, 3]);
}

#[test]
fn expiry_is_checked_again_and_an_old_leader_ends_nothing() {
    let mut server = Server::default();
    server.ok(create_session(1, Behavior::Release));
    let expire = |term, create| {
        let sessions = vec![(Uuid::from_u128(1), create)];
        Command::Expire(Expire { term, sessions, keys: vec!["k".into()], overrides: vec![] })
    };
    server.ok(Command::Put(Put { key: "k".into(), ttl_ms: Some(5_000), ..Put::default() }));
    assert_eq!(server.ok(expire(9, 1)), Outcome::Expired(0), "another term");
    assert_eq!(server.ok(expire(1, 7)), Outcome::Expired(0), "another session, and the key has time left");
    server.time_ms = 5_000;
    assert_eq!(server.ok(expire(1, 1)), Outcome::Expired(2));
    assert!(server.state.kv(b"k").is_none() && server.state.session_count() == 0);
}

#[test]
fn a_request_id_with_another_body_is_refused() {
    let mut server = Server::default();
    let id = Some(Uuid::from_u128(1));
    server.apply_as(id, put("a", LockOp::Keep)).reply.unwrap();
    assert_eq!(server.apply_as(id, put("b", LockOp::Keep)).reply, Err(Rejection::RequestIdReused));
    server.time_ms = crate::model::limits::REQUEST_KEEP_MS;
    server.apply_as(Some(Uuid::from_u128(2)), put("c", LockOp::Keep)).reply.unwrap();
    assert!(server.apply_as(id, put("b", LockOp::Keep)).reply.is_ok(), "forgotten after its time");
}

#[test]
fn deleted_keys_hold_the_index_of_their_prefix() {
    let mut server = Server::default();
    server.ok(put("p/a", LockOp::Keep));
    server.ok(put("p/b", LockOp::Keep));
    server.ok(Command::Delete(Delete { target: Target::Key("p/b".into()), expected_revision: None }));
    server.ok(put("other", LockOp::Keep));
    assert_eq!(server.state.kv_prefix_revision(b"p/"), 3);
    assert_eq!(server.state.kv_prefix_revision(b"nothing/"), 4, "an empty prefix has the table's index");
}
