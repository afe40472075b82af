//! Watch: sets that change, filters, resumption, progress.

use crate::common::Server;
use crate::common::grpc::{Clients, instance, reason, selector};
use crate::run;
use crate::set::{Kind, SetReader, ask};
use crate::write::{deregister, key, put, register, versioned};
use lictor::proto::v1::service_selector::Name;
use lictor::proto::v1::watch_response::Cause;
use lictor::proto::v1::{
    Check, HealthPolicy, HealthState, Instance, ReadOptions, ReportHealthRequest, ServiceSelector, WatchRequest,
};
use prost_types::Duration;
use tonic::Code;

/// All instances of services whose names begin so, healthy or not.
fn prefix(prefix: &str) -> ServiceSelector {
    let name = Some(Name::ServicePrefix(prefix.into()));
    ServiceSelector { name, health: HealthPolicy::Any.into(), ..Default::default() }
}

/// etcd's users saw nothing for what did not exist when the watch began. Rule: an unknown service is a set without
/// instances that says so, and it may appear, go, and come back; the same through a prefix.
#[test]
fn an_unknown_service_appears_and_goes_and_returns() {
    run(async {
        let server = Server::dev();
        let mut clients = Clients::connect(server.grpc_addr()).await;
        let mut one = SetReader::begin(&mut clients, ask(selector("new"))).await;
        let mut all = SetReader::begin(&mut clients, ask(prefix("ne"))).await;
        assert!(!one.services["new"].exists && all.services.is_empty());
        for round in 1..=3 {
            register(&mut clients, vec![versioned("new", "1", round)]).await;
            for reader in [&mut one, &mut all] {
                reader.until(|r| r.version("new", "1") == Some(round)).await;
                assert!(reader.services["new"].exists);
                reader.assert_same(&mut clients).await;
            }
            deregister(&mut clients, "new", "1").await;
            for reader in [&mut one, &mut all] {
                reader.until(|r| r.set.is_empty()).await;
                assert!(!reader.services["new"].exists);
            }
        }
    });
}

/// etcd's watch that went on at a compacted revision never told of a deletion (#19179); a client's set then held it for
/// ever. Rule: who comes back is told of what went meanwhile, and of what came and went at least nothing wrong.
#[test]
fn what_went_while_away_is_told() {
    run(async {
        let server = Server::dev();
        let mut clients = Clients::connect(server.grpc_addr()).await;
        let two = |round| vec![versioned("web", "stays", round), versioned("web", "goes", round)];
        register(&mut clients, two(1)).await;
        for wanted in [selector("web"), prefix("we")] {
            let mut reader = SetReader::begin(&mut clients, ask(wanted)).await;
            for round in 2..6 {
                register(&mut clients, vec![versioned("web", "brief", round)]).await;
                deregister(&mut clients, "web", "brief").await;
                deregister(&mut clients, "web", "goes").await;
                if round % 2 == 0 {
                    register(&mut clients, two(round)).await;
                }
                reader.resume(&mut clients).await;
                assert_eq!(reader.read().await.expect("at once"), Kind::Delta, "no snapshot is needed");
                assert_eq!(reader.version("web", "goes").is_some(), round % 2 == 0);
                reader.assert_same(&mut clients).await;
                // From here nothing has happened.
                reader.resume(&mut clients).await;
                assert_eq!(reader.read().await.expect("at once"), Kind::Progress);
            }
            register(&mut clients, two(1)).await;
        }
    });
}

/// A filtered watch of etcd with no matching events was thought to be up to date when it was not. Rule: an instance that
/// leaves the selection is removed, one that enters it comes, while the stream is open and while it is away; what never
/// matched is not told.
#[test]
fn a_filtered_set_gains_and_loses() {
    run(async {
        let server = Server::dev();
        let mut clients = Clients::connect(server.grpc_addr()).await;
        let tagged = |id: &str, tag: &str| Instance { tags: vec![tag.into()], ..instance("web", id, 80) };
        register(&mut clients, vec![tagged("a", "blue"), tagged("b", "green")]).await;
        let blue = ServiceSelector { tags: vec!["blue".into()], ..selector("web") };
        let filter = ServiceSelector { filter: "\"blue\" in Tags".into(), ..selector("web") };
        for (turn, wanted) in [blue, filter].into_iter().enumerate() {
            let mut open = SetReader::begin(&mut clients, ask(wanted.clone())).await;
            let mut away = SetReader::begin(&mut clients, ask(wanted)).await;
            assert_eq!(open.set.len(), 1);
            // They change places in one revision.
            register(&mut clients, vec![tagged("a", "green"), tagged("b", "blue")]).await;
            open.until(|r| r.set.keys().all(|(_, id)| id == "b")).await;
            assert_eq!(open.set.len(), 1, "both at once");
            report(&mut clients, "b", HealthState::Critical).await;
            open.until(|r| r.set.is_empty()).await;
            away.resume(&mut clients).await;
            away.until(|r| r.set.is_empty()).await;
            report(&mut clients, "b", HealthState::Passing).await;
            away.resume(&mut clients).await;
            for reader in [&mut open, &mut away] {
                reader.until(|r| r.set.len() == 1).await;
                assert!(reader.set.keys().all(|(_, id)| id == "b"), "turn {turn}");
            }
            register(&mut clients, vec![tagged("a", "blue"), tagged("b", "green")]).await;
        }
    });
}

async fn report(clients: &mut Clients, id: &str, state: HealthState) {
    let check = Check { check_id: "c".into(), state: state.into(), ..Default::default() };
    let request = ReportHealthRequest { key: Some(key("web", id)), checks: vec![check], ..Default::default() };
    clients.registry.report_health(request).await.expect("report");
}

/// Progress that was ahead of what had been delivered made etcd's clients skip changes (#15220, #20221). Rule: after
/// progress at R nothing of R or before comes; SetReader checks that instances are never older than what is known, and
/// here each new one is behind the last progress.
#[test]
fn progress_is_never_ahead_of_a_change() {
    run(async {
        let server = Server::dev();
        let mut clients = Clients::connect(server.grpc_addr()).await;
        let progress_interval = Some(Duration { seconds: 0, nanos: 100_000_000 });
        let request = WatchRequest { progress_interval, ..ask(selector("web")) };
        let mut readers = Vec::new();
        for _ in 0..12 {
            readers.push(SetReader::begin(&mut clients, request.clone()).await);
        }
        for round in 1..=8 {
            // Written when the progress of all is due; other things move the revision on.
            while readers[0].read().await.expect("a message") != Kind::Progress {}
            put(&mut clients, "loud", round.to_string()).await;
            let revision = register(&mut clients, vec![versioned("web", "1", round)]).await;
            for reader in &mut readers {
                while reader.version("web", "1") != Some(round) {
                    reader.read().await.expect("a message");
                    let there = reader.version("web", "1") == Some(round);
                    assert_eq!(there, reader.revision >= revision, "progress to {} without it", reader.revision);
                }
            }
        }
    });
}

/// A watcher far behind got an error that its clients took for the end (etcd's "required revision has been compacted").
/// Rule: a token that is too old brings a snapshot that says why, and then changes go on.
#[test]
fn a_token_too_old_brings_a_snapshot() {
    run(async {
        let server = Server::dev();
        let mut clients = Clients::connect(server.grpc_addr()).await;
        register(&mut clients, vec![versioned("web", "gone", 1), versioned("web", "kept", 1)]).await;
        let mut reader = SetReader::begin(&mut clients, ask(selector("web"))).await;
        deregister(&mut clients, "web", "gone").await;
        for number in 0..24u8 {
            put(&mut clients, "burn", vec![number; 500 * 1024]).await;
        }
        reader.resume(&mut clients).await;
        assert_eq!(reader.read().await.expect("a snapshot"), Kind::Complete(Cause::Compacted));
        reader.assert_same(&mut clients).await;
        register(&mut clients, vec![versioned("web", "new", 1)]).await;
        reader.until(|r| r.set.len() == 2).await;
    });
}

/// Going on with the token of another cluster, of another question, or with rubbish, must never look like the old
/// history. Rule: a snapshot with OTHER_CLUSTER.
#[test]
fn a_token_that_is_not_ours_brings_a_snapshot() {
    run(async {
        let (here, there) = (Server::dev(), Server::dev());
        let mut clients = Clients::connect(here.grpc_addr()).await;
        let mut others = Clients::connect(there.grpc_addr()).await;
        for clients in [&mut clients, &mut others] {
            register(clients, vec![versioned("web", "1", 1)]).await;
        }
        let theirs = SetReader::begin(&mut others, ask(selector("web"))).await.token;
        let of_prefix = SetReader::begin(&mut clients, ask(prefix("web"))).await.token;
        for token in [theirs, of_prefix, "rubbish".into(), vec![0xff; 4096].into()] {
            let request = WatchRequest { resume_token: token, ..ask(selector("web")) };
            let mut reader = SetReader::open(&mut clients, request).await;
            assert_eq!(reader.read().await.expect("a snapshot"), Kind::Complete(Cause::OtherCluster));
            reader.assert_same(&mut clients).await;
        }
    });
}

/// etcd showed events from before a start in the future (#15271). Rule: a watch that asks for a revision to come waits for
/// it, and is told TOO_STALE when it does not come.
#[test]
fn a_start_in_the_future_is_waited_for() {
    run(async {
        let server = Server::dev();
        let mut clients = Clients::connect(server.grpc_addr()).await;
        let now = register(&mut clients, vec![versioned("web", "1", 1)]).await;
        let at_least = |min_revision| {
            let read = Some(ReadOptions { min_revision, ..Default::default() });
            WatchRequest { read, ..ask(selector("web")) }
        };
        let (mut early, request) = (clients.clone(), at_least(now + 3));
        let opening = tokio::spawn(async move { SetReader::begin(&mut early, request).await });
        let mut last = now;
        for version in 2..8 {
            last = register(&mut clients, vec![versioned("web", "1", version)]).await;
        }
        let mut reader = opening.await.expect("the stream");
        assert!(reader.revision >= now + 3 && reader.version("web", "1") >= Some(4));
        reader.until(|r| r.revision >= last).await;
        assert_eq!(reader.version("web", "1"), Some(7));
        let status = clients.discovery.watch(at_least(u64::MAX)).await.expect_err("too far");
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "ERROR_REASON_TOO_STALE"));
    });
}
