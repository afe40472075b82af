//! Connections: accepted, counted per client, served by hyper's HTTP/1, and ended in good order.

use super::body::RequestBody;
use super::error::Error;
use super::gateway::{Answering, Front, Gateway};
use super::head_timer::HeadTimer;
use super::reply::Answer;
use crate::service::admission::{Busy, Connection, Connections};
use http::header::CONNECTION;
use http::{HeaderValue, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_util::either::Either;
use tokio_util::task::TaskTracker;

/// A connection that sends no complete request head for so long is closed, an idle one too: longer than the 90 s after
/// which Go's clients drop their own idle connections, so that they do not write into one that is just being closed.
const HEAD_TIMEOUT: Duration = Duration::from_secs(120);
/// How long open connections may take to finish when the server stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client may take to read that it has too many connections.
const GOODBYE: Duration = Duration::from_secs(2);
/// A head with more bytes is refused.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Pause after an accept that failed, as when file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves the gateway on these listeners until the server drains. Long polls are then answered with the present state,
/// and connections have a few seconds to finish.
pub async fn serve(listeners: Vec<Listener>, front: Front, connections: Connections) {
    let gateway = front.0;
    let tasks = TaskTracker::new();
    for listener in listeners {
        tasks.spawn(accept(listener, gateway.clone(), connections.clone(), tasks.clone()));
    }
    gateway.options.agent.drained().await;
    gateway.draining.cancel();
    if let Some(core) = gateway.core() {
        core.hub().wake_all();
    }
    tasks.close();
    if tokio::time::timeout(DRAIN_TIMEOUT, tasks.wait()).await.is_err() {
        tracing::warn!(connections = tasks.len(), "HTTP connections did not finish in time");
    }
}

async fn accept(listener: Listener, gateway: Arc<Gateway>, connections: Connections, tasks: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = gateway.draining.cancelled() => return,
        };
        let stream = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "an HTTP connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        match stream {
            Stream::Tcp(stream, peer) => {
                let Some(place) = connections.enter(peer) else { continue };
                if let Err(busy) = place.check() {
                    // As many as may be in excess, each for a moment.
                    tasks.spawn(refuse(stream, place, busy));
                    continue;
                }
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY was refused");
                }
                let gateway = gateway.clone();
                tasks.spawn(connection(Either::Left(stream), gateway, Some((peer, place))));
            }
            Stream::Unix(stream) => {
                tasks.spawn(connection(Either::Right(stream), gateway.clone(), None));
            }
        }
    }
}

/// What clients connect to.
#[derive(Debug)]
pub enum Listener {
    /// An address; connections are counted per client.
    Tcp(TcpListener),
    /// A file; whoever may open it is trusted not to open too many.
    Unix(UnixListener),
}

/// An accepted connection, with the client's address if it has one.
enum Stream {
    Tcp(TcpStream, IpAddr),
    Unix(UnixStream),
}

impl Listener {
    async fn accept(&self) -> std::io::Result<Stream> {
        match self {
            Listener::Tcp(listener) => listener.accept().await.map(|(stream, peer)| Stream::Tcp(stream, peer.ip())),
            Listener::Unix(listener) => listener.accept().await.map(|(stream, _)| Stream::Unix(stream)),
        }
    }
}

/// Answers a request, after the operator's rules.
fn answer(gateway: &Arc<Gateway>, request: Request<Incoming>, peer: Option<IpAddr>) -> Answering {
    let rules = &gateway.options.rules;
    if rules.are_empty() {
        return gateway.answer(request.map(RequestBody::Direct), None);
    }
    let answering = match rules.refusal(&request, peer) {
        Some(refusal) => Answering::Now(Some(refusal)),
        None => gateway.answer(request.map(RequestBody::Direct), None),
    };
    let gateway = gateway.clone();
    Answering::Soon(Box::pin(async move {
        let Ok(mut reply) = answering.await;
        gateway.options.rules.add_headers(&mut reply);
        reply
    }))
}

/// Answers the first request on a connection that its client has too many of, and closes it. Consul 1.8 closes without a
/// word, later ones answer like this.
async fn refuse(stream: TcpStream, place: Arc<Connection>, busy: Busy) {
    let service = service_fn(move |_: Request<Incoming>| {
        let answer = Answer::from(Error::from(busy.clone())).with(CONNECTION, HeaderValue::from_static("close"));
        std::future::ready(Ok::<_, std::convert::Infallible>(answer.into_reply(false)))
    });
    let refused = http1::Builder::new()
        .timer(HeadTimer::default())
        .header_read_timeout(GOODBYE)
        .max_buf_size(BUFFER_BYTES_MAX)
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service);
    // Whoever does not ask or listen is closed all the same.
    let _ = tokio::time::timeout(GOODBYE, refused).await;
    drop(place);
}

/// Both kinds of streams in one type, for one copy of HTTP's code.
async fn connection(
    stream: Either<TcpStream, UnixStream>,
    gateway: Arc<Gateway>,
    client: Option<(IpAddr, Arc<Connection>)>,
) {
    let (peer, _place) = client.unzip();
    let draining = gateway.draining.clone();
    let service = service_fn(move |request| answer(&gateway, request, peer));
    let connection = http1::Builder::new()
        .timer(HeadTimer::default())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BUFFER_BYTES_MAX)
        // Scripts grep for the spelling that Consul uses.
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = draining.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection broke");
    }
}
