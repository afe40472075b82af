//! Identity of a node.

use uuid::Uuid;

/// UUID of a node. Not the raft id of a server, which is a small number that is never reused.
pub type NodeId = Uuid;
