//! What clients are told when a class of work is full, and what goes on all the same.

use super::fixture::{Fixture, instance, next, prefix, reason, service};
use crate::proto::v1 as pb;
use crate::service::admission::{Bounds, Permit};
use crate::service::{Core, SessionSpec};
use futures::FutureExt;
use tonic::{Code, Status};
use tonic_types::StatusExt;

const NOBODY: Bounds = Bounds { writes: 0, watch_starts: 0, lists: 0 };

/// Takes every turn for watch starts there is.
fn all_turns(core: &Core) -> Vec<Permit<'_>> {
    let turn = || core.admission().watch_start().now_or_never().and_then(Result::ok);
    std::iter::from_fn(turn).collect()
}

#[track_caller]
fn is_busy(status: &Status, class: &str) {
    let text = format!("this server is busy with {class}: too many wait already");
    assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, text.as_str()));
    assert_eq!(reason(status), "ERROR_REASON_RATE_LIMITED");
    let details = status.get_error_details();
    assert_eq!(details.error_info().map(|info| info.metadata["limit"].as_str()), Some(class));
    assert!(details.retry_info().and_then(|info| info.retry_delay).is_some_and(|after| !after.is_zero()));
}

#[tokio::test]
async fn watches_and_lists_are_sent_away_and_everything_above_goes_on() {
    let mut f = Fixture::start().await;
    f.register(vec![instance("web", "1")]).await;
    let core = f.core.clone();
    core.admission().set(NOBODY);
    let turns = all_turns(&core);
    assert!(!turns.is_empty());
    let watch = || pb::WatchRequest { selector: Some(service("web")), ..Default::default() };
    is_busy(&f.discovery.watch(watch()).await.expect_err("no turn"), "watch starts");
    let list = || pb::ListInstancesRequest { selector: Some(prefix("")), ..Default::default() };
    is_busy(&f.discovery.list_instances(list()).await.expect_err("no turn"), "lists");
    is_busy(&f.discovery.list_services(pb::ListServicesRequest::default()).await.expect_err("no turn"), "lists");
    is_busy(&f.kv.list(pb::ListRequest::default()).await.expect_err("no turn"), "lists");
    is_busy(&f.session.list_sessions(pb::ListSessionsRequest::default()).await.expect_err("no turn"), "lists");
    let all = pb::ResolveRequest { selector: Some(prefix("w")), ..Default::default() };
    is_busy(&f.discovery.resolve(all).await.expect_err("no turn"), "lists");
    // Look-ups, writes, sessions.
    assert_eq!(f.resolve(service("web")).await.instances.len(), 1);
    f.put("k", "v").await;
    let created = f.session.create_session(pb::CreateSessionRequest::default()).await.expect("created").into_inner();
    let (session_id, secret) = (created.session.expect("a session").session_id, created.secret);
    let beat = pb::KeepAliveSessionRequest { session_id, secret };
    f.session.keep_alive_session(beat).await.expect("a heartbeat");
    drop(turns);
    let mut stream = f.watch(watch()).await;
    next(&mut stream).await;
    f.discovery.list_instances(list()).await.expect("listed");
}

#[tokio::test]
async fn writes_are_sent_away_and_sessions_live_on() {
    let mut f = Fixture::start().await;
    let created = f.session.create_session(pb::CreateSessionRequest::default()).await.expect("created").into_inner();
    let core = f.core.clone();
    core.admission().set(NOBODY);
    let large = crate::command::Put { value: vec![0; 64 << 20].into(), ..Default::default() };
    let large = crate::command::Command::Put(large);
    let lane = crate::service::admission::Lane::of(&large);
    let writes = core.admission().command(lane, &large).await.expect("all of it");
    let put = pb::PutRequest { key: "k".into(), ..Default::default() };
    is_busy(&f.kv.put(put.clone()).await.expect_err("full"), "writes");
    let register = pb::RegisterInstancesRequest { instances: vec![instance("web", "1")], ..Default::default() };
    is_busy(&f.registry.register_instances(register).await.expect_err("full"), "writes");
    // Beginning, keeping alive, ending.
    let (session_id, secret) = (created.session.expect("a session").session_id, created.secret);
    let beat = pb::KeepAliveSessionRequest { session_id: session_id.clone(), secret: secret.clone() };
    f.session.keep_alive_session(beat).await.expect("a heartbeat");
    f.core.create_session(None, SessionSpec::default()).await.expect("another one");
    let close = pb::CloseSessionRequest { session_id, secret, ..Default::default() };
    f.session.close_session(close).await.expect("closed");
    drop(writes);
    f.kv.put(put).await.expect("room");
}
