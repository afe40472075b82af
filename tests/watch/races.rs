//! Watches while many write the same things at once.

use crate::common::grpc::{Clients, instance, selector};
use crate::common::{Random, Server};
use crate::keys::{KeyReader, ask as ask_keys};
use crate::run;
use crate::set::{SetReader, ask};
use crate::write::{delete, deregister, key, put, register, txn, versioned};
use lictor::proto::v1::txn_op::Op;
use lictor::proto::v1::{
    DeregisterInstancesRequest, HealthPolicy, Instance, InstanceView, RegisterInstancesRequest, ServiceSelector,
    WatchRequest,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinSet;

fn everything() -> ServiceSelector {
    ServiceSelector { health: HealthPolicy::Any.into(), ..selector("race") }
}

/// Many registries lost a registration that raced with a deregistration, or showed a ghost, and etcd lost events of
/// watchers that reconnected meanwhile (#17529). Rule: whatever the order was, everyone who follows, and everyone who
/// reconnects over and over, ends with exactly what the server has.
#[test]
fn registrations_and_deregistrations_race() {
    run(async {
        let server = Server::dev();
        let mut clients = Clients::connect(server.grpc_addr()).await;
        let mut writers = JoinSet::new();
        for seed in 0..3 {
            let mut clients = Clients::connect(server.grpc_addr()).await;
            let mut random = Random::new(seed);
            writers.spawn(async move {
                for number in 0..250 {
                    let id = random.below(4).to_string();
                    match random.below(2) {
                        0 => register(&mut clients, vec![versioned("race", &id, seed * 1000 + number)]).await,
                        _ => deregister(&mut clients, "race", &id).await,
                    };
                }
            });
        }
        let mut readers = JoinSet::new();
        for restless in 0..6usize {
            let mut clients = Clients::connect(server.grpc_addr()).await;
            readers.spawn(async move {
                let mut reader = SetReader::begin(&mut clients, ask(everything())).await;
                let mut messages = 0;
                while reader.version("race", "end").is_none() {
                    reader.read().await.expect("a message");
                    messages += 1;
                    if restless > 1 && messages % restless == 0 {
                        reader.resume(&mut clients).await;
                    }
                }
                reader
            });
        }
        writers.join_all().await;
        register(&mut clients, vec![versioned("race", "end", 1)]).await;
        for reader in readers.join_all().await {
            reader.assert_same(&mut clients).await;
        }
    });
}

/// The same for one key: the last event of a key that is put and deleted by several must be what the server has.
/// KeyReader checks that the versions leave no gap.
#[test]
fn puts_and_deletions_of_one_key_race() {
    run(async {
        let server = Server::dev();
        let mut clients = Clients::connect(server.grpc_addr()).await;
        let mut follower = KeyReader::snapshot(&mut clients, "race/").await;
        let mut restless = KeyReader::snapshot(&mut Clients::connect(server.grpc_addr()).await, "race/").await;
        let mut writers = JoinSet::new();
        for seed in 0..3 {
            let mut clients = Clients::connect(server.grpc_addr()).await;
            let mut random = Random::new(seed);
            writers.spawn(async move {
                for number in 0..250u64 {
                    match random.below(2) {
                        0 => put(&mut clients, "race/key", format!("{seed}-{number}")).await,
                        _ => delete(&mut clients, "race/key").await,
                    };
                }
            });
        }
        let mut reconnecting = clients.clone();
        let again = tokio::spawn(async move {
            while !restless.keys.contains_key(&b"race/end"[..]) {
                restless.read().await.expect("a message");
                restless.resume(&mut reconnecting, ask_keys("race/", None)).await;
            }
            restless
        });
        writers.join_all().await;
        put(&mut clients, "race/end", "x").await;
        follower.until("race/end", "x").await;
        let restless = again.await.expect("the restless one");
        assert!(follower.events == restless.events, "two histories");
        follower.assert_same(&mut clients, "race/").await;
    });
}

/// etcd's transaction came in pieces to watchers; a set that shows half a change sends traffic to nobody or to both. Rule:
/// what was written in one revision, by a batch or by a transaction, is seen as one.
#[test]
fn a_batch_is_seen_whole() {
    run(async {
        let server = Server::dev();
        let mut clients = Clients::connect(server.grpc_addr()).await;
        let batch = |round| (0..20).map(|i| versioned("race", &i.to_string(), round)).collect::<Vec<_>>();
        register(&mut clients, batch(0)).await;
        let written = Arc::new(AtomicBool::new(false));
        let mut readers = JoinSet::new();
        for restless in 0..4usize {
            let mut clients = Clients::connect(server.grpc_addr()).await;
            let written = written.clone();
            readers.spawn(async move {
                let mut reader = SetReader::begin(&mut clients, ask(everything())).await;
                let mut messages = 0;
                while reader.version("race", "0") != Some(200) && reader.version("race", "new") != Some(200) {
                    reader.read().await.expect("a message");
                    let mut versions: Vec<_> = reader.set.values().map(|i| &i.version).collect();
                    versions.dedup();
                    assert_eq!((versions.len(), reader.set.len()), (1, 20), "a torn batch at {}", reader.revision);
                    messages += 1;
                    if restless > 0 && messages % restless == 0 {
                        reader.resume(&mut clients).await;
                    }
                }
                assert!(written.load(Ordering::SeqCst), "the last was not written yet");
            });
        }
        for round in 1..=200 {
            written.store(round == 200, Ordering::SeqCst);
            // One leaves and another comes in the same revision, so there are always 20.
            let (leaves, comes) = if round % 2 == 1 { ("0", "new") } else { ("new", "0") };
            let mut instances = batch(round);
            instances[0] = versioned("race", comes, round);
            let register = RegisterInstancesRequest { instances, ..Default::default() };
            let leave = DeregisterInstancesRequest { keys: vec![key("race", leaves)], ..Default::default() };
            txn(&mut clients, [Op::Register(register), Op::Deregister(leave)]).await.expect("txn");
        }
        readers.join_all().await;
    });
}

/// One reader of a set that stopped reading made a server keep everything for it, or held up the others. Rule: it is
/// given the newest set when it reads again, never a queue of old ones, and the others get theirs at once.
#[test]
fn a_reader_that_stops_gets_the_newest_and_delays_nobody() {
    run(async {
        let server = Server::dev();
        let mut clients = Clients::connect(server.grpc_addr()).await;
        let filler = "x".repeat(500);
        let large = |round: u64| -> Vec<Instance> {
            let metadata =
                (0..40).map(|k| (k.to_string(), filler.clone())).collect::<std::collections::BTreeMap<_, _>>();
            let one = |i: u64| Instance {
                metadata: metadata.clone(),
                version: round.to_string(),
                ..instance("race", &i.to_string(), 80)
            };
            (0..50).map(one).collect()
        };
        register(&mut clients, large(0)).await;
        let mut slow = SetReader::begin(&mut Clients::connect(server.grpc_addr()).await, ask(everything())).await;
        let request = WatchRequest { view: InstanceView::Full.into(), ..ask(everything()) };
        let mut quick = SetReader::begin(&mut Clients::connect(server.grpc_addr()).await, request).await;
        let mut last = 0;
        for round in 1..=30 {
            last = register(&mut clients, large(round)).await;
            quick.until(|r| r.version("race", "49") == Some(round)).await;
        }
        let mut messages = 0;
        while slow.revision < last {
            slow.read().await.expect("a message");
            messages += 1;
        }
        assert!(messages < 30, "every old set was kept for it");
        assert!(slow.set == quick.set);
        slow.assert_same(&mut clients).await;
    });
}
