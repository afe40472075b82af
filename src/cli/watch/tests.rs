//! Types and documents of watches.

use super::document::Document;
use super::run::parse;
use crate::config::WatchTarget;
use crate::model::go_json::to_json;
use proptest::prelude::*;
use serde_json::{Map, Value};

#[test]
fn types_that_the_command_line_does_not_have() {
    for type_name in ["connect_roots", "agent_service"] {
        let params = Map::from_iter([("type".to_owned(), Value::from(type_name))]);
        let error = parse(params).expect_err("refused");
        assert_eq!(error, format!("Type {type_name} is not supported in the CLI tool"));
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
    fn any_body_is_read_or_refused(body in ".{0,60}") {
        for kind in [WatchTarget::Services, WatchTarget::Nodes, WatchTarget::Event(String::new())] {
            let _ = Document::read(&kind, Some(body.as_bytes()));
        }
    }
}
