//! Bytes that stand in logs and checkpoints already: `tests/compat/*_v1.hex` must decode to these values for ever. Lines
//! are added when a variant is added; a line that exists is never changed. When this release must write other bytes
//! for a value, they go to a new file, and the old one is still decoded.

mod operator;

use super::*;
use crate::command::{
    AcquireLock, CatalogCheck, CatalogDeregister, CatalogRegister, CloseSession, Command, Compare, CreateSession,
    Delete, Deregister, Expect, Expire, LockOp, Op, Outcome, Proclaim, Put, Register, Rejection, ReleaseLock, Report,
    SetOverride, Target, Txn, Update, UpdateCoordinates,
};
use crate::model::{
    Behavior, Extra, Health, InstanceKey, Lifecycle, Locality, LockHolder, LockKind, LockWaiter, NodeBinding, Override,
    ServiceKey, TaggedAddress,
};
use std::collections::BTreeSet;
use std::fmt::{Debug, Write};
use std::sync::Arc;
use uuid::Uuid;

const SESSION: Uuid = Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);

fn check() -> Check {
    Check {
        id: "alive".into(),
        name: "is it alive".into(),
        health: Health::Warning,
        notes: "notes".into(),
        output: "slow".into(),
        kind: "ttl".into(),
        definition: Some("{}".into()),
        create_revision: 1,
        modify_revision: 2,
        changed_ms: 3,
    }
}

fn key() -> InstanceKey {
    let service = ServiceKey { namespace: "default".into(), name: "Web".into() };
    InstanceKey { service, node: "n1".into(), id: "web-1".into() }
}

fn word() -> Override {
    let (reason, author) = ("broken disk".into(), "ann".into());
    Override { drain: true, weight: Some(0), reason, author, expire_ms: Some(9) }
}

fn instance() -> Instance {
    let extra = Extra {
        locality: Locality { region: "eu".into(), zone: "eu-1".into(), sub_zone: "r7".into() },
        named_ports: [("admin".into(), 65535)].into(),
        version: "1.2".into(),
        weight: Some(5),
        weight_warning: Some(2),
        enable_tag_override: true,
        tagged_addresses: [TaggedAddress { tag: "wan".into(), address: "192.0.2.1".into(), port: -1 }].into(),
        kind: "connect-proxy".into(),
        proxy: Some("{\"a\":1}".into()),
        connect: Some("{}".into()),
        overriding: Some(word()),
    };
    Instance {
        lifecycle: Lifecycle::Draining,
        tags: ["a".into(), "b".into()].into(),
        meta: [("k".into(), "v".into())].into(),
        checks: [check()].into(),
        session: Some(SESSION),
        extra: Some(Box::new(extra)),
        create_revision: 10,
        modify_revision: 11,
        ..Instance::new(key(), "10.0.0.1".into(), 8080)
    }
}

fn node() -> NodeRecord {
    NodeRecord {
        name: "N1".into(),
        id: Some(SESSION),
        address: "10.0.0.1".into(),
        tagged_addresses: Some([("lan".into(), "10.0.0.1".into())].into()),
        meta: Some(Box::default()),
        checks: [check()].into(),
        create_revision: 4,
        modify_revision: 5,
    }
}

fn kv() -> KvEntry {
    KvEntry {
        key: "a/b".into(),
        value: vec![0, 255].into(),
        flags: u64::MAX,
        create_revision: 1,
        modify_revision: 2,
        version: 3,
        session: Some(SESSION),
        ephemeral: true,
        lock_index: 4,
        expire_ms: Some(0),
    }
}

fn session() -> Session {
    Session {
        id: SESSION,
        secret: [9; 16],
        ttl_ms: 15_000,
        grace_ms: 5_000,
        labels: [("app".into(), "web".into())].into(),
        behavior: Behavior::Delete,
        create_ms: 6,
        create_revision: 7,
        binding: None,
    }
}

fn binding() -> Option<Box<NodeBinding>> {
    Some(Box::new(NodeBinding {
        node: "n1".into(),
        name: "lock".into(),
        ttl: "15s".into(),
        lock_delay_ns: 15_000_000_000,
        node_checks: Some(["serfHealth".into()].into()),
        service_checks: Some([("alive".into(), "default".into())].into()),
        checks: ["old".into()].into(),
    }))
}

fn coordinate() -> Coordinate {
    let vec = [0.0, 0.5, -0.5, 1e-9, 1e9, 0.1, 0.2, 0.3];
    Coordinate { node: "n1".into(), segment: "s".into(), vec, error: 1.5, adjustment: -0.001, height: 1e-5 }
}

fn lock() -> Lock {
    Lock {
        kind: LockKind::Election,
        name: "leader".into(),
        permits: 1,
        holders: vec![LockHolder { session: SESSION, token: 8, value: "me".into() }],
        waiters: vec![LockWaiter { session: Uuid::nil(), value: "you".into() }],
        modify_revision: 8,
    }
}

fn put(lock: LockOp) -> Put {
    let (key, value) = ("a/b".into(), "v".into());
    Put { key, value, expected_revision: Some(0), lock, ttl_ms: Some(60_000), flags: 42 }
}

fn delete(target: Target) -> Delete {
    Delete { target, expected_revision: Some(3) }
}

fn txn() -> Txn {
    let compare = |expect| Compare { key: "a".into(), expect };
    Txn {
        compares: vec![
            compare(Expect::ModifyRevision(0)),
            compare(Expect::Version(1)),
            compare(Expect::Value("v".into())),
            compare(Expect::Exists(false)),
            compare(Expect::Session(None)),
            compare(Expect::Session(Some(SESSION))),
        ],
        success: vec![
            Op::Put(put(LockOp::Keep)),
            Op::Delete(delete(Target::Key("a".into()))),
            Op::Get("a".into()),
            Op::Register(Register { session: None, instances: vec![instance()] }),
            Op::Deregister(Deregister { keys: vec![key()], ..Deregister::default() }),
        ],
        failure: vec![Op::Get("".into())],
    }
}

fn registry_commands() -> Vec<Command> {
    let (expected_revision, session) = (Some(12), Some(SESSION));
    let catalog = CatalogRegister {
        node: node(),
        skip_node_update: true,
        service: Some(instance()),
        checks: vec![CatalogCheck { service_id: "web-1".into(), check: check() }],
    };
    let mut bare = NodeRecord { name: "n2".into(), ..NodeRecord::default() };
    bare.tagged_addresses = Some(Box::default());
    let least = CatalogRegister { node: bare, skip_node_update: false, service: None, checks: vec![] };
    vec![
        Command::Register(Register { session, instances: vec![instance()] }),
        Command::Update(Update { instance: instance(), mask: 511, expected_revision }),
        Command::Deregister(Deregister { keys: vec![key()], expected_revision, session }),
        Command::Report(Report { key: key(), checks: vec![check()], lifecycle: Some(Lifecycle::Starting), session }),
        Command::SetOverride(SetOverride { key: key(), overriding: Some(word()) }),
        Command::CatalogRegister(Box::new(catalog)),
        Command::CatalogRegister(Box::new(least)),
        Command::CatalogDeregister(CatalogDeregister {
            node: "n1".into(),
            service_id: "web-1".into(),
            check_id: "alive".into(),
        }),
    ]
}

fn commands() -> Vec<Command> {
    let (kind, name, session, value) = (LockKind::Lock, "l".into(), SESSION, "me".into());
    let mut commands = registry_commands();
    commands.extend([
        Command::Put(put(LockOp::Keep)),
        Command::Put(put(LockOp::Attach(SESSION))),
        Command::Put(put(LockOp::Acquire(SESSION))),
        Command::Put(put(LockOp::Release(SESSION))),
        Command::Delete(delete(Target::Key("a".into()))),
        Command::Delete(delete(Target::Prefix("".into()))),
        Command::Txn(txn()),
        Command::CreateSession(CreateSession {
            id: SESSION,
            secret: [9; 16],
            ttl_ms: 1,
            grace_ms: 2,
            labels: vec![("app".into(), "web".into())],
            behavior: Behavior::Release,
            binding: None,
        }),
        Command::CloseSession(CloseSession { id: SESSION }),
        Command::AcquireLock(AcquireLock { kind, name, session, value, permits: 3, wait: true }),
        Command::ReleaseLock(ReleaseLock { kind, name: "l".into(), session, token: Some(8) }),
        Command::Proclaim(Proclaim { kind: LockKind::Election, name: "e".into(), token: 8, value: "v".into() }),
        Command::Expire(Expire {
            term: 2,
            sessions: vec![(SESSION, 7)],
            keys: vec!["a".into()],
            overrides: vec![key()],
        }),
    ]);
    commands
}

fn replies() -> Vec<Reply> {
    let (id, node, service) = ("web-1".to_owned(), "n1".to_owned(), "db".to_owned());
    let results = vec![Outcome::Got(None), Outcome::Got(Some(Arc::new(kv()))), Outcome::Reported];
    let absent = Rejection::InstanceNotFound("web-1".into());
    vec![
        Ok(Outcome::Registered(vec![Arc::new(instance())])),
        Ok(Outcome::Updated(Arc::new(instance()))),
        Ok(Outcome::Deregistered(1)),
        Ok(Outcome::Reported),
        Ok(Outcome::Overridden(None)),
        Ok(Outcome::Overridden(Some(word()))),
        Ok(Outcome::Cataloged),
        Ok(Outcome::Put { done: true, kv: Some(Arc::new(kv())), previous: None }),
        Ok(Outcome::Put { done: false, kv: None, previous: Some(Arc::new(kv())) }),
        Ok(Outcome::Deleted(vec![Arc::new(kv())])),
        Ok(Outcome::Got(None)),
        Ok(Outcome::Txn { succeeded: true, results }),
        Ok(Outcome::SessionCreated(Arc::new(session()))),
        Ok(Outcome::SessionClosed(2)),
        Ok(Outcome::Lock { token: Some(8), queued: true, holder: Some(SESSION) }),
        Ok(Outcome::LockChanged),
        Ok(Outcome::Expired(3)),
        Err(Rejection::SessionExpired(SESSION)),
        Err(Rejection::RevisionMismatch { current: 0 }),
        Err(Rejection::InstanceOwned { id: id.clone(), session: SESSION }),
        Err(Rejection::InstanceIdTaken { id, node, service }),
        Err(absent.clone()),
        Err(Rejection::LockNotHeld("lock l".into())),
        Err(Rejection::PermitsDiffer { permits: 3 }),
        Err(Rejection::KeyLocked(SESSION)),
        Err(Rejection::RequestIdReused),
        Err(Rejection::QuotaExceeded("full".into())),
        Err(Rejection::NodeConflict("taken".into())),
        Err(Rejection::MissingService("n1".into())),
        Err(Rejection::TxnOp { index: 1, cause: Box::new(absent) }),
        Ok(Outcome::CoordinatesUpdated(3)),
        Err(Rejection::UnfitBinding("Missing node registration".into())),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String grows");
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("two hex digits");
    (0..text.len()).step_by(2).map(digits).collect()
}

fn lines(file: &'static str) -> Vec<&'static str> {
    file.lines().filter(|line| !line.starts_with('#')).collect()
}

/// The lines are these bytes; shows the lines that have to be appended.
fn same_bytes(lines: &[&str], encoded: &[Vec<u8>]) {
    for (line, bytes) in lines.iter().zip(encoded) {
        assert_eq!(hex(bytes), *line);
    }
    let missing: Vec<String> = encoded.iter().skip(lines.len()).map(|bytes| hex(bytes)).collect();
    assert_eq!(lines.len(), encoded.len(), "lines to append:\n{}", missing.join("\n"));
}

/// Each line of the file decodes to the value, and the value encodes to the line.
fn compare<T: PartialEq + Debug>(
    file: &'static str,
    values: &[T],
    encode: impl Fn(&T) -> Vec<u8>,
    decode: impl Fn(&[u8]) -> Result<T, CodecError>,
) {
    let lines = lines(file);
    for (line, value) in lines.iter().zip(values) {
        assert_eq!(decode(&unhex(line)).as_ref(), Ok(value));
    }
    same_bytes(&lines, &values.iter().map(encode).collect::<Vec<_>>());
}

#[test]
fn record_v1() {
    let record = |command| Record { time_ms: 1_700_000_000_000, request_id: Some(SESSION), command };
    let mut records: Vec<Record> = commands().into_iter().map(record).collect();
    let checks = [Health::Passing, Health::Critical].map(|health| Check { health, ..Check::default() });
    let serving = Some(Lifecycle::Serving);
    records.push(record(Command::Report(Report {
        key: key(),
        checks: checks.into(),
        lifecycle: serving,
        session: None,
    })));
    records.push(Record { time_ms: 0, request_id: None, command: Command::Expire(Expire::default()) });
    records.push(record(Command::CreateSession(CreateSession { binding: binding(), ..CreateSession::default() })));
    records.push(record(Command::UpdateCoordinates(UpdateCoordinates { coordinates: vec![coordinate()] })));
    compare(include_str!("../../../tests/compat/record_v1.hex"), &records, Record::encode, Record::decode);
}

#[test]
fn reply_v1() {
    compare(include_str!("../../../tests/compat/reply_v1.hex"), &replies(), encode_reply, decode_reply);
}

#[test]
fn row_v1() {
    let tombstone = Tombstone { key: "gone".into(), revision: 20, time_ms: 21 };
    let lines = lines(include_str!("../../../tests/compat/row_v1.hex"));
    let encoded = [
        encode_instance(&instance()),
        encode_check(&check()),
        encode_node(&node()),
        encode_kv(&kv()),
        encode_tombstone(&tombstone),
        encode_session(&session()),
        encode_lock(&lock()),
        encode_session(&Session { binding: binding(), ..session() }),
        encode_coordinate(&coordinate()),
    ];
    same_bytes(&lines, &encoded);
    assert_eq!(decode_instance(&unhex(lines[0])), Ok(instance()));
    assert_eq!(decode_check(&unhex(lines[1])), Ok(check()));
    assert_eq!(decode_node(&unhex(lines[2])), Ok(node()));
    assert_eq!(decode_kv(&unhex(lines[3])), Ok(kv()));
    assert_eq!(decode_tombstone(&unhex(lines[4])), Ok(tombstone));
    assert_eq!(decode_session(&unhex(lines[5])), Ok(session()));
    assert_eq!(decode_lock(&unhex(lines[6])), Ok(lock()));
    assert_eq!(decode_session(&unhex(lines[7])), Ok(Session { binding: binding(), ..session() }));
    assert_eq!(decode_coordinate(&unhex(lines[8])), Ok(coordinate()));
}

/// Fails to compile when a variant is added; add its golden value above, then its name here.
#[test]
#[allow(clippy::too_many_lines, reason = "a row for each variant")]
fn every_variant_is_golden() {
    let command = |c: &Command| match c {
        Command::Register(_) => 0,
        Command::Update(_) => 1,
        Command::Deregister(_) => 2,
        Command::Report(_) => 3,
        Command::SetOverride(_) => 4,
        Command::CatalogRegister(_) => 5,
        Command::CatalogDeregister(_) => 6,
        Command::Put(_) => 7,
        Command::Delete(_) => 8,
        Command::Txn(_) => 9,
        Command::CreateSession(_) => 10,
        Command::CloseSession(_) => 11,
        Command::AcquireLock(_) => 12,
        Command::ReleaseLock(_) => 13,
        Command::Proclaim(_) => 14,
        Command::Expire(_) => 15,
        Command::Batch(_) => 30,
        Command::SetQuery(_) => 31,
        Command::DeleteQuery(_) => 32,
        Command::SetAutopilot(_) => 33,
        Command::Restore(_) => 34,
        Command::UpdateCoordinates(_) => 16,
    };
    let outcome = |o: &Outcome| match o {
        Outcome::Registered(_) => 0,
        Outcome::Updated(_) => 1,
        Outcome::Deregistered(_) => 2,
        Outcome::Reported => 3,
        Outcome::Overridden(_) => 4,
        Outcome::Cataloged => 5,
        Outcome::Put { .. } => 6,
        Outcome::Deleted(_) => 7,
        Outcome::Got(_) => 8,
        Outcome::Txn { .. } => 9,
        Outcome::SessionCreated(_) => 10,
        Outcome::SessionClosed(_) => 11,
        Outcome::Lock { .. } => 12,
        Outcome::LockChanged => 13,
        Outcome::Expired(_) => 14,
        Outcome::Batch { .. } => 30,
        Outcome::Stored => 31,
        Outcome::AutopilotSet(_) => 32,
        Outcome::CoordinatesUpdated(_) => 15,
    };
    let rejection = |r: &Rejection| match r {
        Rejection::SessionExpired(_) => 0,
        Rejection::RevisionMismatch { .. } => 1,
        Rejection::InstanceOwned { .. } => 2,
        Rejection::InstanceIdTaken { .. } => 3,
        Rejection::InstanceNotFound(_) => 4,
        Rejection::LockNotHeld(_) => 5,
        Rejection::PermitsDiffer { .. } => 6,
        Rejection::KeyLocked(_) => 7,
        Rejection::RequestIdReused => 8,
        Rejection::QuotaExceeded(_) => 9,
        Rejection::NodeConflict(_) => 10,
        Rejection::MissingService(_) => 11,
        Rejection::TxnOp { .. } => 12,
        Rejection::UnfitBinding(_) => 13,
        Rejection::Refused(_) => 30,
    };
    let update = Command::UpdateCoordinates(UpdateCoordinates::default());
    let all = commands().into_iter().chain(operator::commands()).chain([update]);
    let seen: BTreeSet<u32> = all.map(|c| command(&c)).collect();
    assert_eq!(seen.len(), 22);
    let replies: Vec<Reply> = replies().into_iter().chain(operator::replies()).collect();
    let seen: BTreeSet<u32> = replies.iter().filter_map(|r| r.as_ref().ok()).map(outcome).collect();
    assert_eq!(seen.len(), 19);
    let seen: BTreeSet<u32> = replies.iter().filter_map(|r| r.as_ref().err()).map(rejection).collect();
    assert_eq!(seen.len(), 15);
}
