//! Checks of names and texts that come from outside. The only error is [`Invalid`]: which field, and why.

use super::limits::{KEY_BYTES_MAX, META_KEY_BYTES_MAX, META_PAIRS_MAX, META_VALUE_BYTES_MAX, NAME_BYTES_MAX};
use std::borrow::Cow;
use thiserror::Error;

/// A value from outside that cannot be accepted.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{field}: {reason}")]
pub struct Invalid {
    /// The field's path in the request, as in `instances[3].key.service`.
    pub field: Cow<'static, str>,
    /// What is wrong with it.
    pub reason: Cow<'static, str>,
}

impl Invalid {
    /// The field and the reason.
    pub fn new(field: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) -> Invalid {
        Invalid { field: field.into(), reason: reason.into() }
    }

    /// The same error, seen from the message that holds the field.
    pub fn within(self, parent: &str) -> Invalid {
        Invalid { field: format!("{parent}.{}", self.field).into(), reason: self.reason }
    }
}

/// A required name: 1-255 bytes without control characters.
pub fn name(field: &'static str, value: &str) -> Result<(), Invalid> {
    if value.is_empty() {
        return Err(Invalid::new(field, "must not be empty"));
    }
    optional_name(field, value)
}

/// A name that may be empty.
pub fn optional_name(field: &'static str, value: &str) -> Result<(), Invalid> {
    if value.len() > NAME_BYTES_MAX {
        return Err(Invalid::new(field, format!("has {} bytes, at most {NAME_BYTES_MAX} are allowed", value.len())));
    }
    if value.chars().any(char::is_control) {
        return Err(Invalid::new(field, "must not hold control characters"));
    }
    Ok(())
}

/// A key of the KV store: 1-1024 bytes.
pub fn key(field: &'static str, value: &[u8]) -> Result<(), Invalid> {
    match value.len() {
        0 => Err(Invalid::new(field, "must not be empty")),
        n if n > KEY_BYTES_MAX => {
            Err(Invalid::new(field, format!("has {n} bytes, at most {KEY_BYTES_MAX} are allowed")))
        }
        _ => Ok(()),
    }
}

/// Metadata or labels: how many pairs, and the size of each.
pub fn pairs<'a>(
    field: &'static str,
    pairs_max: usize,
    mut pairs: impl ExactSizeIterator<Item = (&'a str, &'a str)>,
) -> Result<(), Invalid> {
    debug_assert!(pairs_max <= META_PAIRS_MAX);
    if pairs.len() > pairs_max {
        return Err(Invalid::new(field, format!("has {} pairs, at most {pairs_max} are allowed", pairs.len())));
    }
    pairs.try_for_each(|(k, v)| {
        if k.is_empty() {
            Err(Invalid::new(field, "must not have an empty key"))
        } else if k.len() > META_KEY_BYTES_MAX {
            Err(Invalid::new(
                field,
                format!("has a key of {} bytes, at most {META_KEY_BYTES_MAX} are allowed", k.len()),
            ))
        } else if v.len() > META_VALUE_BYTES_MAX {
            let limit = META_VALUE_BYTES_MAX;
            Err(Invalid::new(field, format!("has a value of {} bytes, at most {limit} are allowed", v.len())))
        } else {
            Ok(())
        }
    })
}

/// The longest prefix of at most `max` bytes that is whole UTF-8.
pub fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}
