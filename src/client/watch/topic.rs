//! One stream at the servers for all equal ones here.

use super::ring::{Frame, Ring, Slot};
use super::watched::{Position, Taken, Watched, Why};
use crate::client::backoff::Backoff;
use crate::client::servers::{Server, Servers};
use crate::clock::Clock;
use bytes::Bytes;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Code, Status, Streaming};

/// How far a topic is.
#[derive(Clone, Debug)]
enum Standing {
    /// Readers cannot be served yet.
    Opening,
    /// They can.
    Ready,
    /// The server refuses the request.
    Refused(Status),
}

/// What several readers watch.
pub(super) struct Topic<W: Watched> {
    shared: Arc<Shared<W>>,
    _task: AbortOnDropHandle<()>,
}

struct Shared<W> {
    shelf: Mutex<Shelf<W>>,
    standing: watch::Sender<Standing>,
    /// Touched after everything that a reader may have to look at.
    news: watch::Sender<()>,
}

/// Under one lock, so that a reader who looks sees as much of the one as of the other.
struct Shelf<W> {
    kind: W,
    ring: Ring,
    /// Readers at a smaller number have what was replaced.
    replaced: u64,
}

/// What a reader finds at its number.
pub(super) enum Read {
    /// The next message.
    Frame(Frame),
    /// It is behind: everything, and the number that follows. `None`: there is no such thing.
    Whole(Option<Vec<Bytes>>, u64),
    /// It has everything so far.
    Nothing,
    /// There will be no more.
    Refused(Status),
}

/// A reader's place: what to send first, and the number that follows.
pub(super) struct Place {
    pub(super) first: Vec<Bytes>,
    pub(super) at: u64,
}

impl<W: Watched> Shared<W> {
    fn shelf(&self) -> MutexGuard<'_, Shelf<W>> {
        // A panic in the middle of a message would leave the topic without it; the next whole brings it back.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, message: W::Answer) {
        let mut shelf = self.shelf();
        match shelf.kind.take(message) {
            Taken::Nothing => {}
            Taken::Change(frame) => shelf.ring.push(frame),
            Taken::Whole => {
                shelf.ring.clear();
                shelf.replaced = shelf.ring.next();
            }
        }
        if shelf.kind.is_ready() {
            self.standing.send_if_modified(|now| {
                let opening = matches!(now, Standing::Opening);
                if opening {
                    *now = Standing::Ready;
                }
                opening
            });
        }
        drop(shelf);
        self.news.send_replace(());
    }
}

impl<W: Watched> Topic<W> {
    /// Begins to watch; ends when it is dropped. `from`: where it begins, if not with the whole.
    pub(super) fn start(servers: Servers, clock: Clock, request: W::Request, from: Option<&Arc<Position>>) -> Topic<W> {
        let kind = W::begin(from);
        let standing = if kind.is_ready() { Standing::Ready } else { Standing::Opening };
        let ring = Ring::behind(from.map_or(0, |position| position.header.revision));
        let shared = Arc::new(Shared {
            shelf: Mutex::new(Shelf { kind, ring, replaced: 0 }),
            standing: watch::Sender::new(standing),
            news: watch::Sender::new(()),
        });
        let task = tokio::spawn(run(shared.clone(), servers, clock, request));
        Topic { shared, _task: AbortOnDropHandle::new(task) }
    }

    /// Resolves when there is something to show, or the request was refused.
    pub(super) async fn ready(&self) -> Result<(), Status> {
        let mut standing = self.shared.standing.subscribe();
        let known = standing.wait_for(|now| !matches!(now, Standing::Opening)).await;
        match known.as_deref() {
            Ok(Standing::Refused(status)) => Err(status.clone()),
            Ok(_) => Ok(()),
            Err(_) => Err(Status::unavailable("the watch has ended")),
        }
    }

    /// Whether the server refuses the request by now.
    pub(super) fn refused(&self) -> Option<Status> {
        match &*self.shared.standing.borrow() {
            Standing::Refused(status) => Some(status.clone()),
            Standing::Opening | Standing::Ready => None,
        }
    }

    /// Changes when a reader may find more.
    pub(super) fn news(&self) -> watch::Receiver<()> {
        self.shared.news.subscribe()
    }

    /// A place for a reader who has what this token says; `None` for kinds that have no whole.
    pub(super) fn join(&self, token: &[u8]) -> Option<Place> {
        let shelf = self.shared.shelf();
        let (kind, next) = (&shelf.kind, shelf.ring.next());
        if token.is_empty() {
            return Some(Place { first: kind.whole(Why::Begins)?, at: next });
        }
        if token == kind.token() {
            return Some(Place { first: kind.progress(None).into_iter().collect(), at: next });
        }
        match shelf.ring.behind_token(token) {
            Some(at) => Some(Place { first: Vec::new(), at }),
            None => Some(Place { first: kind.whole(Why::Forgotten)?, at: next }),
        }
    }

    /// The number for a reader who has everything up to this revision; `None`: what follows is not all here.
    pub(super) fn behind(&self, revision: u64) -> Option<u64> {
        self.shared.shelf().ring.behind_revision(revision)
    }

    /// What there is at a number.
    pub(super) fn read(&self, at: u64) -> Read {
        let shelf = self.shared.shelf();
        match shelf.ring.get(at) {
            Slot::Frame(frame) => Read::Frame(frame.clone()),
            Slot::Gone => {
                let why = if at < shelf.replaced { Why::Replaced } else { Why::Slow };
                Read::Whole(shelf.kind.whole(why), shelf.ring.next())
            }
            Slot::Next => self.refused().map_or(Read::Nothing, Read::Refused),
        }
    }

    /// Says that nothing was missed, if a reader at this number has everything.
    pub(super) fn progress(&self, at: u64, reader: Option<&Position>) -> Option<Bytes> {
        let shelf = self.shared.shelf();
        if at == shelf.ring.next() { shelf.kind.progress(reader) } else { None }
    }
}

/// Watches at one server after the other, each from where the last one ended.
async fn run<W: Watched>(shared: Arc<Shared<W>>, servers: Servers, clock: Clock, mut request: W::Request) {
    let mut backoff = Backoff::new(clock.clone());
    loop {
        shared.shelf().kind.resume(&mut request);
        let (server, opened) = open::<W>(&servers, &clock, &request).await;
        let ended = match opened {
            Ok(mut stream) => loop {
                tokio::select! {
                    message = stream.message() => match message {
                        Ok(Some(message)) => {
                            backoff.succeeded();
                            shared.take(message);
                        }
                        Ok(None) => break Status::unavailable("the server ended the stream"),
                        Err(status) => break status,
                    },
                    () = servers.replaced(&server) => break Status::unavailable("another server is asked"),
                }
            },
            Err(status) => status,
        };
        broken(&servers, &server, &ended);
        if is_final(ended.code()) {
            tracing::debug!(status = %ended, "a watch is refused");
            shared.standing.send_replace(Standing::Refused(ended));
            shared.news.send_replace(());
            return;
        }
        backoff.pause(&ended).await;
    }
}

/// Opens a stream at the server that is asked, whenever there is one; tries again unless that would not help.
pub(super) async fn open<W: Watched>(
    servers: &Servers,
    clock: &Clock,
    request: &W::Request,
) -> (Server, Result<Streaming<W::Answer>, Status>) {
    let mut backoff = Backoff::new(clock.clone());
    loop {
        let server = servers.up().await;
        match W::open(server.channel.clone(), request.clone()).await {
            Ok(stream) => return (server, Ok(stream.into_inner())),
            Err(status) if is_final(status.code()) => return (server, Err(status)),
            Err(status) => {
                broken(servers, &server, &status);
                backoff.pause(&status).await;
            }
        }
    }
}

/// A stream ended so: if the connection broke, another server is asked.
fn broken(servers: &Servers, server: &Server, status: &Status) {
    if std::error::Error::source(status).is_some() {
        servers.failed(server);
    }
}

/// Asking again would not help.
pub(super) fn is_final(code: Code) -> bool {
    use Code::*;
    matches!(
        code,
        InvalidArgument
            | NotFound
            | PermissionDenied
            | Unauthenticated
            | Unimplemented
            | OutOfRange
            | FailedPrecondition
    )
}
