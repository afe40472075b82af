//! What the rest of the process sees of the pool: its members, as they are now.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use uuid::Uuid;

/// What is known of a member's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// It answers.
    Alive,
    /// It answers, and has said that it is about to leave.
    Leaving,
    /// It has left, or an operator has declared that it will not come back.
    Left,
    /// It no longer answers.
    Failed,
}

impl Status {
    /// In lower case, as Consul's command line shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Alive => "alive",
            Status::Leaving => "leaving",
            Status::Left => "left",
            Status::Failed => "failed",
        }
    }

    /// The number in Consul's API.
    pub fn number(self) -> u8 {
        match self {
            Status::Alive => 1,
            Status::Leaving => 2,
            Status::Left => 3,
            Status::Failed => 4,
        }
    }

    /// It is there.
    pub fn is_live(self) -> bool {
        matches!(self, Status::Alive | Status::Leaving)
    }
}

/// A member of the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name, unique without regard to case.
    pub name: String,
    /// Its identity.
    pub id: Uuid,
    /// Where it gossips.
    pub address: SocketAddr,
    /// What it says about itself.
    pub tags: BTreeMap<String, String>,
    /// What is known of its life.
    pub status: Status,
    /// When this node saw that status first, milliseconds since the epoch.
    pub since_ms: u64,
    /// Which life of its process this is; it grows.
    pub generation: u64,
}

impl Member {
    /// A tag's value; empty if it has none.
    pub fn tag(&self, name: &str) -> &str {
        self.tags.get(name).map_or("", String::as_str)
    }
}

/// All members at one moment, this node among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    list: Vec<Arc<Member>>,
    /// Grows with every change.
    pub revision: u64,
}

impl Members {
    /// Takes members in order of name without case.
    pub(crate) fn new(list: Vec<Arc<Member>>, revision: u64) -> Members {
        Members { list, revision }
    }

    /// The members, in order of name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Member>> {
        self.list.iter()
    }

    /// The member of this name, without regard to case.
    pub fn named(&self, name: &str) -> Option<&Arc<Member>> {
        self.list.iter().find(|member| member.name.eq_ignore_ascii_case(name))
    }

    /// How many members have this status.
    pub fn count(&self, status: Status) -> usize {
        self.list.iter().filter(|member| member.status == status).count()
    }
}
