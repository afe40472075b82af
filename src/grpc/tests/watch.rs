//! Watch.

use super::fixture::{Fixture, end, ids, instance, millis, next, prefix, reason, seconds, service};
use crate::proto::v1 as pb;
use crate::proto::v1::watch_response::{Cause, Delta, Snapshot, Update};
use prost::Message;
use tonic::{Code, Streaming};

fn ask(selector: pb::ServiceSelector) -> pb::WatchRequest {
    pb::WatchRequest { selector: Some(selector), ..Default::default() }
}

fn snapshot(message: &pb::WatchResponse) -> &Snapshot {
    match &message.update {
        Some(Update::Snapshot(snapshot)) => snapshot,
        other => panic!("not a snapshot: {other:?}"),
    }
}

fn delta(message: &pb::WatchResponse) -> &Delta {
    match &message.update {
        Some(Update::Delta(delta)) => delta,
        other => panic!("not a delta: {other:?}"),
    }
}

async fn first(stream: &mut Streaming<pb::WatchResponse>, cause: Cause) -> pb::WatchResponse {
    let message = next(stream).await;
    let part = snapshot(&message);
    assert_eq!((part.cause, part.complete), (cause.into(), true));
    assert!(!message.resume_token.is_empty());
    message
}

#[tokio::test]
async fn a_watcher_sees_the_set_and_then_every_change() {
    let mut f = Fixture::start().await;
    let one = instance("web", "1");
    let mut stream = f.watch(ask(service("web"))).await;
    let message = first(&mut stream, Cause::Initial).await;
    assert!(!snapshot(&message).services[0].exists && snapshot(&message).instances.is_empty());
    let revision = f.register(vec![one.clone()]).await;
    let message = next(&mut stream).await;
    assert_eq!(ids(&delta(&message).upserts), ["1"]);
    assert_eq!(delta(&message).services[0].total, 1);
    assert!(message.header.as_ref().unwrap().revision >= revision && !message.resume_token.is_empty());
    f.report(&one, pb::HealthState::Critical, "down").await;
    let message = next(&mut stream).await;
    assert_eq!(delta(&message).removed[0].instance_id, "1", "no longer serving");
    f.report(&one, pb::HealthState::Passing, "up").await;
    assert_eq!(ids(&delta(&next(&mut stream).await).upserts), ["1"]);
    f.deregister(&one).await;
    let message = next(&mut stream).await;
    assert_eq!(delta(&message).removed[0].instance_id, "1");
    assert!(!delta(&message).services[0].exists);
}

#[tokio::test]
async fn what_does_not_show_sends_nothing() {
    let mut f = Fixture::start().await;
    let one = instance("web", "1");
    f.register(vec![one.clone()]).await;
    f.report(&one, pb::HealthState::Passing, "a").await;
    let mut routing = f.watch(ask(service("web"))).await;
    first(&mut routing, Cause::Initial).await;
    let full = pb::WatchRequest { view: pb::InstanceView::Full.into(), ..ask(service("web")) };
    let mut full = f.watch(full).await;
    first(&mut full, Cause::Initial).await;
    let changed = pb::Instance { metadata: [("k".to_owned(), "v".to_owned())].into(), ..one.clone() };
    f.register(vec![changed.clone()]).await;
    assert_eq!(delta(&next(&mut full).await).upserts[0].metadata["k"], "v");
    f.register(vec![instance("other", "1")]).await;
    f.register(vec![pb::Instance { port: 81, ..changed }]).await;
    assert_eq!(delta(&next(&mut routing).await).upserts[0].port, 81, "the first that shows is the first that comes");
}

#[tokio::test]
async fn a_token_goes_on_without_a_snapshot() {
    let mut f = Fixture::start().await;
    let (one, two, three) = (instance("web", "1"), instance("web", "2"), instance("web", "3"));
    f.register(vec![one.clone(), two.clone(), three]).await;
    let token = f.resolve(service("web")).await.resume_token;
    let resume = |token: &bytes::Bytes, selector| pb::WatchRequest { resume_token: token.clone(), ..ask(selector) };
    let mut stream = f.watch(resume(&token, service("web"))).await;
    assert!(matches!(next(&mut stream).await.update, Some(Update::Progress(_))), "nothing happened since");
    f.register(vec![pb::Instance { port: 81, ..one }]).await;
    f.deregister(&two).await;
    let mut stream = f.watch(resume(&token, service("Web"))).await;
    let message = next(&mut stream).await;
    assert_eq!(ids(&delta(&message).upserts), ["1"]);
    assert_eq!(delta(&message).removed[0].instance_id, "2");
    let after = message.resume_token.clone();
    let mut stream = f.watch(resume(&after, service("web"))).await;
    assert!(matches!(next(&mut stream).await.update, Some(Update::Progress(_))));
    for wrong in [resume(&token, service("db")), resume(&"junk".into(), service("web"))] {
        let mut stream = f.watch(wrong).await;
        first(&mut stream, Cause::OtherCluster).await;
    }
    let full = pb::WatchRequest { view: pb::InstanceView::Full.into(), ..resume(&token, service("web")) };
    first(&mut f.watch(full).await, Cause::OtherCluster).await;
}

#[tokio::test]
async fn a_token_older_than_what_is_kept_gets_a_snapshot() {
    let mut f = Fixture::start().await;
    f.register(vec![instance("web", "1")]).await;
    let token = f.resolve(service("web")).await.resume_token;
    let state = f.core.local().state;
    f.core.hub().reset(&state);
    f.put("k", "v").await;
    f.core.hub().reset(&f.core.local().state);
    let request = pb::WatchRequest { resume_token: token, ..ask(service("web")) };
    first(&mut f.watch(request).await, Cause::Compacted).await;
}

#[tokio::test]
async fn a_quiet_stream_makes_progress() {
    let mut f = Fixture::start().await;
    let request = pb::WatchRequest { progress_interval: millis(100), ..ask(service("web")) };
    let mut stream = f.watch(request).await;
    first(&mut stream, Cause::Initial).await;
    let revision = f.put("k", "v").await;
    loop {
        let message = next(&mut stream).await;
        assert!(matches!(message.update, Some(Update::Progress(_))));
        assert!(!message.resume_token.is_empty());
        if message.header.unwrap().revision >= revision {
            break;
        }
    }
}

#[tokio::test]
async fn a_large_set_comes_in_parts_of_a_mebibyte() {
    let mut f = Fixture::start().await;
    let text = "x".repeat(500);
    let metadata: std::collections::BTreeMap<_, _> = (0..16).map(|i| (format!("k{i}"), text.clone())).collect();
    for start in [0, 100, 200, 300] {
        let many = (start..start + 100)
            .map(|i| pb::Instance { metadata: metadata.clone(), ..instance("web", &i.to_string()) });
        f.register(many.collect()).await;
    }
    let request = pb::WatchRequest { view: pb::InstanceView::Full.into(), ..ask(service("web")) };
    let mut stream = f.watch(request).await;
    let mut found = 0;
    let mut parts = 0;
    loop {
        let message = next(&mut stream).await;
        assert!(message.encoded_len() <= 1024 * 1024, "{}", message.encoded_len());
        let part = snapshot(&message);
        (found, parts) = (found + part.instances.len(), parts + 1);
        assert_eq!(message.resume_token.is_empty(), !part.complete, "a token only when it is complete");
        if part.complete {
            break;
        }
    }
    assert_eq!(found, 400);
    assert!(parts > 2);
}

#[tokio::test]
async fn a_prefix_follows_services_that_come_and_go() {
    let mut f = Fixture::start().await;
    let mut stream = f.watch(ask(prefix("web-"))).await;
    first(&mut stream, Cause::Initial).await;
    let (a, other) = (instance("web-a", "1"), instance("db", "1"));
    f.register(vec![other, a.clone()]).await;
    let message = next(&mut stream).await;
    assert_eq!(delta(&message).services.len(), 1);
    assert_eq!(delta(&message).services[0].service, "web-a");
    f.deregister(&a).await;
    let message = next(&mut stream).await;
    assert_eq!(delta(&message).removed[0].service, "web-a");
    assert!(!delta(&message).services[0].exists);
}

#[tokio::test]
async fn many_watchers_of_one_service_see_the_same() {
    let mut f = Fixture::start().await;
    let mut streams = Vec::new();
    for _ in 0..50 {
        let mut stream = f.watch(ask(service("web"))).await;
        first(&mut stream, Cause::Initial).await;
        streams.push(stream);
    }
    f.register(vec![instance("web", "1")]).await;
    let mut seen = Vec::new();
    for stream in &mut streams {
        seen.push(delta(&next(stream).await).clone());
    }
    assert!(seen.windows(2).all(|w| w[0] == w[1]));
}

#[tokio::test]
async fn a_stopping_server_says_so() {
    let mut f = Fixture::start().await;
    let mut stream = f.watch(ask(service("web"))).await;
    first(&mut stream, Cause::Initial).await;
    // The other one must not look at what changes for a minute, and something did.
    let request =
        pb::WatchRequest { min_interval: seconds(60), progress_interval: seconds(600), ..ask(service("api")) };
    let mut held_back = f.watch(request).await;
    first(&mut held_back, Cause::Initial).await;
    f.register(vec![instance("api", "1")]).await;
    assert_eq!(ids(&delta(&next(&mut held_back).await).upserts), ["1"]);
    f.register(vec![instance("api", "2")]).await;
    f.core.drain();
    for stream in [&mut stream, &mut held_back] {
        let status = end(stream).await.unwrap();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "ERROR_REASON_NODE_DRAINING"));
    }
    f.serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_burst_is_held_back_but_not_lost() {
    let mut f = Fixture::start().await;
    let request = pb::WatchRequest { min_interval: millis(300), ..ask(service("web")) };
    let mut stream = f.watch(request).await;
    first(&mut stream, Cause::Initial).await;
    f.register(vec![instance("web", "0")]).await;
    assert_eq!(ids(&delta(&next(&mut stream).await).upserts), ["0"], "the first one comes at once");
    for id in ["1", "2", "3"] {
        f.register(vec![instance("web", id)]).await;
    }
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.extend(ids(&delta(&next(&mut stream).await).upserts));
    }
    seen.sort();
    assert_eq!(seen, ["1", "2", "3"]);
}
