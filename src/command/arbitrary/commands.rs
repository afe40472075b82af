//! Records and commands.

use super::*;
use crate::command::{
    AcquireLock, CatalogCheck, CatalogDeregister, CatalogRegister, CloseSession, Command, Compare, CreateSession,
    Delete, Deregister, Expect, Expire, LockOp, Op, Proclaim, Put, Record, Register, ReleaseLock, Report, SetOverride,
    Target, Txn, Update, UpdateCoordinates,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

pub(crate) fn register() -> BoxedStrategy<Register> {
    (option::of(session_id()), vec(instance(), 0..3))
        .prop_map(|(session, instances)| Register { session, instances })
        .boxed()
}

pub(crate) fn update() -> BoxedStrategy<Update> {
    (instance(), any::<u32>(), any::<Option<u64>>())
        .prop_map(|(instance, mask, expected_revision)| Update { instance, mask, expected_revision })
        .boxed()
}

pub(crate) fn deregister() -> BoxedStrategy<Deregister> {
    (vec(instance_key(), 0..3), any::<Option<u64>>(), option::of(session_id()))
        .prop_map(|(keys, expected_revision, session)| Deregister { keys, expected_revision, session })
        .boxed()
}

pub(crate) fn report() -> BoxedStrategy<Report> {
    (instance_key(), vec(check(), 0..3), option::of(lifecycle()), option::of(session_id()))
        .prop_map(|(key, checks, lifecycle, session)| Report { key, checks, lifecycle, session })
        .boxed()
}

pub(crate) fn set_override() -> BoxedStrategy<SetOverride> {
    (instance_key(), option::of(overriding())).prop_map(|(key, overriding)| SetOverride { key, overriding }).boxed()
}

pub(crate) fn catalog_register() -> BoxedStrategy<CatalogRegister> {
    let check = (text(), check()).prop_map(|(service_id, check)| CatalogCheck { service_id, check });
    (node(), any::<bool>(), option::of(instance()), vec(check, 0..3))
        .prop_map(|(node, skip_node_update, service, checks)| CatalogRegister {
            node,
            skip_node_update,
            service,
            checks,
        })
        .boxed()
}

pub(crate) fn catalog_deregister() -> BoxedStrategy<CatalogDeregister> {
    (text(), text(), text())
        .prop_map(|(node, service_id, check_id)| CatalogDeregister { node, service_id, check_id })
        .boxed()
}

pub(crate) fn lock_op() -> BoxedStrategy<LockOp> {
    prop_oneof![
        Just(LockOp::Keep),
        session_id().prop_map(LockOp::Attach),
        session_id().prop_map(LockOp::Acquire),
        session_id().prop_map(LockOp::Release),
    ]
    .boxed()
}

pub(crate) fn put() -> BoxedStrategy<Put> {
    (bytes(), bytes(), any::<Option<u64>>(), lock_op(), any::<Option<u64>>(), any::<u64>())
        .prop_map(|(key, value, expected_revision, lock, ttl_ms, flags)| Put {
            key,
            value,
            expected_revision,
            lock,
            ttl_ms,
            flags,
        })
        .boxed()
}

pub(crate) fn delete() -> BoxedStrategy<Delete> {
    let target = prop_oneof![bytes().prop_map(Target::Key), bytes().prop_map(Target::Prefix)];
    (target, any::<Option<u64>>()).prop_map(|(target, expected_revision)| Delete { target, expected_revision }).boxed()
}

pub(crate) fn compare() -> BoxedStrategy<Compare> {
    let expect = prop_oneof![
        any::<u64>().prop_map(Expect::ModifyRevision),
        any::<u64>().prop_map(Expect::Version),
        bytes().prop_map(Expect::Value),
        any::<bool>().prop_map(Expect::Exists),
        option::of(session_id()).prop_map(Expect::Session),
    ];
    (bytes(), expect).prop_map(|(key, expect)| Compare { key, expect }).boxed()
}

pub(crate) fn op() -> BoxedStrategy<Op> {
    prop_oneof![
        put().prop_map(Op::Put),
        delete().prop_map(Op::Delete),
        bytes().prop_map(Op::Get),
        register().prop_map(Op::Register),
        deregister().prop_map(Op::Deregister),
    ]
    .boxed()
}

pub(crate) fn txn() -> BoxedStrategy<Txn> {
    (vec(compare(), 0..3), vec(op(), 0..3), vec(op(), 0..3))
        .prop_map(|(compares, success, failure)| Txn { compares, success, failure })
        .boxed()
}

pub(crate) fn create_session() -> BoxedStrategy<CreateSession> {
    (session_id(), any::<[u8; 16]>(), any::<[u64; 2]>(), pairs(), behavior(), option::of(binding()))
        .prop_map(|(id, secret, [ttl_ms, grace_ms], labels, behavior, binding)| CreateSession {
            id,
            secret,
            ttl_ms,
            grace_ms,
            labels,
            behavior,
            binding: binding.map(Box::new),
        })
        .boxed()
}

pub(crate) fn acquire_lock() -> BoxedStrategy<AcquireLock> {
    (lock_kind(), text(), session_id(), bytes(), any::<u32>(), any::<bool>())
        .prop_map(|(kind, name, session, value, permits, wait)| AcquireLock {
            kind,
            name,
            session,
            value,
            permits,
            wait,
        })
        .boxed()
}

pub(crate) fn release_lock() -> BoxedStrategy<ReleaseLock> {
    (lock_kind(), text(), session_id(), any::<Option<u64>>())
        .prop_map(|(kind, name, session, token)| ReleaseLock { kind, name, session, token })
        .boxed()
}

pub(crate) fn proclaim() -> BoxedStrategy<Proclaim> {
    (lock_kind(), text(), any::<u64>(), bytes())
        .prop_map(|(kind, name, token, value)| Proclaim { kind, name, token, value })
        .boxed()
}

pub(crate) fn expire() -> BoxedStrategy<Expire> {
    let sessions = vec((session_id(), any::<u64>()), 0..3);
    (any::<u64>(), sessions, vec(bytes(), 0..3), vec(instance_key(), 0..3))
        .prop_map(|(term, sessions, keys, overrides)| Expire { term, sessions, keys, overrides })
        .boxed()
}

pub(crate) fn command() -> BoxedStrategy<Command> {
    prop_oneof![
        register().prop_map(Command::Register),
        update().prop_map(Command::Update),
        deregister().prop_map(Command::Deregister),
        report().prop_map(Command::Report),
        set_override().prop_map(Command::SetOverride),
        catalog_register().prop_map(|c| Command::CatalogRegister(Box::new(c))),
        catalog_deregister().prop_map(Command::CatalogDeregister),
        put().prop_map(Command::Put),
        delete().prop_map(Command::Delete),
        prop_oneof![
            txn().prop_map(Command::Txn),
            create_session().prop_map(Command::CreateSession),
            session_id().prop_map(|id| Command::CloseSession(CloseSession { id })),
            acquire_lock().prop_map(Command::AcquireLock),
            release_lock().prop_map(Command::ReleaseLock),
            proclaim().prop_map(Command::Proclaim),
            expire().prop_map(Command::Expire),
            vec(coordinate(), 0..3)
                .prop_map(|coordinates| Command::UpdateCoordinates(UpdateCoordinates { coordinates })),
        ],
    ]
    .boxed()
}

pub(crate) fn record() -> BoxedStrategy<Record> {
    (any::<u64>(), option::of(session_id()), command())
        .prop_map(|(time_ms, request_id, command)| Record { time_ms, request_id, command })
        .boxed()
}
