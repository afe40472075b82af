//! WatchKeys while it is open: order, whole revisions, progress, readers that are slow or late.

use crate::common::grpc::{Clients, reason};
use crate::common::{Random, Server};
use crate::keys::{KeyReader, ask};
use crate::run;
use crate::write::{any, delete, put, put_request, txn};
use lictor::proto::v1::WatchKeysRequest;
use lictor::proto::v1::delete_request::Target as Deleted;
use lictor::proto::v1::txn_op::Op;
use lictor::proto::v1::watch_keys_request::{Start, Target};
use lictor::proto::v1::{DeleteRequest, watch_keys_response::KeyEvent};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::Code;

/// Writers at work on their own connections until the sender is dropped or told to stop.
async fn writers(server: &Server, count: u64, stop: &watch::Sender<bool>) -> JoinSet<u64> {
    let mut tasks = JoinSet::new();
    for seed in 0..count {
        let mut clients = Clients::connect(server.grpc_addr()).await;
        let (mut random, stop) = (Random::new(seed), stop.subscribe());
        tasks.spawn(async move {
            let mut number = 0;
            while !*stop.borrow() {
                number += 1;
                any(&mut clients, &mut random, "w/", number).await.expect("a write");
            }
            number
        });
    }
    tasks
}

/// etcd lost events of watchers that fell behind or began while others wrote (#17529), and gave events out of order.
/// Rule: whoever begins whenever gets every change after its start, in order and once; late watchers catch up while
/// writing goes on, so none starves.
#[test]
fn whoever_begins_whenever_gets_every_change() {
    run(async {
        let server = Server::dev();
        let mut clients = Clients::connect(server.grpc_addr()).await;
        let start = put(&mut clients, "w/first", "x").await;
        let (stop, _) = watch::channel(false);
        let tasks = writers(&server, 3, &stop).await;
        let mut readers = Vec::new();
        for i in 0..12 {
            // Each on its own connection; half of them far behind, all while writing goes on.
            let mut clients = Clients::connect(server.grpc_addr()).await;
            let mut reader = match i % 2 {
                0 => KeyReader::snapshot(&mut clients, "w/").await,
                _ => KeyReader::open(&mut clients, ask("w/", Some(Start::AfterRevision(start))), None).await,
            };
            while reader.events.len() < 40 {
                reader.read().await.expect("a message");
            }
            readers.push(reader);
        }
        stop.send_replace(true);
        assert!(tasks.join_all().await.into_iter().sum::<u64>() > 0);
        put(&mut clients, "w/last", "end").await;
        for reader in &mut readers {
            reader.until("w/last", "end").await;
        }
        let all = &readers[1].events;
        for (i, reader) in readers.iter().enumerate() {
            let behind = all.partition_point(|e| e.revision < reader.events[0].revision);
            assert!(reader.events == all[behind..], "reader {i} saw another history");
            if i % 2 == 0 {
                reader.assert_same(&mut clients, "w/").await;
            }
        }
    });
}

/// etcd sent the events of one transaction in several responses without saying so, and a client that resumed in between
/// lost the rest. Rule: a revision is split only with more_in_revision and without a token inside; who is cut off in the
/// middle gets the revision again from its beginning.
#[test]
fn a_transaction_is_never_torn() {
    run(async {
        let server = Server::dev();
        let mut clients = Clients::connect(server.grpc_addr()).await;
        let mut reader = KeyReader::open(&mut clients, ask("t/", None), Some(Default::default())).await;
        reader.read().await.expect("progress at the beginning");
        for round in 0..3u8 {
            let value = vec![round; 400 * 1024];
            let puts = (0..6).map(|i| Op::Put(put_request(&format!("t/{i}"), value.clone())));
            let revision = txn(&mut clients, puts).await.expect("txn");
            let seen = reader.events.len();
            while reader.events.len() == seen {
                reader.read().await.expect("a message");
            }
            assert!(reader.events.len() < seen + 6, "the test needs a revision that is split");
            assert!(reader.revision < revision, "a token inside a revision");
            if round % 2 == 0 {
                reader.resume(&mut clients, ask("t/", None)).await;
                assert_eq!(reader.events.len(), seen, "the part of a revision is forgotten");
            }
            while reader.revision < revision {
                reader.read().await.expect("a message");
            }
            assert_eq!(reader.events.len(), seen + 6);
        }
        reader.assert_same(&mut clients, "t/").await;
    });
}

/// etcd told a watcher of progress up to a revision and then sent it an event of an older one (#15220, #20221). Rule:
/// progress at R means that nothing up to R is still to come; [`KeyReader`] checks each event against it.
#[test]
fn progress_is_never_ahead_of_a_change() {
    run(async {
        let server = Server::dev();
        let mut clients = Clients::connect(server.grpc_addr()).await;
        let (stop, _) = watch::channel(false);
        let loud = writers(&server, 2, &stop).await;
        let progress_interval = Some(prost_types::Duration { seconds: 0, nanos: 100_000_000 });
        let request = WatchKeysRequest { progress_interval, ..ask("quiet/", None) };
        let mut readers = Vec::new();
        for _ in 0..16 {
            let mut reader = KeyReader::open(&mut clients, request.clone(), Some(Default::default())).await;
            reader.read().await.expect("progress at the beginning");
            readers.push(reader);
        }
        for round in 0..8 {
            // The first reader's progress is the signal to write: the others' is due at the same moment.
            let seen = readers[0].progress;
            while readers[0].progress == seen {
                readers[0].read().await.expect("progress");
            }
            put(&mut clients, "quiet/key", round.to_string()).await;
            for reader in &mut readers {
                reader.until("quiet/key", &round.to_string()).await;
            }
        }
        stop.send_replace(true);
        loud.join_all().await;
        assert!(readers.iter().all(|r| r.events.len() == 8), "every change once");
    });
}

/// etcd gave a wrong or no prev_kv after compaction and for transactions. Rule: `previous` is what the key was just
/// before the revision, for overwritten, deleted and created keys, in a resumed stream too.
#[test]
fn what_was_there_before_is_told_rightly() {
    run(async {
        let server = Server::dev();
        let mut clients = Clients::connect(server.grpc_addr()).await;
        let start = put(&mut clients, "p/a", "1").await;
        put(&mut clients, "p/b", "1").await;
        put(&mut clients, "p/a", "2").await;
        let target = Some(Deleted::Prefix("p/".into()));
        clients.kv.delete(DeleteRequest { target, ..Default::default() }).await.expect("delete");
        put(&mut clients, "p/a", "3").await;
        let gone = DeleteRequest { target: Some(Deleted::Key("p/a".into())), ..Default::default() };
        txn(&mut clients, [Op::Delete(gone), Op::Put(put_request("p/b", "2"))]).await.expect("txn");
        let last = put(&mut clients, "p/a", "4").await;
        let request = ask("p/", Some(Start::AfterRevision(start - 1)));
        let mut reader = KeyReader::open(&mut clients, request, Some(Default::default())).await;
        while reader.revision < last {
            reader.read().await.expect("a message");
        }
        let value = |kv: &Option<_>| kv.as_ref().map(|kv: &lictor::proto::v1::KeyValue| kv.value.clone());
        let told = |e: &KeyEvent| (e.key.clone(), value(&e.previous), value(&e.current));
        let of = |key: &'static str, before: Option<&'static str>, now: Option<&'static str>| {
            (key.into(), before.map(Into::into), now.map(Into::into))
        };
        let found: Vec<_> = reader.events.iter().map(told).collect();
        let wanted = [
            of("p/a", None, Some("1")),
            of("p/b", None, Some("1")),
            of("p/a", Some("1"), Some("2")),
            of("p/a", Some("2"), None),
            of("p/b", Some("1"), None),
            of("p/a", None, Some("3")),
            of("p/a", Some("3"), None),
            of("p/b", None, Some("2")),
            of("p/a", None, Some("4")),
        ];
        assert_eq!(found, wanted);
    });
}

/// A watcher must get what it asked for and nothing else, however alike the names are. Rule: one key means that key, a
/// prefix means its bytes.
#[test]
fn a_watcher_gets_its_own_keys_only() {
    run(async {
        let server = Server::dev();
        let mut clients = Clients::connect(server.grpc_addr()).await;
        let key = |key: &'static str| WatchKeysRequest { target: Some(Target::Key(key.into())), ..ask("", None) };
        let mut readers = Vec::new();
        for request in [key("f"), key("f/"), ask("f/", None), ask("f", None), ask("", None), ask("f/none", None)] {
            let mut reader = KeyReader::open(&mut clients, request, Some(Default::default())).await;
            reader.read().await.expect("progress at the beginning");
            readers.push(reader);
        }
        for name in ["f", "F", "f/", "f/a", "e", "fa", "f/a/b"] {
            put(&mut clients, name, "x").await;
        }
        delete(&mut clients, "f/a").await;
        let last = put(&mut clients, "z", "x").await;
        for (reader, count) in readers.iter_mut().zip([1, 1, 4, 6, 9, 0]) {
            while reader.revision < last {
                reader.read().await.expect("a message");
            }
            assert_eq!(reader.events.len(), count, "{:?}", reader.events);
        }
    });
}

/// One watcher that did not read held up others, or grew the server without bound (etcd #16839). Rule: its queue is
/// bounded, others get everything meanwhile, and it is told SLOW_CONSUMER; its token then brings the rest.
#[test]
fn a_reader_that_stops_delays_nobody_and_can_go_on() {
    run(async {
        let server = Server::dev();
        let mut clients = Clients::connect(server.grpc_addr()).await;
        let mut slow_clients = Clients::connect(server.grpc_addr()).await;
        let mut slow = KeyReader::snapshot(&mut slow_clients, "s/").await;
        let progress_interval = Some(prost_types::Duration { seconds: 0, nanos: 100_000_000 });
        let request = WatchKeysRequest { progress_interval, ..ask("s/", None) };
        let mut quick = KeyReader::open(&mut clients, request, Some(Default::default())).await;
        // More than its queue and all buffers on the way hold, but not more than is kept for its return.
        let value = vec![b'x'; 500 * 1024];
        for number in 0..26 {
            put(&mut clients, &format!("s/{number}"), value.clone()).await;
            while quick.events.len() <= number {
                quick.read().await.expect("the quick one gets every change");
            }
        }
        // The server's own clock: it gives up a stream that does not move for a second.
        let seen = quick.progress;
        while quick.progress < seen + 25 {
            quick.read().await.expect("progress");
        }
        let status = loop {
            if let Err(status) = slow.read().await {
                break status;
            }
            assert!(slow.events.len() < 26, "it was never given up");
        };
        assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "ERROR_REASON_SLOW_CONSUMER"));
        slow.resume(&mut slow_clients, ask("s/", None)).await;
        slow.until("s/25", std::str::from_utf8(&value).expect("text")).await;
        assert!(slow.events == quick.events, "the slow one saw another history");
    });
}
