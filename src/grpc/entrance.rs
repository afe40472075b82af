//! Connections as they come in: counted per client, given a moment to say hello, and turned away politely.
//!
//! Owns: that a listener never ends because a connection could not be accepted, and that a client is told in HTTP/2's own
//! words when it has too many. Must never: read further than the greeting.

use super::status::status;
use crate::service::Error;
use crate::service::admission::{Budget, Busy, Connection, Connections, Held, Share};
use futures::stream::{self, BoxStream, StreamExt};
use http::Extensions;
use lictor_transport::{Io, Peer};
use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep};
use tonic::Status;

/// Length of the greeting of HTTP/2.
const GREETING_BYTES: usize = 24;
/// Pause after an accept that failed, as when file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a client may take to read that it is turned away.
const GOODBYE: Duration = Duration::from_secs(1);
/// Default of how long a client may take to begin.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Who may come in, and how quickly they must begin.
#[derive(Clone, Debug)]
pub struct Entrance {
    /// Counts them.
    pub connections: Connections,
    /// Whoever has not sent the greeting of HTTP/2 after so long is cut off. Zero: no limit.
    pub handshake: Duration,
}

impl Default for Entrance {
    /// Without limits but on time.
    fn default() -> Entrance {
        let share = Share { watches: usize::MAX, calls: usize::MAX };
        let connections = Connections::new("connections", 0, share, Budget::new(usize::MAX));
        Entrance { connections, handshake: HANDSHAKE }
    }
}

/// What becomes of a connection that its client has too many of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excess {
    /// It is told so and closed.
    Leaves,
    /// It stays; what may not be asked over it is refused call by call (see [`Connection::check`]).
    Stays,
}

/// The connections of a listener, without an end and without errors.
pub(super) fn accept(listener: TcpListener, entrance: Entrance, excess: Excess) -> BoxStream<'static, Guarded> {
    stream::unfold((listener, entrance), move |(listener, entrance)| async move {
        let accepted = next(&listener, &entrance, excess).await;
        Some((accepted, (listener, entrance)))
    })
    .boxed()
}

async fn next(listener: &TcpListener, entrance: &Entrance, excess: Excess) -> Guarded {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a gRPC connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(connection) = entrance.connections.enter(peer.ip()) else { continue };
        if let (Excess::Leaves, Err(busy)) = (excess, connection.check()) {
            // As many as may be in excess, each for a moment.
            drop(tokio::spawn(goodbye(stream, connection, busy.reason)));
            continue;
        }
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was refused");
        }
        return Guarded::new(stream, connection, entrance.handshake);
    }
}

/// Frames that say: no stream was taken, be calm, and this is why.
fn goodbye_frames(reason: &str) -> Vec<u8> {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const GOAWAY: u8 = 7;
    const ENHANCE_YOUR_CALM: u8 = 11;
    let length = (8 + reason.len()) as u32;
    let [_, high, middle, low] = length.to_be_bytes();
    let mut frames = SETTINGS.to_vec();
    frames.extend([high, middle, low, GOAWAY, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ENHANCE_YOUR_CALM]);
    frames.extend_from_slice(reason.as_bytes());
    frames
}

async fn goodbye(mut stream: TcpStream, connection: Arc<Connection>, reason: String) {
    let frames = goodbye_frames(&reason);
    let said = async {
        stream.write_all(&frames).await?;
        stream.shutdown().await?;
        // What is not read would reset the connection, and the client would not read either.
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    // Whoever does not listen is closed all the same.
    let _ = tokio::time::timeout(GOODBYE, said).await;
    drop(connection);
}

/// A place for a stream that lasts, on the connection over which it was asked for.
///
/// # Errors
/// The connection holds too many.
pub fn watch_place(extensions: &Extensions) -> Result<Option<Held>, Status> {
    place(extensions, Connection::watch)
}

/// A place for a call that waits for its answer.
///
/// # Errors
/// Too many on the connection do.
pub(super) fn call_place(extensions: &Extensions) -> Result<Option<Held>, Status> {
    place(extensions, Connection::call)
}

/// The connection that a request came over.
pub(super) fn connection(extensions: &Extensions) -> Option<&Arc<Connection>> {
    extensions.get::<Peer>()?.get()
}

fn place(
    extensions: &Extensions,
    take: impl Fn(&Arc<Connection>) -> Result<Held, Busy>,
) -> Result<Option<Held>, Status> {
    let connection = connection(extensions);
    connection.map(take).transpose().map_err(|busy| status(Error::Overloaded(busy)))
}

/// A connection that is counted while it is open, and cut off if it does not begin.
#[derive(Debug)]
pub(super) struct Guarded {
    io: TcpStream,
    connection: Arc<Connection>,
    greeting: Option<Greeting>,
}

#[derive(Debug)]
struct Greeting {
    missing: usize,
    limit: Pin<Box<Sleep>>,
}

impl Guarded {
    fn new(io: TcpStream, connection: Arc<Connection>, handshake: Duration) -> Guarded {
        let limit = || Box::pin(tokio::time::sleep_until(Instant::now() + handshake));
        let greeting = (!handshake.is_zero()).then(|| Greeting { missing: GREETING_BYTES, limit: limit() });
        Guarded { io, connection, greeting }
    }
}

impl Io for Guarded {
    fn peer(&self) -> Peer {
        Peer::new(self.connection.clone())
    }
}

impl AsyncRead for Guarded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        let Some(greeting) = &mut self.greeting else { return read };
        match read {
            Poll::Pending => match greeting.limit.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                Poll::Pending => Poll::Pending,
            },
            Poll::Ready(done) => {
                greeting.missing = greeting.missing.saturating_sub(buf.filled().len() - before);
                if greeting.missing == 0 {
                    self.greeting = None;
                }
                Poll::Ready(done)
            }
        }
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
