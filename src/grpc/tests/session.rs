//! Sessions, the Attach stream, locks and elections.

use super::fixture::{Fixture, end, field, ids, instance, next, reason, seconds, service};
use crate::proto::v1 as pb;
use crate::proto::v1::attach_request::{Close, Heartbeat, Op, Open, Register, Report};
use crate::proto::v1::attach_response::{Event, Opened};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};

/// One Attach stream.
struct Attached {
    seq: u64,
    requests: mpsc::Sender<pb::AttachRequest>,
    answers: Streaming<pb::AttachResponse>,
}

impl Attached {
    async fn open(f: &mut Fixture, open: Open) -> (Attached, Opened) {
        let (requests, queue) = mpsc::channel(16);
        requests.send(pb::AttachRequest { seq: 1, op: Some(Op::Open(open)) }).await.unwrap();
        let mut answers = f.session.attach(ReceiverStream::new(queue)).await.unwrap().into_inner();
        let first = next(&mut answers).await;
        let Some(Event::Opened(opened)) = first.event else { panic!("{first:?}") };
        assert_eq!(first.ack_seq, 1);
        (Attached { seq: 1, requests, answers }, opened)
    }

    async fn send(&mut self, op: Op) -> u64 {
        self.seq += 1;
        self.requests.send(pb::AttachRequest { seq: self.seq, op: Some(op) }).await.unwrap();
        self.seq
    }

    async fn ask(&mut self, op: Op) -> Event {
        let seq = self.send(op).await;
        let answer = next(&mut self.answers).await;
        assert_eq!(answer.ack_seq, seq);
        answer.event.unwrap()
    }

    async fn event(&mut self) -> Event {
        let answer = next(&mut self.answers).await;
        assert_eq!(answer.ack_seq, 0);
        answer.event.unwrap()
    }
}

fn register(instances: Vec<pb::Instance>) -> Op {
    Op::Register(Register { instances })
}

#[tokio::test]
async fn a_process_lives_on_its_stream() {
    let mut f = Fixture::start().await;
    let (mut stream, opened) = Attached::open(&mut f, Open::default()).await;
    let session = opened.session.unwrap();
    assert_eq!((session.ttl, opened.heartbeat_interval), (seconds(15), seconds(5)));
    assert!(!opened.resumed && opened.secret.len() == 16);
    let one = instance("web", "1");
    let Event::Acked(acked) = stream.ask(register(vec![one.clone()])).await else { panic!("not acked") };
    assert!(acked.revision > 0 && acked.remaining.is_some());
    let found = f.resolve(service("web")).await.instances;
    assert_eq!(found[0].session_id, session.session_id);
    let checks =
        vec![pb::Check { check_id: "c".into(), state: pb::HealthState::Critical.into(), ..Default::default() }];
    let report = Op::Report(Report { key: one.key.clone(), checks, lifecycle: 0 });
    assert!(matches!(stream.ask(report).await, Event::Acked(_)));
    assert!(f.resolve(service("web")).await.instances.is_empty());
    assert!(matches!(stream.ask(Op::Heartbeat(Heartbeat {})).await, Event::Acked(_)));
    assert!(matches!(stream.ask(Op::Close(Close {})).await, Event::Acked(_)));
    assert!(end(&mut stream.answers).await.is_none(), "the stream ends well");
    assert!(!f.resolve(service("web")).await.state.unwrap().exists);
}

#[tokio::test]
async fn a_failed_request_has_details_and_the_stream_goes_on() {
    let mut f = Fixture::start().await;
    let (mut stream, _) = Attached::open(&mut f, Open::default()).await;
    let bad = pb::Instance { address: String::new(), ..instance("web", "1") };
    let Event::Failed(failed) = stream.ask(register(vec![bad])).await else { panic!("not failed") };
    assert_eq!(failed.code, i32::from(Code::InvalidArgument));
    assert!(failed.message.contains("register.instances[0].address"), "{}", failed.message);
    assert_eq!(failed.details.len(), 2, "{:?}", failed.details);
    stream.seq = 1;
    let Event::Failed(failed) = stream.ask(Op::Heartbeat(Heartbeat {})).await else { panic!("not failed") };
    assert!(failed.message.contains("seq"), "{}", failed.message);
    stream.seq = 5;
    assert!(matches!(stream.ask(Op::Open(Open::default())).await, Event::Failed(_)));
    assert!(matches!(stream.ask(register(vec![instance("web", "1")])).await, Event::Acked(_)));
}

#[tokio::test]
async fn a_stream_must_begin_with_open_and_prove_a_session() {
    let mut f = Fixture::start().await;
    let heartbeat = pb::AttachRequest { seq: 1, op: Some(Op::Heartbeat(Heartbeat {})) };
    let mut answers = f.session.attach(tokio_stream::iter([heartbeat])).await.unwrap().into_inner();
    assert_eq!(end(&mut answers).await.unwrap().code(), Code::InvalidArgument);
    let (_stream, opened) = Attached::open(&mut f, Open::default()).await;
    let session_id = opened.session.unwrap().session_id;
    let mut try_open = async |open: Open| {
        let first = pb::AttachRequest { seq: 1, op: Some(Op::Open(open)) };
        let mut answers = f.session.attach(tokio_stream::iter([first])).await.unwrap().into_inner();
        end(&mut answers).await.unwrap()
    };
    let wrong = Open { session_id: session_id.clone(), secret: "wrong".into(), ..Default::default() };
    let status = try_open(wrong).await;
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::PermissionDenied, "ERROR_REASON_SESSION_SECRET_MISMATCH")
    );
    let gone = Open { session_id: uuid::Uuid::from_u128(9).to_string(), secret: "x".into(), ..Default::default() };
    let status = try_open(gone).await;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "ERROR_REASON_SESSION_EXPIRED"));
    let short = Open { ttl: seconds(1), ..Default::default() };
    assert_eq!(try_open(short).await.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_broken_stream_leaves_the_grace_and_a_new_one_takes_over() {
    let mut f = Fixture::start().await;
    let (mut stream, opened) = Attached::open(&mut f, Open::default()).await;
    stream.ask(register(vec![instance("web", "1")])).await;
    drop(stream);
    let session_id = opened.session.unwrap().session_id;
    let resume = Open { session_id: session_id.clone(), secret: opened.secret.clone(), ..Default::default() };
    let (mut stream, opened) = Attached::open(&mut f, resume).await;
    assert!(opened.resumed && opened.secret.is_empty());
    assert_eq!(opened.session.unwrap().session_id, session_id);
    assert_eq!(ids(&f.resolve(service("web")).await.instances), ["1"]);
    assert!(matches!(stream.ask(Op::Heartbeat(Heartbeat {})).await, Event::Acked(_)));
}

#[tokio::test]
async fn without_grace_a_broken_stream_ends_the_session() {
    let mut f = Fixture::start().await;
    let open = Open { ttl: seconds(3), disconnect_grace: seconds(0), ..Default::default() };
    let (mut stream, _) = Attached::open(&mut f, open).await;
    stream.ask(register(vec![instance("web", "1")])).await;
    let ask = pb::WatchRequest { selector: Some(service("web")), ..Default::default() };
    let mut watch = f.watch(ask).await;
    next(&mut watch).await;
    drop(stream);
    let message = next(&mut watch).await;
    let Some(pb::watch_response::Update::Delta(delta)) = message.update else { panic!("{message:?}") };
    assert_eq!(delta.removed.len(), 1);
}

#[tokio::test]
async fn an_operators_word_and_the_end_of_the_session_are_told() {
    let mut f = Fixture::start().await;
    let (mut stream, opened) = Attached::open(&mut f, Open::default()).await;
    let one = instance("web", "1");
    stream.ask(register(vec![one.clone()])).await;
    let word = pb::Override { drain: true, reason: "why".into(), ..Default::default() };
    let set = pb::SetOverrideRequest { key: one.key.clone(), r#override: Some(word.clone()), ..Default::default() };
    f.registry.set_override(set.clone()).await.unwrap();
    let Event::Overridden(told) = stream.event().await else { panic!("not told") };
    assert_eq!((told.key.unwrap().instance_id.as_str(), told.r#override), ("1", Some(word)));
    assert!(f.resolve(service("web")).await.instances.is_empty(), "drained");
    stream.ask(register(vec![pb::Instance { port: 81, ..one.clone() }])).await;
    assert!(f.resolve(service("web")).await.instances.is_empty(), "the word survives");
    f.registry.set_override(pb::SetOverrideRequest { r#override: None, ..set }).await.unwrap();
    let Event::Overridden(told) = stream.event().await else { panic!("not told") };
    assert_eq!(told.r#override, None);
    let close = pb::CloseSessionRequest {
        session_id: opened.session.unwrap().session_id,
        secret: opened.secret,
        ..Default::default()
    };
    assert_eq!(f.session.close_session(close).await.unwrap().into_inner().removed, 1);
    assert!(matches!(stream.event().await, Event::Expired(_)));
    assert!(end(&mut stream.answers).await.is_none());
}

#[tokio::test]
async fn a_stopping_server_sends_its_processes_elsewhere() {
    let mut f = Fixture::start().await;
    let (mut stream, _) = Attached::open(&mut f, Open::default()).await;
    f.core.drain();
    assert!(matches!(stream.event().await, Event::Migrate(_)));
}

struct Owner {
    session_id: String,
    secret: Bytes,
}

async fn owner(f: &mut Fixture) -> Owner {
    let done = f.session.create_session(pb::CreateSessionRequest::default()).await.unwrap().into_inner();
    Owner { session_id: done.session.unwrap().session_id, secret: done.secret }
}

#[tokio::test]
async fn sessions_without_a_stream_are_kept_alive_listed_and_closed() {
    let mut f = Fixture::start().await;
    let request_id = uuid::Uuid::from_u128(77).to_string();
    let create = pb::CreateSessionRequest { request_id, ..Default::default() };
    let first = f.session.create_session(create.clone()).await.unwrap().into_inner();
    let again = f.session.create_session(create).await.unwrap().into_inner();
    assert_eq!(
        (&first.secret, &first.session.as_ref().unwrap().session_id),
        (&again.secret, &again.session.unwrap().session_id)
    );
    let other = owner(&mut f).await;
    let list = pb::ListSessionsRequest { page_size: 1, ..Default::default() };
    let page = f.session.list_sessions(list.clone()).await.unwrap().into_inner();
    let page_token = page.next_page_token.clone();
    let rest = f.session.list_sessions(pb::ListSessionsRequest { page_token, ..list }).await.unwrap().into_inner();
    assert_eq!((page.sessions.len(), rest.sessions.len(), rest.next_page_token.as_str()), (1, 1, ""));
    let filter = format!("ID == \"{}\" and TTL == 15000", other.session_id);
    let page = f.session.list_sessions(pb::ListSessionsRequest { filter, ..Default::default() }).await.unwrap();
    assert_eq!(page.into_inner().sessions[0].session_id, other.session_id);
    let keep = pb::KeepAliveSessionRequest { session_id: other.session_id.clone(), secret: other.secret.clone() };
    let kept = f.session.keep_alive_session(keep.clone()).await.unwrap().into_inner().session.unwrap();
    assert_eq!(kept.remaining, seconds(15));
    let wrong = pb::KeepAliveSessionRequest { secret: "no".into(), ..keep.clone() };
    assert_eq!(f.session.keep_alive_session(wrong).await.unwrap_err().code(), Code::PermissionDenied);
    let id = pb::KeepAliveSessionRequest { session_id: "no".into(), ..keep };
    assert_eq!(field(f.session.keep_alive_session(id).await), "session_id");
}

#[tokio::test]
async fn a_lock_is_held_waited_for_and_passed_on() {
    let mut f = Fixture::start().await;
    let (a, b) = (owner(&mut f).await, owner(&mut f).await);
    let ask = |o: &Owner, wait| pb::AcquireLockRequest {
        name: "l".into(),
        session_id: o.session_id.clone(),
        secret: o.secret.clone(),
        wait,
        ..Default::default()
    };
    let first = f.coordination.acquire_lock(ask(&a, None)).await.unwrap().into_inner();
    assert!(first.acquired && first.fencing_token > 0);
    let refused = f.coordination.acquire_lock(ask(&b, None)).await.unwrap().into_inner();
    assert_eq!((refused.acquired, refused.holder_session_id), (false, a.session_id.clone()));
    let mut waiting = f.coordination.clone();
    let request = ask(&b, seconds(60));
    let waiter = tokio::spawn(async move { waiting.acquire_lock(request).await });
    let release = pb::ReleaseLockRequest {
        name: "l".into(),
        session_id: a.session_id.clone(),
        secret: a.secret.clone(),
        fencing_token: first.fencing_token,
    };
    f.coordination.release_lock(release.clone()).await.unwrap();
    let second = waiter.await.unwrap().unwrap().into_inner();
    assert!(second.acquired && second.fencing_token > first.fencing_token);
    let status = f.coordination.release_lock(release).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "ERROR_REASON_LOCK_NOT_HELD"));
    let many = pb::AcquireLockRequest { permits: 1025, ..ask(&a, None) };
    assert_eq!(field(f.coordination.acquire_lock(many).await), "permits");
}

#[tokio::test]
async fn an_election_is_observed() {
    let mut f = Fixture::start().await;
    let a = owner(&mut f).await;
    let observe = pb::ObserveElectionRequest { election: "e".into() };
    let mut stream = f.coordination.observe_election(observe).await.unwrap().into_inner();
    assert_eq!(next(&mut stream).await.session_id, None);
    let campaign = pb::CampaignRequest {
        election: "e".into(),
        session_id: a.session_id.clone(),
        secret: a.secret.clone(),
        value: "v1".into(),
    };
    let token = f.coordination.campaign(campaign).await.unwrap().into_inner().fencing_token;
    let leader = next(&mut stream).await;
    assert_eq!((leader.session_id, leader.value, leader.fencing_token), (Some(a.session_id), "v1".into(), token));
    let proclaim = pb::ProclaimRequest {
        election: "e".into(),
        fencing_token: token,
        secret: a.secret.clone(),
        value: "v2".into(),
    };
    f.coordination.proclaim(proclaim.clone()).await.unwrap();
    assert_eq!(next(&mut stream).await.value, "v2");
    let wrong = pb::ProclaimRequest { secret: "no".into(), ..proclaim };
    assert_eq!(f.coordination.proclaim(wrong).await.unwrap_err().code(), Code::PermissionDenied);
    let resign = pb::ResignRequest { election: "e".into(), fencing_token: token, secret: a.secret };
    f.coordination.resign(resign).await.unwrap();
    assert_eq!(next(&mut stream).await.session_id, None);
}
