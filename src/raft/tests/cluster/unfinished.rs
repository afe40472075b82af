//! A leader dies in the middle of a change of the members.

use super::*;
use openraft::ChangeMembers;
use openraft::type_config::async_runtime::watch::WatchReceiver;

fn between_two_configurations(handle: &Handle) -> bool {
    handle.raft().server_metrics().borrow_watched().membership_config.get_joint_config().len() > 1
}

#[tokio::test]
async fn a_change_that_a_dead_leader_began_is_ended_by_the_next() {
    while !ends_what_the_dead_began().await {}
}

/// `false`: on a busy machine, another leader was elected before the change could begin.
async fn ends_what_the_dead_began() -> bool {
    let network = Network::watched();
    let mut servers = three(&network).await;
    let fourth = server(&network, "d", 4).await;
    let at = leader(&servers).await;
    let old = servers.remove(at);
    let cluster = old.handle.cluster().expect("is in one");
    old.handle.adopt_at(0, &fourth.node.address, cluster).await.expect("has no other");
    let id = fourth.handle.status().id;
    if old.handle.enrol(id, fourth.node.clone()).await.is_err() {
        return false;
    }
    fourth.handle.caught_up().await;
    servers.push(fourth);
    // Nobody at the old leader ends it while this is held.
    let changing = old.handle.inner().changing.lock().await;
    for other in &servers {
        network.cut(&old.node.address, &other.node.address);
    }
    let raft = old.handle.raft().clone();
    let change = tokio::spawn(async move {
        let _ = raft.change_membership(ChangeMembers::AddVoterIds([id].into()), false).await;
    });
    while !between_two_configurations(&old.handle) {
        if change.is_finished() || !old.handle.leadership().leads {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    change.abort();
    network.mend();
    while !servers.iter().all(|s| between_two_configurations(&s.handle)) {
        if servers.iter().any(|s| s.handle.leadership().leads) {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    network.wires().servers.remove(&old.node.address);
    drop(changing);
    old.handle.shutdown().await.expect("stops");
    while servers.iter().any(|s| between_two_configurations(&s.handle)) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(4, servers[0].handle.status().members.iter().filter(|m| m.voter).count());
    true
}
