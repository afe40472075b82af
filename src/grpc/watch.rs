//! Watch: the set now, then every change of it.
//!
//! Owns: the order of a stream: snapshot, `complete`, deltas, progress. A stream is driven by its reader: nothing is
//! made before there is room to send it, so a slow reader is conflated to the newest set. Must never: miss a change, or
//! queue more than one snapshot.

use super::convert::instance::locality;
use super::convert::selector::{full_view, selector};
use super::convert::time::bounded_ms;
use super::convert::{Within, header, required};
use super::feed::{Feed, Feeds, Update, encode};
use super::resolve::asked;
use super::select::{Policy, Selector};
use super::set::{Set, catch_up};
use super::status::{invalid, status};
use super::token::{Purpose, Token};
use super::wire::{Frame, Stamp, put_bytes, put_parts};
use crate::machine::{State, Subject};
use crate::model::names::Invalid;
use crate::model::{InstanceKey, Locality};
use crate::proto::v1 as pb;
use crate::proto::v1::watch_response::Cause;
use crate::service::admission::Held;
use crate::service::{Consistency, Core, Error, ReadOptions};
use crate::watch::Subscription;
use bytes::Bytes;
use futures::future::select_all;
use futures::stream::BoxStream;
use std::collections::{HashSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;

/// What a stream sends.
pub(super) type WatchStream = BoxStream<'static, Result<Frame, Status>>;

/// Bounds and default of `progress_interval`, milliseconds.
pub(super) const PROGRESS_MS: (u64, u64, u64) = (100, 10 * 60 * 1000, 15_000);
const MIN_INTERVAL_MS_MAX: u64 = 60_000;
/// A message that holds nothing but `progress`.
const PROGRESS: &[u8] = &[0x2a, 0];

/// One stream.
pub(super) struct Watcher {
    core: Core,
    stamp: Stamp,
    feed: Arc<Feed>,
    changes: Vec<Subscription>,
    client: Locality,
    progress_every: Duration,
    min_interval: Duration,
    /// What the reader has once `pending` is sent.
    sent: Arc<Set>,
    /// Nothing was missed up to here.
    revision: u64,
    /// Messages on their way; the last part of a snapshot carries a token.
    pending: VecDeque<Message>,
    /// The topic was touched since the set was last looked at.
    dirty: bool,
    next_progress: Instant,
    next_delta: Instant,
    /// Wakes this stream at one of these times or before: setting it anew for every message would cost more than that.
    timer: Pin<Box<Sleep>>,
    ended: bool,
    /// On the connection.
    _place: Option<Held>,
}

struct Message {
    body: Bytes,
    token: bool,
}

struct Options {
    selector: Selector,
    full: bool,
    read: ReadOptions,
    client: Locality,
    progress_every: Duration,
    min_interval: Duration,
}

fn options(r: &pb::WatchRequest, deadline: Option<Instant>) -> Result<Options, Invalid> {
    let wanted = required("selector", r.selector.as_ref())?;
    let (min, max, default) = PROGRESS_MS;
    let progress_ms = bounded_ms("progress_interval", r.progress_interval, min, max, default)?;
    let interval_ms = bounded_ms("min_interval", r.min_interval, 0, MIN_INTERVAL_MS_MAX, 0)?;
    Ok(Options {
        selector: selector(wanted, Policy::Serving).within("selector")?,
        full: full_view(r.view)?,
        read: header::read_options(r.read.as_ref(), Consistency::Local, deadline).within("read")?,
        client: locality(r.client_locality.as_ref()).within("client_locality")?,
        progress_every: Duration::from_millis(progress_ms),
        min_interval: Duration::from_millis(interval_ms),
    })
}

impl Watcher {
    /// Checks the request, waits for the state it asks for, and prepares the first messages.
    pub(super) async fn open(
        core: &Core,
        stamp: &Stamp,
        feeds: &Feeds,
        r: &pb::WatchRequest,
        deadline: Option<Instant>,
    ) -> Result<Watcher, Status> {
        let mut options = options(r, deadline).map_err(invalid)?;
        if core.is_draining() {
            return Err(status(Error::Draining));
        }
        let token = Token::decode(Purpose::Discovery, &r.resume_token)
            .filter(|t| t.cluster == stamp.cluster() && t.asked == asked(&options.selector, options.full));
        // A token from a server that was ahead must not take its reader back in time.
        let seen = token.as_ref().map_or(0, |t| t.revision);
        options.read.min_revision = options.read.min_revision.max(seen);
        let changes = options.selector.topics().into_iter().map(|t| core.hub().subscribe(t)).collect();
        core.view(&options.read).await.map_err(status)?;
        // Not before the wait above: what follows is work, and the turn is for nothing else.
        let turn = core.admission().watch_start().await.map_err(|busy| status(Error::Overloaded(busy)))?;
        let view = core.local();
        let feed = feeds.join(options.selector, options.full);
        let sent = feed.advance(&view.state);
        let now = Instant::now();
        let mut watcher = Watcher {
            core: core.clone(),
            stamp: stamp.clone(),
            feed,
            changes,
            client: options.client,
            progress_every: options.progress_every,
            min_interval: options.min_interval,
            revision: sent.revision.max(view.state.revision()),
            sent,
            pending: VecDeque::new(),
            dirty: false,
            next_progress: now + options.progress_every,
            next_delta: now,
            timer: Box::pin(sleep_until(now + options.progress_every)),
            ended: false,
            _place: None,
        };
        match (r.resume_token.is_empty(), token) {
            (true, _) => watcher.push_snapshot(Cause::Initial),
            (false, None) => watcher.push_snapshot(Cause::OtherCluster),
            (false, Some(token)) => watcher.resume(token.revision).await,
        }
        drop(turn);
        Ok(watcher)
    }

    /// The same with a place on its connection.
    pub(super) fn holding(self, place: Option<Held>) -> Watcher {
        Watcher { _place: place, ..self }
    }

    /// The messages as a stream.
    pub(super) fn into_stream(self) -> WatchStream {
        // A pointer, because it is handed from one message to the next.
        Box::pin(futures::stream::unfold(Box::new(self), |mut watcher| async move {
            let item = watcher.next().await?;
            watcher.ended = item.is_err();
            Some((item, watcher))
        }))
    }

    async fn next(&mut self) -> Option<Result<Frame, Status>> {
        if self.ended {
            return None;
        }
        loop {
            if let Some(message) = self.pending.pop_front() {
                return Some(Ok(self.frame(message)));
            }
            let now = Instant::now();
            if self.dirty && now >= self.next_delta {
                self.look();
            } else if now >= self.next_progress {
                self.progress();
            } else if self.core.is_draining() {
                return Some(Err(status(Error::Draining)));
            } else {
                self.wait().await;
            }
        }
    }

    /// Waits until something may have to be sent, or this server stops.
    async fn wait(&mut self) {
        let until = if self.dirty { self.next_delta.min(self.next_progress) } else { self.next_progress };
        if self.timer.is_elapsed() || until < self.timer.deadline() {
            self.timer.as_mut().reset(until);
        }
        let Watcher { core, changes, dirty, timer, .. } = self;
        // The end is announced like a change. Whoever must not look at changes yet has to wait for it in its own right.
        let touched = async { if *dirty { core.drained().await } else { any(changes).await } };
        tokio::select! {
            biased;
            () = touched => self.dirty = true,
            () = timer => {}
        }
    }

    /// Brings the reader to the present.
    fn look(&mut self) {
        self.dirty = false;
        let view = self.core.local();
        let to = self.feed.advance(&view.state);
        let update = self.feed.update(&self.sent, &to);
        self.revision = self.revision.max(to.revision).max(view.state.revision());
        self.sent = to;
        match update {
            Update::Nothing => return,
            Update::Delta(body) => self.pending.push_back(Message { body, token: true }),
            Update::TooLarge => self.push_snapshot(Cause::SlowConsumer),
        }
        self.next_delta = Instant::now() + self.min_interval;
    }

    /// The reader must hear from us, whether anything changed or not.
    fn progress(&mut self) {
        if Instant::now() >= self.next_delta {
            // A change may be in the state before its announcement is here.
            self.look();
        }
        if self.pending.is_empty() {
            self.pending.push_back(Message { body: Bytes::from_static(PROGRESS), token: true });
        }
    }

    fn push_snapshot(&mut self, cause: Cause) {
        let parts = self.feed.snapshot(&self.sent, &self.client);
        let last = parts.len() - 1;
        for (at, part) in parts.iter().enumerate() {
            let complete = at == last;
            // Fields 1 and 4 of the snapshot; both numbers are below 128, so each is one byte.
            let cause = [0x08, cause as u8];
            let end: &[u8] = if complete { &[0x20, 1] } else { &[] };
            let mut body = Vec::with_capacity(part.len() + 16);
            put_parts(3, &[&cause, part, end], &mut body);
            self.pending.push_back(Message { body: body.into(), token: complete });
        }
    }

    fn frame(&mut self, message: Message) -> Frame {
        let mut head = self.stamp.head(&self.core.local(), self.revision);
        if message.token {
            let asked = asked(&self.feed.selector, self.feed.full);
            let (cluster, revision) = (self.stamp.cluster(), self.revision);
            let token = Token { purpose: Purpose::Discovery, cluster, asked, revision, last: Vec::new() };
            put_bytes(2, &token.encode(), &mut head);
        }
        self.next_progress = Instant::now() + self.progress_every;
        Frame { head, body: message.body }
    }

    /// Goes on from a token: everything that was touched since is sent as it is now.
    async fn resume(&mut self, since: u64) {
        // The set may be newer than the view that was asked for, since others bring it forward; never newer than this.
        let announced = announced(&self.core, &self.core.local().state).await;
        let selector = &self.feed.selector;
        let events = self.core.hub().events_since(since, |e| match &e.subject {
            Subject::Instance { service, .. } => selector.names(service),
            Subject::Kv { .. } => false,
        });
        let events = match events {
            Ok(events) if announced => events,
            _ => return self.push_snapshot(Cause::Compacted),
        };
        let touched: HashSet<InstanceKey> = events
            .into_iter()
            .filter_map(|e| match e.subject {
                Subject::Instance { service, node, id } => Some(InstanceKey { service: (*service).clone(), node, id }),
                Subject::Kv { .. } => None,
            })
            .collect();
        match encode(&catch_up(&self.sent, &touched, selector.health == Policy::FailOpen)) {
            // At once, so that the reader knows that it goes on without a snapshot.
            Update::Nothing => self.pending.push_back(Message { body: Bytes::from_static(PROGRESS), token: true }),
            Update::Delta(body) => self.pending.push_back(Message { body, token: true }),
            Update::TooLarge => self.push_snapshot(Cause::SlowConsumer),
        }
    }
}

/// Waits until the ring knows every change that the state holds. That is a matter of microseconds; false: it does not
/// come, and the ring cannot be trusted.
pub(super) async fn announced(core: &Core, state: &State) -> bool {
    let meta = state.meta();
    let changed = [meta.services_revision, meta.nodes_revision, meta.checks_revision, meta.kv_revision];
    let last = changed.into_iter().max().unwrap_or_default();
    for _ in 0..1000 {
        if core.hub().complete_to() >= last {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    false
}

/// Resolves when one of them does.
async fn any(changes: &mut [Subscription]) {
    match changes {
        [one] => one.changed().await,
        many => {
            select_all(many.iter_mut().map(|s| Box::pin(s.changed()))).await;
        }
    }
}
