//! Who may come in at each port, and how many file descriptors clients may use of those that the process has.

use crate::config::{Config, Limits};
use crate::grpc::Entrance;
use crate::service::admission::{Bounds, Budget, Connections, Share};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::debug;

/// Calls that one connection of a client may wait for.
const CALLS: usize = 2_048;
/// The same of an agent, whose clients share its connection.
const AGENT_CALLS: usize = 32_768;
/// The same of streams that last.
const AGENT_WATCHES: usize = 65_536;
/// File descriptors that are kept back for files, other servers and gossip, at least.
const FILES_RESERVED: u64 = 128;
/// What clients may have where the system sets no limit.
const UNLIMITED: u64 = 1 << 20;

/// The ports that clients connect to. Clones share everything.
#[derive(Clone)]
pub(super) struct Entrances {
    pub(super) http: Connections,
    pub(super) grpc: Entrance,
    pub(super) server: Entrance,
}

impl Entrances {
    /// As configured.
    pub(super) fn of(config: &Config) -> Entrances {
        let (limits, budget) = (&config.limits, Budget::new(client_descriptors()));
        let port = |key, max, share| Connections::new(key, max, share, budget.clone());
        let share = Share { watches: limits.watches_per_connection, calls: CALLS };
        let agents = Share { watches: AGENT_WATCHES, calls: AGENT_CALLS };
        let entrance = |connections| Entrance { connections, handshake: limits.rpc_handshake_timeout };
        Entrances {
            http: port("limits.http_max_conns_per_client", limits.http_max_conns_per_client, share),
            grpc: entrance(port("limits.grpc_max_conns_per_client", limits.grpc_max_conns_per_client, share)),
            server: entrance(port("limits.rpc_max_conns_per_client", limits.rpc_max_conns_per_client, agents)),
        }
    }

    /// Replaces what may change in a running agent.
    pub(super) fn set(&self, limits: &Limits) {
        self.http.set_max(limits.http_max_conns_per_client);
        self.grpc.connections.set_max(limits.grpc_max_conns_per_client);
        self.grpc.connections.set_watches_max(limits.watches_per_connection);
        self.server.connections.set_max(limits.rpc_max_conns_per_client);
    }
}

/// How many requests of each class may wait.
pub(super) fn bounds(limits: &Limits) -> Bounds {
    let waiting = limits.waiting;
    Bounds { writes: waiting.writes, watch_starts: waiting.watch_starts, lists: waiting.lists }
}

/// Takes as many file descriptors as the process may have, and tells how many of them are for clients.
fn client_descriptors() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        debug!(%error, "the limit on open files stays as it is");
    }
    let all = getrlimit(Resource::Nofile).current.unwrap_or(UNLIMITED).min(UNLIMITED);
    usize::try_from(all - (all / 4).max(FILES_RESERVED).min(all / 2)).unwrap_or(usize::MAX)
}
