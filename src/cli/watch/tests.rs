//! Parameters, requests and documents of watches.

use super::document::Document;
use super::plan::WatchPlan;
use crate::config::WatchTarget;
use crate::model::go_json::to_json;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn parse(params: Value) -> Result<WatchPlan, String> {
    let Value::Object(params) = params else { panic!("an object") };
    WatchPlan::parse(params)
}

fn request(params: Value) -> String {
    let (path, query) = parse(params).expect("accepted").request();
    let query: Vec<String> = query.iter().map(|(k, v)| format!("{k}={v}")).collect();
    if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
}

#[test]
fn requests() {
    for (params, expected) in [
        (json!({"type":"key","key":"/a/b"}), "/v1/kv/a/b"),
        (json!({"type":"keyprefix","prefix":"a/"}), "/v1/kv/a/?recurse="),
        (json!({"type":"services","stale":true}), "/v1/catalog/services"),
        (json!({"type":"nodes"}), "/v1/catalog/nodes"),
        (json!({"type":"service","service":"w"}), "/v1/health/service/w"),
        (
            json!({"type":"service","service":"w","tag":["a","b"],"passingonly":true}),
            "/v1/health/service/w?passing=1&tag=a&tag=b",
        ),
        (json!({"type":"service","service":"w","tag":"a"}), "/v1/health/service/w?tag=a"),
        (json!({"type":"checks"}), "/v1/health/state/any"),
        (json!({"type":"checks","state":"passing"}), "/v1/health/state/passing"),
        (json!({"type":"checks","service":"w"}), "/v1/health/checks/w"),
        (json!({"type":"event"}), "/v1/event/list"),
        (json!({"type":"event","name":"deploy"}), "/v1/event/list?name=deploy"),
    ] {
        assert_eq!(request(params), expected);
    }
}

#[test]
fn what_is_wrong_is_said_in_consuls_words() {
    for (params, expected) in [
        (json!({}), "Watch type must be specified"),
        (json!({"type":1}), "Expecting type to be a string"),
        (json!({"type":"bogus"}), "Unsupported watch type: bogus"),
        (json!({"type":"key"}), "Must specify a single key to watch"),
        (json!({"type":"keyprefix"}), "Must specify a single prefix to watch"),
        (json!({"type":"service"}), "Must specify a single service to watch"),
        (json!({"type":"service","service":"w","tag":[1]}), "Index 0 of tag expected to be string"),
        (json!({"type":"service","service":"w","tag":1}), "Expecting tag to be a string or []string"),
        (json!({"type":"service","service":"w","passingonly":"x"}), "Expecting passingonly to be a boolean"),
        (json!({"type":"checks","service":"w","state":"any"}), "Cannot specify service and state"),
        (json!({"type":"nodes","zz":1,"aa":2}), "Invalid parameters: [aa zz]"),
        (json!({"type":"connect_roots"}), "Type connect_roots is not supported in the CLI tool"),
        (json!({"type":"event","stale":true}), "Invalid parameters: [stale]"),
    ] {
        assert_eq!(parse(params).expect_err("refused"), expected);
    }
}

fn document(kind: &WatchTarget, body: Option<&str>) -> String {
    let read = Document::read(kind, body.map(str::as_bytes)).expect("readable");
    String::from_utf8(to_json(&read).expect("JSON")).expect("UTF-8")
}

#[test]
fn documents_have_the_order_of_the_client() {
    let key = WatchTarget::Key("a".into());
    assert_eq!(document(&key, None), "null");
    assert_eq!(
        document(
            &key,
            Some(r#"[{"LockIndex":0,"Key":"a","Flags":0,"Value":"djE=","CreateIndex":13,"ModifyIndex":14}]"#)
        ),
        r#"{"Key":"a","CreateIndex":13,"ModifyIndex":14,"LockIndex":0,"Flags":0,"Value":"djE=","Session":""}"#
    );
    assert_eq!(document(&WatchTarget::KeyPrefix("a".into()), None), "null");
    assert_eq!(document(&WatchTarget::Services, Some(r#"{"web":["a"],"consul":[]}"#)), r#"{"consul":[],"web":["a"]}"#);
    let check = r#"[{"Node":"n","CheckID":"c","Name":"N","Status":"passing","Notes":"","Output":"","ServiceID":"","ServiceName":"","ServiceTags":[],"Type":"","Definition":{"Interval":"10s"},"CreateIndex":1,"ModifyIndex":2}]"#;
    assert_eq!(
        document(&WatchTarget::ChecksInState("any".into()), Some(check)),
        r#"[{"Node":"n","CheckID":"c","Name":"N","Status":"passing","Notes":"","Output":"","ServiceID":"","ServiceName":"","ServiceTags":[],"Type":"","Definition":{"Interval":"10s","Timeout":"0s","DeregisterCriticalServiceAfter":"0s","HTTP":"","Header":null,"Method":"","Body":"","TLSSkipVerify":false,"TCP":""},"CreateIndex":1,"ModifyIndex":2}]"#
    );
}

#[test]
fn events_that_were_seen_are_left_out() {
    let id = |n: u32| format!("00000000-0000-0000-0000-00000000000{n}");
    let body = format!(r#"[{{"ID":"{}"}},{{"ID":"{}"}},{{"ID":"{}"}}]"#, id(1), id(2), id(3));
    let read = || Document::read(&WatchTarget::Event(String::new()), Some(body.as_bytes())).expect("readable");
    let count = |document: Document| match document {
        Document::Events(Some(events)) => events.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(count(read().only_after(2)), 1);
    assert_eq!(count(read().only_after(9)), 3);
}

proptest! {
    #[test]
    fn any_parameters_are_judged(
        names in proptest::collection::vec("(type|key|prefix|service|tag|state|name|stale|handler_type|.{0,5})", 0..5),
        value in "(key|service|checks|event|http|.{0,5})",
    ) {
        let params: Map<String, Value> = names.into_iter().map(|n| (n, Value::String(value.clone()))).collect();
        let _ = WatchPlan::parse(params);
    }

    #[test]
    fn any_body_is_read_or_refused(body in ".{0,60}") {
        for kind in [WatchTarget::Services, WatchTarget::Nodes, WatchTarget::Event(String::new())] {
            let _ = Document::read(&kind, Some(body.as_bytes()));
        }
    }
}
