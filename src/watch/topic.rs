//! What can be waited for.

use crate::machine::{Change, What};
use crate::model::{Check, Instance, LockKind, ServiceKey, SessionId, Text, fold};
use bytes::Bytes;
use std::sync::Arc;

/// A part of the state that somebody waits for. Names are folded by [`Topic::service`] and [`Topic::node`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// A service: its instances, their checks, their nodes. Make it with [`Topic::service`].
    Service(ServiceKey),
    /// Any instance of any service, but not checks.
    Services,
    /// Any node, but not checks.
    Nodes,
    /// A node, its checks, its instances. Make it with [`Topic::node`].
    Node(Text),
    /// Any check.
    Checks,
    /// A key.
    Key(Bytes),
    /// All keys with a prefix.
    Prefix(Bytes),
    /// Any session.
    Sessions,
    /// One session.
    Session(SessionId),
    /// Any network coordinate.
    Coordinates,
    /// A lock or election.
    Lock(LockKind, Text),
}

impl Topic {
    /// A service, however it is spelled.
    pub fn service(key: &ServiceKey) -> Topic {
        Topic::Service(key.folded())
    }

    /// A node, however it is spelled.
    pub fn node(name: &str) -> Topic {
        Topic::Node(fold(name))
    }

    /// The topics that a change touches, but for prefixes.
    pub(super) fn touched(change: &Change, mut touch: impl FnMut(Topic)) {
        match &change.what {
            What::Instance { before, after } => {
                let Some(any) = after.as_ref().or(before.as_ref()) else { return };
                touch(Topic::service(&any.service));
                let same = matches!((before, after), (Some(b), Some(a)) if b.modify_revision == a.modify_revision);
                if !same {
                    touch(Topic::Services);
                }
                if checks(before) != checks(after) {
                    touch(Topic::Checks);
                }
                if !any.node.is_empty() {
                    touch(Topic::node(&any.node));
                }
            }
            What::Touched(instance) => touch(Topic::service(&instance.service)),
            What::Node { before, after } => {
                let Some(any) = after.as_ref().or(before.as_ref()) else { return };
                touch(Topic::node(&any.name));
                let same = matches!((before, after), (Some(b), Some(a)) if b.modify_revision == a.modify_revision);
                touch(if same { Topic::Checks } else { Topic::Nodes });
                if before.as_ref().map(|n| &n.checks) != after.as_ref().map(|n| &n.checks) {
                    touch(Topic::Checks);
                }
            }
            What::Kv { before, after } => {
                let Some(any) = after.as_ref().or(before.as_ref()) else { return };
                touch(Topic::Key(any.key.clone()));
            }
            What::Session { before, after } => {
                let Some(any) = after.as_ref().or(before.as_ref()) else { return };
                touch(Topic::Sessions);
                touch(Topic::Session(any.id));
            }
            What::Lock { before, after } => {
                let Some(any) = after.as_ref().or(before.as_ref()) else { return };
                touch(Topic::Lock(any.kind, any.name.clone()));
            }
            What::Coordinate { .. } => touch(Topic::Coordinates),
            What::LockDelay { .. } | What::TombstoneDropped(_) | What::Request(_) | What::RequestDropped(_) => {}
        }
    }
}

fn checks(instance: &Option<Arc<Instance>>) -> &[Check] {
    instance.as_ref().map_or(&[], |i| &i.checks)
}
