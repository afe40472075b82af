//! Properties of apply over generated commands.

use super::*;
use crate::command::{Delete, Put, Target, arbitrary};
use crate::model::KvEntry;
use bytes::Bytes;
use proptest::prelude::*;
use std::sync::Arc;

/// The KV store as anybody would write it down: no sessions, no indexes, no sharing.
#[derive(Default)]
struct Twin {
    keys: BTreeMap<Vec<u8>, Plain>,
}

#[derive(Clone, Debug, PartialEq)]
struct Plain {
    value: Vec<u8>,
    flags: u64,
    created: u64,
    modified: u64,
    version: u64,
}

impl From<&Arc<KvEntry>> for Plain {
    fn from(e: &Arc<KvEntry>) -> Plain {
        let (value, flags) = (e.value.to_vec(), e.flags);
        Plain { value, flags, created: e.create_revision, modified: e.modify_revision, version: e.version }
    }
}

impl Twin {
    fn modified(&self, key: &[u8]) -> u64 {
        self.keys.get(key).map_or(0, |p| p.modified)
    }

    fn put(&mut self, revision: u64, put: &Put) -> bool {
        if put.expected_revision.is_some_and(|r| r != self.modified(&put.key)) {
            return false;
        }
        let old = self.keys.get(&put.key[..]);
        if old.is_some_and(|o| o.value == put.value && o.flags == put.flags) {
            return true;
        }
        let plain = Plain {
            value: put.value.to_vec(),
            flags: put.flags,
            created: old.map_or(revision, |o| o.created),
            modified: revision,
            version: old.map_or(0, |o| o.version) + 1,
        };
        self.keys.insert(put.key.to_vec(), plain);
        true
    }

    fn delete(&mut self, delete: &Delete) -> bool {
        match &delete.target {
            Target::Key(key) => {
                if delete.expected_revision.is_some_and(|r| r != self.modified(key)) {
                    return false;
                }
                self.keys.remove(&key[..]);
            }
            Target::Prefix(prefix) => self.keys.retain(|key, _| !key.starts_with(prefix)),
        }
        true
    }
}

fn small_key() -> impl Strategy<Value = Bytes> {
    "[ab]{1,3}".prop_map(Bytes::from)
}

fn kv_command() -> impl Strategy<Value = Command> {
    let expected = || prop_oneof![3 => Just(None), 1 => (0u64..40).prop_map(Some)];
    let put = (small_key(), "[xyz]{0,2}", expected(), 0u64..2).prop_map(|(key, value, expected_revision, flags)| {
        Command::Put(Put { key, value: value.into(), expected_revision, flags, ..Put::default() })
    });
    let one = (small_key(), expected())
        .prop_map(|(key, expected_revision)| Command::Delete(Delete { target: Target::Key(key), expected_revision }));
    let many = "[ab]{0,2}"
        .prop_map(|prefix| Command::Delete(Delete { target: Target::Prefix(prefix.into()), expected_revision: None }));
    prop_oneof![4 => put, 1 => one, 1 => many]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn kv_agrees_with_a_plain_twin(commands in prop::collection::vec(kv_command(), 1..60)) {
        let (mut server, mut twin) = (Server::default(), Twin::default());
        for command in commands {
            let revision = server.state.revision() + 1;
            let agreed = match &command {
                Command::Put(put) => twin.put(revision, put),
                Command::Delete(delete) => twin.delete(delete),
                _ => unreachable!("only these are made"),
            };
            prop_assert_eq!(server.apply(command).reply.is_ok(), agreed);
            let found: BTreeMap<Vec<u8>, Plain> =
                server.state.kv_from(b"").map(|e| (e.key.to_vec(), Plain::from(e))).collect();
            prop_assert_eq!(&found, &twin.keys);
            let index = server.state.kv_prefix_revision(b"a");
            prop_assert!(server.state.kv_prefix(b"a").all(|e| e.modify_revision <= index));
        }
    }

    #[test]
    fn rows_hold_the_whole_state(commands in prop::collection::vec(arbitrary::command(), 1..40)) {
        let mut server = Server::default();
        for (step, command) in commands.into_iter().enumerate() {
            server.time_ms += 1_000;
            let request_id = (step % 3 == 0).then(|| Uuid::from_u128(step as u128 / 6));
            server.apply_as(request_id, command);
        }
        let mut expected = server.state.clone();
        let reloaded = server.reloaded();
        // The last records may have changed nothing, and then wrote no row; the log position is kept elsewhere.
        prop_assert!(reloaded.meta.revision <= expected.meta.revision);
        expected.meta.revision = reloaded.meta.revision;
        expected.meta.time_ms = reloaded.meta.time_ms;
        prop_assert_eq!(reloaded, expected);
    }

    #[test]
    fn the_same_log_gives_the_same_state(commands in prop::collection::vec(arbitrary::command(), 1..30)) {
        let (mut one, mut two) = (Server::default(), Server::default());
        for command in commands {
            let (a, b) = (one.apply(command.clone()), two.apply(command));
            prop_assert_eq!(a.reply, b.reply);
        }
        prop_assert_eq!(one.state, two.state);
        prop_assert_eq!(one.rows, two.rows);
    }

    #[test]
    fn a_refusal_changes_nothing(
        before in prop::collection::vec(arbitrary::command(), 0..20),
        command in arbitrary::command(),
    ) {
        let mut server = Server::default();
        for command in before {
            server.apply(command);
        }
        let mut expected = server.state.clone();
        let applied = server.apply(command);
        if applied.reply.is_err() {
            prop_assert!(applied.changes.is_empty());
            expected.meta.revision += 1;
            prop_assert_eq!(&server.state, &expected);
        }
    }

    #[test]
    fn a_retry_gets_the_first_answer(
        before in prop::collection::vec(arbitrary::command(), 0..10),
        command in arbitrary::command(),
        between in prop::collection::vec(arbitrary::command(), 0..5),
    ) {
        let mut server = Server::default();
        for command in before {
            server.apply(command);
        }
        let id = Some(Uuid::from_u128(7));
        let first = server.apply_as(id, command.clone());
        for command in between {
            server.apply(command);
        }
        let retry = server.apply_as(id, command);
        prop_assert_eq!(first.reply, retry.reply);
        prop_assert!(retry.changes.is_empty());
    }
}
