//! What the first autopilot configuration of a cluster is.

use crate::config::error::ConfigError;
use crate::config::settings::Settings;
use crate::model::Autopilot;
use std::time::Duration;

impl Settings {
    /// Consul's defaults, but for what is set.
    pub(in crate::config) fn autopilot(&self) -> Result<Autopilot, ConfigError> {
        let default = Autopilot::default();
        let nanoseconds = |key: &str, default: i64| {
            let path = format!("autopilot.{key}");
            let time = self.duration(&path, Duration::from_nanos(default.unsigned_abs()))?;
            i64::try_from(time.as_nanos()).map_err(|_| ConfigError::at(&path, "is too long"))
        };
        let trailing = self.int("autopilot.max_trailing_logs").map_or(Ok(default.max_trailing_logs), |number| {
            u64::try_from(number).map_err(|_| {
                let text = "Must be greater than or equal to zero";
                ConfigError::invalid(format!("autopilot.max_trailing_logs cannot be {number}. {text}"))
            })
        });
        let text = |key: &str| self.text(&format!("autopilot.{key}")).unwrap_or_default().into();
        Ok(Autopilot {
            cleanup_dead_servers: self.choice("autopilot.cleanup_dead_servers").unwrap_or(default.cleanup_dead_servers),
            last_contact_threshold_ns: nanoseconds("last_contact_threshold", default.last_contact_threshold_ns)?,
            max_trailing_logs: trailing?,
            min_quorum: self.int("autopilot.min_quorum").map_or(default.min_quorum, i64::unsigned_abs),
            server_stabilization_time_ns: nanoseconds(
                "server_stabilization_time",
                default.server_stabilization_time_ns,
            )?,
            redundancy_zone_tag: text("redundancy_zone_tag"),
            disable_upgrade_migration: self.switch("autopilot.disable_upgrade_migration"),
            upgrade_version_tag: text("upgrade_version_tag"),
            ..default
        })
    }
}
