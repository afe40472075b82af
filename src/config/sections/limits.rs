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
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Connections of one client address to HTTP; 200 by default, 0: no limit.
    pub http_max_conns_per_client: usize,
    /// Connections of one client address to gRPC; as many as to HTTP by default, 0: no limit.
    pub grpc_max_conns_per_client: usize,
    /// Connections of one address to the server port; 100 by default, 0: no limit.
    pub rpc_max_conns_per_client: usize,
    /// How long a connection to gRPC or the server port may take to begin; 5 s by default, zero: no limit.
    pub rpc_handshake_timeout: Duration,
    /// Requests per second that an agent passes on to servers; unset: any number.
    pub rpc_rate: Option<f64>,
    /// Requests that it passes on at once after a pause; 1,000 by default.
    pub rpc_max_burst: u32,
    /// Streams that last on one gRPC connection; 8,192 by default.
    pub watches_per_connection: usize,
    /// How many requests of each class wait for their turn.
    pub waiting: Waiting,
    /// Bytes of a key's value over HTTP; 512 KiB by default.
    pub kv_max_value_size: usize,
    /// Bytes of a transaction over HTTP; 512 KiB by default. Where it is less than that of a value, that one counts.
    pub txn_max_req_len: usize,
}

/// How many requests may wait for their turn when the server is busy; one more is told to come back later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Writes, in units of 16 KiB; 4,096 by default.
    pub writes: u32,
    /// Watches that begin; 4,096 by default.
    pub watch_starts: u32,
    /// Reads of whole tables; 256 by default.
    pub lists: u32,
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
        let count = |path: &str, default: usize| {
            let count = self.int(path);
            let checked = count.map_or(Ok(default), usize::try_from);
            let negative = |_| ConfigError::at(path, format_args!("must be 0 or more, not {}", count.unwrap_or(0)));
            checked.map_err(negative)
        };
        let waiting = |path: &str, default: u32| {
            // The kind of the key is checked already.
            self.int(path).and_then(|n| u32::try_from(n).ok()).unwrap_or(default)
        };
        let http_max_conns_per_client = count("limits.http_max_conns_per_client", 200)?;
        let burst = count("limits.rpc_max_burst", 1_000)?;
        let size = |path: &str, most: usize| {
            let size = self.int(path).and_then(|n| usize::try_from(n).ok()).unwrap_or(SIZE_DEFAULT);
            let too_much = || ConfigError::at(path, format_args!("must be at most {most} in this version, not {size}"));
            if size > most { Err(too_much()) } else { Ok(size) }
        };
        Ok(Limits {
            http_max_conns_per_client,
            grpc_max_conns_per_client: count("limits.grpc_max_conns_per_client", http_max_conns_per_client)?,
            rpc_max_conns_per_client: count("limits.rpc_max_conns_per_client", 100)?,
            rpc_handshake_timeout: self.duration("limits.rpc_handshake_timeout", Duration::from_secs(5))?,
            rpc_rate: self.number("limits.rpc_rate").filter(|rate| *rate >= 0.0),
            rpc_max_burst: u32::try_from(burst).unwrap_or(u32::MAX),
            watches_per_connection: count("limits.watches_per_connection", 8_192)?.max(1),
            waiting: Waiting {
                writes: waiting("limits.writes_waiting", 4_096),
                watch_starts: waiting("limits.watch_starts_waiting", 4_096),
                lists: waiting("limits.lists_waiting", 256),
            },
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
