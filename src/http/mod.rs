//! The HTTP edge: the Consul-compatible gateway on port 8500, and `/metrics`.
//!
//! A request goes one way: [`server`] (connections) → [`gateway`] (answers that are ready, then the route table) →
//! `consul/` (one file per endpoint group) → [`crate::service`]. Reads are questions about a part of the state
//! ([`scope`]), whose encoded answers are kept while they are true ([`cache`]): a repeated lookup is a hash lookup and
//! a copy of headers, and any number of long polls share one encoding. This module translates and never decides: no
//! use case, no state of its own but what can be made anew, and nothing of it is imported by another edge.
//!
//! Missing: TLS, access control, other datacenters, the web UI, and the Consul
//! endpoints that the table in [`consul`] lists without a handler (they answer 501 and say so).

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
mod meter;
mod read;
mod reply;
mod route;
mod rules;
mod scope;
mod server;
mod target;

pub use rules::Rules;
pub use server::{Listener, serve};

use crate::agent::Agent;
use metrics_exporter_prometheus::PrometheusHandle;
use std::time::Duration;

/// What the operator decides about the HTTP edge.
#[derive(Clone, Debug)]
pub struct Options {
    /// Connections from one address; more are closed at once. Consul's `limits.http_max_conns_per_client`, 200 there.
    pub max_conns_per_client: usize,
    /// What is refused and added on every request.
    pub rules: Rules,
    /// How long a blocking query waits that names no time.
    pub wait_default: Duration,
    /// How long a blocking query waits at most.
    pub wait_max: Duration,
    /// What this node owns.
    pub agent: Agent,
    /// What `/metrics` shows.
    pub metrics: PrometheusHandle,
    /// Whether `agent/metrics` knows the format of Prometheus, as Consul does only with a retention time.
    pub prometheus: bool,
    /// Documents are indented without being asked, as a development agent does.
    pub pretty_default: bool,
}
