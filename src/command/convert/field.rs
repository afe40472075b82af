//! The parts that messages share: UUIDs, pairs, enums, presence.

use crate::command::CodecError;
use crate::model::{Behavior, Health, Lifecycle, LockKind, Text};
use crate::proto::internal as pb;
use bytes::Bytes;
use uuid::Uuid;

/// Where a value was found, for errors.
#[derive(Clone, Copy)]
pub(super) struct Place {
    message: &'static str,
    field: &'static str,
}

/// A field of a message.
pub(super) const fn at(message: &'static str, field: &'static str) -> Place {
    Place { message, field }
}

impl Place {
    /// The error that this field is wrong.
    pub(super) fn error(self, reason: &'static str) -> CodecError {
        CodecError::Field { message: self.message, field: self.field, reason }
    }

    /// A message or oneof that must be there.
    pub(super) fn required<T>(self, value: Option<T>) -> Result<T, CodecError> {
        value.ok_or_else(|| self.error("is missing or of a kind that this version does not know"))
    }

    /// 16 bytes.
    pub(super) fn bytes16(self, bytes: &[u8]) -> Result<[u8; 16], CodecError> {
        bytes.try_into().map_err(|_| self.error("must have 16 bytes"))
    }

    /// A UUID.
    pub(super) fn uuid(self, bytes: &[u8]) -> Result<Uuid, CodecError> {
        self.bytes16(bytes).map(Uuid::from_bytes)
    }

    /// A UUID that may be absent.
    pub(super) fn optional_uuid(self, bytes: Option<Bytes>) -> Result<Option<Uuid>, CodecError> {
        bytes.map(|b| self.uuid(&b)).transpose()
    }

    /// A number below 65536.
    pub(super) fn u16(self, value: u32) -> Result<u16, CodecError> {
        value.try_into().map_err(|_| self.error("must be at most 65535"))
    }

    /// A number below 65536 that may be absent.
    pub(super) fn optional_u16(self, value: Option<u32>) -> Result<Option<u16>, CodecError> {
        value.map(|v| self.u16(v)).transpose()
    }

    fn unknown(self) -> CodecError {
        self.error("is no value that this version knows")
    }

    /// State of a check.
    pub(super) fn health(self, value: i32) -> Result<Health, CodecError> {
        match pb::Health::try_from(value) {
            Ok(pb::Health::Passing) => Ok(Health::Passing),
            Ok(pb::Health::Warning) => Ok(Health::Warning),
            Ok(pb::Health::Critical) => Ok(Health::Critical),
            Ok(pb::Health::Unspecified) | Err(_) => Err(self.unknown()),
        }
    }

    /// State of an instance.
    pub(super) fn lifecycle(self, value: i32) -> Result<Lifecycle, CodecError> {
        match pb::Lifecycle::try_from(value) {
            Ok(pb::Lifecycle::Starting) => Ok(Lifecycle::Starting),
            Ok(pb::Lifecycle::Serving) => Ok(Lifecycle::Serving),
            Ok(pb::Lifecycle::Draining) => Ok(Lifecycle::Draining),
            Ok(pb::Lifecycle::Unspecified) | Err(_) => Err(self.unknown()),
        }
    }

    /// What happens to the keys of a session.
    pub(super) fn behavior(self, value: i32) -> Result<Behavior, CodecError> {
        match pb::Behavior::try_from(value) {
            Ok(pb::Behavior::Release) => Ok(Behavior::Release),
            Ok(pb::Behavior::Delete) => Ok(Behavior::Delete),
            Ok(pb::Behavior::Unspecified) | Err(_) => Err(self.unknown()),
        }
    }

    /// Lock or election.
    pub(super) fn lock_kind(self, value: i32) -> Result<LockKind, CodecError> {
        match pb::LockKind::try_from(value) {
            Ok(pb::LockKind::Lock) => Ok(LockKind::Lock),
            Ok(pb::LockKind::Election) => Ok(LockKind::Election),
            Ok(pb::LockKind::Unspecified) | Err(_) => Err(self.unknown()),
        }
    }
}

impl From<Health> for pb::Health {
    fn from(value: Health) -> pb::Health {
        match value {
            Health::Passing => pb::Health::Passing,
            Health::Warning => pb::Health::Warning,
            Health::Critical => pb::Health::Critical,
        }
    }
}

impl From<Lifecycle> for pb::Lifecycle {
    fn from(value: Lifecycle) -> pb::Lifecycle {
        match value {
            Lifecycle::Starting => pb::Lifecycle::Starting,
            Lifecycle::Serving => pb::Lifecycle::Serving,
            Lifecycle::Draining => pb::Lifecycle::Draining,
        }
    }
}

impl From<Behavior> for pb::Behavior {
    fn from(value: Behavior) -> pb::Behavior {
        match value {
            Behavior::Release => pb::Behavior::Release,
            Behavior::Delete => pb::Behavior::Delete,
        }
    }
}

impl From<LockKind> for pb::LockKind {
    fn from(value: LockKind) -> pb::LockKind {
        match value {
            LockKind::Lock => pb::LockKind::Lock,
            LockKind::Election => pb::LockKind::Election,
        }
    }
}

/// A UUID as bytes.
pub(super) fn uuid_bytes(id: &Uuid) -> Bytes {
    Bytes::copy_from_slice(id.as_bytes())
}

/// All of a list into protobuf.
pub(super) fn each<'a, M: 'a, P: From<&'a M>>(list: &'a [M]) -> Vec<P> {
    list.iter().map(P::from).collect()
}

/// All of a list out of protobuf.
pub(super) fn try_each<P, M, L>(list: Vec<P>) -> Result<L, CodecError>
where
    M: TryFrom<P, Error = CodecError>,
    L: FromIterator<M>,
{
    list.into_iter().map(M::try_from).collect()
}

/// Pairs into protobuf.
pub(super) fn pairs(list: &[(Text, Text)]) -> Vec<pb::Pair> {
    list.iter().map(|(k, v)| pb::Pair { key: k.to_string(), value: v.to_string() }).collect()
}

/// Pairs out of protobuf.
pub(super) fn texts<L: FromIterator<(Text, Text)>>(list: Vec<pb::Pair>) -> L {
    list.into_iter().map(|p| (p.key.into(), p.value.into())).collect()
}
