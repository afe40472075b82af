//! What a running agent takes from its configuration again, and what it does not.

use super::address::Host;
use super::checked::{Config, LogLevel, Notice};
use super::error::ConfigError;
use super::flags::AgentFlags;
use crate::clock::Clock;

impl Config {
    /// Reads the files again. Of the result, definitions, the ports of sidecars, watches, metadata of the node, limits, DNS, and the settings
    /// of checks and the log's level are new; all else is as it was, with a notice for each change that waits for a restart.
    ///
    /// # Errors
    /// As for [`Config::load`]; nothing has changed then.
    pub fn reload(&self, flags: &AgentFlags, clock: &Clock) -> Result<Config, ConfigError> {
        self.reload_on(&Host::current(), flags, clock)
    }

    pub(crate) fn reload_on(&self, host: &Host, flags: &AgentFlags, clock: &Clock) -> Result<Config, ConfigError> {
        let new = Config::load_on(host, flags, clock)?;
        let mut notices = new.notices.clone();
        notices.extend(self.fixed_changes(&new));
        let mut log = self.log.clone();
        log.level = new.log.level;
        Ok(Config {
            definitions: new.definitions,
            sidecar_ports: new.sidecar_ports,
            watches: new.watches,
            node_meta: new.node_meta,
            dns: new.dns,
            limits: new.limits,
            checks: new.checks,
            log,
            notices,
            ..self.clone()
        })
    }

    /// Settings that differ and need a restart.
    fn fixed_changes<'a>(&'a self, new: &'a Config) -> impl Iterator<Item = Notice> + 'a {
        let log = |config: &Config| (config.log.json, config.log.file.clone(), config.log.syslog);
        [
            ("node_name", self.node_name != new.node_name),
            // A development agent has a new random one each time.
            ("node_id", !self.dev && self.node_id != new.node_id),
            ("datacenter", self.datacenter != new.datacenter),
            ("domain and alt_domain", (&self.domain, &self.alt_domain) != (&new.domain, &new.alt_domain)),
            ("data_dir", self.data_dir != new.data_dir),
            ("bind_addr", self.bind_addr != new.bind_addr),
            ("advertise_addr", self.advertise_addr != new.advertise_addr),
            ("addresses.http and ports.http", self.http_addrs != new.http_addrs),
            ("addresses.grpc and ports.grpc", self.grpc_addrs != new.grpc_addrs),
            ("addresses.dns and ports.dns", self.dns_addrs != new.dns_addrs),
            ("ports.server", self.server_addr != new.server_addr),
            ("ports.serf_lan and ports.serf_wan", self.serf_ports() != new.serf_ports()),
            ("the settings of gossip", self.gossip != new.gossip),
            ("http_config and unix_sockets", self.http != new.http),
            ("session_ttl_min", self.session_ttl_min != new.session_ttl_min),
            ("default_query_time and max_query_time", self.query_times != new.query_times),
            ("log_json, log_file and enable_syslog", log(self) != log(new)),
            ("pid_file", self.pid_file != new.pid_file),
        ]
        .into_iter()
        .filter(|(_, changed)| *changed)
        .map(|(key, _)| Notice {
            level: LogLevel::Warn,
            text: format!("{key}: the change takes effect after a restart, a reload does not change it"),
        })
    }

    fn serf_ports(&self) -> (u16, Option<u16>) {
        (self.serf_lan_port, self.serf_wan_port)
    }
}
