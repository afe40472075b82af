//! Commands of operators: prepared queries, autopilot, restoring a snapshot.

use crate::model::{Autopilot, PreparedQuery, QueryId};
use bytes::Bytes;
use uuid::Uuid;

/// See [`Command::SetQuery`](super::Command::SetQuery).
#[derive(Clone, Debug, PartialEq)]
pub struct SetQuery {
    /// As wanted; its revisions are ignored. The id of a new one is made by the proposing server.
    pub query: PreparedQuery,
    /// It must be there already.
    pub update: bool,
}

/// See [`Command::DeleteQuery`](super::Command::DeleteQuery).
#[derive(Clone, Debug, PartialEq)]
pub struct DeleteQuery {
    /// Which.
    pub id: QueryId,
}

/// See [`Command::SetAutopilot`](super::Command::SetAutopilot).
#[derive(Clone, Debug, PartialEq)]
pub struct SetAutopilot {
    /// All of it; its revisions are ignored.
    pub autopilot: Autopilot,
    /// Must be the revision of the present one; 0: none was set.
    pub expected_revision: Option<u64>,
}

/// See [`Command::Restore`](super::Command::Restore).
#[derive(Clone, Debug, PartialEq)]
pub struct Restore {
    /// Of the whole restore; parts of another one are dropped.
    pub id: Uuid,
    /// Which part this is, from 0.
    pub part: u32,
    /// How many parts there are; 0: drop what has been gathered.
    pub parts: u32,
    /// Rows of a state, as the machine frames them: whole rows in every part.
    pub rows: Bytes,
}
