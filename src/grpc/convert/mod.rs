//! Wire to model and back, one file per message family.
//!
//! Owns: every check of what came from outside, with the path of the field in the error (`instances[3].key.service`),
//! and the wire form of what is sent. Must never: read the state to decide something, or panic on any input.

pub(super) mod header;
pub(super) mod instance;
pub(super) mod kv;
pub(super) mod mask;
pub(super) mod registry;
pub(super) mod selector;
pub(super) mod session;
#[cfg(test)]
mod tests;
pub(super) mod time;
pub(super) mod txn;

use crate::model::names::{self, Invalid};
use crate::model::{RequestId, SessionId, limits};
use crate::service::Proof;
use bytes::Bytes;
use uuid::Uuid;

/// Puts the path of the message that holds a field in front of the field.
pub(super) trait Within<T> {
    /// The field is in this message.
    fn within(self, parent: &str) -> Result<T, Invalid>;
    /// The field is in this element of a list.
    fn within_item(self, list: &str, index: usize) -> Result<T, Invalid>;
}

impl<T> Within<T> for Result<T, Invalid> {
    fn within(self, parent: &str) -> Result<T, Invalid> {
        self.map_err(|e| e.within(parent))
    }

    fn within_item(self, list: &str, index: usize) -> Result<T, Invalid> {
        self.map_err(|e| e.within(&format!("{list}[{index}]")))
    }
}

/// A message that must be there.
pub(super) fn required<T>(field: &'static str, message: Option<T>) -> Result<T, Invalid> {
    message.ok_or_else(|| Invalid::new(field, "is required"))
}

/// How many items a list may have.
pub(super) fn count(field: &'static str, found: usize, min: usize, max: usize) -> Result<(), Invalid> {
    if found < min {
        return Err(Invalid::new(field, format!("has {found} items, at least {min} are required")));
    }
    if found > max {
        return Err(Invalid::new(field, format!("has {found} items, at most {max} are allowed")));
    }
    Ok(())
}

/// A text of limited length that is shown to people.
pub(super) fn text(field: &'static str, value: &str, max: usize) -> Result<(), Invalid> {
    if value.len() > max {
        return Err(Invalid::new(field, format!("has {} bytes, at most {max} are allowed", value.len())));
    }
    Ok(())
}

/// A number that fits 16 bits: ports and weights.
pub(super) fn small(field: &'static str, value: u32) -> Result<u16, Invalid> {
    u16::try_from(value).map_err(|_| Invalid::new(field, format!("is {value}, at most 65535 is allowed")))
}

/// A UUID in its usual form.
pub(super) fn uuid(field: &'static str, value: &str) -> Result<Uuid, Invalid> {
    // Only the hyphenated form: braces and URNs would make two spellings of one id.
    match Uuid::try_parse(value) {
        Ok(id) if value.len() == 36 => Ok(id),
        _ => Err(Invalid::new(field, "must be a UUID such as 6ba7b810-9dad-41d1-80b4-00c04fd430c8")),
    }
}

/// The identity of a write; empty: none.
pub(super) fn request_id(value: &str) -> Result<Option<RequestId>, Invalid> {
    if value.is_empty() { Ok(None) } else { uuid("request_id", value).map(Some) }
}

/// A session's id; empty: none.
pub(super) fn session_id(value: &str) -> Result<Option<SessionId>, Invalid> {
    if value.is_empty() { Ok(None) } else { uuid("session_id", value).map(Some) }
}

/// A session and the proof that the caller owns it.
pub(super) fn proof(session: &str, secret: &Bytes) -> Result<Proof, Invalid> {
    if session.is_empty() {
        return Err(Invalid::new("session_id", "must not be empty"));
    }
    let id = uuid("session_id", session)?;
    Ok(Proof { id, secret: self::secret(secret)? })
}

/// The secret of a session. One of another length is simply the wrong one.
pub(super) fn secret(secret: &Bytes) -> Result<Vec<u8>, Invalid> {
    if secret.is_empty() { Err(Invalid::new("secret", "must not be empty")) } else { Ok(secret.to_vec()) }
}

/// The name of a lock or election.
pub(super) fn lock_name(field: &'static str, value: &str) -> Result<(), Invalid> {
    names::name(field, value)
}

/// The value shown with a lock or election.
pub(super) fn lock_value(value: &Bytes) -> Result<(), Invalid> {
    let (found, max) = (value.len(), limits::LOCK_VALUE_BYTES_MAX);
    if found > max {
        return Err(Invalid::new("value", format!("has {found} bytes, at most {max} are allowed")));
    }
    Ok(())
}

/// An enum number that this version knows.
pub(super) fn known<E: TryFrom<i32>>(field: &'static str, number: i32) -> Result<E, Invalid> {
    E::try_from(number).map_err(|_| Invalid::new(field, format!("{number} is not a value of this enum")))
}
