//! DNS over TCP (RFC 7766): messages with two bytes of length before each, any number per connection, answered in
//! order. A connection that says or takes nothing for the idle time is closed, and so is one above the limit.

use super::recursor::Forwarder;
use super::responder::{Forward, Outcome, Responder, TCP_REPLY_BYTES_MAX, Transport};
use super::udp::StateSource;
use crate::service::admission::Connections;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Bytes read at once.
const READ_BYTES: usize = 4096;
/// Replies are written out when there are so many bytes of them.
const WRITE_BYTES: usize = 64 * 1024;
/// Wait after a failed accept, which is mostly a want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What all connections share.
pub(super) struct Shared {
    /// Where the state is.
    pub(super) source: StateSource,
    /// One for all: replies over TCP are few, and none takes long.
    pub(super) responder: Mutex<Responder>,
    /// Asks recursors.
    pub(super) forwarder: Arc<Forwarder>,
    /// Counts connections.
    pub(super) connections: Connections,
    /// A connection is closed after this long without a query.
    pub(super) idle: Duration,
    /// The server ends.
    pub(super) stop: CancellationToken,
    /// Connections.
    pub(super) tasks: TaskTracker,
}

/// Accepts connections until the server ends.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let accepted = tokio::select! {
            () = shared.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept dns connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Above the limit the connection is closed at once: clients try another server.
        let Some(place) = shared.connections.enter(peer.ip()).filter(|place| place.check().is_ok()) else { continue };
        let connection = shared.clone();
        shared.tasks.spawn(async move {
            // A client that goes away in the middle is no news.
            let _ = serve(stream, &connection).await;
            drop(place);
        });
    }
}

/// Serves one connection to its end.
async fn serve(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let queries = metrics::counter!("lictor_dns_queries_total", "transport" => "tcp");
    let mut input = Vec::new();
    let mut output = Vec::new();
    loop {
        let mut used = 0;
        while let Some(message) = first_message(&input[used..]) {
            used += 2 + message.len();
            queries.increment(1);
            match reply(shared, message, &mut output) {
                Replied::Now => {}
                Replied::Never => return Ok(()),
                Replied::Later(forward) => {
                    let later = shared.forwarder.answer(message, forward, Transport::Tcp).await;
                    output.extend_from_slice(&(later.len() as u16).to_be_bytes());
                    output.extend_from_slice(&later);
                }
            }
            if output.len() >= WRITE_BYTES {
                flush(&mut stream, &mut output, shared.idle).await?;
            }
        }
        input.drain(..used);
        flush(&mut stream, &mut output, shared.idle).await?;
        let start = input.len();
        input.resize(start + READ_BYTES, 0);
        let read = tokio::select! {
            () = shared.stop.cancelled() => return Ok(()),
            read = timeout(shared.idle, stream.read(&mut input[start..])) => read??,
        };
        if read == 0 {
            return Ok(());
        }
        input.truncate(start + read);
    }
}

/// The first message in the buffer, if it is whole. So the buffer never holds more than one message and one read.
fn first_message(input: &[u8]) -> Option<&[u8]> {
    let (length, rest) = input.split_first_chunk::<2>()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}

/// What became of a message.
enum Replied {
    /// The reply is there.
    Now,
    /// What came is no query, and what follows will not be one either.
    Never,
    /// Recursors have to be asked.
    Later(Forward),
}

/// Appends the reply with its length, if it is there.
fn reply(shared: &Shared, message: &[u8], output: &mut Vec<u8>) -> Replied {
    let state = (shared.source)();
    let start = output.len();
    output.extend_from_slice(&[0, 0]);
    // A panic under the lock cannot leave a responder that lies: its cache entries are whole or not there.
    let mut responder = shared.responder.lock().unwrap_or_else(PoisonError::into_inner);
    let outcome = responder.respond(&state, message, Transport::Tcp, output);
    drop(responder);
    if let Outcome::Later(forward) = outcome {
        output.truncate(start);
        return Replied::Later(forward);
    }
    let bytes = output.len() - start - 2;
    debug_assert!(bytes <= TCP_REPLY_BYTES_MAX);
    output[start..start + 2].copy_from_slice(&(bytes as u16).to_be_bytes());
    if bytes > 0 { Replied::Now } else { Replied::Never }
}

async fn flush(stream: &mut TcpStream, output: &mut Vec<u8>, idle: Duration) -> io::Result<()> {
    if !output.is_empty() {
        timeout(idle, stream.write_all(output)).await??;
        output.clear();
    }
    Ok(())
}
