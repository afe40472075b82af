//! Entries on their way to one follower, in virtual time.

use crate::proto::internal::call_response::Body as Answer;
use crate::proto::internal::refusal::Code;
use crate::proto::internal::replicate_response::Body;
use crate::proto::internal::{
    Append, Appended, CallRequest, CallResponse, InstallHead, InstallSnapshotResponse, LingerRequest, LogId as WireId,
    ReplicateRequest, ReplicateResponse, appended,
};
use crate::raft::codec;
use crate::raft::link::Link;
use crate::raft::network::Peer;
use crate::raft::session::Session;
use crate::raft::types::{Entry, LeaderId, LogId, Node, Payload, TypeConfig, Vote};
use crate::raft::{Lingered, Peers, Replies, Requests, Unreached, wire};
use crate::store::Medium;
use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use openraft::errors::RPCError;
use openraft::network::RPCOption;
use openraft::raft::{AppendEntriesRequest, StreamAppendResult};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_stream::wrappers::ReceiverStream;

const FOLLOWER: u64 = 2;
const LIMIT: Duration = Duration::from_millis(500);

/// What the follower does with a stream.
#[derive(Clone, Copy)]
enum Does {
    Answers,
    /// Nothing.
    Stalls,
    /// Takes 400 ms for each message.
    Works,
    /// Answers that often, then the connection breaks.
    Breaks(usize),
    /// It is of a version without streams.
    NotKnow,
}

/// A follower that takes everything, and remembers when.
#[derive(Clone)]
struct Follower {
    does: Does,
    /// How it came, when, the last entry and the last that is committed.
    got: Arc<Mutex<Vec<(&'static str, u128, u64, u64)>>>,
    /// How many streams were opened.
    opened: Arc<AtomicUsize>,
    began: Instant,
}

impl Follower {
    fn take(&self, how: &'static str, append: Append) -> Appended {
        let last = append.prev.as_ref().map_or(0, |id| id.index) + append.entries.len() as u64;
        let committed = append.committed.map_or(0, |id| id.index);
        self.got.lock().expect("nobody panicked").push((how, self.began.elapsed().as_millis(), last, committed));
        let matched = Some(WireId { term: 1, index: last });
        Appended { result: appended::Result::Success.into(), matched, vote: None }
    }

    fn got(&self) -> Vec<(&'static str, u128, u64, u64)> {
        std::mem::take(&mut self.got.lock().expect("nobody panicked"))
    }
}

impl Peers for Follower {
    fn call(&self, _: &str, request: CallRequest, _: Duration) -> BoxFuture<'static, Result<CallResponse, Unreached>> {
        let Some(crate::proto::internal::call_request::Body::Append(append)) = request.body else {
            unreachable!("nothing else is asked")
        };
        let body = Some(Answer::Append(self.take("call", append)));
        Box::pin(std::future::ready(Ok(CallResponse { body })))
    }

    fn replicate(&self, _: &str, requests: Requests) -> BoxFuture<'static, Result<Replies, Unreached>> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let follower = self.clone();
        let replies = requests.map(move |request| {
            let append = follower.take("stream", request.append.expect("has entries"));
            Ok(ReplicateResponse { body: Some(Body::Append(append)) })
        });
        let opened = match self.does {
            Does::Answers => Ok(replies.boxed()),
            Does::Stalls => Ok(replies.filter(|_| std::future::ready(false)).boxed()),
            Does::Works => Ok(replies
                .then(|reply| async move {
                    sleep(Duration::from_millis(400)).await;
                    reply
                })
                .boxed()),
            Does::Breaks(after) => Ok(replies.take(after).boxed()),
            Does::NotKnow => Err(Unreached::Unknown("the follower".into())),
        };
        Box::pin(std::future::ready(opened))
    }

    fn install_snapshot(
        &self,
        _: &str,
        _: InstallHead,
        _: BoxStream<'static, Bytes>,
    ) -> BoxFuture<'static, Result<InstallSnapshotResponse, Unreached>> {
        unreachable!("nothing needs a snapshot")
    }

    fn linger(&self, _: &str, _: LingerRequest) -> BoxFuture<'static, Lingered> {
        unreachable!("nobody follows")
    }
}

type Reply = Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>;

/// A session, and both of its ends.
struct Run {
    follower: Follower,
    link: Link,
    input: mpsc::Sender<AppendEntriesRequest<TypeConfig>>,
    replies: BoxStream<'static, Reply>,
}

fn follower(does: Does) -> (Follower, Peer) {
    let follower = Follower { does, got: Arc::default(), opened: Arc::default(), began: Instant::now() };
    let link = Link::new(Arc::new(follower.clone()), 1, true);
    (follower, Peer::new(link, (FOLLOWER, Node::default())))
}

fn run(does: Does) -> Run {
    let (follower, peer) = follower(does);
    let link = peer.link.clone();
    let (input, entries) = mpsc::channel(16);
    let session = Session::new(Box::leak(Box::new(peer)), ReceiverStream::new(entries), RPCOption::new(LIMIT));
    Run { follower, link, input, replies: session.run() }
}

/// A heartbeat, which says that the follower has all up to there, is answered.
async fn beat(peer: &mut Peer, matched: u64) {
    let input = futures::stream::iter([append(matched, 0, 0)]);
    let mut replies = Session::new(peer, input, RPCOption::new(LIMIT)).run();
    match replies.next().await {
        Some(Ok(Ok(at))) => assert_eq!(Some(id(matched)), at),
        other => panic!("{other:?} instead of {matched}"),
    }
    assert!(replies.next().await.is_none());
}

fn id(index: u64) -> LogId {
    codec::from_log_id(&WireId { term: 1, index })
}

/// `count` entries after `prev`, and what is committed.
fn append(prev: u64, count: u64, committed: u64) -> AppendEntriesRequest<TypeConfig> {
    let entries = (prev + 1..=prev + count).map(|index| Entry { log_id: id(index), payload: Payload::Blank });
    AppendEntriesRequest {
        vote: Vote { leader_id: LeaderId { term: 1, voted_for: 1 }, committed: true },
        prev_log_id: Some(id(prev)),
        entries: entries.collect(),
        leader_commit: Some(id(committed)),
    }
}

impl Run {
    async fn send(&self, append: AppendEntriesRequest<TypeConfig>) {
        self.input.send(append).await.expect("the session takes it");
    }

    /// The next answer says that the follower has all up to there.
    async fn matched(&mut self, index: u64) {
        match self.replies.next().await {
            Some(Ok(Ok(matched))) => assert_eq!(Some(id(index)), matched),
            other => panic!("{other:?} instead of {index}"),
        }
    }

    /// Nothing is answered for so long.
    async fn quiet(&mut self, time: Duration) {
        let reply = tokio::time::timeout(time, self.replies.next()).await;
        assert!(reply.is_err(), "{reply:?}");
    }

    async fn fails(&mut self, with: &str) {
        match self.replies.next().await {
            Some(Err(error)) => assert!(error.to_string().contains(with), "{error}"),
            other => panic!("{other:?} instead of an error"),
        }
        assert!(self.replies.next().await.is_none(), "an error is the last answer");
    }

    /// Two entries, as close to each other as busy writers send them.
    async fn make_busy(&mut self) {
        self.send(append(0, 1, 0)).await;
        self.matched(1).await;
        sleep(Duration::from_millis(1)).await;
        self.send(append(1, 1, 1)).await;
        self.matched(2).await;
        self.follower.got();
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_committed_comes_with_the_next_entries() {
    let mut run = run(Does::Answers);
    run.make_busy().await;
    run.send(append(2, 0, 2)).await;
    run.quiet(Duration::from_millis(1)).await;
    run.send(append(2, 1, 2)).await;
    run.matched(3).await;
    assert_eq!(vec![("stream", 2, 3, 2)], run.follower.got());
    // None follow: it goes alone, 2 ms later.
    run.send(append(3, 0, 3)).await;
    run.matched(3).await;
    assert_eq!(vec![("stream", 4, 3, 3)], run.follower.got());
}

#[tokio::test(start_paused = true)]
async fn what_is_committed_goes_at_once_where_somebody_waits_or_nothing_follows() {
    let mut run = run(Does::Answers);
    run.make_busy().await;
    run.link.haste.note(FOLLOWER);
    run.send(append(2, 0, 2)).await;
    run.matched(2).await;
    assert_eq!(vec![("stream", 1, 2, 2)], run.follower.got());
    // The haste is over, but writes are rare now.
    sleep(Duration::from_millis(200)).await;
    run.send(append(2, 1, 2)).await;
    run.matched(3).await;
    run.send(append(3, 0, 3)).await;
    run.matched(3).await;
    assert_eq!(vec![("stream", 201, 3, 2), ("stream", 201, 3, 3)], run.follower.got());
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_input_lets_go_of_what_was_held() {
    let mut run = run(Does::Answers);
    run.make_busy().await;
    run.send(append(2, 0, 2)).await;
    let Run { follower, input, mut replies, .. } = run;
    drop(input);
    assert!(matches!(replies.next().await, Some(Ok(Ok(matched))) if matched == Some(id(2))));
    assert!(replies.next().await.is_none());
    assert_eq!(vec![("stream", 1, 2, 2)], follower.got());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_broke_while_nothing_was_sent_is_made_again() {
    let mut run = run(Does::Breaks(1));
    run.send(append(0, 1, 0)).await;
    run.matched(1).await;
    run.quiet(Duration::from_secs(3)).await;
    run.send(append(1, 1, 1)).await;
    run.matched(2).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_before_the_answer_is_an_error() {
    let mut run = run(Does::Breaks(0));
    run.send(append(0, 1, 0)).await;
    run.fails("did not answer").await;
}

#[tokio::test(start_paused = true)]
async fn two_messages_go_ahead_and_an_answer_that_does_not_come_in_time_is_an_error() {
    let mut run = run(Does::Stalls);
    for index in 0..4 {
        run.send(append(index, 1, 0)).await;
    }
    run.quiet(LIMIT - Duration::from_millis(1)).await;
    run.fails("no answer in time").await;
    assert_eq!(vec![("stream", 0, 1, 0), ("stream", 0, 2, 0)], run.follower.got(), "two at a time");
}

#[tokio::test(start_paused = true)]
async fn a_message_has_its_time_from_the_answer_before_it_on() {
    let mut run = run(Does::Works);
    for index in 0..3 {
        run.send(append(index, 1, 0)).await;
    }
    for index in 1..=3 {
        run.matched(index).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_of_an_earlier_version_is_asked_by_call() {
    let mut run = run(Does::NotKnow);
    for index in 0..3 {
        run.send(append(index, 1, index)).await;
        run.matched(index + 1).await;
    }
    assert_eq!(vec![("call", 0, 1, 0), ("call", 0, 2, 1), ("call", 0, 3, 2)], run.follower.got());
}

#[tokio::test(start_paused = true)]
async fn heartbeats_go_on_one_stream() {
    let (follower, mut peer) = follower(Does::Answers);
    for index in 1..=3 {
        beat(&mut peer, index).await;
    }
    assert_eq!(1, follower.opened.load(Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_broke_between_heartbeats_is_opened_again() {
    let (follower, mut peer) = follower(Does::Breaks(1));
    for index in 1..=3 {
        beat(&mut peer, index).await;
    }
    assert_eq!(3, follower.opened.load(Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_waited_for_is_not_taken_for_the_next_one() {
    let (follower, mut peer) = follower(Does::Works);
    let early = tokio::time::timeout(Duration::from_millis(100), beat(&mut peer, 1)).await;
    assert!(early.is_err(), "it takes 400 ms");
    beat(&mut peer, 2).await;
    assert_eq!(2, follower.opened.load(Ordering::Relaxed));
}

/// What a follower says to a message that is not meant for it, or not whole; what comes after it is not looked at.
#[tokio::test]
async fn a_message_that_is_wrong_is_refused_and_ends_the_stream() {
    let handle = super::started(&Medium::Memory).await;
    let link = handle.link();
    let right = ReplicateRequest { cluster: link.cluster_bytes(), from: 9, to: link.id, append: None };
    let damaged = Append { vote: None, ..wire::append_out(&append(0, 1, 0)) };
    let not_whole = Append { entries: vec![Bytes::from_static(b"\xff")], ..wire::append_out(&append(0, 0, 0)) };
    let wrong = [
        (ReplicateRequest { cluster: Bytes::from_static(b"another"), ..right.clone() }, Code::WrongCluster),
        (ReplicateRequest { to: link.id + 1, ..right.clone() }, Code::WrongServer),
        (right.clone(), Code::Refused),
        (ReplicateRequest { append: Some(damaged), ..right.clone() }, Code::Refused),
        (ReplicateRequest { append: Some(not_whole), ..right.clone() }, Code::Refused),
    ];
    let last = handle.status().last_log;
    for (request, code) in wrong {
        let whole = ReplicateRequest { append: Some(wire::append_out(&append(last, 1, last))), ..right.clone() };
        let replies: Vec<_> = handle.serve_replication(futures::stream::iter([request.clone(), whole])).collect().await;
        match &replies[..] {
            [ReplicateResponse { body: Some(Body::Refusal(refusal)) }] => {
                assert_eq!(code, refusal.code(), "{refusal:?}")
            }
            other => panic!("{other:?} to {request:?}"),
        }
    }
    assert_eq!(last, handle.status().last_log);
}
