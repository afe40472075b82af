//! Limits on clients.

use crate::config::error::ConfigError;
use crate::config::settings::Settings;
use std::time::Duration;

/// Bytes of a value, and of a transaction, that Consul takes.
const HALF_MEBIBYTE: usize = 512 * 1024;
/// A value or transaction may not be allowed to have more bytes: they must fit into one record of the log.
const SIZE_MAX: usize = 3 * 1024 * 1024;
/// The longest that a blocking query may be allowed to wait.
const QUERY_TIME_MAX: Duration = Duration::from_secs(24 * 3600);

/// Limits on clients. 0 means no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections of one client address to HTTP; 200 by default.
    pub http_max_conns_per_client: usize,
    /// Bytes of a value over HTTP; 524288 by default, at most 3 MiB, never 0.
    pub kv_max_value_size: usize,
    /// Bytes of a transaction's body; that of values by default, at most 3 MiB, never 0.
    pub txn_max_req_len: usize,
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
        let kv_max_value_size = self.size("limits.kv_max_value_size")?.unwrap_or(HALF_MEBIBYTE);
        let txn_max_req_len = self.size("limits.txn_max_req_len")?.unwrap_or(kv_max_value_size);
        Ok(Limits { http_max_conns_per_client, kv_max_value_size, txn_max_req_len })
    }

    /// A size of a body; 0 is the default, as in Consul.
    fn size(&self, path: &str) -> Result<Option<usize>, ConfigError> {
        let size = self.int(path).and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
        match size {
            Some(size) if size > SIZE_MAX => {
                Err(ConfigError::at(path, format_args!("may be {SIZE_MAX} at most, not {size}")))
            }
            size => Ok(size),
        }
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
