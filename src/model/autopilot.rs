//! What an operator may say about the care of the servers. Stored and shown; which of it is acted on is the business of
//! those who add and remove servers.

use super::Text;

/// Consul's autopilot configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Autopilot {
    /// Servers that are gone are removed when others take their place.
    pub cleanup_dead_servers: bool,
    /// A server that was not heard of for longer is unhealthy, nanoseconds.
    pub last_contact_threshold_ns: i64,
    /// A server that is further behind, in log entries, is unhealthy.
    pub max_trailing_logs: u64,
    /// Never fewer servers than these are left by a cleanup.
    pub min_quorum: u64,
    /// A new server must be healthy for so long before it gets a vote, nanoseconds.
    pub server_stabilization_time_ns: i64,
    /// Consul Enterprise; stored only.
    pub redundancy_zone_tag: Text,
    /// Consul Enterprise; stored only.
    pub disable_upgrade_migration: bool,
    /// Consul Enterprise; stored only.
    pub upgrade_version_tag: Text,
    /// Revision at which it was first set.
    pub create_revision: u64,
    /// Revision of its last change.
    pub modify_revision: u64,
}

impl Default for Autopilot {
    /// Consul's defaults.
    fn default() -> Autopilot {
        Autopilot {
            cleanup_dead_servers: true,
            last_contact_threshold_ns: 200_000_000,
            max_trailing_logs: 250,
            min_quorum: 0,
            server_stabilization_time_ns: 10_000_000_000,
            redundancy_zone_tag: Text::default(),
            disable_upgrade_migration: false,
            upgrade_version_tag: Text::default(),
            create_revision: 0,
            modify_revision: 0,
        }
    }
}
