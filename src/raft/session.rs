//! Entries on their way to one follower: sent on one stream, without waiting for the answer to those before.
//!
//! What is committed is news that can wait for the next entries to carry it: while writes come one after another, each
//! would cost every follower a second message. It does not wait where a client of the follower does ([`super::haste`]).

use super::link::{CallError, Link};
use super::network::{Peer, failed, limit};
use super::peers::{Replies, Unreached};
use super::types::{Node, TypeConfig};
use super::wire;
use crate::proto::internal::replicate_response::Body;
use crate::proto::internal::{ReplicateRequest, ReplicateResponse};
use futures::{Stream, StreamExt};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::RPCError;
use openraft::network::{RPCOption, RaftNetworkV2};
use openraft::raft::{AppendEntriesRequest, StreamAppendResult};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;

/// Messages without an answer; what is proposed meanwhile gathers, and goes as one.
const AHEAD: usize = 2;
/// What is committed waits so long for entries, if the last ones came as soon after those before them.
const HOLD: Duration = Duration::from_millis(2);

type Entries = AppendEntriesRequest<TypeConfig>;
type Reply = Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>;
/// What openraft wants of a network that sends entries.
pub(super) type Opening<'s> = BoxFuture<'s, Result<BoxStream<'s, Reply>, RPCError<TypeConfig>>>;

/// An open stream to the follower.
pub(super) struct Open {
    requests: mpsc::Sender<ReplicateRequest>,
    replies: Replies,
}

/// One run of openraft's replication to a follower, or one heartbeat. It goes on with the stream that the one before left;
/// it opens one when it has something to send, and again if the stream broke while it had nothing.
pub(super) struct Session<'s, S> {
    peer: &'s mut Peer,
    /// Entries to send; `None` at their end.
    input: Option<S>,
    open: Option<Open>,
    /// Messages without an answer, and when the first of them became the next to be answered.
    sent: usize,
    since: Instant,
    /// What is committed, and until when it may wait.
    held: Option<(Entries, Instant)>,
    /// When entries came last, and how long after those before them.
    last: Option<(Instant, Duration)>,
    option: RPCOption,
}

/// What a session waits for.
enum Event {
    /// An answer; `None`: the stream ended.
    Reply(Option<Result<ReplicateResponse, Unreached>>),
    /// Something to send; `None`: there will be nothing more.
    Input(Option<Entries>),
    /// An answer is late, or what was held has waited long enough.
    Time,
}

impl<'s, S: Stream<Item = Entries> + Send + Unpin + 'static> Session<'s, S> {
    /// A message that is not answered within the [`limit`] of `option`, counted from the answer to the one before, ends the
    /// session with an error.
    pub(super) fn new(peer: &'s mut Peer, input: S, option: RPCOption) -> Session<'s, S> {
        // A session that ends early leaves nothing: answers may be missing.
        let (open, sent, since, held, last) = (peer.open.get_mut().take(), 0, Instant::now(), None, None);
        Session { peer, input: Some(input), open, sent, since, held, last, option }
    }

    /// The answers, in the order of the input. An error is the last one.
    pub(super) fn run(self) -> BoxStream<'s, Reply> {
        let replies = futures::stream::unfold(Some(self), |session| async move {
            let mut session = session?;
            match session.reply().await {
                Ok(Some(result)) => Some((Ok(result), Some(session))),
                Ok(None) => {
                    *session.peer.open.get_mut() = session.open;
                    None
                }
                Err(error) => Some((Err(error), None)),
            }
        });
        Box::pin(replies)
    }

    /// Sends what there is until something is answered; `None` when all is.
    async fn reply(&mut self) -> Result<Option<StreamAppendResult<TypeConfig>>, RPCError<TypeConfig>> {
        while self.input.is_some() || self.sent > 0 {
            let next = match self.event().await {
                Event::Reply(Some(Ok(reply))) if self.sent > 0 => {
                    self.sent -= 1;
                    self.since = Instant::now();
                    return self.read(reply).map(Some).map_err(|e| failed(&e));
                }
                Event::Reply(end) if self.sent > 0 => {
                    let end = end.and_then(Result::err).unwrap_or_else(|| Unreached::NoAnswer("it ended".into()));
                    return Err(failed(&end.into()));
                }
                // Nothing is lost with it.
                Event::Reply(_) => {
                    self.open = None;
                    None
                }
                Event::Input(Some(entries)) => self.pace(entries),
                Event::Input(None) => {
                    self.input = None;
                    self.let_go()
                }
                Event::Time if self.sent > 0 && self.since.elapsed() >= limit(&self.option) => {
                    return Err(failed(&Unreached::NoAnswer("no answer in time".into()).into()));
                }
                Event::Time => self.let_go(),
            };
            if let Some(entries) = next
                && let Some(result) = self.send(entries).await?
            {
                return Ok(Some(result));
            }
        }
        Ok(None)
    }

    async fn event(&mut self) -> Event {
        let late = (self.sent > 0).then(|| self.since + limit(&self.option));
        let due = self.held.as_ref().map(|(_, until)| *until);
        let wake = late.into_iter().chain(due).min();
        tokio::select! {
            biased;
            Some(reply) = next_of(self.open.as_mut().map(|open| &mut open.replies)) => Event::Reply(reply),
            Some(entries) = next_of(self.input.as_mut().filter(|_| self.sent < AHEAD)) => Event::Input(entries),
            () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => Event::Time,
            else => std::future::pending().await,
        }
    }

    /// What to send now that there is `entries`: they or, if others are expected, nothing yet.
    fn pace(&mut self, entries: Entries) -> Option<Entries> {
        let now = Instant::now();
        let held = self.held.take();
        if !entries.entries.is_empty() {
            let gap = self.last.map_or(Duration::MAX, |(at, _)| now - at);
            self.last = Some((now, gap));
            return Some(entries);
        }
        let expected = self.last.is_some_and(|(_, gap)| gap < HOLD);
        if !expected || self.peer.link.haste.of(self.peer.target.0) {
            return Some(entries);
        }
        self.held = Some((entries, held.map_or(now + HOLD, |(_, until)| until)));
        None
    }

    fn let_go(&mut self) -> Option<Entries> {
        self.held.take().map(|(entries, _)| entries)
    }

    /// Sends entries. Only a server of an earlier version has answered when this returns.
    async fn send(&mut self, entries: Entries) -> Result<Option<StreamAppendResult<TypeConfig>>, RPCError<TypeConfig>> {
        let open = match &mut self.open {
            Some(open) => open,
            none => match open(&self.peer.link, &self.peer.target.1, limit(&self.option)).await {
                Ok(open) => none.insert(open),
                Err(Unreached::Unknown(_)) => return self.ask(entries).await.map(Some),
                Err(error) => return Err(failed(&error.into())),
            },
        };
        let Peer { link, target, .. } = &*self.peer;
        let (cluster, from, to) = (link.cluster_bytes(), link.id, target.0);
        let request = ReplicateRequest { cluster, from, to, append: Some(wire::append_out(&entries)) };
        // If the other end is gone, the replies say why.
        let _ = open.requests.send(request).await;
        if self.sent == 0 {
            self.since = Instant::now();
        }
        self.sent += 1;
        Ok(None)
    }

    fn read(&self, reply: ReplicateResponse) -> Result<StreamAppendResult<TypeConfig>, CallError> {
        match reply.body {
            Some(Body::Append(appended)) => wire::replicated_in(appended).map_err(|_| CallError::Confused),
            Some(Body::Refusal(refusal)) => Err(self.peer.link.refused(refusal)),
            None => Err(CallError::Confused),
        }
    }

    /// Entries as a question of their own.
    async fn ask(&mut self, entries: Entries) -> Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>> {
        let last = entries.entries.last().map(|entry| entry.log_id).or(entries.prev_log_id);
        let prev = entries.prev_log_id;
        let response = self.peer.append_entries(entries, self.option.clone()).await?;
        Ok(response.into_stream_result(prev, last))
    }
}

/// The next item of a stream that is there; `None` at once if it is not.
async fn next_of<S: Stream + Unpin>(stream: Option<&mut S>) -> Option<Option<S::Item>> {
    Some(stream?.next().await)
}

async fn open(link: &Link, node: &Node, limit: Duration) -> Result<Open, Unreached> {
    // The messages without an answer, and what was held.
    let (requests, queue) = mpsc::channel(AHEAD + 1);
    let opening = link.peers.replicate(&link.address_of(node), ReceiverStream::new(queue));
    let replies =
        timeout(limit, opening).await.unwrap_or_else(|_| Err(Unreached::NoAnswer("it did not open".into())))?;
    Ok(Open { requests, replies })
}
