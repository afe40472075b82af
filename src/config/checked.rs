//! The checked configuration: every field, its default, and what is asked of it.

use super::address::{self, Host};
use super::data_dir;
use super::error::ConfigError;
use super::flags::AgentFlags;
use super::layers::{self, Merged};
use super::sections::{CheckSettings, DnsSettings, GossipSettings, HttpSettings, Limits, LogSettings, QueryTimes};
use super::settings::{Settings, domain};
use super::watch::WatchPlan;
use crate::clock::Clock;
use crate::model::{Autopilot, Definitions};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;
use uuid::Uuid;

/// Everything the agent was told, checked and with defaults filled in.
#[derive(Clone, Debug)]
pub struct Config {
    /// Development mode: in memory, on 127.0.0.1 unless told otherwise.
    pub dev: bool,
    /// Name of this node; the hostname by default.
    pub node_name: String,
    /// Id of this node, kept in the data directory; random in development mode.
    pub node_id: Uuid,
    /// Metadata of this node, within the limits of the model.
    pub node_meta: BTreeMap<String, String>,
    /// In lower case; `dc1` by default.
    pub datacenter: String,
    /// In lower case, with a dot at the end; `consul.` by default.
    pub domain: String,
    /// A second domain, in the same form.
    pub alt_domain: Option<String>,
    /// Where state is kept: it exists and can be written. `None` keeps all state in memory.
    pub data_dir: Option<PathBuf>,
    /// The address for cluster communication; it may be unspecified (`0.0.0.0`).
    pub bind_addr: IpAddr,
    /// The address that others are told; never unspecified.
    pub advertise_addr: IpAddr,
    /// HTTP listeners; port 0 takes a free one. Empty when turned off, as with the next two.
    pub http_addrs: Vec<SocketAddr>,
    /// gRPC listeners.
    pub grpc_addrs: Vec<SocketAddr>,
    /// gRPC was asked for. It is off by default in Consul: a configuration that does not name it must not fail because its
    /// port is taken.
    pub grpc_asked: bool,
    /// DNS listeners, each for UDP and TCP.
    pub dns_addrs: Vec<SocketAddr>,
    /// It holds the replicated state; else it asks servers.
    pub server: bool,
    /// How many servers found the cluster of this one together; 1: it founds one alone, 0: it joins one that is there.
    pub bootstrap_expect: u32,
    /// It shall never have a vote.
    pub non_voting: bool,
    /// How many times as long as usual the servers wait for each other, 1 by default.
    pub raft_multiplier: u32,
    /// The listener for other servers; port 0 takes a free one.
    pub server_addr: SocketAddr,
    /// Port of gossip in the datacenter, as members are told.
    pub serf_lan_port: u16,
    /// Port of gossip between datacenters, if there is any.
    pub serf_wan_port: Option<u16>,
    /// What gossip is told.
    pub gossip: GossipSettings,
    /// Limits on clients.
    pub limits: Limits,
    /// The shortest time to live of a session over HTTP.
    pub session_ttl_min: Duration,
    /// The autopilot configuration that a new cluster begins with.
    pub autopilot: Autopilot,
    /// How long blocking queries wait.
    pub query_times: QueryTimes,
    /// What the HTTP edge refuses and adds.
    pub http: HttpSettings,
    /// How DNS answers.
    pub dns: DnsSettings,
    /// What checks of this node may do.
    pub checks: CheckSettings,
    /// Services and checks of configuration files.
    pub definitions: Definitions,
    /// Where sidecars that name no port get theirs; `None`: nowhere.
    pub sidecar_ports: Option<RangeInclusive<u16>>,
    /// What is run when something changes.
    pub watches: Vec<WatchPlan>,
    /// Metrics are served in Prometheus' form by the agent's endpoint too: a retention time was given.
    pub prometheus: bool,
    /// Where the log goes.
    pub log: LogSettings,
    /// File that holds the process id while the agent runs.
    pub pid_file: Option<PathBuf>,
    /// What to log once logging works: settings that have no effect.
    pub notices: Vec<Notice>,
}

/// How important a line of the log is, the most important last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Every step.
    Trace,
    /// For whoever looks for a fault.
    Debug,
    /// What happens; the default.
    Info,
    /// What should not happen.
    Warn,
    /// What failed.
    Error,
}

/// Something to log about the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// How important it is.
    pub level: LogLevel,
    /// The sentence.
    pub text: String,
}

impl Config {
    /// Reads the files, lays the flags over them, checks all of it, and prepares the data directory.
    ///
    /// # Errors
    /// The first thing that is wrong, with its file and key.
    pub fn load(flags: &AgentFlags, clock: &Clock) -> Result<Config, ConfigError> {
        Config::load_on(&Host::current(), flags, clock)
    }

    /// Whether the agent would accept files, whatever its command line adds about its role; touches no directory.
    ///
    /// # Errors
    /// As for [`Config::load`].
    pub fn validate(flags: &AgentFlags, clock: &Clock) -> Result<Config, ConfigError> {
        Config::validate_on(&Host::current(), flags, clock)
    }

    pub(crate) fn validate_on(host: &Host, flags: &AgentFlags, clock: &Clock) -> Result<Config, ConfigError> {
        let (config, settings, _) = Config::read(host, flags, clock)?;
        settings.role(flags.dev)?;
        match settings.text("data_dir") {
            None if !flags.dev => Err(ConfigError::invalid("data_dir cannot be empty")),
            _ => Ok(config),
        }
    }

    pub(crate) fn load_on(host: &Host, flags: &AgentFlags, clock: &Clock) -> Result<Config, ConfigError> {
        let (mut config, settings, node_id) = Config::read(host, flags, clock)?;
        let dev = flags.dev;
        settings.role(dev)?;
        match settings.text("data_dir").map(PathBuf::from) {
            None if dev => {}
            None => return Err(ConfigError::invalid("data_dir cannot be empty")),
            Some(dir) if dev => {
                let text = format!("-dev keeps all state in memory: data_dir {} is not used", dir.display());
                config.notices.push(Notice { level: LogLevel::Warn, text });
            }
            Some(dir) => {
                data_dir::prepare(&dir)?;
                config.node_id = data_dir::node_id(&dir, node_id, clock)?;
                config.data_dir = Some(dir);
            }
        }
        Ok(config)
    }

    /// All that needs no directory: the configuration, what it was read from, and the id that was asked for.
    fn read(host: &Host, flags: &AgentFlags, clock: &Clock) -> Result<(Config, Settings, Option<Uuid>), ConfigError> {
        let Merged { tree, definitions, watches, notices } = layers::load(flags)?;
        let settings = Settings { tree, interfaces: host.interfaces.clone() };
        let dev = flags.dev;
        let node_id = settings.text("node_id").map(data_dir::parse).transpose();
        let node_id = node_id.map_err(|e| ConfigError::invalid(format!("failed to setup node ID: {e}")))?;
        let (bind_addr, advertise_addr) = settings.cluster_addresses(host, dev)?;
        let datacenter = settings.datacenter()?;
        // Whoever loads it for use asks for the role first; `validate` need not know it.
        let (server, bootstrap_expect) = settings.role(dev).unwrap_or_default();
        let config = Config {
            dev,
            node_name: settings.node_name(host)?,
            node_id: node_id.unwrap_or_else(|| clock.uuid()),
            node_meta: settings.node_meta()?,
            datacenter,
            domain: domain("domain", settings.text("domain").unwrap_or("consul"))?,
            alt_domain: settings.text("alt_domain").map(|d| domain("alt_domain", d)).transpose()?,
            data_dir: None,
            bind_addr,
            advertise_addr,
            http_addrs: settings.listeners("http", 8500)?,
            grpc_addrs: settings.listeners("grpc", 8502)?,
            grpc_asked: settings.int("ports.grpc").is_some() || settings.text("addresses.grpc").is_some(),
            dns_addrs: settings.listeners("dns", 8600)?,
            server,
            bootstrap_expect,
            non_voting: settings.switch("non_voting_server"),
            raft_multiplier: settings.int("performance.raft_multiplier").map_or(1, |n| n.clamp(1, 10) as u32),
            server_addr: SocketAddr::new(bind_addr, settings.needed_port("ports.server", 8300)?),
            serf_lan_port: settings.needed_port("ports.serf_lan", 8301)?,
            serf_wan_port: settings.port("ports.serf_wan", 8302)?,
            gossip: settings.gossip(bind_addr, dev)?,
            limits: settings.limits()?,
            session_ttl_min: settings.session_ttl_min()?,
            autopilot: settings.autopilot()?,
            query_times: settings.query_times()?,
            http: settings.http()?,
            dns: settings.dns()?,
            checks: settings.checks()?,
            definitions,
            sidecar_ports: settings.sidecar_ports()?,
            watches,
            prometheus: !settings.duration("telemetry.prometheus_retention_time", Duration::ZERO)?.is_zero(),
            log: settings.log()?,
            pid_file: settings.text("pid_file").map(PathBuf::from),
            notices,
        };
        config.no_clash()?;
        Ok((config, settings, node_id))
    }

    fn no_clash(&self) -> Result<(), ConfigError> {
        let mut listeners = vec![("ports.server", self.server_addr)];
        for (key, addrs) in
            [("ports.http", &self.http_addrs), ("ports.grpc", &self.grpc_addrs), ("ports.dns", &self.dns_addrs)]
        {
            if key != "ports.grpc" || self.grpc_asked {
                listeners.extend(addrs.iter().map(|addr| (key, *addr)));
            }
        }
        address::no_clash(&listeners)
    }
}

impl LogLevel {
    pub(crate) fn parse(text: &str) -> Result<LogLevel, ConfigError> {
        match text.to_ascii_lowercase().as_str() {
            "trace" => Ok(LogLevel::Trace),
            "debug" => Ok(LogLevel::Debug),
            "info" => Ok(LogLevel::Info),
            "warn" => Ok(LogLevel::Warn),
            "err" | "error" => Ok(LogLevel::Error),
            _ => Err(ConfigError::invalid(format!(
                "Invalid log level: {text}. Valid log levels are: [TRACE DEBUG INFO WARN ERR ERROR]"
            ))),
        }
    }
}

#[cfg(test)]
mod tests;
