//! WatchKeys: every change of a key or prefix, in order, none merged.
//!
//! Owns: the order and the completeness of a stream, and its bounded queue. Events come from the ring of the hub; they
//! are put into the queue as they happen, and a reader that leaves 4 MiB unread is told so, with a last token that is
//! recent. Must never: leave out an event without saying so.

use super::convert::header::{header, read_options};
use super::convert::kv::{kv_out, prefix};
use super::convert::selector::hash64;
use super::convert::time::bounded_ms;
use super::status::{invalid, status};
use super::token::{Purpose, Token, cluster_digest};
use super::watch::{PROGRESS_MS, announced};
use crate::command::Target;
use crate::machine::{Event, State, Subject};
use crate::model::KvEntry;
use crate::model::names::{self, Invalid};
use crate::proto::v1 as pb;
use crate::proto::v1::watch_keys_request::{Start, Target as WireTarget};
use crate::proto::v1::watch_keys_response::{Events, KeyEvent, Progress, Snapshot, Update};
use crate::service::admission::Held;
use crate::service::{Consistency, Core, Error};
use crate::watch::{Subscription, Topic};
use bytes::Bytes;
use futures::FutureExt;
use futures::stream::{BoxStream, StreamExt};
use prost::Message;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// What a stream sends.
pub(super) type Answers = BoxStream<'static, Result<pb::WatchKeysResponse, Status>>;

/// Bytes that a reader may leave unread.
const QUEUE_BYTES: usize = 4 * 1024 * 1024;
/// What a queued message costs beside its bytes; so this also bounds how many there are.
const MESSAGE_BYTES: usize = 256;
/// A message aims at this size.
const CHUNK: usize = 1024 * 1024;
/// The queue may be full for this long: one burst can be larger than it, and its reader is not slow for that.
const SLOW_AFTER: Duration = Duration::from_secs(1);
/// How often a quiet stream moves its position on, so that it is not left behind by the ring.
const STEP: Duration = Duration::from_millis(250);

/// The keys of a stream.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    target: Target,
    /// Tells one target from another in tokens.
    pub(super) asked: u64,
}

impl Keys {
    pub(super) fn new(target: Target) -> Keys {
        let asked = match &target {
            Target::Key(key) => hash64(&[b"k", &key[..]].concat()),
            Target::Prefix(prefix) => hash64(&[b"p", &prefix[..]].concat()),
        };
        Keys { target, asked }
    }

    fn parse(r: &pb::WatchKeysRequest) -> Result<Keys, Invalid> {
        Ok(Keys::new(match &r.target {
            None => return Err(Invalid::new("key", "key or prefix is required")),
            Some(WireTarget::Key(key)) => {
                names::key("key", key)?;
                Target::Key(key.clone())
            }
            Some(WireTarget::Prefix(bytes)) => {
                prefix("prefix", bytes)?;
                Target::Prefix(bytes.clone())
            }
        }))
    }

    fn topic(&self) -> Topic {
        match &self.target {
            Target::Key(key) => Topic::Key(key.clone()),
            Target::Prefix(prefix) => Topic::Prefix(prefix.clone()),
        }
    }

    fn holds(&self, event: &Event) -> bool {
        event.kv_key().is_some_and(|key| match &self.target {
            Target::Key(wanted) => key == wanted,
            Target::Prefix(prefix) => key.starts_with(prefix),
        })
    }

    /// The first entry behind `last`.
    fn next<'a>(&self, state: &'a State, last: Option<&[u8]>) -> Option<&'a Arc<KvEntry>> {
        match (&self.target, last) {
            (Target::Key(key), None) => state.kv(key),
            (Target::Key(_), Some(_)) => None,
            (Target::Prefix(prefix), last) => {
                let from = last.map_or_else(|| prefix.to_vec(), |last| [last, &[0]].concat());
                state.kv_from(&from).next().filter(|e| e.key.starts_with(prefix))
            }
        }
    }
}

/// The value of a key as of an older revision.
pub(super) async fn value_at(
    core: &Core,
    state: &State,
    key: &[u8],
    revision: u64,
) -> Result<Option<Arc<KvEntry>>, Error> {
    let known = announced(core, state).await;
    let events = core.hub().events_since(revision, |e| e.revision <= state.revision() && e.kv_key() == Some(key));
    match events {
        Err(compact_revision) => Err(Error::Compacted { compact_revision }),
        Ok(_) if !known => Err(Error::Compacted { compact_revision: state.revision() }),
        Ok(events) => Ok(match events.into_iter().next().map(|e| e.subject) {
            Some(Subject::Kv { before, .. }) => before,
            Some(Subject::Instance { .. }) | None => state.kv(key).cloned(),
        }),
    }
}

struct Queued {
    message: pb::WatchKeysResponse,
    /// Its share of the queue; given back when the message is taken out.
    _room: OwnedSemaphorePermit,
}

/// One stream before it begins.
pub(super) struct KeyWatcher {
    core: Core,
    keys: Keys,
    changes: Subscription,
    previous: bool,
    progress_every: Duration,
    cluster: u64,
    /// Everything up to this revision was queued.
    at: u64,
    /// Send this first.
    snapshot: Option<Arc<State>>,
    next_progress: Instant,
    queue: mpsc::Sender<Result<Queued, Status>>,
    answers: Option<mpsc::Receiver<Result<Queued, Status>>>,
    room: Arc<Semaphore>,
    /// All that was there at the beginning is queued: from here on the reader has to keep up.
    live: bool,
    /// On the connection.
    _place: Option<Held>,
}

/// Why a stream ends.
enum End {
    /// The reader is gone.
    Left,
    /// It is told this.
    With(Error),
}

impl KeyWatcher {
    /// Checks the request and finds where to begin.
    pub(super) async fn open(core: &Core, r: &pb::WatchKeysRequest, place: Option<Held>) -> Result<KeyWatcher, Status> {
        let keys = Keys::parse(r).map_err(invalid)?;
        let (min, max, default) = PROGRESS_MS;
        let progress_ms = bounded_ms("progress_interval", r.progress_interval, min, max, default).map_err(invalid)?;
        if core.is_draining() {
            return Err(status(Error::Draining));
        }
        let cluster = cluster_digest(core);
        let changes = core.hub().subscribe(keys.topic());
        let (at, snapshot) = begin(core, r, &keys, cluster).await.map_err(status)?;
        let progress_every = Duration::from_millis(progress_ms);
        let (queue, answers) = mpsc::channel(QUEUE_BYTES / MESSAGE_BYTES + 1);
        Ok(KeyWatcher {
            core: core.clone(),
            keys,
            changes,
            previous: r.previous,
            progress_every,
            cluster,
            at,
            snapshot,
            // At once, so that the reader knows where the stream begins.
            next_progress: Instant::now(),
            queue,
            answers: Some(answers),
            room: Arc::new(Semaphore::new(QUEUE_BYTES)),
            live: false,
            _place: place,
        })
    }

    /// Begins, on a task of its own.
    pub(super) fn into_stream(mut self) -> Answers {
        let Some(answers) = self.answers.take() else { return futures::stream::empty().boxed() };
        tokio::spawn(self.run());
        // Taking the message out of its envelope gives its room back.
        ReceiverStream::new(answers).map(|queued| queued.map(|q| q.message)).boxed()
    }

    async fn run(mut self) {
        if let Err(End::With(error)) = self.follow().await {
            // Behind what is queued; if the reader is gone, nobody needs it.
            let _ = self.queue.send(Err(status(error))).await;
        }
    }

    async fn follow(&mut self) -> Result<(), End> {
        if let Some(state) = self.snapshot.take() {
            self.send_snapshot(&state).await?;
        }
        let core = self.core.clone();
        let mut drained = std::pin::pin!(core.drained());
        loop {
            self.send_events().await?;
            self.live = true;
            if Instant::now() >= self.next_progress {
                self.put(Update::Progress(Progress {}), Some(self.at)).await?;
            }
            let wake = self.next_progress.min(Instant::now() + STEP);
            tokio::select! {
                biased;
                () = &mut drained => return Err(End::With(Error::Draining)),
                () = self.queue.closed() => return Err(End::Left),
                () = self.changes.changed() => {}
                () = tokio::time::sleep_until(wake) => self.step(),
            }
        }
    }

    /// Nothing was announced: nothing happened up to where announcements are complete.
    fn step(&mut self) {
        let complete = self.core.hub().complete_to();
        if self.changes.changed().now_or_never().is_none() {
            self.at = self.at.max(complete);
        }
    }

    async fn send_snapshot(&mut self, state: &State) -> Result<(), End> {
        let mut last: Option<Bytes> = None;
        loop {
            let mut kvs = Vec::new();
            let mut bytes = 0;
            let mut entry = self.keys.next(state, last.as_deref());
            while let Some(found) = entry.filter(|e| kvs.is_empty() || bytes + size(e) <= CHUNK) {
                bytes += size(found);
                last = Some(found.key.clone());
                kvs.push(kv_out(found));
                entry = self.keys.next(state, last.as_deref());
            }
            let complete = entry.is_none();
            let token = complete.then_some(self.at);
            self.put(Update::Snapshot(Snapshot { kvs, complete }), token).await?;
            if complete {
                return Ok(());
            }
        }
    }

    async fn send_events(&mut self) -> Result<(), End> {
        let complete = self.core.hub().complete_to();
        // After the announcement: whatever is complete is in the ring.
        let events = self.core.hub().events_since(self.at, |e| self.keys.holds(e));
        let events = events.map_err(|_| End::With(Error::SlowConsumer))?;
        let mut rest = &events[..];
        while let Some(first) = rest.first() {
            let mut count = 1;
            let mut bytes = weight(first, self.previous);
            while let Some(next) = rest.get(count) {
                bytes += weight(next, self.previous);
                if bytes > CHUNK {
                    break;
                }
                count += 1;
            }
            let (part, later) = rest.split_at(count);
            let revision = part.last().map_or(self.at, |e| e.revision);
            let more_in_revision = later.first().is_some_and(|e| e.revision == revision);
            let events = part.iter().filter_map(|e| key_event(e, self.previous)).collect();
            let token = (!more_in_revision).then_some(revision);
            self.put(Update::Events(Events { events, more_in_revision }), token).await?;
            self.at = revision;
            rest = later;
        }
        self.at = self.at.max(complete);
        Ok(())
    }

    /// Queues a message. Until the reader has caught up it may take its time; then it must keep up.
    async fn put(&mut self, update: Update, token: Option<u64>) -> Result<(), End> {
        let mut header = header(&self.core, &self.core.local());
        header.revision = token.unwrap_or(self.at);
        let token = token.map(|revision| {
            let (cluster, asked) = (self.cluster, self.keys.asked);
            Token { purpose: Purpose::Keys, cluster, asked, revision, last: Vec::new() }.encode()
        });
        let resume_token = token.unwrap_or_default();
        let message = pb::WatchKeysResponse { header: Some(header), resume_token, update: Some(update) };
        // A message may be larger than the whole queue only by a little: it then waits until the queue is empty.
        let cost = (message.encoded_len() + MESSAGE_BYTES).min(QUEUE_BYTES) as u32;
        let patience = if self.live { SLOW_AFTER } else { Duration::MAX };
        let room = tokio::select! {
            biased;
            () = self.queue.closed() => return Err(End::Left),
            room = tokio::time::timeout(patience, self.room.clone().acquire_many_owned(cost)) => room,
        };
        let room = room.map_err(|_| End::With(Error::SlowConsumer))?.map_err(|_| End::Left)?;
        self.next_progress = Instant::now() + self.progress_every;
        self.queue.send(Ok(Queued { message, _room: room })).await.map_err(|_| End::Left)
    }
}

fn size(entry: &KvEntry) -> usize {
    entry.key.len() + entry.value.len() + 64
}

fn weight(event: &Event, previous: bool) -> usize {
    match &event.subject {
        Subject::Instance { .. } => 0,
        Subject::Kv { before, after } => {
            let side = |e: &Option<Arc<KvEntry>>| e.as_ref().map_or(64, |e| size(e));
            side(after) + if previous { side(before) } else { 0 }
        }
    }
}

fn key_event(event: &Event, previous: bool) -> Option<KeyEvent> {
    let Subject::Kv { before, after } = &event.subject else { return None };
    let key = after.as_ref().or(before.as_ref())?.key.clone();
    Some(KeyEvent {
        key,
        current: after.as_deref().map(kv_out),
        previous: before.as_deref().filter(|_| previous).map(kv_out),
        revision: event.revision,
    })
}

/// The revision to begin behind, and the state to send first, if any.
async fn begin(
    core: &Core,
    r: &pb::WatchKeysRequest,
    keys: &Keys,
    cluster: u64,
) -> Result<(u64, Option<Arc<State>>), Error> {
    let asked_for = match &r.start {
        None | Some(Start::WithSnapshot(false)) => None,
        Some(Start::WithSnapshot(true)) => {
            let state = core.view(&read_options(None, Consistency::Linearizable, None)?).await?.state;
            return Ok((state.revision(), Some(state)));
        }
        Some(Start::AfterRevision(revision)) => Some(Some(*revision)),
        Some(Start::ResumeToken(bytes)) => {
            let token = Token::decode(Purpose::Keys, bytes)
                .ok_or_else(|| Error::invalid("resume_token", "is not a token of this rpc"))?;
            if token.asked != keys.asked {
                return Err(Error::invalid("resume_token", "is of another key or prefix"));
            }
            // The history of another cluster, or of the time before a restore, is not kept here.
            Some((token.cluster == cluster).then_some(token.revision))
        }
    };
    let Some(after) = asked_for else {
        let state = core.view(&read_options(None, Consistency::Linearizable, None)?).await?.state;
        return Ok((state.revision(), None));
    };
    let mut read = read_options(None, Consistency::Local, None)?;
    read.min_revision = after.unwrap_or_default();
    let state = core.view(&read).await?.state;
    let kept = match after {
        Some(after) => core.hub().events_since(after, |_| false).map(|_| after),
        None => Err(state.revision()),
    };
    match kept {
        Ok(after) => Ok((after, None)),
        Err(_) if r.snapshot_if_compacted => Ok((state.revision(), Some(state))),
        Err(compact_revision) => Err(Error::Compacted { compact_revision }),
    }
}
