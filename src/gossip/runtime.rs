//! An engine on a network: one task that owns it, datagrams in and out, and a task per stream.

use super::engine::{Engine, Output, kind};
use super::handle::{Command, Inner};
use super::member::Status;
use super::stream;
use super::swim::Path;
use bytes::Bytes;
use prost::Message;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Datagrams that are taken before anything else is looked at.
const DATAGRAMS_AT_ONCE: usize = 256;
/// No datagram of ours is longer.
const DATAGRAM_BYTES: usize = 2_048;
/// Streams of others that are served at once; further ones wait.
const SERVED_MAX: usize = 128;
/// Streams of our own that are open at once; what does not fit is dropped, as a datagram would be.
const OPENED_MAX: usize = 64;
/// Telling of one's leaving takes at most so long.
const LEAVE_TIME: Duration = Duration::from_secs(3);
/// After the end has been announced, it is so many times repeated, with this pause before each.
const LEAVE_REPEATS: usize = 3;
const LEAVE_PAUSE: Duration = Duration::from_millis(200);

/// A datagram socket and a listener for streams on one port.
#[derive(Debug)]
pub struct Sockets {
    pub(super) datagrams: UdpSocket,
    pub(super) streams: TcpListener,
}

impl Sockets {
    /// Binds both; port 0 takes one that is free for both.
    ///
    /// # Errors
    /// The address is taken, or not this machine's.
    pub async fn bind(address: SocketAddr) -> io::Result<Sockets> {
        let mut tries = 16;
        loop {
            let streams = TcpListener::bind(address).await?;
            match UdpSocket::bind(streams.local_addr()?).await {
                Ok(datagrams) => return Ok(Sockets { datagrams, streams }),
                Err(_) if address.port() == 0 && tries > 0 => tries -= 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Where they are bound.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.streams.local_addr()
    }
}

/// The task that owns the engine.
pub(super) struct Driver {
    pub(super) engine: Engine,
    pub(super) datagrams: UdpSocket,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) shared: Arc<Inner>,
    pub(super) streams: Arc<Semaphore>,
    pub(super) stop: CancellationToken,
}

impl Driver {
    pub(super) fn streams() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(OPENED_MAX))
    }

    pub(super) async fn run(mut self) {
        self.flush();
        let stop = self.stop.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                command = self.step(None) => if let Some(done) = command {
                    self.leave().await;
                    // Whoever asked may have gone.
                    let _ = done.send(());
                    return;
                }
            }
        }
    }

    /// Waits for one thing and does it. Returns who asked to leave.
    async fn step(&mut self, at_most: Option<Duration>) -> Option<oneshot::Sender<()>> {
        let now_us = self.shared.clock.monotonic_us();
        let due = Duration::from_micros(self.engine.next_due().saturating_sub(now_us));
        let pause = at_most.map_or(due, |limit| limit.min(due));
        let mut leaving = None;
        tokio::select! {
            // Errors of a datagram socket are about one datagram.
            _ = self.datagrams.readable() => self.take_datagrams(),
            command = self.commands.recv() => match command {
                Some(Command::Leave(done)) => leaving = Some(done),
                Some(command) => self.obey(command),
                // The handles are gone, and with them the way to stop; `stop` ends the task.
                None => sleep(pause).await,
            },
            () = sleep(pause) => {}
        }
        if self.engine.next_due() <= self.shared.clock.monotonic_us() {
            // Whoever is late looks first at what has come meanwhile: it may be the answer that was waited for.
            self.take_datagrams();
            let late_us = self.engine.fire();
            metrics::gauge!("lictor_gossip_lag_seconds").set(late_us as f64 / 1e6);
        }
        self.flush();
        leaving
    }

    fn take_datagrams(&mut self) {
        let mut buffer = [0; DATAGRAM_BYTES];
        for _ in 0..DATAGRAMS_AT_ONCE {
            let Ok((length, from)) = self.datagrams.try_recv_from(&mut buffer) else { return };
            metrics::counter!("lictor_gossip_packets_total", "direction" => "in").increment(1);
            match self.shared.keyring.open(&mut buffer[..length]) {
                Ok(body) => self.receive(&buffer[body], Path::Datagram, from),
                Err(error) => {
                    metrics::counter!("lictor_gossip_packets_refused_total").increment(1);
                    debug!(%from, %error, "a packet is refused");
                }
            }
        }
    }

    fn receive(&mut self, body: &[u8], path: Path, from: SocketAddr) {
        if let Err(error) = self.engine.receive(body, path) {
            metrics::counter!("lictor_gossip_packets_refused_total").increment(1);
            debug!(%from, %error, "a packet is refused");
        }
    }

    fn obey(&mut self, command: Command) {
        // Whoever asked may have given up; that changes nothing.
        match command {
            Command::Packet { body, from } => self.receive(&body, Path::Stream, from),
            Command::Refused(by) => self.engine.refused(by),
            Command::Request { join, reply } => drop(reply.send(self.engine.exchange_request(join))),
            Command::Answer { body, reply } => drop(reply.send(self.engine.answer_exchange(&body))),
            Command::Finish { body, join, reply } => drop(reply.send(self.engine.finish_exchange(&body, join))),
            Command::ForceLeave { name, prune, reply } => drop(reply.send(self.engine.force_leave(&name, prune))),
            Command::SetTags { tags, reply } => drop(reply.send(self.engine.set_tags(tags))),
            Command::Event { time, body } => self.engine.fire_event(time, body),
            Command::Places(reply) => drop(reply.send(self.engine.places())),
            Command::Health(reply) => drop(reply.send((self.engine.doubt(), self.engine.generation()))),
            // Taken by the caller; a second one gets its answer when its sender is dropped.
            Command::Leave(_) => {}
        }
    }

    /// Sends what is to be sent and publishes what has changed.
    fn flush(&mut self) {
        for output in self.engine.outputs() {
            match output {
                Output::Packet { to, bytes, path: Path::Datagram } => {
                    metrics::counter!("lictor_gossip_packets_total", "direction" => "out").increment(1);
                    let sealed = self.shared.keyring.seal(&bytes, self.shared.clock.random());
                    // A datagram that finds no room is lost, which the protocol is made for.
                    let _ = self.datagrams.try_send_to(&sealed, to);
                }
                Output::Packet { to, bytes, path: Path::Stream } => {
                    let sealed = self.shared.keyring.seal(&bytes, self.shared.clock.random());
                    let commands = self.shared.commands.clone();
                    self.on_stream(async move {
                        if let Err(error) = stream::send(to, &sealed).await {
                            debug!(%to, %error, "a packet cannot be sent over a stream");
                            if error.kind() == io::ErrorKind::ConnectionRefused {
                                // In a full queue it is lost: then the member is only suspected.
                                let _ = commands.try_send(Command::Refused(to));
                            }
                        }
                    });
                }
                Output::Exchange { to, bytes } => {
                    let shared = self.shared.clone();
                    self.on_stream(async move {
                        if let Err(error) = shared.exchange(to, bytes, false).await {
                            debug!(%to, %error, "an exchange has failed");
                        }
                    });
                }
            }
        }
        if let Some(members) = self.engine.members() {
            metrics::gauge!("lictor_gossip_members").set(members.count(Status::Alive) as f64);
            self.shared.members.send_replace(Arc::new(members));
        }
        self.shared.event_time.fetch_max(self.engine.event_time(), Ordering::Relaxed);
        for event in self.engine.events() {
            // Nobody may be listening.
            let _ = self.shared.events.send(Bytes::from(event));
        }
    }

    fn on_stream(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Ok(permit) = self.streams.clone().try_acquire_owned() {
            let stop = self.stop.clone();
            tokio::spawn(async move {
                let _permit = permit;
                tokio::select! {
                    () = work => {}
                    () = stop.cancelled() => {}
                }
            });
        }
    }

    /// Tells the others, then ends.
    async fn leave(&mut self) {
        let alone = !self.engine.has_company();
        self.engine.begin_leave();
        self.flush();
        let deadline = Instant::now() + LEAVE_TIME;
        while self.engine.has_news() && Instant::now() < deadline {
            self.step(Some(Duration::from_millis(50))).await;
        }
        self.engine.finish_leave();
        self.flush();
        for _ in 0..if alone { 0 } else { LEAVE_REPEATS } {
            sleep(LEAVE_PAUSE).await;
            self.engine.repeat_leave();
            self.flush();
        }
    }
}

/// Takes streams of others until `stop`.
pub(super) async fn serve_streams(listener: TcpListener, shared: Arc<Inner>, stop: CancellationToken) {
    let room = Arc::new(Semaphore::new(SERVED_MAX));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "cannot take a stream of gossip");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        let (shared, stop) = (shared.clone(), stop.clone());
        tokio::spawn(async move {
            let _permit = permit;
            let served = timeout(stream::STREAM_TIME, serve(stream, from, &shared));
            tokio::select! {
                result = served => if let Ok(Err(error)) = result {
                    debug!(%from, %error, "a stream of gossip has ended");
                },
                () = stop.cancelled() => {}
            }
        });
    }
}

async fn serve(mut stream: TcpStream, from: SocketAddr, shared: &Arc<Inner>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    while let Some(packet) = stream::read_frame(&mut stream).await? {
        let mut body = stream::open(&shared.keyring, packet)?;
        let Some(&kind) = body.first() else { return Ok(()) };
        let answer = match kind {
            kind::EXCHANGE => {
                let body = body.split_off(1);
                shared.command(|reply| Command::Answer { body, reply }).await.flatten()
            }
            kind::KEYS => shared.answer_keys(&body[1..]).await,
            kind::HERE => {
                let here = super::wire::HereBody { id: shared.identity.id.as_bytes().to_vec() };
                Some([&[kind::HERE_ANSWER][..], &here.encode_to_vec()].concat())
            }
            _ => {
                // A queue that is full drops it, as the network would have.
                let _ = shared.commands.try_send(Command::Packet { body, from });
                continue;
            }
        };
        let Some(answer) = answer else { return Ok(()) };
        stream::write_frame(&mut stream, &shared.keyring.seal(&answer, shared.clock.random())).await?;
    }
    Ok(())
}
