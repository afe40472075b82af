//! Snapshots of one state put in the place of another.

use super::*;
use crate::command::codec::*;
use crate::command::{Put, Restore, arbitrary};
use crate::model::{Autopilot, Check, KvEntry, PreparedQuery, Session};
use bytes::Bytes;
use proptest::prelude::*;

/// What a snapshot must bring back: everything but the revisions of the log that it stands in, and when checks changed.
fn content(state: &State) -> Vec<(u8, Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    rows::export(state, |table, key, value| {
        if table != rows::META {
            rows.push((table, key.to_vec(), plain(table, value)));
        }
        Ok(())
    })
    .expect("nothing fails here");
    rows
}

fn plain_checks(checks: &mut [Check]) {
    for check in checks {
        (check.create_revision, check.modify_revision, check.changed_ms) = (0, 0, 0);
    }
}

fn plain(table: u8, value: &[u8]) -> Vec<u8> {
    match table {
        rows::NODES => {
            let mut node = decode_node(value).expect("a node");
            (node.create_revision, node.modify_revision) = (0, 0);
            plain_checks(&mut node.checks);
            encode_node(&node)
        }
        rows::INSTANCES => {
            let mut instance = decode_instance(value).expect("an instance");
            (instance.create_revision, instance.modify_revision) = (0, 0);
            plain_checks(&mut instance.checks);
            encode_instance(&instance)
        }
        rows::KV => {
            let entry = decode_kv(value).expect("a key");
            encode_kv(&KvEntry { create_revision: 0, modify_revision: 0, version: 0, ..entry })
        }
        rows::SESSIONS => encode_session(&Session { create_revision: 0, ..decode_session(value).expect("a session") }),
        rows::LOCKS => {
            let mut lock = decode_lock(value).expect("a lock");
            lock.modify_revision = 0;
            lock.holders.iter_mut().for_each(|holder| holder.token = 0);
            encode_lock(&lock)
        }
        rows::QUERIES => {
            let query = decode_query(value).expect("a query");
            encode_query(&PreparedQuery { create_revision: 0, modify_revision: 0, ..query })
        }
        rows::AUTOPILOT => {
            let autopilot = decode_autopilot(value).expect("a configuration");
            encode_autopilot(&Autopilot { create_revision: 0, modify_revision: 0, ..autopilot })
        }
        _ => value.to_vec(),
    }
}

fn exported(state: &State) -> Bytes {
    let mut bytes = Vec::new();
    rows::export(state, |table, key, value| {
        rows::write(table, key, value, &mut bytes);
        Ok(())
    })
    .expect("nothing fails here");
    bytes.into()
}

fn whole(state: &State) -> Command {
    Command::Restore(Restore { id: Uuid::from_u128(9), part: 0, parts: 1, rows: exported(state) })
}

fn after(commands: Vec<Command>) -> Server {
    let mut server = Server::default();
    for command in commands {
        server.time_ms += 1_000;
        server.apply(command);
    }
    server
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn the_state_becomes_what_the_snapshot_holds(
        saved in prop::collection::vec(arbitrary::command(), 1..30),
        present in prop::collection::vec(arbitrary::command(), 0..30),
    ) {
        let saved = after(saved).state;
        let mut server = after(present);
        let before = server.state.clone();
        let revision = before.revision() + 1;
        server.ok(whole(&saved));
        let chosen = |state: &State| -> Vec<_> {
            content(state).into_iter().filter(|row| saved.autopilot().is_some() || row.0 != rows::AUTOPILOT).collect()
        };
        prop_assert_eq!(chosen(&server.state), chosen(&saved));
        for entry in server.state.kv_from(b"") {
            let same = before.kv(&entry.key).is_some_and(|b| b == entry);
            prop_assert!(same || entry.modify_revision == revision, "what changed has the revision of the restore");
        }
        prop_assert!(server.state.kv_prefix_revision(b"") >= before.kv_prefix_revision(b""));
        // And what is on disk is what is in memory.
        let reloaded = server.reloaded();
        let mut expected = server.state.clone();
        expected.meta.revision = reloaded.meta.revision;
        expected.meta.time_ms = reloaded.meta.time_ms;
        prop_assert_eq!(reloaded, expected);
    }

    #[test]
    fn restoring_what_is_there_changes_nothing(commands in prop::collection::vec(arbitrary::command(), 1..30)) {
        let mut server = after(commands);
        let gathered = server.state.gathered.parts.len();
        let changes = server.apply(whole(&server.state.clone())).changes;
        prop_assert_eq!(changes.len(), gathered);
    }

    #[test]
    fn any_rows_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut server = Server::default();
        server.apply(Command::Restore(Restore { id: Uuid::nil(), part: 0, parts: 1, rows: bytes.clone().into() }));
        let _ = rows::read(&bytes, rows::check);
    }
}

#[test]
fn parts_count_only_when_all_are_there() {
    let put = |key: &str| Command::Put(Put { key: key.to_owned().into(), ..Put::default() });
    let mut saved = Server::default();
    saved.ok(put("a"));
    saved.ok(put("b"));
    let rows = exported(&saved.state);
    // A part holds whole rows: here the first one, and the rest.
    let mut ends = Vec::new();
    let mut at = 0;
    rows::read(&rows, |_, key, value| {
        at += 9 + key.len() + value.len();
        ends.push(at);
        Ok(())
    })
    .expect("they are rows");
    let part =
        |id: u128, part: u32, rows: Bytes| Command::Restore(Restore { id: Uuid::from_u128(id), part, parts: 2, rows });
    let (first, second) = (rows.slice(..ends[0]), rows.slice(ends[0]..));
    let mut server = Server::default();
    server.ok(put("c"));
    server.ok(part(1, 0, first.clone()));
    assert!(server.state.kv(b"c").is_some() && server.state.kv(b"a").is_none(), "nothing is restored yet");
    assert_eq!(server.reloaded().gathered, server.state.gathered, "a restart between the parts loses none");
    let other = server.err(part(2, 1, second.clone()));
    assert_eq!(other.to_string(), "part 1 of 2 of a snapshot does not follow the last one");
    server.ok(part(1, 1, second));
    let keys: Vec<&[u8]> = server.state.kv_from(b"").map(|e| &e.key[..]).collect();
    assert_eq!(keys, [b"a", b"b"]);
    assert!(server.state.gathered.parts.is_empty());
    server.ok(part(3, 0, first));
    server.ok(Command::Restore(Restore { id: Uuid::from_u128(3), part: 0, parts: 0, rows: Bytes::new() }));
    assert!(server.state.gathered.parts.is_empty(), "given up");
    assert_eq!(server.reloaded().gathered, server.state.gathered);
}
