//! Clusters of the real binary, each server in a network namespace of its own, under faults: the process dies or
//! stands still, the network is cut, one way or both, addresses change, the disk fills up.
//!
//! Writers retry as an SDK would and note what was acknowledged; in the end every server must have all of it. Needs
//! root and iproute2; skipped loudly without. `LICTOR_NETNS_ROUNDS` (default 1) repeats the faults.

mod cluster;
#[path = "../common/mod.rs"]
mod common;
mod load;
mod net;

use cluster::{Cluster, eventually, own_binary};
use load::Load;
use net::Net;
use std::path::PathBuf;
use std::time::Duration;

/// Writes that must be acknowledged after every fault before the next one: the cluster is at work again.
const PROGRESS: usize = 60;

fn rounds() -> u64 {
    std::env::var("LICTOR_NETNS_ROUNDS").map_or(1, |v| v.parse().expect("LICTOR_NETNS_ROUNDS: a number"))
}

/// `None`, with a loud word, where namespaces cannot be made.
fn net(name: &str, servers: u8) -> Option<Net> {
    match Net::new(name, servers) {
        Ok(net) => Some(net),
        Err(reason) => {
            eprintln!("SKIPPED: clusters in network namespaces: {reason}");
            None
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_whatever_happens_to_a_server() {
    let Some(net) = net("f", 3) else { return };
    let mut cluster = Cluster::start(&net, 3);
    let load = Load::start(&net, cluster.addresses(), 4, 0);
    load.progress(PROGRESS);
    for _ in 0..rounds() {
        let leader = cluster.leader();
        cluster.kill9(leader);
        load.progress(PROGRESS);
        cluster.restart(leader);
        cluster.settled();

        let leader = cluster.leader();
        cluster.stop(leader);
        load.progress(PROGRESS);
        cluster.cont(leader);
        cluster.settled();

        let leader = cluster.leader();
        net.cut(leader);
        load.progress(PROGRESS);
        net.mend(leader);
        cluster.settled();

        // It hears the others, they do not hear it.
        let leader = cluster.leader();
        net.mute(leader);
        load.progress(PROGRESS);
        net.unmute(leader);
        cluster.settled();

        // All die at once.
        for server in 0..3 {
            cluster.kill9(server);
        }
        for server in 0..3 {
            cluster.restart(server);
        }
        cluster.settled();
        load.progress(PROGRESS);
    }
    let acknowledged = load.end();
    cluster.settled();
    cluster.check(&acknowledged);
}

#[test]
fn a_rolling_restart_fails_no_call_that_retries() {
    let Some(net) = net("r", 3) else { return };
    let mut cluster = Cluster::start(&net, 3);
    let load = Load::start(&net, cluster.addresses(), 4, 0);
    load.progress(PROGRESS);
    for server in 0..3 {
        cluster.terminate(server);
        load.progress(PROGRESS);
        cluster.restart(server);
        cluster.settled();
        load.progress(PROGRESS);
    }
    let acknowledged = load.end();
    assert_eq!(acknowledged.given_up(), 0, "calls that failed after all their retries");
    cluster.check(&acknowledged);
}

/// `LICTOR_TEST_OLDER` names an older binary. Every mixture of the two serves, and the way back is open as well.
#[test]
fn an_older_version_and_this_one_work_together() {
    let Some(older) = std::env::var_os("LICTOR_TEST_OLDER").map(PathBuf::from) else {
        return eprintln!("SKIPPED: an older version beside this one: LICTOR_TEST_OLDER does not name its binary");
    };
    let Some(net) = net("o", 3) else { return };
    let mut cluster = Cluster::start_from(&net, 3, &older);
    let load = Load::start(&net, cluster.addresses(), 4, 0);
    load.progress(PROGRESS);
    let own = own_binary();
    // Upgraded one by one, one of them goes back and forth.
    for (server, binary) in [(0, &own), (1, &own), (1, &older), (2, &own), (1, &own)] {
        cluster.terminate(server);
        cluster.install(server, binary);
        load.progress(PROGRESS);
        cluster.restart(server);
        cluster.settled();
        load.progress(PROGRESS);
        // Another leads, perhaps of the other version.
        let leader = cluster.leader();
        cluster.kill9(leader);
        load.progress(PROGRESS);
        cluster.restart(leader);
        cluster.settled();
    }
    let acknowledged = load.end();
    assert_eq!(acknowledged.given_up(), 0, "calls that failed after all their retries");
    cluster.check(&acknowledged);
}

#[test]
fn servers_come_back_at_another_address_and_without_their_data() {
    let Some(net) = net("a", 3) else { return };
    let mut cluster = Cluster::start(&net, 3);
    let load = Load::start(&net, cluster.addresses(), 2, 0);
    load.progress(PROGRESS);

    cluster.kill9(2);
    cluster.move_to(2, 12);
    cluster.restart(2);
    let moved = format!("{}:8300", cluster.address(2));
    eventually("the peers know the new address", || cluster.peers(0).contains(&moved));

    cluster.kill9(1);
    cluster.wipe(1);
    cluster.restart(1);
    cluster.settled();
    eventually("it has a vote again", || cluster.voters(0) == 3);
    load.progress(PROGRESS);
    let acknowledged = load.end();
    cluster.settled();
    cluster.check(&acknowledged);
}

#[test]
fn a_full_disk_stops_one_server_and_the_others_go_on() {
    let Some(net) = net("d", 3) else { return };
    let mut cluster = Cluster::start(&net, 3);
    let load = Load::start(&net, cluster.addresses(), 4, 32 << 10);
    load.progress(PROGRESS);
    let full = cluster.leader();
    cluster.fill_disk(full);
    cluster.wait_for_end(full, Duration::from_secs(60));
    load.progress(PROGRESS);
    cluster.free_disk(full);
    cluster.restart(full);
    cluster.settled();
    let acknowledged = load.end();
    cluster.check(&acknowledged);
}

#[test]
fn five_servers_change_while_two_are_away() {
    let Some(net) = net("v", 5) else { return };
    let mut cluster = Cluster::start(&net, 5);
    let load = Load::start(&net, cluster.addresses(), 4, 0);
    load.progress(PROGRESS);

    let dead = cluster.leader();
    cluster.kill9(dead);
    load.progress(PROGRESS);
    let cut = cluster.leader();
    net.cut(cut);
    load.progress(PROGRESS);
    // Three of five agree on who is a member, while one of them cannot be reached.
    cluster.wipe(dead);
    cluster.restart(dead);
    load.progress(PROGRESS);
    let asked = (0..5).find(|server| *server != dead && *server != cut).expect("three are left");
    // By its new identity: its address is also that of the server that it replaces.
    eventually("the new server has a vote", || {
        cluster.node_id(dead).is_some_and(|id| cluster.voting_ids(asked).contains(&id))
    });
    // It is seen before it is agreed on, and until then three of the four before it are needed. Writes come after it.
    load.progress(PROGRESS);
    load.progress(PROGRESS);
    let leader = cluster.leader();
    cluster.stop(leader);
    load.progress(PROGRESS);
    cluster.cont(leader);
    net.mend(cut);
    cluster.settled();
    eventually("all have a vote", || cluster.voters(dead) == 5);
    load.progress(PROGRESS);

    let acknowledged = load.end();
    cluster.settled();
    cluster.check(&acknowledged);
}
