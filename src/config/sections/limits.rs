//! Limits on clients.

use crate::config::error::ConfigError;
use crate::config::settings::Settings;
use std::time::Duration;

/// The longest that a blocking query may be allowed to wait.
const QUERY_TIME_MAX: Duration = Duration::from_secs(24 * 3600);

/// Limits on clients. 0 means no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections of one client address to HTTP; 200 by default.
    pub http_max_conns_per_client: usize,
}

/// How long blocking queries wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryTimes {
    /// When they name no time; 5 minutes by default.
    pub default: Duration,
    /// At most; 10 minutes by default.
    pub max: Duration,
}

impl Settings {
    pub(in crate::config) fn limits(&self) -> Result<Limits, ConfigError> {
        let multiplier = self.int("performance.raft_multiplier").unwrap_or(5);
        if !(1..=10).contains(&multiplier) {
            let text = format!("performance.raft_multiplier cannot be {multiplier}. Must be between 1 and 10");
            return Err(ConfigError::invalid(text));
        }
        let path = "limits.http_max_conns_per_client";
        let connections = self.int(path).unwrap_or(200);
        let http_max_conns_per_client = usize::try_from(connections)
            .map_err(|_| ConfigError::at(path, format_args!("must be 0 or more, not {connections}")))?;
        Ok(Limits { http_max_conns_per_client })
    }

    pub(in crate::config) fn query_times(&self) -> Result<QueryTimes, ConfigError> {
        let time = |path: &str, default| {
            let time = self.duration(path, default)?;
            Ok(if time.is_zero() { default } else { time.min(QUERY_TIME_MAX) })
        };
        let max = time("max_query_time", Duration::from_secs(600))?;
        Ok(QueryTimes { default: time("default_query_time", Duration::from_secs(300))?.min(max), max })
    }
}
