//! Limits on clients.

use crate::config::error::ConfigError;
use crate::config::settings::Settings;
use crate::model::limits::BOUND_SESSION_TTL_MS_MIN;
use std::time::Duration;

/// The longest that a blocking query may be allowed to wait.
const QUERY_TIME_MAX: Duration = Duration::from_secs(24 * 3600);

/// Consul's default for values and transactions.
const SIZE_DEFAULT: usize = 512 * 1024;
/// The largest value that may be allowed: with its key it fits into a row of a snapshot.
const VALUE_BYTES_MAX: usize = 1536 * 1024;
/// The largest transaction that may be allowed: decoded it fits into an entry of the log.
const TXN_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Limits on clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections of one client address to HTTP; 200 by default, 0: no limit.
    pub http_max_conns_per_client: usize,
    /// Bytes of a key's value over HTTP; 512 KiB by default.
    pub kv_max_value_size: usize,
    /// Bytes of a transaction over HTTP; 512 KiB by default. Where it is less than that of a value, that one counts.
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
        let size = |path: &str, most: usize| {
            let size = self.int(path).and_then(|n| usize::try_from(n).ok()).unwrap_or(SIZE_DEFAULT);
            let too_much = || ConfigError::at(path, format_args!("must be at most {most} in this version, not {size}"));
            if size > most { Err(too_much()) } else { Ok(size) }
        };
        Ok(Limits {
            http_max_conns_per_client,
            kv_max_value_size: size("limits.kv_max_value_size", VALUE_BYTES_MAX)?,
            txn_max_req_len: size("limits.txn_max_req_len", TXN_BYTES_MAX)?,
        })
    }

    /// The shortest time to live of a session; 10 seconds by default.
    pub(in crate::config) fn session_ttl_min(&self) -> Result<Duration, ConfigError> {
        let path = "session_ttl_min";
        let least = Duration::from_millis(BOUND_SESSION_TTL_MS_MIN);
        match self.duration(path, Duration::ZERO)? {
            Duration::ZERO => Ok(Duration::from_secs(10)),
            ttl if ttl < least => Err(ConfigError::at(path, format_args!("must be at least {least:?}, not {ttl:?}"))),
            ttl => Ok(ttl),
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
