//! Several servers in one process, over a network that can be cut.

use super::*;
use crate::proto::internal::{CallRequest, CallResponse, InstallHead, InstallSnapshotResponse, LingerRequest};
use crate::raft::{Lingered, Peers, Replies, Requests, Unreached};
use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use uuid::Uuid;

mod recovery;
mod unfinished;

/// Who can reach whom. Servers are known by their addresses.
#[derive(Default)]
struct Wires {
    servers: BTreeMap<String, Handle>,
    cut: BTreeSet<(String, String)>,
}

/// A test needs seconds, and on the busiest machine a minute.
const HANGS_AFTER: Duration = Duration::from_secs(300);

/// The network of all servers.
#[derive(Clone, Default)]
struct Network(Arc<Mutex<Wires>>);

impl Network {
    /// A network whose test ends, with what its servers say, when it waits for what will not happen.
    fn watched() -> Network {
        let network = Network::default();
        let watched = network.clone();
        // It goes with the test's runtime.
        tokio::spawn(async move {
            tokio::time::sleep(HANGS_AFTER).await;
            // A test's thread has the name of the test.
            let thread = std::thread::current();
            let test = thread.name().unwrap_or("a test");
            let mut said = format!("{test} has not ended within {HANGS_AFTER:?}\n");
            for (address, server) in &watched.wires().servers {
                said.push_str(&format!("{address}: {:?}\n", server.status()));
            }
            // Not by the macro: what it prints is kept for a report that an exit does not write.
            let _ = std::io::stderr().write_all(said.as_bytes());
            std::process::exit(1);
        });
        network
    }

    fn wires(&self) -> MutexGuard<'_, Wires> {
        self.0.lock().expect("nobody panicked")
    }

    fn cut(&self, a: &str, b: &str) {
        self.wires().cut.extend([(a.into(), b.into()), (b.into(), a.into())]);
    }

    fn mend(&self) {
        self.wires().cut.clear();
    }

    fn way(&self, from: &str, to: &str) -> Result<Handle, Unreached> {
        let wires = self.wires();
        let open = !wires.cut.contains(&(from.to_owned(), to.to_owned()));
        let server = wires.servers.get(to).filter(|_| open).cloned();
        server.ok_or_else(|| Unreached::NotSent(format!("{to} cannot be reached")))
    }
}

/// The network as one server sees it.
struct Port {
    network: Network,
    own: String,
}

impl Peers for Port {
    fn call(
        &self,
        to: &str,
        request: CallRequest,
        limit: Duration,
    ) -> BoxFuture<'static, Result<CallResponse, Unreached>> {
        let (way, network, own, to) =
            (self.network.way(&self.own, to), self.network.clone(), self.own.clone(), to.to_owned());
        Box::pin(async move {
            let answered = tokio::time::timeout(limit, way?.serve(request)).await;
            let answer = answered.map_err(|_| Unreached::NoAnswer("too late".into()))?;
            // The answer needs a way back.
            network.way(&to, &own).map_err(|_| Unreached::NoAnswer("cut off".into()))?;
            Ok(answer)
        })
    }

    fn replicate(&self, to: &str, requests: Requests) -> BoxFuture<'static, Result<Replies, Unreached>> {
        let (way, network, own, to) =
            (self.network.way(&self.own, to), self.network.clone(), self.own.clone(), to.to_owned());
        Box::pin(async move {
            let server = way?;
            // Each message and each answer needs its way; the first that has none breaks the connection.
            let (there, from, at) = (network.clone(), own.clone(), to.clone());
            let arriving = requests.take_while(move |_| std::future::ready(there.way(&from, &at).is_ok()));
            let replies = server.serve_replication(arriving).map(move |reply| {
                network.way(&to, &own).map(|_| reply).map_err(|_| Unreached::NoAnswer("cut off".into()))
            });
            Ok(replies.boxed())
        })
    }

    fn install_snapshot(
        &self,
        to: &str,
        head: InstallHead,
        chunks: BoxStream<'static, Bytes>,
    ) -> BoxFuture<'static, Result<InstallSnapshotResponse, Unreached>> {
        let way = self.network.way(&self.own, to);
        Box::pin(async move { Ok(way?.serve_snapshot(head, chunks.map(Ok)).await) })
    }

    fn linger(&self, to: &str, _: LingerRequest) -> BoxFuture<'static, Lingered> {
        let (network, to) = (self.network.clone(), to.to_owned());
        Box::pin(async move {
            while network.wires().servers.contains_key(&to) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Lingered::Gone
        })
    }
}

struct Server {
    handle: Handle,
    medium: Medium,
    node: Node,
}

fn node(name: &str, n: u128) -> Node {
    Node { name: name.into(), address: name.into(), id: Uuid::from_u128(n), ..Node::default() }
}

async fn start(network: &Network, medium: &Medium, node: &Node) -> Handle {
    let peers = Arc::new(Port { network: network.clone(), own: node.address.clone() });
    let options = Options {
        data_dir: None,
        node: node.clone(),
        alone: false,
        expect: 3,
        slowness: 1,
        peers,
        clock: Clock::system(),
    };
    let handle = start_on(medium.clone(), options, hub()).await.expect("starts");
    network.wires().servers.insert(node.address.clone(), handle.clone());
    handle
}

async fn server(network: &Network, name: &str, n: u128) -> Server {
    let (medium, node) = (Medium::Simulated(Disk::new(n as u64)), node(name, n));
    Server { handle: start(network, &medium, &node).await, medium, node }
}

/// A cluster of three that one of them has founded.
async fn three(network: &Network) -> Vec<Server> {
    let mut servers = Vec::new();
    for (name, n) in [("a", 1), ("b", 2), ("c", 3)] {
        servers.push(server(network, name, n).await);
    }
    let cluster = Uuid::from_u128(77);
    let first = &servers[0].handle;
    first.adopt(cluster, &[]).await.expect("has no other");
    for other in &servers[1..] {
        first.adopt_at(0, &other.node.address, cluster).await.expect("has no other");
    }
    let members = servers.iter().map(|s| (s.handle.status().id, s.node.clone())).collect();
    first.found(members).await.expect("is new");
    servers
}

async fn write(handle: &Handle, key: &str, value: &str) {
    let (_, reply) = handle.propose(None, put(key, value)).await.expect("is accepted");
    assert!(matches!(reply, Ok(Outcome::Put { done: true, .. })));
}

async fn leader(servers: &[Server]) -> usize {
    loop {
        if let Some(at) = servers.iter().position(|s| s.handle.leadership().leads) {
            return at;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn every_server_takes_writes_and_reads_them_at_once() {
    let network = Network::watched();
    let servers = three(&network).await;
    leader(&servers).await;
    for (n, server) in servers.iter().enumerate() {
        let key = format!("k{n}");
        write(&server.handle, &key, "v").await;
        assert_eq!(Some("v".into()), value(&server.handle, &key), "whoever writes here reads it here");
        for reader in &servers {
            for level in [Barrier::Linearizable, Barrier::Lease] {
                reader.handle.barrier(level).await.expect("there is a leader");
            }
            assert_eq!(Some("v".into()), value(&reader.handle, &key), "acknowledged before the read");
        }
    }
}

#[tokio::test]
async fn a_dead_leader_is_replaced_and_nothing_acknowledged_is_lost() {
    let network = Network::watched();
    let mut servers = three(&network).await;
    let dead = leader(&servers).await;
    write(&servers[dead].handle, "before", "1").await;
    network.wires().servers.remove(&servers[dead].node.address);
    let Server { handle, medium, node } = servers.remove(dead);
    handle.shutdown().await.expect("stops");
    leader(&servers).await;
    write(&servers[0].handle, "after", "2").await;
    assert_eq!(Some("1".into()), value(&servers[0].handle, "before"));
    let back = start(&network, &medium, &node).await;
    back.caught_up().await;
    back.barrier(Barrier::Linearizable).await.expect("there is a leader");
    assert_eq!(Some("2".into()), value(&back, "after"));
}

#[tokio::test]
async fn a_leader_that_restarts_must_be_elected_again() {
    let network = Network::watched();
    let mut servers = three(&network).await;
    let old = leader(&servers).await;
    let term = servers[old].handle.leadership().term;
    let Server { handle, medium, node } = servers.remove(old);
    // So quickly that nobody misses it.
    handle.shutdown().await.expect("stops");
    servers.push(Server { handle: start(&network, &medium, &node).await, medium, node });
    let new = leader(&servers).await;
    assert!(servers[new].handle.leadership().term > term, "what the old one sent may be lost on its own disk");
}

#[tokio::test]
async fn a_server_that_comes_back_elsewhere_is_found_although_another_is_dead() {
    while !comes_back_elsewhere().await {}
}

/// `false`: on a busy machine, another leader was elected before the others were stopped.
async fn comes_back_elsewhere() -> bool {
    let network = Network::watched();
    let mut servers = three(&network).await;
    let at = leader(&servers).await;
    let leading = servers.remove(at).handle;
    let mut moved = None;
    for Server { handle, medium, node } in servers {
        network.wires().servers.remove(&node.address);
        let id = handle.status().id;
        handle.shutdown().await.expect("stops");
        moved = Some((id, medium, Node { address: "elsewhere".into(), ..node }));
    }
    // Now the leader has more in its log than whoever is left, who could not be elected in its place.
    let last = leading.status().last_log;
    let writer = leading.clone();
    let waiting = tokio::spawn(async move { writer.propose(None, put("a", "1")).await });
    while leading.status().last_log == last {
        if waiting.is_finished() {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (id, medium, node) = moved.expect("there were two");
    let back = start(&network, &medium, &node).await;
    leading.enrol(id, node).await.expect("is done by these two");
    back.caught_up().await;
    assert_eq!(Some("1".into()), value(&back, "a"));
    let _ = waiting.await.expect("ends");
    true
}

#[tokio::test]
async fn a_leader_that_is_cut_off_acknowledges_nothing_and_claims_nothing() {
    let network = Network::watched();
    let servers = three(&network).await;
    let old = leader(&servers).await;
    write(&servers[old].handle, "k", "old").await;
    let others: Vec<&Server> = servers.iter().enumerate().filter(|(at, _)| *at != old).map(|(_, s)| s).collect();
    for other in &others {
        network.cut(&servers[old].node.address, &other.node.address);
    }
    let new = loop {
        if let Some(new) = others.iter().find(|s| s.handle.leadership().leads) {
            break new;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    write(&new.handle, "k", "new").await;
    servers[old].handle.barrier(Barrier::Linearizable).await.expect_err("nobody confirms it");
    servers[old].handle.propose(None, put("k", "lost")).await.expect_err("nobody has it");
    knows_leader(&servers[old].handle, false).await;
    network.mend();
    knows_leader(&servers[old].handle, true).await;
    for server in &servers {
        server.handle.barrier(Barrier::Linearizable).await.expect("there is a leader");
        assert_eq!(Some("new".into()), value(&server.handle, "k"));
    }
}

async fn knows_leader(handle: &Handle, wanted: bool) {
    let mut status = handle.subscribe_status();
    status.wait_for(|s| s.leader.is_some() == wanted).await.expect("it runs");
    assert_eq!(wanted, handle.standing().leader_known);
}

#[tokio::test]
async fn a_minority_knows_no_leader_until_it_hears_of_one() {
    let network = Network::watched();
    let servers = three(&network).await;
    let first = leader(&servers).await;
    let alone = &servers[(first + 1) % 3];
    knows_leader(&alone.handle, true).await;
    for other in servers.iter().filter(|s| s.node.address != alone.node.address) {
        network.cut(&alone.node.address, &other.node.address);
    }
    knows_leader(&alone.handle, false).await;
    assert_eq!(None, alone.handle.status().leader);
    network.mend();
    knows_leader(&alone.handle, true).await;
    let Server { handle, medium, node } = servers.into_iter().nth((first + 1) % 3).expect("it is there");
    network.wires().servers.clear();
    handle.shutdown().await.expect("stops");
    let again = start(&network, &medium, &node).await;
    assert_eq!(None, again.status().leader, "the one of the last term is only remembered");
}

#[tokio::test]
async fn servers_join_by_snapshot_get_a_vote_and_replace_others() {
    let network = Network::watched();
    let mut servers = three(&network).await;
    let first = leader(&servers).await;
    // Far more than stays in the log behind a snapshot.
    for n in 0..600 {
        write(&servers[first].handle, &format!("k{n}"), "v").await;
    }
    let late = server(&network, "d", 4).await;
    late.handle.adopt(Uuid::from_u128(77), &[]).await.expect("has no other");
    let id = late.handle.status().id;
    servers[first].handle.enrol(id, late.node.clone()).await.expect("is let in");
    late.handle.barrier(Barrier::Linearizable).await.expect("there is a leader");
    assert_eq!(Some("v".into()), value(&late.handle, "k0"));
    assert!(!late.handle.status().members.iter().any(|m| m.id == id && m.voter), "no vote at first");
    servers[first].handle.set_voter(id, true).await.expect("is there");
    let gone = (first + 1) % 3;
    let gone_id = servers[gone].handle.status().id;
    late.handle.remove(gone_id).await.expect("the leader does it");
    servers.remove(gone);
    let members = servers[0].handle.status().members;
    assert_eq!(members.iter().filter(|m| m.voter).count(), 3, "{members:?}");
    assert!(!members.iter().any(|m| m.id == gone_id));
}

#[tokio::test]
async fn a_server_that_has_lost_its_identity_as_well_replaces_the_one_at_its_address() {
    let network = Network::watched();
    let mut servers = three(&network).await;
    let first = leader(&servers).await;
    let Server { handle, node: Node { name, .. }, .. } = servers.remove((first + 1) % 3);
    let old = handle.status().id;
    network.wires().servers.remove(&name);
    handle.shutdown().await.expect("stops");
    let new = server(&network, &name, 4).await;
    new.handle.adopt(Uuid::from_u128(77), &[]).await.expect("has no other");
    new.handle.enrol_at(&servers[0].node.address).await.expect("is let in");
    let members = servers[leader(&servers).await].handle.status().members;
    let ids: BTreeSet<u64> = members.iter().map(|m| m.id).collect();
    assert!(ids.len() == 3 && ids.contains(&new.handle.status().id) && !ids.contains(&old), "{members:?}");
}

#[tokio::test]
async fn a_server_of_another_cluster_is_refused() {
    let network = Network::watched();
    let servers = three(&network).await;
    let first = leader(&servers).await;
    let stranger = server(&network, "x", 9).await;
    stranger.handle.adopt(Uuid::from_u128(5), &[]).await.expect("has no other");
    let error = stranger.handle.adopt(Uuid::from_u128(77), &[]).await.expect_err("has one");
    assert_eq!("this server is of cluster 00000000-0000-0000-0000-000000000005", error.to_string());
    let error = stranger.handle.enrol_at(&servers[first].node.address).await.expect_err("is refused");
    assert!(error.contains("came from another cluster"), "{error}");
}

#[tokio::test]
async fn leadership_is_handed_over() {
    let network = Network::watched();
    let servers = three(&network).await;
    let first = leader(&servers).await;
    servers[first].handle.hand_over(None).await.expect("another takes over");
    assert!(!servers[first].handle.leadership().leads);
}
