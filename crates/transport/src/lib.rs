//! The gRPC servers of a process below their APIs: connections and HTTP/2, with tonic.
//!
//! That is generic code, which the compiler makes anew wherever it is used. Here it is used once, with connections and
//! answers behind pointers, in a crate of its own: the program is compiled for size, this for speed.

use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt};
use http::{Request, Response};
use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::body::Body;
use tonic::transport::server::Connected;
use tonic::transport::{Error, Server};
use tower::Service;

/// What connections get.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How often a client that says nothing is asked whether it is there.
    pub keepalive_every: Duration,
    /// How long it may take to answer.
    pub keepalive_within: Duration,
    /// Calls at once over a connection.
    pub streams_max: u32,
    /// Bytes that a client may send ahead in a call.
    pub stream_window: u32,
    /// Bytes that it may send ahead in all calls.
    pub connection_window: u32,
}

/// An answer to come.
pub type Handling = BoxFuture<'static, Result<Response<Body>, Infallible>>;

/// What answers the requests of all connections.
pub trait Handler: Send + Sync {
    /// Begins to answer. [`Peer`] is among the request's extensions.
    fn handle(&self, request: Request<Body>) -> Handling;
}

/// A connection that came in.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {
    /// What those who answer its requests shall know of it.
    fn peer(&self) -> Peer;
}

/// What is known of a connection, for those who answer its requests.
#[derive(Clone)]
pub struct Peer(Arc<dyn Any + Send + Sync>);

impl Peer {
    /// Says this of a connection.
    pub fn new(known: impl Any + Send + Sync) -> Peer {
        Peer(Arc::new(known))
    }

    /// What was said of it, if it is of this type.
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Peer")
    }
}

impl Connected for Box<dyn Io> {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        (**self).peer()
    }
}

/// The handler as tonic wants it.
#[derive(Clone)]
struct Shared(Arc<dyn Handler>);

impl Service<Request<Body>> for Shared {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Handling;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Handling {
        self.0.handle(request)
    }
}

/// Serves connections until there are no more, or until `stop` is there and what was begun is answered.
///
/// # Errors
/// The transport failed.
pub fn serve(
    settings: Settings,
    handler: Arc<dyn Handler>,
    incoming: BoxStream<'static, Box<dyn Io>>,
    stop: BoxFuture<'static, ()>,
) -> BoxFuture<'static, Result<(), Error>> {
    let server = Server::builder()
        .http2_keepalive_interval(Some(settings.keepalive_every))
        .http2_keepalive_timeout(Some(settings.keepalive_within))
        .max_concurrent_streams(settings.streams_max)
        .initial_stream_window_size(settings.stream_window)
        .initial_connection_window_size(settings.connection_window);
    let incoming = incoming.map(Ok::<_, Infallible>);
    // Behind a pointer here and not at the caller: the code is made where the pointer is.
    Box::pin(async move { server.serve_with_incoming_shutdown(Shared(handler), incoming, stop).await })
}
