//! WatchKeys from a token or a revision.

use crate::common::grpc::{Clients, reason};
use crate::common::{Random, Server};
use crate::keys::{KeyReader, ask, list};
use crate::run;
use crate::write::{any, delete, put};
use lictor::proto::v1::WatchKeysRequest;
use lictor::proto::v1::watch_keys_request::Start;
use tonic::Code;
use tonic_types::StatusExt;

/// etcd clients saw events twice or not at all behind a reconnect, because the revision to go on from was off by one or
/// of a half-sent response. Rule: every token of every message goes on exactly behind that message.
#[test]
fn every_token_goes_on_exactly_behind_its_message() {
    run(async {
        let server = Server::dev();
        let mut clients = Clients::connect(server.grpc_addr()).await;
        let mut writer = Clients::connect(server.grpc_addr()).await;
        let mut reader = KeyReader::snapshot(&mut clients, "r/").await;
        let mut random = Random::new(7);
        let mut tokens = vec![(reader.token.clone(), 0)];
        for number in 0..60 {
            let revision = any(&mut writer, &mut random, "r/", number).await.expect("a write");
            if number % 3 == 0 {
                // Sometimes each message is read at once, sometimes several are merged.
                put(&mut writer, "r/mark", number.to_string()).await;
                while reader.revision < revision {
                    reader.read().await.expect("a message");
                    tokens.push((reader.token.clone(), reader.events.len()));
                }
            }
        }
        put(&mut writer, "r/last", "end").await;
        reader.until("r/last", "end").await;
        assert!(tokens.len() > 10);
        for (token, seen) in tokens {
            let request = ask("r/", Some(Start::ResumeToken(token)));
            let mut again = KeyReader::open(&mut clients, request, None).await;
            again.until("r/last", "end").await;
            assert!(again.events == reader.events[seen..], "gap or duplicate behind {seen} events");
        }
    });
}

/// etcd missed the deletion when a watch went on at the very revision that was compacted (#19179). Rule here without
/// compaction: a key that went while the watcher was away is told as deleted, and one that came and went is told too.
#[test]
fn deletions_while_away_are_told() {
    run(async {
        let server = Server::dev();
        let mut clients = Clients::connect(server.grpc_addr()).await;
        put(&mut clients, "d/old", "x").await;
        let mut reader = KeyReader::snapshot(&mut clients, "d/").await;
        reader.resume(&mut clients, ask("d/", None)).await;
        put(&mut clients, "d/brief", "x").await;
        delete(&mut clients, "d/brief").await;
        let last = delete(&mut clients, "d/old").await;
        reader.resume(&mut clients, ask("d/", None)).await;
        while reader.revision < last {
            reader.read().await.expect("a message");
        }
        let told: Vec<_> = reader.events.iter().map(|e| (&e.key[..], e.current.is_some())).collect();
        assert_eq!(told, [(&b"d/brief"[..], true), (b"d/brief", false), (b"d/old", false)]);
        // From the token of the deletion itself: nothing comes again.
        reader.resume(&mut clients, ask("d/", None)).await;
        let end = put(&mut clients, "d/end", "x").await;
        while reader.revision < end {
            reader.read().await.expect("a message");
        }
        assert_eq!(reader.events.len(), 4);
        reader.assert_same(&mut clients, "d/").await;
    });
}

/// etcd delivered events from before a start that lay in the future, once it had restarted or was restored (#15271).
/// Rule: a start in the future waits for that revision and shows only what is behind it; one that does not come ends with
/// UNAVAILABLE / TOO_STALE, not with older events.
#[test]
fn a_start_in_the_future_shows_nothing_older() {
    run(async {
        let server = Server::dev();
        let mut clients = Clients::connect(server.grpc_addr()).await;
        let mut writer = Clients::connect(server.grpc_addr()).await;
        let now = put(&mut clients, "f/now", "x").await;
        let future = now + 10;
        let request = ask("f/", Some(Start::AfterRevision(future)));
        let opening = tokio::spawn(async move { KeyReader::open(&mut clients, request, None).await });
        let mut last = now;
        for number in 0.. {
            last = put(&mut writer, "f/now", number.to_string()).await;
            if last > future + 5 {
                break;
            }
        }
        let mut reader = opening.await.expect("the stream");
        while reader.revision < last {
            reader.read().await.expect("a message");
        }
        let revisions: Vec<u64> = reader.events.iter().map(|e| e.revision).collect();
        assert_eq!(revisions, (future + 1..=last).collect::<Vec<_>>());
        for far in [last + 1_000_000, u64::MAX] {
            let status = writer.kv.watch_keys(ask("f/", Some(Start::AfterRevision(far)))).await.expect_err("too far");
            assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "ERROR_REASON_TOO_STALE"));
        }
    });
}

/// A watch that went on against a restored or another cluster showed another history as if it were the same one
/// (etcd #15271 after a restore). Rule: a token names its cluster; elsewhere it is COMPACTED, or a snapshot if asked for.
#[test]
fn a_token_of_another_cluster_is_not_taken_for_ours() {
    run(async {
        let (here, there) = (Server::dev(), Server::dev());
        let mut clients = Clients::connect(here.grpc_addr()).await;
        let mut others = Clients::connect(there.grpc_addr()).await;
        put(&mut clients, "c/here", "x").await;
        for number in 0..5 {
            put(&mut others, "c/there", number.to_string()).await;
        }
        let theirs = KeyReader::snapshot(&mut others, "c/").await.token;
        let request = ask("c/", Some(Start::ResumeToken(theirs)));
        let status = clients.kv.watch_keys(request.clone()).await.expect_err("another cluster");
        assert_eq!((status.code(), reason(&status).as_str()), (Code::OutOfRange, "ERROR_REASON_COMPACTED"));
        let request = WatchKeysRequest { snapshot_if_compacted: true, ..request };
        let mut reader = KeyReader::open(&mut clients, request, None).await;
        while reader.token.is_empty() {
            reader.read().await.expect("a snapshot");
        }
        assert_eq!(reader.keys, list(&mut clients, "c/").await);
    });
}

/// A token that is damaged, or of another question, must not be taken for some position. Rule: INVALID_ARGUMENT, and
/// the field is named.
#[test]
fn a_token_that_does_not_fit_is_refused() {
    run(async {
        let server = Server::dev();
        let mut clients = Clients::connect(server.grpc_addr()).await;
        put(&mut clients, "x/a", "x").await;
        let token = KeyReader::snapshot(&mut clients, "x/").await.token;
        let mut damaged = token.to_vec();
        damaged[20] ^= 1;
        for (prefix, token) in [("x", token.clone()), ("x/a", token), ("x/", damaged.into()), ("x/", "".into())] {
            let request = ask(prefix, Some(Start::ResumeToken(token)));
            let status = clients.kv.watch_keys(request).await.expect_err("refused");
            assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
            let fields = status.get_details_bad_request().expect("BadRequest").field_violations;
            assert_eq!(fields[0].field, "resume_token");
        }
    });
}
