//! Results of writes, kept so that a retry has no second effect.

use super::table::Keyed;
use crate::command::{Command, Record, Rejection, Reply};
use crate::model::RequestId;
use std::cmp::Ordering;
use uuid::Uuid;

/// A write that was done under a client's request id.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The client's id.
    pub id: RequestId,
    /// Of what was asked, so that the id cannot be used for something else.
    pub digest: u64,
    /// Where it was done.
    pub revision: u64,
    /// When, milliseconds since the epoch.
    pub time_ms: u64,
    /// What came of it.
    pub reply: Reply,
}

impl Request {
    /// The kept result for a retry with this digest.
    pub(super) fn answer(&self, digest: u64) -> Reply {
        if digest == self.digest { self.reply.clone() } else { Err(Rejection::RequestIdReused) }
    }
}

/// FNV-1a over the encoded command, without what the proposing server added to it.
pub(super) fn digest(command: &Command) -> u64 {
    let command = match command {
        Command::CreateSession(c) => {
            let mut asked = c.clone();
            (asked.id, asked.secret) = (Uuid::nil(), [0; 16]);
            Command::CreateSession(asked)
        }
        other => other.clone(),
    };
    let bytes = Record { time_ms: 0, request_id: None, command }.encode();
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

impl Keyed for Request {
    type Lookup = Uuid;
    fn compare(&self, other: &Self) -> Ordering {
        self.id.cmp(&other.id)
    }
    fn compare_key(&self, key: &Uuid) -> Ordering {
        self.id.cmp(key)
    }
}
