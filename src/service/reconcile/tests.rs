//! Nodes that went away while no server ran.

use super::*;
use crate::clock::Clock;
use crate::service::tests::started;
use crate::store::Medium;
use crate::watch::Topic;

const HOUR: Duration = Duration::from_secs(3600);

fn patience(critical_after: Duration, forget_after: Duration) -> Patience {
    Patience { full_every: HOUR, critical_after, forget_after }
}

fn member(name: &str, id: u128) -> Member {
    Member {
        name: name.to_owned(),
        id: Uuid::from_u128(id),
        address: ([10, 0, 0, 9], 8301).into(),
        tags: Default::default(),
        status: Status::Alive,
        since_ms: 0,
        generation: 1,
    }
}

/// A server whose catalog has the member `gone`, and `external`, which nobody ever saw in gossip.
async fn with_nodes() -> Core {
    let (core, _raft) = started(Medium::Memory, &Clock::system()).await;
    core.show_alive(&member("gone", 7)).await.expect("registered");
    let node = NodeRecord { name: "external".into(), address: "10.0.0.8".into(), ..NodeRecord::default() };
    let external = CatalogRegister { node, skip_node_update: false, service: None, checks: Vec::new() };
    core.catalog_register_in(Lane::Own, Box::new(external)).await.expect("registered");
    core
}

fn shown(core: &Core, name: &str) -> Option<Option<Health>> {
    core.inner.raft.state().node(name).map(|node| serf_health(&node.record))
}

#[tokio::test]
async fn a_node_that_gossip_does_not_know_is_critical_after_a_while_and_removed_in_the_end() {
    let core = with_nodes().await;
    let (nobody, mut absent) = (Members::default(), Absent::default());
    core.reconcile_absent(&nobody, &mut absent, &patience(HOUR, HOUR)).await;
    assert_eq!(shown(&core, "gone"), Some(Some(Health::Passing)), "it has time to come back");
    core.reconcile_absent(&nobody, &mut absent, &patience(Duration::ZERO, HOUR)).await;
    assert_eq!(shown(&core, "gone"), Some(Some(Health::Critical)));
    let revision = core.inner.raft.state().revision();
    core.reconcile_absent(&nobody, &mut absent, &patience(Duration::ZERO, HOUR)).await;
    assert_eq!(core.inner.raft.state().revision(), revision, "what is shown already is not written again");
    core.reconcile_absent(&nobody, &mut absent, &patience(Duration::ZERO, Duration::ZERO)).await;
    assert_eq!(shown(&core, "gone"), None);
    assert_eq!(shown(&core, "external"), Some(None), "it was never a member");
}

#[tokio::test]
async fn a_leader_looks_by_itself() {
    let core = with_nodes().await;
    let mut nodes = core.hub().subscribe(Topic::Nodes);
    let (_members, receiver) = watch::channel(Arc::new(Members::default()));
    let reach: Reach = Arc::new(|_| Box::pin(async { false }));
    let strict = Patience { full_every: Duration::from_millis(1), ..patience(Duration::ZERO, Duration::ZERO) };
    let running = tokio::spawn(core.clone().run_reconcile(receiver, reach, strict));
    while shown(&core, "gone").is_some() {
        nodes.changed().await;
    }
    running.abort();
}

#[tokio::test]
async fn a_node_that_is_a_member_by_name_or_id_is_not_absent() {
    let core = with_nodes().await;
    let mut absent = Absent::default();
    let strict = patience(Duration::ZERO, Duration::ZERO);
    for known in [member("GONE", 1), member("other", 7)] {
        core.reconcile_absent(&Members::new(vec![Arc::new(known)], 1), &mut absent, &strict).await;
        assert_eq!(shown(&core, "gone"), Some(Some(Health::Passing)));
    }
}

#[tokio::test]
async fn the_time_begins_again_when_a_node_was_back_in_between() {
    let core = with_nodes().await;
    let mut absent = Absent::default();
    let (nobody, waits) = (Members::default(), patience(HOUR, HOUR));
    core.reconcile_absent(&nobody, &mut absent, &waits).await;
    let first = absent.since_of("gone").expect("missed");
    core.reconcile_absent(&nobody, &mut absent, &waits).await;
    assert_eq!(absent.since_of("gone"), Some(first));
    core.reconcile_absent(&Members::new(vec![Arc::new(member("gone", 7))], 1), &mut absent, &waits).await;
    assert_eq!(absent.since_of("gone"), None);
}
