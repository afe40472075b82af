//! The HTTP edge: the Consul-compatible gateway on port 8500, and `/metrics`.
//!
//! A request goes one way: [`server`] (connections) → [`gateway`] (answers that are ready, then the route table) →
//! `consul/` (one file per endpoint group) → [`crate::service`]. Reads are questions about a part of the state
//! ([`scope`]), whose encoded answers are kept while they are true ([`cache`]): a repeated lookup is a hash lookup and
//! a copy of headers, and any number of long polls share one encoding. This module translates and never decides: no
//! use case, no state of its own but what can be made anew, and nothing of it is imported by another edge.
//!
//! Missing: TLS, access control, other datacenters, the web UI.

mod body;
mod cache;
mod call;
mod consul;
mod error;
#[cfg(fuzzing)]
pub(crate) mod fuzz;
mod gateway;
mod gzip;
mod head_timer;
mod json;
mod limits;
mod meter;
mod read;
mod reply;
mod route;
mod rules;
mod scope;
mod server;
mod target;

pub use body::{BodyError, PassedBody};
pub use gateway::{ASKER, Front, Source, Upstream};
pub use limits::{Limits, LiveLimits};
pub use rules::Rules;
pub use server::{Listener, serve};

use crate::agent::Agent;
use crate::monitor::Monitor;
use metrics_exporter_prometheus::PrometheusHandle;
use std::time::Duration;

/// What the operator decides about the HTTP edge.
#[derive(Clone, Debug)]
pub struct Options {
    /// What clients may do at most.
    pub limits: LiveLimits,
    /// The shortest time to live of a session. Consul's `session_ttl_min`, 10 s there.
    pub session_ttl_min: Duration,
    /// Paths may hold what cannot be printed. Consul's `disable_http_unprintable_char_filter`.
    pub unprintable_paths: bool,
    /// What is refused and added on every request.
    pub rules: Rules,
    /// How long a blocking query waits that names no time.
    pub wait_default: Duration,
    /// How long a blocking query waits at most.
    pub wait_max: Duration,
    /// What this node owns.
    pub agent: Agent,
    /// The log, for those who listen to it.
    pub monitor: Monitor,
    /// What `/metrics` shows.
    pub metrics: PrometheusHandle,
    /// Whether `agent/metrics` knows the format of Prometheus, as Consul does only with a retention time.
    pub prometheus: bool,
    /// Documents are indented without being asked, as a development agent does.
    pub pretty_default: bool,
}
