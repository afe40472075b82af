//! Health of checks and instances, and what an instance says of its own life.

use super::Text;

/// State of a check; an instance has the worst of its checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    /// Healthy.
    #[default]
    Passing,
    /// Degraded, takes traffic.
    Warning,
    /// Takes no traffic.
    Critical,
}

impl Health {
    /// Consul's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Health::Passing => "passing",
            Health::Warning => "warning",
            Health::Critical => "critical",
        }
    }

    /// From Consul's word.
    pub fn parse(word: &str) -> Option<Health> {
        [Health::Passing, Health::Warning, Health::Critical].into_iter().find(|h| h.as_str() == word)
    }
}

/// What an instance says of its own life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Lifecycle {
    /// Not ready yet.
    Starting,
    /// Takes traffic.
    #[default]
    Serving,
    /// Takes no new traffic.
    Draining,
}

impl Lifecycle {
    /// The word for people and filters.
    pub fn as_str(self) -> &'static str {
        match self {
            Lifecycle::Starting => "starting",
            Lifecycle::Serving => "serving",
            Lifecycle::Draining => "draining",
        }
    }
}

/// One check of an instance or of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Check {
    /// Unique within its instance or node (without case).
    pub id: Text,
    /// For people.
    pub name: Text,
    /// Its state.
    pub health: Health,
    /// For people, written by the operator.
    pub notes: Text,
    /// What the check last said.
    pub output: Text,
    /// Consul's check type: `ttl`, `http`, …; empty when unknown.
    pub kind: Text,
    /// Consul's check definition as JSON, kept as it came.
    pub definition: Option<Box<str>>,
    /// Revision of its creation.
    pub create_revision: u64,
    /// Revision of its last change.
    pub modify_revision: u64,
    /// When the state last changed, milliseconds since the epoch.
    pub changed_ms: u64,
}

impl Check {
    /// Whether both say the same, whenever they said it.
    pub fn same_content(&self, other: &Check) -> bool {
        self.health == other.health
            && self.id == other.id
            && self.kind == other.kind
            && self.name == other.name
            && self.notes == other.notes
            && self.output == other.output
            && self.definition == other.definition
    }
}
