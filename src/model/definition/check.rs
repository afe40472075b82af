//! The definition of a check.

use super::Refused;
use crate::model::{Health, Text};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a check comes to its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckKind {
    /// The service reports in time.
    Ttl,
    /// An HTTP request.
    Http,
    /// A TCP connection.
    Tcp,
    /// A datagram that is not refused.
    Udp,
    /// `grpc.health.v1`.
    Grpc,
    /// A PING frame of HTTP/2.
    H2Ping,
    /// A command in a container.
    Docker,
    /// A command on this node.
    Script,
    /// The checks of another service or node.
    Alias,
}

impl CheckKind {
    /// Consul's word, shown as the check's `Type`.
    pub fn as_str(self) -> &'static str {
        match self {
            CheckKind::Ttl => "ttl",
            CheckKind::Http => "http",
            CheckKind::Tcp => "tcp",
            CheckKind::Udp => "udp",
            CheckKind::Grpc => "grpc",
            CheckKind::H2Ping => "h2ping",
            CheckKind::Docker => "docker",
            CheckKind::Script => "script",
            CheckKind::Alias => "alias",
        }
    }
}

/// A check, by itself or within a service. Durations are nanoseconds; 0 and empty mean: not given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckDefinition {
    /// `id` (`CheckID` within a service of the API). By itself the default is the name; within a service see
    /// [`super::ServiceDefinition::own_checks`].
    pub id: Text,
    /// `name`.
    pub name: Text,
    /// `notes`, for people.
    pub notes: Text,
    /// `status`, the first state; critical by default.
    pub status: Text,
    /// `service_id`: the service of this node that it belongs to; empty: the node.
    pub service_id: Text,
    /// `token`.
    pub token: Text,
    /// `interval` between runs; below a second counts as one.
    pub interval: i64,
    /// `timeout` of one run; the default depends on the kind.
    pub timeout: i64,
    /// `ttl`.
    pub ttl: i64,
    /// `args` (also `script_args`): a command and its arguments.
    pub args: Vec<String>,
    /// `docker_container_id`: the command runs in this container.
    pub docker_container_id: Text,
    /// `shell` of a Docker check.
    pub shell: Text,
    /// `http`: a URL.
    pub http: String,
    /// `header` of an HTTP check.
    pub header: BTreeMap<String, Vec<Text>>,
    /// `method` of an HTTP check; GET by default.
    pub method: Text,
    /// `body` of an HTTP check.
    pub body: String,
    /// `disable_redirects` of an HTTP check.
    pub disable_redirects: bool,
    /// `tcp`: host:port.
    pub tcp: String,
    /// `tcp_use_tls`.
    pub tcp_use_tls: bool,
    /// `udp`: host:port.
    pub udp: String,
    /// `grpc`: host:port, or host:port/service.
    pub grpc: String,
    /// `grpc_use_tls`.
    pub grpc_use_tls: bool,
    /// `h2ping`: host:port.
    pub h2ping: String,
    /// `h2ping_use_tls`; true when it is not given.
    pub h2ping_use_tls: Option<bool>,
    /// `tls_server_name` that the certificate must be of.
    pub tls_server_name: Text,
    /// `tls_skip_verify`: any certificate is good.
    pub tls_skip_verify: bool,
    /// `alias_node`: another node's name.
    pub alias_node: Text,
    /// `alias_service`: a service's id on that node, or on this one.
    pub alias_service: Text,
    /// `success_before_passing`: good runs in a row before the state is passing.
    pub success_before_passing: i64,
    /// `failures_before_warning`: bad runs in a row before the state is warning; the default is that of critical.
    pub failures_before_warning: i64,
    /// `failures_before_critical`: bad runs in a row before the state is critical.
    pub failures_before_critical: i64,
    /// `deregister_critical_service_after`; at least a minute.
    pub deregister_critical_service_after: i64,
    /// `output_max_size`, bytes; the agent's setting by default.
    pub output_max_size: i64,
}

impl CheckDefinition {
    /// Nothing is set: Consul takes such a check within a service as none.
    pub fn is_empty(&self) -> bool {
        *self == CheckDefinition::default()
    }

    /// What it runs, if it says so; the order decides when it says more than one.
    pub fn kind(&self) -> Option<CheckKind> {
        let periodic = self.interval > 0;
        let given = [
            (self.ttl > 0, CheckKind::Ttl),
            (periodic && !self.http.is_empty(), CheckKind::Http),
            (periodic && !self.tcp.is_empty(), CheckKind::Tcp),
            (periodic && !self.udp.is_empty(), CheckKind::Udp),
            (periodic && !self.grpc.is_empty(), CheckKind::Grpc),
            (periodic && !self.h2ping.is_empty(), CheckKind::H2Ping),
            (periodic && self.is_script() && !self.docker_container_id.is_empty(), CheckKind::Docker),
            (periodic && self.is_script(), CheckKind::Script),
            (self.is_alias(), CheckKind::Alias),
        ];
        given.into_iter().find(|(given, _)| *given).map(|(_, kind)| kind)
    }

    /// Whether it runs a command, here or in a container: those need the operator's permission.
    pub fn is_script(&self) -> bool {
        !self.args.is_empty()
    }

    fn is_alias(&self) -> bool {
        !self.alias_node.is_empty() || !self.alias_service.is_empty()
    }

    /// The state that it starts in.
    ///
    /// # Errors
    /// A word that is no state.
    pub fn initial(&self) -> Result<Health, Refused> {
        match self.status.as_str() {
            "" => Ok(Health::Critical),
            word => Health::parse(word).ok_or(Refused::because("Bad check status")),
        }
    }

    /// Looks at a check that stands by itself, and gives it its default id.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn complete(&mut self) -> Result<(), Refused> {
        if self.name.is_empty() {
            return Err(Refused::because("Missing check name"));
        }
        self.initial()?;
        self.validate().map_err(|e| Refused::because(format!("Invalid check: {e}")))?;
        if self.id.is_empty() {
            self.id = self.name.clone();
        }
        Ok(())
    }

    /// Whether its settings go together.
    ///
    /// # Errors
    /// The first thing that is wrong, without the prefix that Consul puts before it.
    pub fn validate(&self) -> Result<(), Refused> {
        let refuse = |reason| Err(Refused::because(reason));
        let addressed = [&self.http, &self.tcp, &self.udp, &self.grpc, &self.h2ping];
        let periodic = self.is_script() || addressed.iter().any(|a| !a.is_empty());
        if self.interval > 0 && self.ttl > 0 {
            return refuse("Interval and TTL cannot both be specified");
        }
        if periodic && self.interval <= 0 {
            return refuse("Interval must be > 0 for Script, HTTP, or TCP checks");
        }
        if periodic && self.is_alias() {
            return refuse("Interval cannot be set for Alias checks");
        }
        if self.is_alias() && self.ttl > 0 {
            return refuse("TTL must be not be set for Alias checks");
        }
        if !periodic && !self.is_alias() && self.ttl <= 0 {
            return refuse("TTL must be > 0 for TTL checks");
        }
        if self.output_max_size < 0 {
            return refuse("MaxOutputMaxSize must be positive");
        }
        if self.failures_before_warning > self.failures_before_critical {
            return refuse("FailuresBeforeWarning can't be higher than FailuresBeforeCritical");
        }
        Ok(())
    }
}
