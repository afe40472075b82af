//! Replies.

use super::*;
use crate::command::{Outcome, Rejection, Reply};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::sync::Arc;

fn string() -> BoxedStrategy<String> {
    text().prop_map(String::from).boxed()
}

fn plain_outcome() -> BoxedStrategy<Outcome> {
    let kv = || option::of(shared_kv());
    let lock = (any::<Option<u64>>(), any::<bool>(), option::of(session_id()));
    prop_oneof![
        vec(instance().prop_map(Arc::new), 0..3).prop_map(Outcome::Registered),
        instance().prop_map(|i| Outcome::Updated(Arc::new(i))),
        any::<u32>().prop_map(Outcome::Deregistered),
        prop_oneof![Just(Outcome::Reported), Just(Outcome::Cataloged), Just(Outcome::LockChanged)],
        option::of(overriding()).prop_map(Outcome::Overridden),
        (any::<bool>(), kv(), kv()).prop_map(|(done, kv, previous)| Outcome::Put { done, kv, previous }),
        vec(shared_kv(), 0..3).prop_map(Outcome::Deleted),
        kv().prop_map(Outcome::Got),
        session().prop_map(|s| Outcome::SessionCreated(Arc::new(s))),
        prop_oneof![
            any::<u32>().prop_map(Outcome::SessionClosed),
            any::<u32>().prop_map(Outcome::Expired),
            any::<u32>().prop_map(Outcome::CoordinatesUpdated),
        ],
        lock.prop_map(|(token, queued, holder)| Outcome::Lock { token, queued, holder }),
    ]
    .boxed()
}

pub(crate) fn outcome() -> BoxedStrategy<Outcome> {
    let txn = (any::<bool>(), vec(plain_outcome(), 0..4))
        .prop_map(|(succeeded, results)| Outcome::Txn { succeeded, results });
    prop_oneof![5 => plain_outcome(), 1 => txn].boxed()
}

pub(crate) fn rejection() -> BoxedStrategy<Rejection> {
    let plain = prop_oneof![
        session_id().prop_map(Rejection::SessionExpired),
        any::<u64>().prop_map(|current| Rejection::RevisionMismatch { current }),
        (string(), session_id()).prop_map(|(id, session)| Rejection::InstanceOwned { id, session }),
        (string(), string(), string()).prop_map(|(id, node, service)| Rejection::InstanceIdTaken { id, node, service }),
        string().prop_map(Rejection::InstanceNotFound),
        string().prop_map(Rejection::LockNotHeld),
        any::<u32>().prop_map(|permits| Rejection::PermitsDiffer { permits }),
        session_id().prop_map(Rejection::KeyLocked),
        Just(Rejection::RequestIdReused),
        prop_oneof![
            string().prop_map(Rejection::QuotaExceeded),
            string().prop_map(Rejection::NodeConflict),
            string().prop_map(Rejection::MissingService),
            string().prop_map(Rejection::UnfitBinding),
        ],
    ];
    plain
        .prop_recursive(2, 4, 1, |inner| {
            (any::<u32>(), inner).prop_map(|(index, cause)| Rejection::TxnOp { index, cause: Box::new(cause) })
        })
        .boxed()
}

pub(crate) fn reply() -> BoxedStrategy<Reply> {
    prop_oneof![outcome().prop_map(Ok), rejection().prop_map(Err)].boxed()
}
