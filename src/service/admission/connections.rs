//! How many connections one client may have, and how much each connection may hold open.
//!
//! A client is an address. Connections beyond its share are still accepted, a quarter as many again, but only to be told
//! so, each in the words of its protocol; beyond that they are closed. All ports together never take more connections
//! than leaves file descriptors for the servers' own.

use super::gate::{Busy, Fault, Spread};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Connections that a client may have to be told that it has too many, beside a quarter of those that it may have.
pub const CONNECTIONS_RESERVED: usize = 16;
/// When a client with too many of something may look again: room comes as it lets go.
const RETRY: Duration = Duration::from_secs(1);

/// What one connection may hold open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Streams that last: watches, and sessions.
    pub watches: usize,
    /// Other calls that were not answered yet.
    pub calls: usize,
}

/// How many connections all ports may have together.
#[derive(Debug)]
pub struct Budget {
    max: usize,
    open: AtomicUsize,
}

impl Budget {
    /// At most so many.
    pub fn new(max: usize) -> Arc<Budget> {
        Arc::new(Budget { max, open: AtomicUsize::new(0) })
    }
}

/// The connections of a port. Clones share everything.
#[derive(Clone, Debug)]
pub struct Connections(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The setting that bounds them.
    limit: &'static str,
    /// Of one client; 0: any number.
    max: AtomicUsize,
    watches_max: AtomicUsize,
    calls_max: usize,
    clients: Mutex<HashMap<IpAddr, Client>>,
    budget: Arc<Budget>,
    spread: Spread,
    refused: metrics::Counter,
}

#[derive(Debug, Default)]
struct Client {
    all: usize,
    /// Those that are answered.
    placed: usize,
    /// The log knows.
    told: bool,
}

/// One open connection.
#[derive(Debug)]
pub struct Connection {
    port: Connections,
    address: IpAddr,
    placed: AtomicBool,
    watches: AtomicUsize,
    calls: AtomicUsize,
}

/// Something that a connection holds open, until it is dropped.
#[derive(Debug)]
pub struct Held {
    connection: Arc<Connection>,
    count: fn(&Connection) -> &AtomicUsize,
}

impl Connections {
    /// `limit`: the setting that says how many a client may have, for errors; `max`: how many, 0 for any number.
    pub fn new(limit: &'static str, max: usize, share: Share, budget: Arc<Budget>) -> Connections {
        Connections(Arc::new(Inner {
            limit,
            max: AtomicUsize::new(max),
            watches_max: AtomicUsize::new(share.watches),
            calls_max: share.calls,
            clients: Mutex::default(),
            budget,
            spread: Spread::new(),
            refused: metrics::counter!("lictor_connections_refused_total", "limit" => limit),
        }))
    }

    /// Replaces how many a client may have; those that are open stay.
    pub fn set_max(&self, max: usize) {
        self.0.max.store(max, Ordering::Relaxed);
    }

    /// Replaces how many watches a connection may hold.
    pub fn set_watches_max(&self, max: usize) {
        self.0.watches_max.store(max, Ordering::Relaxed);
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<IpAddr, Client>> {
        // The counts are whole after every statement, so a panic elsewhere cannot have broken them.
        self.0.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection from this address was accepted. `None`: there are so many that it is to be closed.
    pub fn enter(&self, address: IpAddr) -> Option<Arc<Connection>> {
        let inner = &*self.0;
        let max = inner.max.load(Ordering::Relaxed);
        let most = if max == 0 { usize::MAX } else { max.saturating_add(max / 4 + CONNECTIONS_RESERVED) };
        let mut clients = self.clients();
        let client = clients.entry(address).or_default();
        let placed = max == 0 || client.placed < max;
        if !placed && !std::mem::replace(&mut client.told, true) {
            tracing::warn!(client = %address, limit = inner.limit, max, "a client has too many connections");
        }
        let taken = || {
            let below = |open: usize| (open < inner.budget.max).then_some(open + 1);
            inner.budget.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, below).is_ok()
        };
        if client.all >= most || !taken() {
            inner.refused.increment(1);
            if client.all == 0 {
                clients.remove(&address);
            }
            return None;
        }
        client.all += 1;
        client.placed += usize::from(placed);
        drop(clients);
        if !placed {
            inner.refused.increment(1);
        }
        Some(Arc::new(Connection {
            port: self.clone(),
            address,
            placed: AtomicBool::new(placed),
            watches: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
        }))
    }

    fn busy(&self, reason: String) -> Busy {
        let inner = &*self.0;
        Busy { limit: inner.limit, reason, retry_after: inner.spread.lengthen(RETRY), fault: Fault::Client }
    }
}

impl Connection {
    /// Whether requests on it are answered. One that was too many is, once others have gone.
    ///
    /// # Errors
    /// [`Busy`]: its client still has too many.
    pub fn check(&self) -> Result<(), Busy> {
        if self.placed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let max = self.port.0.max.load(Ordering::Relaxed);
        let mut clients = self.port.clients();
        let client = clients.entry(self.address).or_default();
        if max == 0 || client.placed < max {
            client.placed += usize::from(!self.placed.swap(true, Ordering::Relaxed));
            return Ok(());
        }
        drop(clients);
        let (address, limit) = (self.address, self.port.0.limit);
        Err(self.port.busy(format!("too many connections from {address}: at most {max} are allowed ({limit})")))
    }

    /// A place for a stream that lasts.
    ///
    /// # Errors
    /// [`Busy`]: the connection holds too many.
    pub fn watch(self: &Arc<Self>) -> Result<Held, Busy> {
        let limit = "limits.watches_per_connection";
        self.hold(|c| &c.watches, self.port.0.watches_max.load(Ordering::Relaxed)).ok_or_else(|| {
            let max = self.port.0.watches_max.load(Ordering::Relaxed);
            let reason = format!("too many watches on this connection: at most {max} are allowed ({limit})");
            Busy { limit, ..self.port.busy(reason) }
        })
    }

    /// A place for a call, until it is answered.
    ///
    /// # Errors
    /// [`Busy`]: too many were not answered yet.
    pub fn call(self: &Arc<Self>) -> Result<Held, Busy> {
        let max = self.port.0.calls_max;
        self.hold(|c| &c.calls, max).ok_or_else(|| {
            let reason = format!("too many calls on this connection wait for an answer: at most {max} are allowed");
            Busy { limit: "calls per connection", ..self.port.busy(reason) }
        })
    }

    fn hold(self: &Arc<Self>, count: fn(&Connection) -> &AtomicUsize, max: usize) -> Option<Held> {
        let below = |now: usize| (now < max).then_some(now + 1);
        count(self).fetch_update(Ordering::Relaxed, Ordering::Relaxed, below).ok()?;
        Some(Held { connection: self.clone(), count })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        (self.count)(&self.connection).fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.port.0.budget.open.fetch_sub(1, Ordering::Relaxed);
        let mut clients = self.port.clients();
        if let Some(client) = clients.get_mut(&self.address) {
            client.all -= 1;
            client.placed -= usize::from(self.placed.load(Ordering::Relaxed));
            if client.all == 0 {
                clients.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHARE: Share = Share { watches: 2, calls: 1 };

    fn port(max: usize, budget: usize) -> Connections {
        Connections::new("limits.test", max, SHARE, Budget::new(budget))
    }

    fn at(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    #[test]
    fn a_client_has_its_share_and_is_told_when_it_is_used_up() {
        let port = port(2, 1000);
        let mut own: Vec<_> = (0..2).map(|_| port.enter(at(1)).expect("a place")).collect();
        let excess = port.enter(at(1)).expect("to be told");
        let busy = excess.check().expect_err("too many");
        let text = "too many connections from 127.0.0.1: at most 2 are allowed (limits.test)";
        assert_eq!((busy.to_string().as_str(), busy.fault), (text, Fault::Client));
        port.enter(at(2)).expect("another client").check().expect("answered");
        own.pop();
        excess.check().expect("there is room now");
        assert!(port.enter(at(1)).expect("to be told").check().is_err());
        let more: Vec<_> = std::iter::from_fn(|| port.enter(at(1))).take(100).collect();
        assert_eq!(more.len() + 2, 2 + CONNECTIONS_RESERVED, "not even to be told");
        port.set_max(0);
        assert!(port.enter(at(1)).is_some_and(|c| c.check().is_ok()));
        drop((own, excess, more));
        assert!(port.clients().is_empty());
    }

    #[test]
    fn all_clients_together_leave_room_for_servers() {
        let port = port(0, 3);
        let open: Vec<_> = (0..10).filter_map(|n| port.enter(at(n))).collect();
        assert_eq!((open.len(), port.clients().len()), (3, 3));
        drop(open);
        assert!(port.enter(at(9)).is_some());
    }

    #[test]
    fn a_connection_holds_so_much_and_no_more() {
        let connection = port(1, 1).enter(at(1)).expect("a place");
        let held = [connection.watch().expect("one"), connection.watch().expect("two")];
        let busy = connection.watch().expect_err("three");
        let text = "too many watches on this connection: at most 2 are allowed (limits.watches_per_connection)";
        assert_eq!((busy.to_string().as_str(), busy.limit), (text, "limits.watches_per_connection"));
        let call = connection.call().expect("beside the watches");
        let text = "too many calls on this connection wait for an answer: at most 1 are allowed";
        assert_eq!(connection.call().expect_err("two").to_string(), text);
        drop((held, call));
        assert!(connection.watch().is_ok() && connection.call().is_ok());
    }

    proptest! {
        /// Whatever comes and goes: counts are those of what is open, and nobody has more than may be.
        #[test]
        fn counts_are_exact(steps in prop::collection::vec((0_u8..3, any::<bool>(), 0_usize..8), 1..300)) {
            let port = port(4, 40);
            let mut open: Vec<Arc<Connection>> = Vec::new();
            for (who, enter, which) in steps {
                if enter {
                    open.extend(port.enter(at(who)));
                } else if !open.is_empty() {
                    drop(open.swap_remove(which % open.len()));
                }
                if let Some(one) = open.get(which) {
                    let _ = one.check();
                }
                let clients = port.clients();
                for who in 0..3 {
                    let own: Vec<_> = open.iter().filter(|c| c.address == at(who)).collect();
                    let placed = own.iter().filter(|c| c.placed.load(Ordering::Relaxed)).count();
                    let counted = clients.get(&at(who)).map_or((0, 0), |c| (c.all, c.placed));
                    prop_assert_eq!(counted, (own.len(), placed));
                    prop_assert!(placed <= 4);
                }
                prop_assert_eq!(port.0.budget.open.load(Ordering::Relaxed), open.len());
            }
        }
    }
}
