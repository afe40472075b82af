//! Which server is asked: a random one of those that live, another one after a failure, and another one every few
//! minutes so that agents spread over servers that came later.

use crate::clock::Clock;
use crate::cluster::{Directory, Presence};
use crate::grpc::peer::connect;
use crate::proto::internal::LingerRequest;
use crate::proto::internal::peer_service_client::PeerServiceClient;
use crate::service::admission::{Busy, Rate};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::Channel;
use tracing::{info, warn};

/// A server is asked for this long, and a random part of half of that.
const ROTATE_AFTER: Duration = Duration::from_secs(120);
/// A server that does not serve as it should is asked at least this long, so that agents do not run in circles while no
/// server does.
const DOUBT_AFTER: Duration = Duration::from_secs(30);
/// Pause after no server could be reached.
const RETRY: Duration = Duration::from_millis(500);
/// A request waits so long for a connection that is being made.
const PATIENCE: Duration = Duration::from_secs(3);

/// A server that is asked.
#[derive(Clone, Debug)]
pub struct Server {
    /// host:port of its server port.
    pub address: Arc<str>,
    /// The connection.
    pub channel: Channel,
    /// Which choice this was; it grows.
    pub choice: u64,
    /// Notices the end of the server.
    _watching: Arc<AbortOnDropHandle<()>>,
}

/// Consul's words.
const RATE_EXCEEDED: &str = "RPC rate limit exceeded";

#[derive(Clone, Debug)]
enum Standing {
    /// Connections are being made.
    Looking,
    /// This one is asked.
    Up(Server),
    /// None could be reached.
    Away,
}

/// The servers of this agent. Clones share everything.
#[derive(Clone, Debug)]
pub struct Servers {
    directory: Directory,
    clock: Clock,
    standing: watch::Sender<Standing>,
    /// The choice that is doubted.
    doubts: watch::Sender<u64>,
    /// How fast clients may ask.
    rate: Arc<Rate>,
}

impl Servers {
    /// Chooses among these; needs [`Servers::run`].
    pub fn new(directory: Directory, clock: Clock) -> Servers {
        let (standing, doubts) = (watch::Sender::new(Standing::Looking), watch::Sender::new(0));
        let rate = Arc::new(Rate::new("limits.rpc_rate", RATE_EXCEEDED, None, 0, clock.clone()));
        Servers { directory, clock, standing, doubts, rate }
    }

    /// How many requests of clients per second are passed on, and how many at once after a pause; `None`: all. What this
    /// agent asks for itself, and heartbeats, do not count.
    pub fn set_rate(&self, per_second: Option<f64>, burst: u32) {
        self.rate.set(per_second, burst);
    }

    /// A client's request is about to be passed on.
    pub(super) fn admit(&self) -> Result<(), Busy> {
        self.rate.take()
    }

    /// How many servers are there, as far as this agent knows.
    pub fn known(&self) -> usize {
        self.alive().len()
    }

    /// The server to ask, after a moment while a connection is being made; `None`: none can be reached.
    pub async fn pick(&self) -> Option<Server> {
        let mut standing = self.standing.subscribe();
        let known = standing.wait_for(|now| !matches!(now, Standing::Looking));
        let found = tokio::time::timeout(PATIENCE, known).await.ok()?.ok()?;
        match &*found {
            Standing::Up(server) => Some(server.clone()),
            Standing::Looking | Standing::Away => None,
        }
    }

    /// The server to ask, whenever there is one.
    pub async fn up(&self) -> Server {
        let mut standing = self.standing.subscribe();
        loop {
            if let Standing::Up(server) = &*standing.borrow_and_update() {
                return server.clone();
            }
            // The sender lives as long as `self`.
            let _ = standing.changed().await;
        }
    }

    /// Resolves when another server is to be asked than this one.
    pub async fn replaced(&self, server: &Server) {
        let mut standing = self.standing.subscribe();
        let other = |now: &Standing| !matches!(now, Standing::Up(up) if up.choice == server.choice);
        // The sender lives as long as `self`.
        let _ = standing.wait_for(other).await;
    }

    /// This server did not answer.
    pub fn failed(&self, server: &Server) {
        self.standing.send_if_modified(|now| {
            let current = matches!(now, Standing::Up(up) if up.choice == server.choice);
            if current {
                *now = Standing::Looking;
            }
            current
        });
    }

    /// This server answers, but knows no leader: it may be cut off from the others.
    pub fn doubt(&self, server: &Server) {
        self.doubts.send_replace(server.choice);
    }

    /// Resolves when it is time to ask another server than this one.
    async fn turn_of_another(&self, server: &Server) {
        let doubted = async {
            tokio::time::sleep(self.jittered(DOUBT_AFTER)).await;
            // The sender lives as long as `self`.
            let _ = self.doubts.subscribe().wait_for(|choice| *choice == server.choice).await;
        };
        tokio::select! {
            () = doubted => {}
            () = tokio::time::sleep(self.jittered(ROTATE_AFTER)) => {}
        }
    }

    /// Keeps a server chosen, without end.
    pub async fn run(self) {
        let mut standing = self.standing.subscribe();
        let mut directory = self.directory.clone();
        let mut choice = 0;
        loop {
            let now = standing.borrow_and_update().clone();
            match now {
                Standing::Looking | Standing::Away => {
                    choice += 1;
                    let found = self.choose(None, choice).await;
                    let none = found.is_none();
                    match &found {
                        Some(server) => info!(server = %server.address, "asking this server from now on"),
                        None if matches!(now, Standing::Looking) => {
                            warn!(known = self.known(), "no server can be reached");
                        }
                        None => {}
                    }
                    self.standing.send_replace(found.map_or(Standing::Away, Standing::Up));
                    if none {
                        tokio::select! {
                            () = tokio::time::sleep(self.jittered(RETRY)) => {}
                            changed = directory.changed() => if changed.is_err() {
                                tokio::time::sleep(RETRY).await;
                            },
                        }
                    }
                }
                Standing::Up(server) => {
                    tokio::select! {
                        () = self.replaced(&server) => {}
                        () = gone(directory.clone(), &server.address) => self.failed(&server),
                        () = self.turn_of_another(&server) => {
                            choice += 1;
                            if let Some(other) = self.choose(Some(&server.address), choice).await {
                                info!(server = %other.address, "asking this server from now on, as others do");
                                self.standing.send_replace(Standing::Up(other));
                            }
                        }
                    }
                }
            }
        }
    }

    fn alive(&self) -> Vec<Arc<str>> {
        let seen = self.directory.borrow();
        seen.iter().filter(|s| s.presence == Presence::Alive).map(|s| s.address.as_str().into()).collect()
    }

    /// The first that can be reached, in random order.
    async fn choose(&self, except: Option<&str>, choice: u64) -> Option<Server> {
        let mut candidates = self.alive();
        candidates.retain(|address| Some(&**address) != except);
        while !candidates.is_empty() {
            let random = u128::from_be_bytes(self.clock.random()) % candidates.len() as u128;
            let address = candidates.swap_remove(random as usize);
            match connect(&address).await {
                Ok(channel) => return Some(self.watched(address, channel, choice)),
                Err(error) => tracing::debug!(%error, "a server cannot be reached"),
            }
        }
        None
    }

    /// Learns at once when the server stops or the connection breaks.
    fn watched(&self, address: Arc<str>, channel: Channel, choice: u64) -> Server {
        let (standing, mut client) = (self.standing.clone(), PeerServiceClient::new(channel.clone()));
        let watching = tokio::spawn(async move {
            // Answered when the server stops, and failed when it is gone.
            let _ = client.linger(LingerRequest::default()).await;
            standing.send_if_modified(|now| {
                let current = matches!(now, Standing::Up(up) if up.choice == choice);
                if current {
                    *now = Standing::Looking;
                }
                current
            });
        });
        Server { address, channel, choice, _watching: Arc::new(AbortOnDropHandle::new(watching)) }
    }

    /// Up to half as long again, so that agents do not come in step.
    fn jittered(&self, time: Duration) -> Duration {
        let [a, b, ..] = self.clock.random();
        time + time / 131_072 * u32::from(u16::from_be_bytes([a, b]))
    }
}

/// Resolves when the server at this address is known to live no longer.
async fn gone(mut directory: Directory, address: &str) {
    let alive =
        |seen: &Arc<[crate::cluster::Seen]>| seen.iter().any(|s| s.address == address && s.presence == Presence::Alive);
    if directory.wait_for(|seen| !alive(seen)).await.is_err() {
        std::future::pending::<()>().await;
    }
}
