//! Connections to other servers.

use crate::proto::internal::call_request::Body;
use crate::proto::internal::peer_service_client::PeerServiceClient;
use crate::proto::internal::{
    CallRequest, CallResponse, InstallHead, InstallSnapshotRequest, InstallSnapshotResponse, LingerRequest,
};
use crate::raft::{Lingered, Peers, Replies, Requests, Unreached};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, Stream, StreamExt};
use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

/// How long a connection may take to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// A silent peer is asked for a sign of life this often, and given up after that long.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(2);
const KEEPALIVE_WITHIN: Duration = Duration::from_secs(2);
/// Windows of a connection: a batch of the log in one go.
const WINDOW: u32 = 4 << 20;
/// How often, and how fast, a server whose connection broke is looked for.
const PROOFS: u32 = 10;
const PROOF_PAUSE: Duration = Duration::from_millis(20);
/// Largest message: a batch of entries.
pub const MESSAGE_MAX: usize = 64 << 20;

/// The connections of this server to others, made when they are needed and kept. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Connections {
    open: Arc<Mutex<HashMap<(Arc<str>, Lane), Channel>>>,
}

/// Which of the connections to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Lane {
    /// Messages of raft, heartbeats of sessions, questions: small, and waited for.
    Prompt,
    /// Writes that are passed on: many, or large. They must not stand before the others.
    Writes,
}

impl Lane {
    fn of(request: &CallRequest) -> Lane {
        match request.body {
            Some(Body::Propose(_)) => Lane::Writes,
            _ => Lane::Prompt,
        }
    }
}

impl Connections {
    fn open(&self) -> MutexGuard<'_, HashMap<(Arc<str>, Lane), Channel>> {
        // Every change of it is a single call.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn channel(&self, address: &str, lane: Lane) -> Result<Channel, Unreached> {
        let key = (address.into(), lane);
        if let Some(known) = self.open().get(&key) {
            return Ok(known.clone());
        }
        let channel = connect(address).await?;
        Ok(self.open().entry(key).or_insert(channel).clone())
    }

    /// After a failure of the connection the next call makes a new one, and learns whether anybody is there.
    fn forget(&self, address: &str, lane: Lane) {
        self.open().remove(&(address.into(), lane));
    }

    fn failed(&self, address: &str, lane: Lane, status: &Status) -> Unreached {
        if status.code() == Code::Unimplemented {
            return Unreached::Unknown(address.to_owned());
        }
        self.forget(address, lane);
        match refused(status) {
            true => Unreached::NotSent(format!("nobody listens at {address}")),
            false => Unreached::NoAnswer(format!("{address}: {}", status.message())),
        }
    }
}

/// A connection to the server port of a server.
///
/// # Errors
/// [`Unreached::NotSent`].
pub async fn connect(address: &str) -> Result<Channel, Unreached> {
    let not_sent = |e: &dyn Error| Unreached::NotSent(format!("{address}: {}", innermost(e)));
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|e| not_sent(&e))?;
    let endpoint = endpoint
        .connect_timeout(CONNECT_LIMIT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_EVERY)
        .keep_alive_timeout(KEEPALIVE_WITHIN)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW);
    endpoint.connect().await.map_err(|e| not_sent(&e))
}

/// The cause that says most.
fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

fn refused(status: &Status) -> bool {
    status.source().is_some_and(is_refused)
}

/// Whether a call failed because nobody listens: it was certainly not received.
pub fn is_refused(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = error.source();
    }
    false
}

fn client(channel: Channel) -> PeerServiceClient<Channel> {
    PeerServiceClient::new(channel).max_decoding_message_size(MESSAGE_MAX).max_encoding_message_size(MESSAGE_MAX)
}

impl Peers for Connections {
    fn call(
        &self,
        address: &str,
        request: CallRequest,
        limit: Duration,
    ) -> BoxFuture<'static, Result<CallResponse, Unreached>> {
        let (connections, address) = (self.clone(), address.to_owned());
        Box::pin(async move {
            let lane = Lane::of(&request);
            let channel = connections.channel(&address, lane).await?;
            match tokio::time::timeout(limit, client(channel).call(request)).await {
                Ok(Ok(response)) => Ok(response.into_inner()),
                Ok(Err(status)) => Err(connections.failed(&address, lane, &status)),
                // Slow is not broken: the connection stays, its keepalive finds out.
                Err(_) => Err(Unreached::NoAnswer(format!("{address}: no answer within {} ms", limit.as_millis()))),
            }
        })
    }

    fn replicate(&self, address: &str, requests: Requests) -> BoxFuture<'static, Result<Replies, Unreached>> {
        let (connections, address) = (self.clone(), address.to_owned());
        Box::pin(async move {
            let channel = connections.channel(&address, Lane::Prompt).await?;
            let opened = client(channel).replicate(requests).await;
            let replies = opened.map_err(|status| connections.failed(&address, Lane::Prompt, &status))?.into_inner();
            let failed = move |status: Status| connections.failed(&address, Lane::Prompt, &status);
            Ok(replies.map(move |reply| reply.map_err(&failed)).boxed())
        })
    }

    fn install_snapshot(
        &self,
        address: &str,
        head: InstallHead,
        chunks: BoxStream<'static, Bytes>,
    ) -> BoxFuture<'static, Result<InstallSnapshotResponse, Unreached>> {
        let address = address.to_owned();
        let head = InstallSnapshotRequest { head: Some(head), chunk: Bytes::new() };
        let messages = Messages { head: Some(head), chunks };
        Box::pin(async move {
            let channel = connect(&address).await?;
            let sent = client(channel).install_snapshot(messages).await;
            let failed = |status: Status| Unreached::NoAnswer(format!("{address}: {}", status.message()));
            sent.map(tonic::Response::into_inner).map_err(failed)
        })
    }

    fn linger(&self, address: &str, request: LingerRequest) -> BoxFuture<'static, Lingered> {
        let (connections, address) = (self.clone(), address.to_owned());
        Box::pin(async move {
            let Ok(channel) = connections.channel(&address, Lane::Prompt).await else {
                return proof(&address).await;
            };
            match client(channel).linger(request).await {
                Ok(_) => Lingered::Gone,
                Err(_) => {
                    connections.forget(&address, Lane::Prompt);
                    proof(&address).await
                }
            }
        })
    }
}

/// A snapshot as messages: the head, then the pieces.
struct Messages {
    head: Option<InstallSnapshotRequest>,
    chunks: BoxStream<'static, Bytes>,
}

impl Stream for Messages {
    type Item = InstallSnapshotRequest;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<InstallSnapshotRequest>> {
        if let Some(head) = self.head.take() {
            return Poll::Ready(Some(head));
        }
        let chunk = self.chunks.poll_next_unpin(cx);
        chunk.map(|chunk| Some(InstallSnapshotRequest { head: None, chunk: chunk? }))
    }
}

/// A broken connection may be the fault of the way; a refused one is that of the process.
///
/// While a process ends, its connections break some time before its listener is gone, so this looks more than once.
async fn proof(address: &str) -> Lingered {
    for _ in 0..PROOFS {
        match tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(address)).await {
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => return Lingered::Gone,
            Ok(Ok(_)) => tokio::time::sleep(PROOF_PAUSE).await,
            _ => return Lingered::Lost,
        }
    }
    Lingered::Lost
}
