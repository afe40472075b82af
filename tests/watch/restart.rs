//! Watches across the end and the return of their server, by SIGTERM and by kill -9.

use crate::common::grpc::{Clients, reason, selector};
use crate::common::{Random, Server};
use crate::keys::{KeyReader, ask};
use crate::run;
use crate::set::{self, Kind, SetReader};
use crate::write::{any, deregister, put, register, versioned};
use lictor::proto::v1::watch_keys_request::Start;
use lictor::proto::v1::{HealthPolicy, ServiceSelector, WatchRequest};
use tokio::task::block_in_place;
use tonic::Code;

fn end(server: &mut Server, gently: bool) {
    block_in_place(|| if gently { assert!(server.sigterm().success()) } else { server.kill9() });
}

/// After a restart etcd gave watchers events from the past or from a future that was never written (#15271), and a
/// replay could bring the same event twice. Rule: with the last token a watcher goes on as if nothing had been, however
/// the server ended: KeyReader knows the version of every key, so nothing is missing, double, or older.
#[test]
fn keys_go_on_across_restarts() {
    run(async {
        let dir = tempfile::tempdir().expect("directory");
        let mut server = Server::durable(dir.path());
        let mut clients = Clients::connect(server.grpc_addr()).await;
        let mut reader = KeyReader::snapshot(&mut clients, "w/").await;
        let mut random = Random::new(11);
        for round in 0..6 {
            let mut writer = Clients::connect(server.grpc_addr()).await;
            let mut numbers = random.fork();
            let writing = tokio::spawn(async move {
                let mut last = 0;
                for number in 0.. {
                    match any(&mut writer, &mut numbers, "w/", number).await {
                        Ok(revision) => last = revision,
                        Err(_) => break,
                    }
                }
                last
            });
            let wanted = reader.events.len() + 20 + random.below(60) as usize;
            while reader.events.len() < wanted {
                reader.read().await.expect("a message");
            }
            end(&mut server, round % 2 == 0);
            let status = loop {
                if let Err(status) = reader.read().await {
                    break status;
                }
            };
            if round % 2 == 0 {
                assert_eq!(
                    (status.code(), reason(&status).as_str()),
                    (Code::Unavailable, "ERROR_REASON_NODE_DRAINING")
                );
            }
            let acknowledged = writing.await.expect("the writer");
            block_in_place(|| server.restart());
            clients = Clients::connect(server.grpc_addr()).await;
            reader.resume(&mut clients, ask("w/", None)).await;
            while reader.revision < acknowledged {
                reader.read().await.expect("a message");
            }
        }
        put(&mut clients, "w/last", "end").await;
        reader.until("w/last", "end").await;
        reader.assert_same(&mut clients, "w/").await;
        // The history is still the same from its very beginning.
        let start = Some(Start::AfterRevision(reader.events[0].revision - 1));
        let mut again = KeyReader::open(&mut clients, ask("w/", start), None).await;
        again.until("w/last", "end").await;
        assert!(again.events == reader.events, "another history than the one that was shown");
    });
}

/// The same for sets: a set that was resumed after a restart must hold what changed meanwhile, deregistrations first of
/// all, and no token may bring a reader back in time. Rule: it goes on without a snapshot, and ends up the same.
#[test]
fn sets_go_on_across_restarts() {
    run(async {
        let dir = tempfile::tempdir().expect("directory");
        let mut server = Server::durable(dir.path());
        let mut clients = Clients::connect(server.grpc_addr()).await;
        let all = ServiceSelector { health: HealthPolicy::Any.into(), ..selector("web") };
        let mut away = SetReader::begin(&mut clients, set::ask(all.clone())).await;
        for round in 0..6u64 {
            let mut present = SetReader::begin(&mut clients, set::ask(all.clone())).await;
            register(&mut clients, (0..5).map(|i| versioned("web", &format!("{i}"), round)).collect()).await;
            deregister(&mut clients, "web", &format!("{}", round % 5)).await;
            register(&mut clients, vec![versioned("web", &format!("brief-{round}"), round)]).await;
            if round % 3 != 0 {
                deregister(&mut clients, "web", &format!("brief-{round}")).await;
            }
            let last = register(&mut clients, vec![versioned("web", "mark", round)]).await;
            present.until(|r| r.version("web", "mark") == Some(round)).await;
            end(&mut server, round % 2 == 0);
            while present.read().await.is_ok() {}
            block_in_place(|| server.restart());
            clients = Clients::connect(server.grpc_addr()).await;
            present.resume(&mut clients).await;
            assert_eq!(present.read().await.expect("at once"), Kind::Progress, "nothing had happened since");
            assert!(present.revision >= last);
            away.resume(&mut clients).await;
            assert_eq!(away.read().await.expect("at once"), Kind::Delta, "no snapshot is needed");
            assert!(present.set == away.set, "round {round}");
            away.assert_same(&mut clients).await;
        }
    });
}

/// A token must stay good whatever was written last before the end: here something that no watcher is told. Rule: a
/// snapshot comes only if changes are missing, not because of what stood last in the log.
#[test]
fn a_token_stays_good_whatever_was_written_last() {
    run(async {
        let dir = tempfile::tempdir().expect("directory");
        let mut server = Server::durable(dir.path());
        let mut clients = Clients::connect(server.grpc_addr()).await;
        register(&mut clients, vec![versioned("web", "1", 1)]).await;
        let mut reader = SetReader::begin(&mut clients, set::ask(selector("web"))).await;
        let key = put(&mut clients, "n/key", "x").await;
        for gently in [true, false] {
            // A node without services: the catalog changes, but no service does.
            let node = format!("{{\"Node\":\"bare-{gently}\",\"Address\":\"10.0.0.1\"}}");
            block_in_place(|| server.put("/v1/catalog/register", node).ok());
            end(&mut server, gently);
            block_in_place(|| server.restart());
            clients = Clients::connect(server.grpc_addr()).await;
            reader.resume(&mut clients).await;
            assert_eq!(reader.read().await.expect("at once"), Kind::Progress, "SIGTERM: {gently}");
            let request = lictor::proto::v1::GetRequest { key: "n/key".into(), at_revision: key, ..Default::default() };
            assert!(clients.kv.get(request).await.expect("kept").into_inner().kv.is_some());
        }
    });
}

/// A service that nobody has registered is watched before and across a restart; etcd's users saw no event for a key that
/// did not exist when the watch was resumed. Rule: absence is a state like any other, and its end is a change.
#[test]
fn an_unknown_service_appears_after_a_restart() {
    run(async {
        let dir = tempfile::tempdir().expect("directory");
        let mut server = Server::durable(dir.path());
        let mut clients = Clients::connect(server.grpc_addr()).await;
        let mut reader = SetReader::begin(&mut clients, set::ask(selector("new"))).await;
        assert!(!reader.services["new"].exists);
        end(&mut server, false);
        block_in_place(|| server.restart());
        clients = Clients::connect(server.grpc_addr()).await;
        register(&mut clients, vec![versioned("new", "1", 1)]).await;
        reader.resume(&mut clients).await;
        reader.until(|r| r.services.get("new").is_some_and(|s| s.exists)).await;
        assert_eq!(reader.version("new", "1"), Some(1));
    });
}

/// A server that lost its data is another cluster: going on there as if nothing had been would be etcd's time travel
/// (#15271). Rule: a snapshot that says so, and a reader may well see an older revision in it.
#[test]
fn a_server_without_its_data_is_another_cluster() {
    run(async {
        let mut server = Server::dev();
        let mut clients = Clients::connect(server.grpc_addr()).await;
        register(&mut clients, vec![versioned("web", "lost", 1)]).await;
        let token = SetReader::begin(&mut clients, set::ask(selector("web"))).await.token;
        end(&mut server, false);
        block_in_place(|| server.restart());
        clients = Clients::connect(server.grpc_addr()).await;
        register(&mut clients, vec![versioned("web", "new", 2)]).await;
        let request = WatchRequest { resume_token: token, ..set::ask(selector("web")) };
        let mut reader = SetReader::open(&mut clients, request).await;
        let cause = lictor::proto::v1::watch_response::Cause::OtherCluster;
        assert_eq!(reader.read().await.expect("a snapshot"), Kind::Complete(cause));
        assert_eq!((reader.version("web", "new"), reader.set.len()), (Some(2), 1));
    });
}
