//! After the loss of a majority.

use super::*;
use crate::proto::internal as pb;
use crate::proto::internal::call_request::Body as Question;
use crate::raft::{RecoverError, StartError, Survivor};
use std::path::Path;

const OLD: Uuid = Uuid::from_u128(77);
const NEW: Uuid = Uuid::from_u128(88);

async fn open(medium: &Medium) -> Result<Survivor, RecoverError> {
    Survivor::open_on(medium.clone(), Path::new("here")).await
}

async fn stop(network: &Network, server: Server) -> (Medium, Node) {
    network.wires().servers.remove(&server.node.address);
    server.handle.shutdown().await.expect("stops");
    (server.medium, server.node)
}

/// A cluster of three whose servers have stopped, with the keys k0 to k9 in it.
async fn lost(network: &Network) -> Vec<(Medium, Node)> {
    let servers = three(network).await;
    let first = leader(&servers).await;
    for n in 0..10 {
        write(&servers[first].handle, &format!("k{n}"), "v").await;
    }
    for server in &servers {
        server.handle.barrier(Barrier::Linearizable).await.expect("there is a leader");
    }
    let mut stopped = Vec::new();
    for server in servers {
        stopped.push(stop(network, server).await);
    }
    stopped
}

fn assert_complete(handle: &Handle) {
    for n in 0..10 {
        assert_eq!(Some("v".into()), value(handle, &format!("k{n}")), "k{n}");
    }
}

async fn recover(medium: &Medium) -> Uuid {
    open(medium).await.expect("is stopped").recover(NEW, "").await.expect("is recovered")
}

async fn refused(medium: &Medium, node: &Node) -> StartError {
    let options = Options { alone: false, ..Options::alone(node.clone(), Clock::system()) };
    start_on(medium.clone(), options, hub()).await.expect_err("does not start")
}

#[tokio::test]
async fn a_survivor_goes_on_alone_with_all_it_had_and_others_join_it() {
    let network = Network::watched();
    let stopped = lost(&network).await;
    let survivor = open(&stopped[1].0).await.expect("is stopped");
    let holdings = survivor.holdings().clone();
    assert_eq!((OLD, 3, Some("b")), (holdings.cluster, holdings.members.len(), holdings.own().map(|m| &*m.node.name)));
    assert!(holdings.last_index >= 10 && holdings.committed <= holdings.last_index && !holdings.unfinished);
    survivor.close().await.expect("lets go");
    assert_eq!(NEW, recover(&stopped[1].0).await);

    let handle = start(&network, &stopped[1].0, &stopped[1].1).await;
    assert!(handle.leads_alone(), "at once");
    assert_complete(&handle);
    assert!(handle.leadership().term > holdings.term);
    write(&handle, "after", "1").await;
    assert_eq!((Some(NEW), 1), (handle.cluster(), handle.status().members.len()));

    let late = server(&network, "d", 4).await;
    let probed = late.handle.probe("b").await.expect("answers");
    assert_eq!((Some(NEW), vec![OLD]), (probed.cluster, probed.former.clone()));
    late.handle.adopt(NEW, &probed.former).await.expect("has no other");
    late.handle.enrol_at("b").await.expect("is let in");
    late.handle.barrier(Barrier::Linearizable).await.expect("there is a leader");
    assert_complete(&late.handle);
    assert_eq!(Some("1".into()), value(&late.handle, "after"));
    assert_eq!(vec![OLD], handle.probe("d").await.expect("answers").former, "it is passed on");
}

#[tokio::test]
async fn old_servers_are_refused_and_stop_for_good() {
    let network = Network::watched();
    let stopped = lost(&network).await;
    recover(&stopped[1].0).await;
    let survivor = start(&network, &stopped[1].0, &stopped[1].1).await;
    write(&survivor, "after", "1").await;
    let before = survivor.status();
    // Two of three: of the old cluster, they would be a majority.
    let old =
        [start(&network, &stopped[0].0, &stopped[0].1).await, start(&network, &stopped[2].0, &stopped[2].1).await];
    let why = "cluster 00000000-0000-0000-0000-00000000004d had lost its majority and was recovered as cluster \
        00000000-0000-0000-0000-000000000058, without this server: what this server has is out of date. Keep its data \
        directory elsewhere or remove it, and start the server again: it will join as a new one";
    for handle in &old {
        assert_eq!(why, handle.fatal().await);
        handle.propose(None, put("k0", "old")).await.expect_err("it is over");
    }
    for (handle, node) in old.into_iter().zip([&stopped[0].1, &stopped[2].1]) {
        network.wires().servers.remove(&node.address);
        handle.shutdown().await.expect("stops");
    }
    let after = survivor.status();
    assert_eq!((before.term, before.members, before.last_log), (after.term, after.members, after.last_log));
    assert_complete(&survivor);
    for (medium, node) in [&stopped[0], &stopped[2]] {
        assert_eq!(why, refused(medium, node).await.to_string());
    }
    // Another mistake can still be mended: this one was the better survivor after all.
    let chosen = open(&stopped[0].0).await.expect("is stopped");
    assert!(chosen.holdings().superseded.is_some());
    chosen.recover(Uuid::from_u128(99), "").await.expect("is recovered");
    assert_complete(&start(&network, &stopped[0].0, &stopped[0].1).await);
}

#[tokio::test]
async fn a_majority_that_works_is_not_ended_by_a_mistake() {
    let network = Network::watched();
    let mut servers = three(&network).await;
    let first = leader(&servers).await;
    write(&servers[first].handle, "k", "1").await;
    let (medium, node) = stop(&network, servers.remove((first + 1) % 3)).await;
    recover(&medium).await;
    leader(&servers).await;
    // They have had a leader for long enough.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mistaken = start(&network, &medium, &node).await;
    assert!(mistaken.leads_alone());
    let asker = &servers[0].handle;
    let told =
        asker.link().ask(0, &node.address, Question::ReadIndex(pb::ReadIndex { lease: false }), Duration::from_secs(2));
    let error = told.await.expect_err("is refused").to_string();
    assert!(error.ends_with("without this server"), "{error}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    write(asker, "k", "2").await;
    for server in &servers {
        server.handle.barrier(Barrier::Linearizable).await.expect("there is a leader");
        assert_eq!(Some("2".into()), value(&server.handle, "k"));
    }
}

#[tokio::test]
async fn an_interrupted_recovery_is_run_again() {
    let network = Network::watched();
    let stopped = lost(&network).await;
    let (Medium::Simulated(disk), node) = &stopped[2] else { panic!("a simulated disk") };
    let mut finished = 0;
    for n in 0.. {
        let disk = disk.copy(n);
        let medium = Medium::Simulated(disk.clone());
        disk.plan(n, Fault::Crash);
        let survivor = open(&medium).await;
        let done = match survivor {
            Ok(survivor) => survivor.recover(NEW, "").await.is_ok(),
            Err(_) => false,
        };
        finished += u32::from(done);
        disk.restart();
        match open(&medium).await {
            Err(error) => panic!("write {n}: {error}"),
            Ok(survivor) if survivor.check().is_err() => survivor.close().await.expect("lets go"),
            Ok(survivor) => {
                assert!(!done, "write {n}");
                let (unfinished, cluster) = (survivor.holdings().unfinished, survivor.holdings().cluster);
                survivor.close().await.expect("lets go");
                match unfinished {
                    true => assert!(matches!(refused(&medium, node).await, StartError::Unfinished), "write {n}"),
                    false => assert_eq!(OLD, cluster, "write {n}"),
                }
                assert_eq!(NEW, recover(&medium).await, "write {n}");
            }
        }
        let handle = start(&network, &medium, node).await;
        assert!(handle.leads_alone(), "write {n}");
        assert_eq!(Some(NEW), handle.cluster(), "write {n}");
        assert_complete(&handle);
        write(&handle, "after", "1").await;
        network.wires().servers.clear();
        handle.shutdown().await.expect("stops");
        // Later faults come after the end.
        if finished == 3 {
            assert!(n > 10, "{n}");
            return;
        }
    }
}

#[tokio::test]
async fn nothing_is_recovered_where_nothing_is_lost() {
    let medium = Medium::Simulated(Disk::new(1));
    assert!(matches!(open(&medium).await, Err(RecoverError::NoServer(_))));
    let network = Network::watched();
    let waiting = server(&network, "w", 1).await;
    let (medium, _) = stop(&network, waiting).await;
    assert!(matches!(open(&medium).await, Err(RecoverError::NoCluster)));

    let disk = Medium::Simulated(Disk::new(2));
    started(&disk).await.shutdown().await.expect("stops");
    let only = open(&disk).await.expect("is stopped");
    assert!(matches!(only.check(), Err(RecoverError::Alone)));
    assert!(matches!(only.recover(NEW, "").await, Err(RecoverError::Alone)));
}
