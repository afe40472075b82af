//! DNS over UDP: blocking threads, each with its own socket, responder and buffers, so that they share nothing.

#[cfg(target_os = "linux")]
mod mmsg;
#[cfg(any(test, not(target_os = "linux")))]
mod plain;

use super::recursor::{Forwarder, SendReply};
use super::responder::{Forward, Outcome, Responder, Transport};
use crate::machine::State;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

#[cfg(target_os = "linux")]
use mmsg::Batch;
#[cfg(not(target_os = "linux"))]
use plain::Single as Batch;

/// Where the threads find the state to serve.
pub(super) type StateSource = Arc<dyn Fn() -> Arc<State> + Send + Sync>;

/// Messages of clients are no longer than this; what is cut off makes the message malformed.
const QUERY_BYTES_MAX: usize = 2048;
/// A blocked thread looks this often whether it should end, in case the socket did not wake it.
const WAKE_EVERY: Duration = Duration::from_millis(500);
/// Wait after an error of the socket, so that a lasting one does not keep a processor busy.
const ERROR_PAUSE: Duration = Duration::from_millis(10);
/// A buffer of replies that grew beyond this is given back.
const BUFFER_BYTES_KEPT: usize = 1 << 20;

/// A reply: to which received message, and where its bytes are.
type Reply = (usize, Range<usize>);

/// Receives messages and sends replies, several at a time where the system can.
trait Datagrams {
    /// What a socket needs before it is bound to this address.
    fn prepare(_socket: &socket2::Socket, _address: SocketAddr) -> io::Result<()> {
        Ok(())
    }
    /// Buffers for this socket.
    fn new(socket: &UdpSocket) -> io::Result<Self>
    where
        Self: Sized;
    /// Waits for at least one message and returns how many there are.
    fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize>;
    /// One of the messages received last.
    fn message(&self, at: usize) -> &[u8];
    /// A way to answer one of the messages received last after others.
    fn sender(&self, socket: &Arc<UdpSocket>, at: usize) -> SendReply;
    /// Sends replies to their senders. One that cannot be sent is dropped, as the network may do with any.
    fn send(&mut self, socket: &UdpSocket, replies: &[Reply], bytes: &[u8]);
}

/// Sets what must be set before the socket is bound to this address.
pub(super) fn prepare(socket: &socket2::Socket, address: SocketAddr) -> io::Result<()> {
    Batch::prepare(socket, address)
}

/// A thread that answers the queries of one socket.
#[derive(Debug)]
pub(super) struct Worker {
    socket: UdpSocket,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Starts the thread.
    pub(super) fn start(
        socket: UdpSocket,
        source: StateSource,
        responder: Responder,
        forwarder: Arc<Forwarder>,
    ) -> io::Result<Worker> {
        socket.set_read_timeout(Some(WAKE_EVERY))?;
        let datagrams_socket = Arc::new(socket.try_clone()?);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let name = format!("dns-udp-{}", socket.local_addr()?.port());
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            match Batch::new(&datagrams_socket) {
                Ok(batch) => {
                    let later = |message: &[u8], forward, send| forwarder.answer_later(message.to_vec(), forward, send);
                    run(batch, &datagrams_socket, &source, responder, &later, &stopped);
                }
                Err(error) => tracing::error!(%error, "dns over udp cannot start"),
            };
        })?;
        Ok(Worker { socket, stop, thread })
    }

    /// Tells the thread to end.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        // Wakes the thread. Systems that refuse this for want of a peer let it wait for its time-out.
        let _ = socket2::SockRef::from(&self.socket).shutdown(std::net::Shutdown::Both);
    }

    /// Waits until the thread has ended. Blocks.
    pub(super) fn join(self) -> io::Result<()> {
        self.thread.join().map_err(|_| io::Error::other("a dns thread panicked"))
    }
}

fn run(
    mut datagrams: impl Datagrams,
    socket: &Arc<UdpSocket>,
    source: &StateSource,
    mut responder: Responder,
    later: &dyn Fn(&[u8], Forward, SendReply),
    stop: &AtomicBool,
) {
    let mut bytes = Vec::new();
    let mut replies = Vec::new();
    let queries = metrics::counter!("lictor_dns_queries_total", "transport" => "udp");
    while !stop.load(Ordering::Acquire) {
        let count = match datagrams.receive(socket) {
            Ok(count) => count,
            Err(error) if is_time_out(&error) => continue,
            Err(error) => {
                tracing::warn!(%error, "cannot receive dns queries");
                std::thread::sleep(ERROR_PAUSE);
                continue;
            }
        };
        let state = source();
        for at in 0..count {
            let start = bytes.len();
            let message = datagrams.message(at);
            if let Outcome::Later(forward) = responder.respond(&state, message, Transport::Udp, &mut bytes) {
                later(message, forward, datagrams.sender(socket, at));
            }
            if bytes.len() > start {
                replies.push((at, start..bytes.len()));
            }
        }
        datagrams.send(socket, &replies, &bytes);
        queries.increment(count as u64);
        replies.clear();
        bytes.clear();
        bytes.shrink_to(BUFFER_BYTES_KEPT);
    }
}

fn is_time_out(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::tests::fixture;
    use hickory_proto::rr::RecordType;

    /// One query and its reply by way of these buffers, then the end.
    fn answers<D: Datagrams + 'static>() -> (usize, Vec<u8>) {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").expect("a socket"));
        let client = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        client.connect(socket.local_addr().expect("bound")).expect("connected");
        client.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
        let mut state = State::new();
        fixture::crowd(&mut state, "web", 4);
        let (state, stop) = (Arc::new(state), Arc::new(AtomicBool::new(false)));
        let source: StateSource = Arc::new(move || state.clone());
        let recursors = vec!["127.0.0.1:1".parse().expect("an address")];
        let options = crate::dns::Options { recursors, ..Default::default() };
        let (stopped, responder) = (stop.clone(), fixture::responder(options));
        let thread = std::thread::spawn(move || {
            let later = |_: &[u8], _, send: SendReply| send(b"later");
            run(D::new(&socket).expect("buffers"), &socket, &source, responder, &later, &stopped);
        });
        client.send(&fixture::query("web.service.consul.", RecordType::A, 4096)).expect("sent");
        let mut buffer = [0; 512];
        let bytes = client.recv(&mut buffer).expect("a reply");
        let answers = fixture::read(&buffer[..bytes]).answers.len();
        client.send(&fixture::query("www.example.com.", RecordType::A, 4096)).expect("sent");
        let bytes = client.recv(&mut buffer).expect("a reply");
        stop.store(true, Ordering::Release);
        // What wakes the thread.
        client.send(&[]).expect("sent");
        thread.join().expect("the thread ends");
        (answers, buffer[..bytes].to_vec())
    }

    #[test]
    fn one_datagram_at_a_time() {
        assert_eq!(answers::<plain::Single>(), (4, b"later".to_vec()));
    }

    #[test]
    fn many_datagrams_at_a_time() {
        assert_eq!(answers::<Batch>(), (4, b"later".to_vec()));
    }
}
