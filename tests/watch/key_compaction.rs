//! WatchKeys and the end of what is kept: etcd's compaction, which here is the bound of the history.

use crate::common::grpc::{Clients, reason};
use crate::common::{Random, Server};
use crate::keys::{KeyReader, ask, list};
use crate::run;
use crate::write::{any, delete, put};
use lictor::proto::v1::watch_keys_request::Start;
use lictor::proto::v1::{GetRequest, WatchKeysRequest};
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Fills the history with so much that older changes are dropped from it: 16 MiB are kept.
async fn burn(clients: &mut Clients, times: usize) {
    for _ in 0..times {
        // Never the same twice: an equal value writes nothing.
        let revision = put(clients, "turn", "").await;
        let mut fill = vec![b'x'; 500 * 1024];
        fill[..8].copy_from_slice(&revision.to_be_bytes());
        put(clients, "burn", fill).await;
    }
}

/// The oldest revision that one may begin behind; panics if the refusal is not the documented one.
fn compact_revision(status: &Status) -> u64 {
    assert_eq!((status.code(), reason(status).as_str()), (Code::OutOfRange, "ERROR_REASON_COMPACTED"), "{status:?}");
    let info = status.get_details_error_info().expect("ErrorInfo");
    info.metadata["compact_revision"].parse().expect("a revision")
}

/// Begins behind a revision, or is told from where one can.
async fn begin(clients: &mut Clients, after: u64) -> Result<KeyReader, u64> {
    let request = ask("k/", Some(Start::AfterRevision(after)));
    // Asked first on its own, so that the refusal can be looked at.
    match clients.kv.watch_keys(request.clone()).await {
        Ok(_) => Ok(KeyReader::open(clients, request, None).await),
        Err(status) => Err(compact_revision(&status)),
    }
}

/// etcd dropped the deletion of a key when a watch began at the compacted revision (#19179), and lost deletions that
/// raced with a compaction (#18089). Rule: behind exactly the revision that the refusal names, every change comes, all
/// deletions too; behind any older one it is refused, or a snapshot comes that does not hold what was deleted.
#[test]
fn at_the_edge_of_what_is_kept_no_deletion_is_missing() {
    run(async {
        let dir = tempfile::tempdir().expect("directory");
        let mut server = Server::durable(dir.path());
        let mut clients = Clients::connect(server.grpc_addr()).await;
        let mut all = KeyReader::snapshot(&mut clients, "k/").await;
        let first = put(&mut clients, "k/early", "x").await;
        for number in 0..12 {
            // Changes and large values take turns, so that the edge falls between changes.
            put(&mut clients, "k/a", number.to_string()).await;
            put(&mut clients, "k/b", number.to_string()).await;
            burn(&mut clients, 2).await;
            delete(&mut clients, "k/a").await;
        }
        delete(&mut clients, "k/early").await;
        let last = put(&mut clients, "k/last", "end").await;
        all.until("k/last", "end").await;
        for restarted in [false, true] {
            if restarted {
                assert!(server.sigterm().success());
                server.restart();
                clients = Clients::connect(server.grpc_addr()).await;
            }
            let edge = begin(&mut clients, first).await.err().expect("the first change is no longer kept");
            assert!(edge > first && edge < last, "{first} < {edge} < {last}");
            assert_eq!(begin(&mut clients, edge - 1).await.err(), Some(edge), "a revision before the edge");
            for after in edge..=last {
                let mut reader = begin(&mut clients, after).await.expect("from the edge on");
                while reader.revision < last {
                    reader.read().await.expect("a message");
                }
                let behind = all.events.partition_point(|e| e.revision <= after);
                assert!(reader.events == all.events[behind..], "behind {after}, the edge is {edge}");
            }
            let request = ask("k/", Some(Start::AfterRevision(first)));
            let request = WatchKeysRequest { snapshot_if_compacted: true, ..request };
            let mut reader = KeyReader::open(&mut clients, request, None).await;
            reader.read().await.expect("a snapshot");
            assert_eq!(reader.keys, list(&mut clients, "k/").await, "the deleted key must not be there");
        }
    });
}

/// The same while it happens: etcd's watchers that were catching up lost events to a compaction (#17529, #18089). Rule:
/// an attempt to go on is refused or brings every change; and one who follows all the time sees no compaction at all.
#[test]
fn catching_up_while_history_is_dropped_is_whole_or_refused() {
    run(async {
        let server = Server::dev();
        let mut clients = Clients::connect(server.grpc_addr()).await;
        let mut all = KeyReader::snapshot(&mut clients, "k/").await;
        let mut writer = Clients::connect(server.grpc_addr()).await;
        let writing = tokio::spawn(async move {
            let mut random = Random::new(3);
            let mut last = 0;
            for number in 0..100 {
                last = any(&mut writer, &mut random, "k/", number).await.expect("a write");
                burn(&mut writer, 1).await;
            }
            put(&mut writer, "k/last", "end").await.max(last)
        });
        let (mut refused, mut tried) = (0, Vec::new());
        while !all.keys.contains_key(&b"k/last"[..]) {
            all.read().await.expect("the one who follows gets everything");
            // Near and far take turns.
            let back = [1, 4, 10, 40][tried.len() % 4];
            let from = all.events.len().saturating_sub(back);
            let after = all.events.get(from).map_or(all.revision, |e| e.revision);
            match begin(&mut clients, after).await {
                Ok(reader) => tried.push((after, Some(reader))),
                Err(edge) => {
                    assert!(edge > after, "refused behind {after}, but {edge} would do");
                    refused += 1;
                    tried.push((after, None));
                }
            }
        }
        let last = writing.await.expect("the writer");
        let mut whole = 0;
        for (after, reader) in tried {
            let Some(mut reader) = reader else { continue };
            while reader.revision < last {
                reader.read().await.expect("a message");
            }
            let behind = all.events.partition_point(|e| e.revision <= after);
            assert!(reader.events == all.events[behind..], "a gap behind {after}");
            whole += 1;
        }
        assert!(whole > 0, "none went on ({refused} were refused)");
        all.assert_same(&mut clients, "k/").await;
    });
}

/// A read of the past is bound to the same edge: etcd answers it from what compaction left only by luck. Rule: COMPACTED,
/// or the value as it was.
#[test]
fn the_past_is_read_rightly_or_refused() {
    run(async {
        let server = Server::dev();
        let mut clients = Clients::connect(server.grpc_addr()).await;
        let mut written = Vec::new();
        for number in 0..25 {
            let value = number.to_string();
            written.push((put(&mut clients, "k/a", value.clone()).await, Some(value)));
            burn(&mut clients, 1).await;
            if number % 5 == 0 {
                written.push((delete(&mut clients, "k/a").await, None));
            }
        }
        let mut refused = 0;
        for (at_revision, value) in written {
            let request = GetRequest { key: "k/a".into(), at_revision, ..Default::default() };
            match clients.kv.get(request).await {
                Ok(answer) => {
                    let found = answer.into_inner().kv.map(|kv| kv.value);
                    assert_eq!(found, value.map(Into::into), "at {at_revision}");
                }
                Err(status) => {
                    assert!(compact_revision(&status) > at_revision);
                    refused += 1;
                }
            }
        }
        assert!((1..25).contains(&refused), "{refused} were refused");
    });
}
