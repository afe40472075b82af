//! Bad input of every kind is refused with its field, and none of it panics.

use super::*;
use crate::grpc::select::Policy;
use crate::proto::v1 as pb;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use prost_types::{Duration, FieldMask, Timestamp};

fn good() -> pb::Instance {
    let key = pb::InstanceKey { service: "web".into(), instance_id: "1".into(), ..Default::default() };
    pb::Instance { key: Some(key), address: "10.0.0.1".into(), port: 80, ..Default::default() }
}

fn instance_field(change: impl FnOnce(&mut pb::Instance)) -> String {
    let mut i = good();
    change(&mut i);
    instance::instance(&i, true).map(|_| "none".into()).unwrap_or_else(|e| e.field).into_owned()
}

#[test]
fn a_bad_instance_is_refused_by_its_field() {
    let long = "x".repeat(256);
    assert_eq!(instance_field(|_| {}), "none");
    assert_eq!(instance_field(|i| i.key = None), "key");
    assert_eq!(instance_field(|i| i.key.as_mut().unwrap().service.clear()), "key.service");
    assert_eq!(instance_field(|i| i.key.as_mut().unwrap().instance_id = "a\n".into()), "key.instance_id");
    assert_eq!(instance_field(|i| i.key.as_mut().unwrap().namespace.clone_from(&long)), "key.namespace");
    assert_eq!(instance_field(|i| i.key.as_mut().unwrap().node.clone_from(&long)), "key.node");
    assert_eq!(instance_field(|i| i.key.as_mut().unwrap().node = "Agentless".into()), "key.node");
    assert_eq!(instance_field(|i| i.address.clear()), "address");
    assert_eq!(instance_field(|i| i.port = 70_000), "port");
    assert_eq!(instance_field(|i| i.weight = Some(70_000)), "weight");
    assert_eq!(instance_field(|i| i.named_ports = (0..17).map(|n| (n.to_string(), 1)).collect()), "named_ports");
    assert_eq!(instance_field(|i| i.named_ports = [("a".into(), 65_536)].into()), "named_ports");
    assert_eq!(instance_field(|i| i.tags = vec!["t".into(); 65]), "tags");
    assert_eq!(instance_field(|i| i.tags = vec!["t".into(), long.clone()]), "tags[1]");
    assert_eq!(instance_field(|i| i.metadata = [(String::new(), String::new())].into()), "metadata");
    assert_eq!(instance_field(|i| i.metadata = [("k".into(), "x".repeat(513))].into()), "metadata");
    assert_eq!(instance_field(|i| i.version.clone_from(&long)), "version");
    assert_eq!(instance_field(|i| i.lifecycle = -1), "lifecycle");
    assert_eq!(
        instance_field(|i| i.locality = Some(pb::Locality { zone: long.clone(), ..Default::default() })),
        "locality.zone"
    );
}

#[test]
fn a_bad_check_is_refused_by_its_field() {
    let check = |id: &str, state: i32| pb::Check { check_id: id.into(), state, ..Default::default() };
    let refused = |checks: Vec<pb::Check>| instance::checks(&checks).unwrap_err().field.into_owned();
    assert_eq!(refused(vec![check("a", 1), check("b", 0)]), "checks[1].state");
    assert_eq!(refused(vec![check("a", 7)]), "checks[0].state");
    assert_eq!(refused(vec![check("", 1)]), "checks[0].check_id");
    assert_eq!(refused(vec![check("a", 1), check("A", 1)]), "checks[1].check_id");
    assert_eq!(refused(vec![check("a", 1); 33]), "checks");
    let long = pb::Check { output: "ä".repeat(4000), ..check("a", 1) };
    let cut = instance::checks(&[long]).unwrap();
    assert_eq!(cut[0].output.len(), 4096, "long output is cut, not refused");
}

#[test]
fn times_are_bounded() {
    let ms = |seconds, nanos| time::duration_ms("ttl", Some(Duration { seconds, nanos })).map_err(|e| e.field);
    assert_eq!(ms(1, 500_000_000), Ok(Some(1500)));
    assert_eq!(ms(0, 1), Ok(Some(1)), "a part of a millisecond is not nothing");
    for (seconds, nanos) in [(-1, 0), (0, -1), (i64::MIN, i32::MIN), (i64::MAX, 0), (0, i32::MAX)] {
        assert_eq!(ms(seconds, nanos), Err("ttl".into()));
    }
    let at = |seconds| time::timestamp_ms("expire_time", Some(Timestamp { seconds, nanos: 0 })).map_err(|e| e.field);
    assert_eq!(at(2), Ok(Some(2000)));
    assert_eq!(at(-1), Err("expire_time".into()));
    assert_eq!(at(i64::MAX), Err("expire_time".into()));
    assert_eq!(time::duration(u64::MAX).seconds, (u64::MAX / 1000) as i64);
}

#[test]
fn ids_are_uuids_in_one_spelling() {
    let id = "6ba7b810-9dad-41d1-80b4-00c04fd430c8";
    assert!(request_id(id).unwrap().is_some());
    assert_eq!(request_id("").unwrap(), None);
    for wrong in ["x", "6ba7b8109dad41d180b400c04fd430c8", "{6ba7b810-9dad-41d1-80b4-00c04fd430c8}"] {
        assert_eq!(request_id(wrong).unwrap_err().field, "request_id");
    }
    assert_eq!(proof("", &Bytes::from("s")).unwrap_err().field, "session_id");
    assert_eq!(proof(id, &Bytes::new()).unwrap_err().field, "secret");
}

#[test]
fn a_transaction_writes_a_key_once_per_branch() {
    use pb::txn_op::Op;
    let put = |key: &'static str| Op::Put(pb::PutRequest { key: key.into(), ..Default::default() });
    let delete = |prefix: &'static str| {
        let target = Some(pb::delete_request::Target::Prefix(prefix.into()));
        Op::Delete(pb::DeleteRequest { target, ..Default::default() })
    };
    let get = |at_revision| Op::Get(pb::GetRequest { key: "k".into(), at_revision, ..Default::default() });
    let refused = |ops: Vec<Op>| {
        let failure = ops.into_iter().map(|op| pb::TxnOp { op: Some(op) }).collect();
        let request = pb::TxnRequest { failure, ..Default::default() };
        txn::txn(&request).map(|_| "none".into()).unwrap_or_else(|e| e.field).into_owned()
    };
    assert_eq!(refused(vec![put("a"), get(0), put("b")]), "none");
    assert_eq!(refused(vec![put("a"), put("a")]), "failure[1].put.key");
    assert_eq!(refused(vec![put("a/1"), delete("a/")]), "failure[1].delete.prefix");
    assert_eq!(refused(vec![delete("a/"), put("a/1")]), "failure[1].put.key");
    assert_eq!(refused(vec![delete("a/"), delete("a/b")]), "failure[1].delete.prefix");
    assert_eq!(refused(vec![get(3)]), "failure[0].get.at_revision");
    assert_eq!(refused(vec![put("a"); 129]), "failure");
    let big = pb::PutRequest { key: "k".into(), value: vec![0; 512 * 1024 + 1].into(), ..Default::default() };
    assert_eq!(refused(vec![Op::Put(big)]), "failure[0].put.value");
}

#[test]
fn a_selector_is_the_same_however_it_is_spelled() {
    let of = |name: &str, tags: &[&str]| {
        let name = Some(pb::service_selector::Name::Service(name.into()));
        let tags = tags.iter().map(|t| (*t).to_owned()).collect();
        let wanted = pb::ServiceSelector { name, tags, ..Default::default() };
        selector::selector(&wanted, Policy::Serving).unwrap().digest
    };
    assert_eq!(of("Web", &["A", "b", "a"]), of("web", &["b", "a"]));
    assert_ne!(of("web", &["a"]), of("web", &[]));
    assert_ne!(of("web", &[]), of("db", &[]));
    let none = selector::selector(&pb::ServiceSelector::default(), Policy::Serving);
    assert_eq!(none.unwrap_err().field, "service");
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z\\x00é]{0,8}", "[ -~]{250,260}"]
}

fn any_bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..1100).prop_map(Bytes::from)
}

prop_compose! {
    fn duration()(seconds: i64, nanos: i32, some: bool) -> Option<Duration> {
        some.then_some(Duration { seconds, nanos })
    }
}

prop_compose! {
    fn any_key()(namespace in text(), service in text(), instance_id in text(), node in text()) -> pb::InstanceKey {
        pb::InstanceKey { namespace, service, instance_id, node }
    }
}

prop_compose! {
    fn any_instance()(
        key in proptest::option::of(any_key()),
        address in text(),
        (port, weight, lifecycle) in any::<(u32, Option<u32>, i32)>(),
        tags in vec(text(), 0..70),
        metadata in btree_map(text(), text(), 0..5),
        named_ports in btree_map(text(), any::<u32>(), 0..20),
        zone in text(),
    ) -> pb::Instance {
        let locality = Some(pb::Locality { zone, ..Default::default() });
        pb::Instance { key, address, port, weight, lifecycle, tags, metadata, named_ports, locality, ..Default::default() }
    }
}

proptest! {
    #[test]
    fn no_instance_panics_and_an_accepted_one_comes_back(i in any_instance()) {
        if let Ok(model) = instance::instance(&i, true) {
            let shown = instance::Shown { health: crate::model::Health::Passing, node_address: "" };
            let out = instance::instance_out(&model, shown, true);
            prop_assert_eq!(&out.tags, &i.tags);
            prop_assert_eq!(&out.metadata, &i.metadata);
            prop_assert_eq!(&out.named_ports, &i.named_ports);
            prop_assert_eq!((out.port, out.weight, &out.address), (i.port, i.weight, &i.address));
        }
    }

    #[test]
    fn no_request_panics(
        id in text(),
        key in any_key(),
        (bytes, secret) in (any_bytes(), any_bytes()),
        paths in vec(text(), 0..4),
        (number, ttl, grace) in (any::<i32>(), duration(), duration()),
        (seconds, nanos) in any::<(i64, i32)>(),
        labels in btree_map(text(), text(), 0..20),
        filter in text(),
    ) {
        let mask = FieldMask { paths };
        let check = pb::Check { check_id: id.clone(), state: number, ..Default::default() };
        let _ = registry::report(Some(&key), &[check.clone(), check], number);
        let _ = request_id(&id);
        let _ = proof(&id, &secret);
        let _ = mask::update_mask(Some(&mask));
        let _ = mask::ReadMask::parse(Some(&mask)).map(|m| m.apply(good()));
        let _ = session::spec(ttl, grace, &labels);
        let expire_time = Some(Timestamp { seconds, nanos });
        let _ = instance::overriding(&pb::Override { expire_time, reason: id.clone(), ..Default::default() });
        let name = Some(pb::service_selector::Name::ServicePrefix(id.clone()));
        let wanted = pb::ServiceSelector { name, health: number, filter, metadata: labels, ..Default::default() };
        let _ = selector::selector(&wanted, Policy::Any);
        let _ = kv::put(&pb::PutRequest { key: bytes.clone(), session_id: id.clone(), ttl, ..Default::default() });
        let target = Some(pb::delete_request::Target::Prefix(bytes.clone()));
        let delete = pb::DeleteRequest { target, ..Default::default() };
        let _ = kv::delete(&delete);
        let _ = kv::compare(&pb::Compare { key: bytes, expect: Some(pb::compare::Expect::SessionId(id)) });
        let read = pb::ReadOptions { consistency: number, max_staleness: ttl, min_revision: 0 };
        let _ = header::read_options(Some(&read), crate::service::Consistency::Local, None);
        let ops = vec![pb::TxnOp { op: Some(pb::txn_op::Op::Delete(delete)) }; 2];
        let _ = txn::txn(&pb::TxnRequest { success: ops, ..Default::default() });
    }
}
