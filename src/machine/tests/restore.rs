//! Snapshots of one state put in the place of another.

use super::*;
use crate::command::{Put, Restore, arbitrary};
use bytes::Bytes;
use proptest::prelude::*;

/// What a snapshot must bring back: everything but the revisions of the log that it stands in.
fn content(state: &State) -> Vec<(u8, Vec<u8>, Vec<u8>)> {
    let mut plain = Server { state: State::new(), ..Server::default() };
    // Restored at one revision, both sides have the same revisions.
    plain.state.note_blank(1_000_000);
    plain.ok(whole(state));
    let mut rows = Vec::new();
    rows::export(&plain.state, |table, key, value| {
        rows.push((table, key.to_vec(), value.to_vec()));
        Ok(())
    })
    .expect("nothing fails here");
    rows.retain(|(table, ..)| *table != rows::META);
    rows
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
        prop_assert_eq!(content(&server.state), content(&saved));
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
