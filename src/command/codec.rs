//! Bytes of log records, of replies and of the rows of the checkpoint: the only place where the internal protobuf is
//! written and read. Records and replies start with a format version byte, because they also travel between servers of
//! different releases; rows have none, because the file that holds them has a format version.
//!
//! Nothing here may panic, believe a claimed length, or nest deeper than the protobuf limit of 100, whatever the bytes
//! are; memory grows only with bytes that are there. Checksums are the business of the store; limits of the model are
//! the business of the edges.

use super::{Record, Reply, convert};
use crate::model::{
    Autopilot, Check, Coordinate, Instance, KvEntry, Lock, NodeRecord, PreparedQuery, Session, Tombstone,
};
use crate::proto::internal as pb;
use prost::Message;
use thiserror::Error;

/// The format of records and replies that this release writes, and the newest that it reads.
pub const FORMAT: u8 = 1;

/// Bytes that are no record, reply or row, or come from a newer release.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum CodecError {
    /// There is not even a format version.
    #[error("{message} is empty")]
    Empty {
        /// What should have been read.
        message: &'static str,
    },
    /// A newer release wrote this, or it is damaged.
    #[error("{message} has format version {found}, this release reads up to {FORMAT}")]
    Format {
        /// What should have been read.
        message: &'static str,
        /// The version found.
        found: u8,
    },
    /// Not protobuf, or cut short.
    #[error("{message} is malformed: {source}")]
    Malformed {
        /// What should have been read.
        message: &'static str,
        /// What the protobuf decoder says, with the path of the field.
        source: prost::DecodeError,
    },
    /// Protobuf, but a field holds what no release up to this one writes there.
    #[error("{message}.{field} {reason}")]
    Field {
        /// The message that has the field, as in `record.proto`.
        message: &'static str,
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl Record {
    /// The bytes of a log entry.
    pub fn encode(&self) -> Vec<u8> {
        versioned(&pb::Record::from(self))
    }

    /// The record in the bytes of a log entry.
    ///
    /// # Errors
    /// [`CodecError`] if the bytes are damaged or of a newer format.
    pub fn decode(bytes: &[u8]) -> Result<Record, CodecError> {
        parse_versioned::<pb::Record>("Record", bytes)?.try_into()
    }
}

/// The bytes of a reply, for the server that forwarded the command and for the table of request ids.
pub fn encode_reply(reply: &Reply) -> Vec<u8> {
    versioned(&pb::Reply::from(reply))
}

/// The reply in such bytes.
///
/// # Errors
/// [`CodecError`] if the bytes are damaged or of a newer format.
pub fn decode_reply(bytes: &[u8]) -> Result<Reply, CodecError> {
    convert::reply(parse_versioned("Reply", bytes)?)
}

fn versioned(message: &impl Message) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + message.encoded_len());
    bytes.push(FORMAT);
    message.encode_raw(&mut bytes);
    bytes
}

fn parse_versioned<M: Message + Default>(message: &'static str, bytes: &[u8]) -> Result<M, CodecError> {
    match bytes.split_first() {
        None => Err(CodecError::Empty { message }),
        Some((&FORMAT, rest)) => parse(message, rest),
        Some((&found, _)) => Err(CodecError::Format { message, found }),
    }
}

fn parse<M: Message + Default>(message: &'static str, bytes: &[u8]) -> Result<M, CodecError> {
    M::decode(bytes).map_err(|source| CodecError::Malformed { message, source })
}

/// One pair of functions per kind of row.
macro_rules! rows {
    ($($encode:ident $decode:ident $model:ident;)*) => {$(
        #[doc = concat!("The bytes of a stored [`", stringify!($model), "`].")]
        pub fn $encode(value: &$model) -> Vec<u8> {
            pb::$model::from(value).encode_to_vec()
        }

        #[doc = concat!("The [`", stringify!($model), "`] in such bytes.\n\n# Errors\n[`CodecError`] if they are damaged.")]
        pub fn $decode(bytes: &[u8]) -> Result<$model, CodecError> {
            parse::<pb::$model>(stringify!($model), bytes)?.try_into()
        }
    )*};
}

rows! {
    encode_instance decode_instance Instance;
    encode_check decode_check Check;
    encode_node decode_node NodeRecord;
    encode_kv decode_kv KvEntry;
    encode_tombstone decode_tombstone Tombstone;
    encode_session decode_session Session;
    encode_lock decode_lock Lock;
    encode_query decode_query PreparedQuery;
    encode_autopilot decode_autopilot Autopilot;
    encode_coordinate decode_coordinate Coordinate;
}

/// Appends the bytes of [`encode_kv`].
pub fn append_kv(value: &KvEntry, out: &mut Vec<u8>) {
    // A vector never lacks the room, the only error there is.
    let _ = pb::KvEntry::from(value).encode(out);
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
