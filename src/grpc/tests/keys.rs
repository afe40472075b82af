//! Keys, transactions and WatchKeys.

use super::fixture::{Fixture, end, field, instance, millis, next, reason};
use crate::proto::v1 as pb;
use crate::proto::v1::watch_keys_request::{Start, Target};
use crate::proto::v1::watch_keys_response::{KeyEvent, Update};
use bytes::Bytes;
use tonic::{Code, Streaming};

fn ask(target: Target, start: Option<Start>) -> pb::WatchKeysRequest {
    pb::WatchKeysRequest { target: Some(target), start, ..Default::default() }
}

fn all() -> Target {
    Target::Prefix(Bytes::new())
}

fn events(message: pb::WatchKeysResponse) -> Vec<KeyEvent> {
    match message.update {
        Some(Update::Events(events)) => events.events,
        other => panic!("no events: {other:?}"),
    }
}

async fn began(stream: &mut Streaming<pb::WatchKeysResponse>) -> pb::WatchKeysResponse {
    let message = next(stream).await;
    assert!(matches!(message.update, Some(Update::Progress(_))), "{message:?}");
    message
}

/// The next message that is not progress.
async fn news(stream: &mut Streaming<pb::WatchKeysResponse>) -> pb::WatchKeysResponse {
    loop {
        let message = next(stream).await;
        if !matches!(message.update, Some(Update::Progress(_))) {
            return message;
        }
    }
}

#[tokio::test]
async fn a_key_is_put_read_listed_and_deleted() {
    let mut f = Fixture::start().await;
    let first = f.put("a/1", "one").await;
    let request = pb::PutRequest {
        key: "a/1".into(),
        value: "two".into(),
        return_previous: true,
        precondition: Some(pb::Precondition { modify_revision: Some(first) }),
        flags: 7,
        ..Default::default()
    };
    let done = f.kv.put(request.clone()).await.unwrap().into_inner();
    assert_eq!(done.previous.unwrap().value, "one");
    let kv = done.kv.unwrap();
    assert_eq!((kv.version, kv.flags, kv.value.len()), (2, 7, 0));
    let status = f.kv.put(request).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Aborted, "ERROR_REASON_REVISION_MISMATCH"));
    let get = |at_revision| pb::GetRequest { key: "a/1".into(), at_revision, ..Default::default() };
    assert_eq!(f.kv.get(get(0)).await.unwrap().into_inner().kv.unwrap().value, "two");
    assert_eq!(f.kv.get(get(first)).await.unwrap().into_inner().kv.unwrap().value, "one");
    assert!(f.kv.get(get(first - 1)).await.unwrap().into_inner().kv.is_none());
    let target = Some(pb::delete_request::Target::Prefix("a/".into()));
    let request = pb::DeleteRequest { target, return_previous: true, ..Default::default() };
    let done = f.kv.delete(request).await.unwrap().into_inner();
    assert_eq!((done.deleted, done.previous.len()), (1, 1));
    assert!(f.kv.get(get(0)).await.unwrap().into_inner().kv.is_none());
}

#[tokio::test]
async fn keys_are_listed_in_pages_and_folded() {
    let mut f = Fixture::start().await;
    for key in ["a/1", "a/2", "b", "c/1/x", "c/1/y", "c/2", "d"] {
        f.put(key, "v").await;
    }
    let mut found = Vec::new();
    let mut token = String::new();
    loop {
        let request = pb::ListRequest { delimiter: "/".into(), page_size: 2, page_token: token, ..Default::default() };
        let page = f.kv.list(request).await.unwrap().into_inner();
        assert!(page.kvs.len() + page.common_prefixes.len() <= 2 && !page.resume_token.is_empty());
        found.extend(page.common_prefixes);
        found.extend(page.kvs.into_iter().map(|kv| kv.key));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    found.sort();
    assert_eq!(found, ["a/", "b", "c/", "d"]);
    let request = pb::ListRequest { prefix: "c/".into(), delimiter: "/".into(), ..Default::default() };
    let page = f.kv.list(request).await.unwrap().into_inner();
    assert_eq!((page.common_prefixes, page.kvs.len()), (vec![Bytes::from("c/1/")], 1));
    let request = pb::ListRequest { start: "a/2".into(), end: "c/1/y".into(), keys_only: true, ..Default::default() };
    let page = f.kv.list(request).await.unwrap().into_inner();
    let keys: Vec<_> = page.kvs.iter().map(|kv| kv.key.clone()).collect();
    assert_eq!(keys, ["a/2", "b", "c/1/x"]);
    assert!(page.kvs.iter().all(|kv| kv.value.is_empty()));
}

#[tokio::test]
async fn a_watcher_gets_every_event_in_order() {
    let mut f = Fixture::start().await;
    let mut stream = f.kv.watch_keys(ask(all(), None)).await.unwrap().into_inner();
    began(&mut stream).await;
    let values = ["1", "2", "3", "4", "5"];
    for value in values {
        f.put("k", value).await;
    }
    let mut seen = Vec::new();
    while seen.len() < values.len() {
        seen.extend(events(news(&mut stream).await));
    }
    let found: Vec<_> = seen.iter().map(|e| e.current.clone().unwrap().value).collect();
    assert_eq!(found, values);
    assert!(seen.windows(2).all(|w| w[0].revision < w[1].revision));
    assert!(seen.iter().all(|e| e.previous.is_none()), "not asked for");
}

#[tokio::test]
async fn a_watch_begins_where_it_is_told() {
    let mut f = Fixture::start().await;
    let first = f.put("k", "1").await;
    f.put("other", "x").await;
    f.put("k", "2").await;
    let key = || Target::Key("k".into());
    let request = pb::WatchKeysRequest { previous: true, ..ask(key(), Some(Start::AfterRevision(first))) };
    let mut stream = f.kv.watch_keys(request).await.unwrap().into_inner();
    let message = news(&mut stream).await;
    let token = message.resume_token.clone();
    let found = events(message);
    assert_eq!((found.len(), found[0].previous.as_ref().unwrap().value.clone()), (1, Bytes::from("1")));
    f.put("k", "3").await;
    let mut stream = f.kv.watch_keys(ask(key(), Some(Start::ResumeToken(token.clone())))).await.unwrap().into_inner();
    assert_eq!(events(news(&mut stream).await)[0].current.as_ref().unwrap().value, "3");
    let wrong = ask(all(), Some(Start::ResumeToken(token)));
    assert_eq!(field(f.kv.watch_keys(wrong).await), "resume_token");
    let list = f.kv.list(pb::ListRequest::default()).await.unwrap().into_inner();
    let mut stream =
        f.kv.watch_keys(ask(all(), Some(Start::ResumeToken(list.resume_token)))).await.unwrap().into_inner();
    f.put("k", "4").await;
    assert_eq!(events(news(&mut stream).await)[0].current.as_ref().unwrap().value, "4");
    let mut stream = f.kv.watch_keys(ask(all(), Some(Start::WithSnapshot(true)))).await.unwrap().into_inner();
    match next(&mut stream).await.update {
        Some(Update::Snapshot(s)) => assert_eq!((s.kvs.len(), s.complete), (2, true)),
        other => panic!("no snapshot: {other:?}"),
    }
}

#[tokio::test]
async fn a_compacted_revision_is_refused_or_becomes_a_snapshot() {
    let mut f = Fixture::start().await;
    let first = f.put("k", "1").await;
    f.put("k", "2").await;
    f.core.hub().reset(&f.core.local().state);
    let request = ask(all(), Some(Start::AfterRevision(first)));
    let status = f.kv.watch_keys(request.clone()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::OutOfRange, "ERROR_REASON_COMPACTED"));
    let request = pb::WatchKeysRequest { snapshot_if_compacted: true, ..request };
    let mut stream = f.kv.watch_keys(request).await.unwrap().into_inner();
    assert!(matches!(next(&mut stream).await.update, Some(Update::Snapshot(_))));
    let request = pb::GetRequest { key: "k".into(), at_revision: first, ..Default::default() };
    let status = f.kv.get(request).await.unwrap_err();
    assert_eq!(reason(&status), "ERROR_REASON_COMPACTED");
}

#[tokio::test]
async fn a_quiet_key_makes_progress_while_others_change() {
    let mut f = Fixture::start().await;
    let request = pb::WatchKeysRequest { progress_interval: millis(100), ..ask(Target::Key("quiet".into()), None) };
    let mut stream = f.kv.watch_keys(request).await.unwrap().into_inner();
    let revision = f.put("loud", "x").await;
    loop {
        let message = began(&mut stream).await;
        assert!(!message.resume_token.is_empty());
        if message.header.unwrap().revision >= revision {
            break;
        }
    }
}

#[tokio::test]
async fn a_large_transaction_is_split_without_a_token_inside() {
    let mut f = Fixture::start().await;
    let mut stream = f.kv.watch_keys(ask(all(), None)).await.unwrap().into_inner();
    began(&mut stream).await;
    let value = Bytes::from(vec![b'x'; 400 * 1024]);
    let put = |i: usize| pb::TxnOp {
        op: Some(pb::txn_op::Op::Put(pb::PutRequest {
            key: format!("k{i}").into(),
            value: value.clone(),
            ..Default::default()
        })),
    };
    let request = pb::TxnRequest { success: (0..6).map(put).collect(), ..Default::default() };
    assert!(f.kv.txn(request).await.unwrap().into_inner().succeeded);
    let mut found = 0;
    loop {
        let message = news(&mut stream).await;
        let token = !message.resume_token.is_empty();
        let Some(Update::Events(events)) = message.update else { panic!("no events") };
        found += events.events.len();
        assert_eq!(token, !events.more_in_revision);
        if token {
            break;
        }
    }
    assert_eq!(found, 6);
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_told_and_its_token_works() {
    let mut f = Fixture::start().await;
    let others = f.core.hub().topic_count();
    let mut stream = f.kv.watch_keys(ask(all(), None)).await.unwrap().into_inner();
    let mut token = began(&mut stream).await.resume_token;
    let value = Bytes::from(vec![b'x'; 500 * 1024]);
    // More than the queue and all buffers on the way can hold.
    for i in 0..30 {
        let request = pb::PutRequest { key: format!("k{i}").into(), value: value.clone(), ..Default::default() };
        f.kv.put(request).await.unwrap();
    }
    // Until the stream is given up: then nobody waits for keys any more.
    let mut written = 30;
    while f.core.hub().topic_count() > others {
        f.put("small", if written % 2 == 0 { "a" } else { "b" }).await;
        written += 1;
    }
    let mut seen = 0;
    let status = loop {
        match tokio_stream::StreamExt::next(&mut stream).await.unwrap() {
            Ok(message) => {
                token = message.resume_token.clone();
                seen += if let Some(Update::Events(e)) = message.update { e.events.len() } else { 0 };
            }
            Err(status) => break status,
        }
    };
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "ERROR_REASON_SLOW_CONSUMER"));
    let mut stream = f.kv.watch_keys(ask(all(), Some(Start::ResumeToken(token)))).await.unwrap().into_inner();
    while seen < written {
        seen += events(news(&mut stream).await).len();
    }
    assert_eq!(seen, written, "nothing is lost and nothing comes twice");
    f.core.drain();
    assert_eq!(reason(&end(&mut stream).await.unwrap()), "ERROR_REASON_NODE_DRAINING");
}

#[tokio::test]
async fn a_transaction_does_one_branch_and_answers_in_kind() {
    use pb::txn_op::Op;
    let mut f = Fixture::start().await;
    f.put("k", "1").await;
    let op = |op| pb::TxnOp { op: Some(op) };
    let put = |key: &'static str| pb::PutRequest { key: key.into(), value: "v".into(), ..Default::default() };
    let expect = Some(pb::compare::Expect::Exists(true));
    let request = pb::TxnRequest {
        compares: vec![pb::Compare { key: "k".into(), expect }],
        success: vec![
            op(Op::Put(pb::PutRequest { return_previous: true, ..put("k") })),
            op(Op::Get(pb::GetRequest { key: "k".into(), ..Default::default() })),
            op(Op::Register(pb::RegisterInstancesRequest {
                instances: vec![instance("web", "1")],
                ..Default::default()
            })),
        ],
        failure: vec![op(Op::Put(put("no")))],
        ..Default::default()
    };
    let done = f.kv.txn(request.clone()).await.unwrap().into_inner();
    assert!(done.succeeded);
    let results: Vec<_> = done.results.into_iter().map(|r| r.result.unwrap()).collect();
    match &results[..] {
        [
            pb::txn_op_result::Result::Put(put),
            pb::txn_op_result::Result::Get(get),
            pb::txn_op_result::Result::Register(register),
        ] => {
            assert_eq!(put.previous.as_ref().unwrap().value, "1");
            assert_eq!(get.kv.as_ref().unwrap().value, "v");
            assert_eq!(register.instances.len(), 1);
        }
        other => panic!("{other:?}"),
    }
    let twice = pb::TxnRequest { success: vec![op(Op::Put(put("k"))), op(Op::Put(put("k")))], ..Default::default() };
    assert_eq!(field(f.kv.txn(twice).await), "success[1].put.key");
    let none = pb::TxnRequest { success: vec![pb::TxnOp { op: None }], ..request };
    assert_eq!(field(f.kv.txn(none).await), "success[0].op");
}
