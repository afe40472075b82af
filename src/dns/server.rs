//! Sockets, threads and tasks: binding, serving, ending.

use super::options::LiveOptions;
use super::recursor::{AskServers, Forwarder};
use super::responder::Responder;
use super::reverse::ReverseTree;
use super::tcp::{self, Shared};
use super::udp::{self, StateSource, Worker};
use super::zone::{Identity, Zone};
use crate::clock::Clock;
use crate::machine::State;
use crate::service::admission::{Budget, Connections, Share};
use crate::service::{Core, Facts};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A free port of TCP may be taken for UDP; so often another one is tried.
const PORT_TRIES: usize = 16;
/// Wanted receive buffer of UDP sockets, bytes: bursts wait there. The system may give less.
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 256;

/// Sockets that are bound but not served yet.
#[derive(Debug)]
pub struct Bound {
    addresses: Vec<SocketAddr>,
    udp: Vec<UdpSocket>,
    tcp: Vec<TcpListener>,
}

impl Bound {
    /// Binds UDP and TCP on each address. Port 0 finds a port that is free for both; see [`Bound::addresses`]. On
    /// Linux each address gets one UDP socket per processor that this process may use, elsewhere one.
    pub fn bind(addresses: &[SocketAddr]) -> io::Result<Bound> {
        // Elsewhere sockets that share a port do not share its load.
        let spreads = cfg!(target_os = "linux");
        let per_address = if spreads { std::thread::available_parallelism().map_or(1, usize::from) } else { 1 };
        let mut bound = Bound { addresses: Vec::new(), udp: Vec::new(), tcp: Vec::new() };
        for &address in addresses {
            let (listener, sockets) = bind_with_retry(address, per_address)?;
            bound.addresses.push(listener.local_addr()?);
            bound.tcp.push(listener);
            bound.udp.extend(sockets);
        }
        Ok(bound)
    }

    /// What was bound, in the order asked for, with real ports.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Serves until the server begins to stop, then ends all threads and connections. Needs a tokio runtime.
    ///
    /// # Errors
    /// At once if a domain or the data center is no name in DNS, or a thread cannot be started.
    pub async fn serve(self, core: Core, options: LiveOptions) -> io::Result<()> {
        let identity = Identity::of(core.facts());
        let clock = core.clock().clone();
        let states = core.clone();
        self.run(&identity, options, clock, move || states.local().state, None, core.drained()).await
    }

    /// Serves what servers answer, until `stop`.
    ///
    /// # Errors
    /// As [`Bound::serve`].
    pub async fn relay(
        self,
        facts: &Facts,
        clock: Clock,
        options: LiveOptions,
        servers: AskServers,
        stop: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let nothing = Arc::new(State::new());
        self.run(&Identity::of(facts), options, clock, move || nothing.clone(), Some(servers), stop).await
    }

    /// The same with everything that a test wants to choose.
    pub(super) async fn run(
        self,
        identity: &Identity,
        options: LiveOptions,
        clock: Clock,
        source: impl Fn() -> Arc<State> + Send + Sync + 'static,
        servers: Option<AskServers>,
        stop: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let first = (**options.subscribe().borrow()).clone();
        let (connections, idle) = (first.tcp_connections_max, first.tcp_idle);
        let zone = Zone::new(identity, first).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        let (zone, reverse) = (Arc::new(zone), Arc::new(ReverseTree::default()));
        let source: StateSource = Arc::new(source);
        let mut seeds = clock.uuid().as_u64_pair().0;
        let relays = servers.is_some();
        let mut responder = || {
            seeds = seeds.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
            let responder = Responder::new(zone.clone(), &options, reverse.clone(), seeds);
            if relays { responder.relaying() } else { responder }
        };
        let (stop_all, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (live, later) = (options.subscribe(), (tasks.clone(), stop_all.clone()));
        let forwarder = Forwarder::new(responder(), source.clone(), live, clock, later.0, later.1, servers);
        let shared = Arc::new(Shared {
            forwarder: forwarder.clone(),
            source: source.clone(),
            responder: Mutex::new(responder()),
            connections: bounded(connections),
            idle,
            stop: stop_all,
            tasks,
        });
        let _ending = shared.stop.clone().drop_guard();
        for listener in self.tcp {
            listener.set_nonblocking(true)?;
            shared.tasks.spawn(tcp::accept(tokio::net::TcpListener::from_std(listener)?, shared.clone()));
        }
        let mut workers = Workers(Vec::with_capacity(self.udp.len()));
        for socket in self.udp {
            workers.0.push(Worker::start(socket, source.clone(), responder(), forwarder.clone())?);
        }
        stop.await;
        shared.stop.cancel();
        shared.tasks.close();
        shared.tasks.wait().await;
        tokio::task::spawn_blocking(move || workers.join()).await.map_err(io::Error::other)?
    }
}

/// So many connections, of which one client has three quarters at most.
fn bounded(connections: usize) -> Connections {
    let share = Share { watches: 0, calls: 0 };
    Connections::new("connections of DNS", connections - connections / 4, share, Budget::new(connections))
}

/// Threads that are told to end when nobody waits for them any more.
struct Workers(Vec<Worker>);

impl Workers {
    fn join(mut self) -> io::Result<()> {
        self.0.iter().for_each(Worker::stop);
        let ended: Vec<io::Result<()>> = self.0.drain(..).map(Worker::join).collect();
        ended.into_iter().collect()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.0.iter().for_each(Worker::stop);
    }
}

fn bind_with_retry(address: SocketAddr, count: usize) -> io::Result<(TcpListener, Vec<UdpSocket>)> {
    let mut tries = if address.port() == 0 { PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        match bind_both(address, count) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries > 0 => {}
            done => return done.map_err(|e| io::Error::new(e.kind(), format!("dns {address}: {e}"))),
        }
    }
}

fn bind_both(address: SocketAddr, count: usize) -> io::Result<(TcpListener, Vec<UdpSocket>)> {
    let domain = Domain::for_address(address);
    let tcp = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    tcp.set_reuse_address(true)?;
    if address.is_ipv6() {
        tcp.set_only_v6(true)?;
    }
    tcp.bind(&address.into())?;
    tcp.listen(BACKLOG)?;
    let listener = TcpListener::from(tcp);
    let address = listener.local_addr()?;
    // With a shared port another server's would be shared too, and take a part of the queries: so ask alone first.
    drop(udp_socket(address, false)?);
    let sockets = (0..count).map(|_| udp_socket(address, true)).collect::<io::Result<_>>()?;
    Ok((listener, sockets))
}

fn udp_socket(address: SocketAddr, shared_port: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin"))))]
    socket.set_reuse_port(shared_port)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A wish: smaller buffers only lose more in a burst.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    udp::prepare(&socket, address)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}
