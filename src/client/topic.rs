//! One watch at the servers for all equal watches here.

use super::backoff::Backoff;
use super::servers::Servers;
use super::topic_set::Set;
use crate::clock::Clock;
use crate::proto::v1 as pb;
use crate::proto::v1::discovery_service_client::DiscoveryServiceClient;
use crate::proto::v1::watch_response::Cause;
use bytes::Bytes;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{broadcast, watch};
use tokio_util::task::AbortOnDropHandle;
use tonic::{Code, Status};

/// Messages that a reader may be behind; then it gets a snapshot.
const BEHIND_MAX: usize = 256;
/// Largest message of a server.
const MESSAGE_MAX: usize = 64 << 20;
/// How often the server says that nothing was missed; each reader here has its own time for that.
const PROGRESS_SECONDS: i64 = 5;

/// How far a topic is.
#[derive(Clone, Debug)]
pub(super) enum Standing {
    /// There was no snapshot yet.
    Opening,
    /// Readers can be served.
    Ready,
    /// The server refuses the request.
    Refused(Status),
}

/// What several readers watch.
pub(super) struct Topic {
    shared: Arc<Shared>,
    _task: AbortOnDropHandle<()>,
}

struct Shared {
    set: Mutex<Set>,
    /// Sent while the set is locked, so that a reader who joins has all that the set has, and hears all that follows.
    news: broadcast::Sender<Bytes>,
    standing: watch::Sender<Standing>,
}

/// A reader's place: what to send first, and what follows.
pub(super) struct Place {
    pub(super) first: Vec<Bytes>,
    pub(super) news: broadcast::Receiver<Bytes>,
}

impl Shared {
    fn set(&self) -> MutexGuard<'_, Set> {
        // A panic in the middle of a message would leave the set without it; the next snapshot brings it back.
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, message: pb::WatchResponse) {
        let mut set = self.set();
        for message in set.take(message) {
            // Nobody may be there.
            let _ = self.news.send(message);
        }
        if set.ready {
            self.standing.send_if_modified(|now| {
                let opening = matches!(now, Standing::Opening);
                if opening {
                    *now = Standing::Ready;
                }
                opening
            });
        }
    }
}

impl Topic {
    /// Begins to watch; ends when it is dropped.
    pub(super) fn start(servers: Servers, clock: Clock, request: pb::WatchRequest) -> Topic {
        let shared = Arc::new(Shared {
            set: Mutex::new(Set::new()),
            news: broadcast::Sender::new(BEHIND_MAX),
            standing: watch::Sender::new(Standing::Opening),
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

    /// A place for a reader who has what this token says.
    pub(super) fn join(&self, token: &[u8]) -> Place {
        let set = self.shared.set();
        Place { first: set.beginning(token), news: self.shared.news.subscribe() }
    }

    /// A new place for a reader who was too slow.
    pub(super) fn rejoin(&self) -> Place {
        let set = self.shared.set();
        Place { first: set.snapshot(Cause::SlowConsumer), news: self.shared.news.subscribe() }
    }

    /// Nothing was missed so far.
    pub(super) fn progress(&self) -> Bytes {
        self.shared.set().progress()
    }
}

/// Watches at one server after the other, each from where the last one ended.
async fn run(shared: Arc<Shared>, servers: Servers, clock: Clock, mut request: pb::WatchRequest) {
    request.progress_interval = Some(prost_types::Duration { seconds: PROGRESS_SECONDS, nanos: 0 });
    let mut backoff = Backoff::new(clock);
    loop {
        let server = servers.up().await;
        request.resume_token = shared.set().token.clone();
        shared.set().restart();
        let mut client = DiscoveryServiceClient::new(server.channel.clone()).max_decoding_message_size(MESSAGE_MAX);
        let ended = match client.watch(request.clone()).await {
            Ok(stream) => {
                let mut stream = stream.into_inner();
                loop {
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
                }
            }
            Err(status) => status,
        };
        if std::error::Error::source(&ended).is_some() {
            servers.failed(&server);
        }
        if is_final(ended.code()) {
            tracing::debug!(status = %ended, "a watch is refused");
            shared.standing.send_replace(Standing::Refused(ended));
            return;
        }
        backoff.pause(&ended).await;
    }
}

/// Asking again would not help.
fn is_final(code: Code) -> bool {
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
