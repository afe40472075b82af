//! Every setting of the agent, with its flag: the one list that files, the command line and the help are read from.

use super::kind::{Kind, Standing, default_name, empty, is_true};
use Kind::{Any, Blocks, Bool, Int, Number, Text, TextMap, Texts, Unsigned};
use serde_json::Value;

/// A setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// Dotted path in a file.
    pub(crate) path: &'static str,
    pub(crate) kind: Kind,
    pub(crate) standing: Standing,
    /// The flag without dashes, and its help.
    pub(crate) flag: Option<(&'static str, &'static str)>,
}

impl Key {
    const fn flag(self, name: &'static str, help: &'static str) -> Key {
        Key { flag: Some((name, help)), ..self }
    }

    /// A flag that is refused or has no effect.
    const fn also(self, name: &'static str) -> Key {
        self.flag(name, "")
    }
}

const fn built(path: &'static str, kind: Kind) -> Key {
    Key { path, kind, standing: Standing::Built, flag: None }
}

const fn no_effect(path: &'static str, kind: Kind, reason: &'static str) -> Key {
    Key { path, kind, standing: Standing::NoEffect(reason), flag: None }
}

const fn unless(asks_nothing: fn(&Value) -> bool, path: &'static str, kind: Kind, why: &'static str) -> Key {
    Key { path, kind, standing: Standing::NotBuilt { asks_nothing, why }, flag: None }
}

const fn not_built(path: &'static str, kind: Kind, why: &'static str) -> Key {
    unless(empty, path, kind, why)
}

/// Accepted with a warning: clients set it where they do not need it.
const fn without(path: &'static str, kind: Kind, why: &'static str) -> Key {
    Key { path, kind, standing: Standing::Without { asks_nothing: empty, why }, flag: None }
}

/// The setting of a file's key.
pub(crate) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|k| k.path == path)
}

/// Whether a path is a block that holds settings.
pub(crate) fn is_block(path: &str) -> bool {
    KEYS.iter().any(|k| k.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

const ALONE: &str = "this version runs a single server";
const NO_ACL: &str = "it is only read when acl.enabled is true, which is refused";
const ACL: &str = "this version does not enforce access control lists";
const NO_TLS: &str = "this version speaks plain text only";
const NO_TLS_PORT: &str = "this version speaks plain text only, so nothing listens on this port";
const TLS_OFF: &str = "no listener uses TLS";
const CONNECT: &str = "this version has no Connect service mesh";
const ONE_DC: &str = "this version knows one datacenter";
const UI: &str = "this version has no web UI";
const NO_EXPOSURE: &str = "nothing is exposed past proxies: there is no Connect service mesh";
const ENTERPRISE: &str = "it is a feature of Consul Enterprise";
const RAFT: &str = "the log is kept and compacted in another way";
const TELEMETRY: &str = "metrics are served over HTTP, all of them";

pub(crate) const KEYS: &[Key] = &[
    // Identity.
    built("node_name", Text).flag("node", "Name of this node, unique in the cluster. The hostname by default."),
    built("node_id", Text).flag("node-id", "UUID of this node. Kept in the data directory; random at first."),
    built("node_meta", TextMap).flag("node-meta", "Metadata of this node as `key:value`. May be repeated."),
    built("datacenter", Text).flag("datacenter", "Datacenter of the agent, `dc1` by default."),
    built("primary_datacenter", Text),
    built("domain", Text).flag("domain", "DNS domain to answer for, `consul.` by default."),
    built("alt_domain", Text).flag("alt-domain", "A second DNS domain to answer for."),
    built("data_dir", Text).flag("data-dir", "Directory of the agent's state. Required without -dev."),
    // Server.
    built("server", Bool).flag("server", "Runs as a server."),
    built("bootstrap", Bool)
        .flag("bootstrap", "Starts a new cluster with this server; the same as -bootstrap-expect=1."),
    built("bootstrap_expect", Int).flag(
        "bootstrap-expect",
        "Servers that start a new cluster together: each waits until it finds so many. 1: alone, at once.",
    ),
    // Addresses and ports.
    built("bind_addr", Text).flag("bind", "IP address for cluster communication, 0.0.0.0 by default."),
    built("advertise_addr", Text).flag("advertise", "IP address that others are told. The bind address by default."),
    built("client_addr", Text)
        .flag("client", "IP addresses for HTTP, gRPC and DNS, parted by spaces. 127.0.0.1 by default."),
    built("addresses.http", Text),
    built("addresses.grpc", Text),
    built("addresses.dns", Text),
    built("ports.http", Int)
        .flag("http-port", "Port of the HTTP API, 8500 by default. -1 turns it off, 0 takes a free one."),
    built("ports.grpc", Int)
        .flag("grpc-port", "Port of the gRPC API, 8502 by default. -1 turns it off, 0 takes a free one."),
    built("ports.dns", Int).flag("dns-port", "Port of DNS, 8600 by default. -1 turns it off, 0 takes a free one."),
    built("ports.server", Int).flag("server-port", "Port between servers, 8300 by default. 0 takes a free one."),
    built("ports.serf_lan", Int).flag("serf-lan-port", "Port of gossip in the datacenter, 8301 by default."),
    built("ports.serf_wan", Int)
        .flag("serf-wan-port", "Port of gossip between datacenters, 8302 by default; -1 for none."),
    // Gossip.
    built("serf_lan", Text).flag("serf-lan-bind", "IP address that gossip binds. The bind address by default."),
    built("start_join", Texts).flag("join", "Address of a member to join at the start. May be repeated."),
    built("retry_join", Texts).flag("retry-join", "Address of a member to join, until it succeeds. May be repeated."),
    built("retry_interval", Text).flag("retry-interval", "Time between two attempts to join, 30s by default."),
    built("retry_max", Int).flag("retry-max", "Attempts to join, after which the agent ends. 0 for no end."),
    built("rejoin_after_leave", Bool).flag("rejoin", "Joins earlier members again even after having left."),
    built("encrypt", Text).flag("encrypt", "Key for the encryption of gossip, in base64."),
    built("encrypt_verify_incoming", Bool),
    built("encrypt_verify_outgoing", Bool),
    built("disable_keyring_file", Bool).flag("disable-keyring-file", "Keeps no keys in the data directory."),
    built("disable_coordinates", Bool),
    built("leave_on_terminate", Bool),
    built("skip_leave_on_interrupt", Bool),
    built("reconnect_timeout", Text),
    built("gossip_lan.gossip_interval", Text),
    built("gossip_lan.gossip_nodes", Int),
    built("gossip_lan.probe_interval", Text),
    built("gossip_lan.probe_timeout", Text),
    built("gossip_lan.retransmit_mult", Int),
    built("gossip_lan.suspicion_mult", Int),
    not_built("serf_lan_allowed_cidrs", Texts, "use encrypt to keep others out").also("serf-lan-allowed-cidrs"),
    no_effect("serf_wan_allowed_cidrs", Texts, ONE_DC).also("serf-wan-allowed-cidrs"),
    no_effect("gossip_wan", Any, ONE_DC),
    no_effect("reconnect_timeout_wan", Text, ONE_DC),
    no_effect("serf_wan", Text, ONE_DC).also("serf-wan-bind"),
    no_effect("protocol", Int, "there is one version of the protocol").also("protocol"),
    // Logs and process.
    built("log_level", Text)
        .flag("log-level", "Least important level that is logged: trace, debug, info, warn or err."),
    built("log_json", Bool).flag("log-json", "Logs in JSON."),
    built("log_file", Text)
        .flag("log-file", "File to log to as well; a directory with a slash at its end takes lictor-TIMESTAMP.log."),
    built("log_rotate_bytes", Int).flag("log-rotate-bytes", "Bytes of a log file, after which a new one is begun."),
    built("log_rotate_duration", Text)
        .flag("log-rotate-duration", "Time after which a new log file is begun, 24h by default."),
    built("log_rotate_max_files", Int).flag("log-rotate-max-files", "Old log files to keep: 0 for all, -1 for none."),
    built("enable_syslog", Bool).flag("syslog", "Logs to syslog as well."),
    built("syslog_facility", Text),
    built("pid_file", Text).flag("pid-file", "File that holds the process id while the agent runs."),
    // Limits and checks.
    built("limits.http_max_conns_per_client", Int),
    built("limits.grpc_max_conns_per_client", Int),
    built("limits.rpc_max_conns_per_client", Int),
    built("limits.rpc_handshake_timeout", Text),
    built("limits.rpc_rate", Number),
    built("limits.rpc_max_burst", Int),
    built("limits.watches_per_connection", Int),
    built("limits.writes_waiting", Unsigned),
    built("limits.watch_starts_waiting", Unsigned),
    built("limits.lists_waiting", Unsigned),
    built("limits.kv_max_value_size", Unsigned),
    built("limits.txn_max_req_len", Unsigned),
    built("session_ttl_min", Text),
    // The first configuration of a cluster; operators change it later.
    built("autopilot.cleanup_dead_servers", Bool),
    built("autopilot.last_contact_threshold", Text),
    built("autopilot.max_trailing_logs", Int),
    built("autopilot.min_quorum", Unsigned),
    built("autopilot.server_stabilization_time", Text),
    built("autopilot.redundancy_zone_tag", Text),
    built("autopilot.disable_upgrade_migration", Bool),
    built("autopilot.upgrade_version_tag", Text),
    // Services, checks and watches of files.
    built("service", Blocks),
    built("services", Blocks),
    built("check", Blocks),
    built("checks", Blocks),
    built("watches", Blocks),
    built("enable_script_checks", Bool)
        .flag("enable-script-checks", "Lets checks run commands, also those that clients register over HTTP."),
    built("enable_local_script_checks", Bool)
        .flag("enable-local-script-checks", "Lets checks of configuration files run commands."),
    built("check_output_max_size", Int)
        .flag("check_output_max_size", "Bytes of a check's output that are kept, 4096 by default."),
    built("check_update_interval", Text),
    built("discard_check_output", Bool),
    // DNS.
    built("recursors", Texts)
        .flag("recursor", "DNS server for names that are not ours, as `address[:port]`. May be repeated."),
    built("dns_config.node_ttl", Text),
    built("dns_config.service_ttl", TextMap),
    built("dns_config.enable_truncate", Bool),
    built("dns_config.only_passing", Bool),
    built("dns_config.recursor_timeout", Text),
    built("dns_config.disable_compression", Bool),
    built("dns_config.udp_answer_limit", Int),
    built("dns_config.a_record_limit", Int),
    built("dns_config.enable_additional_node_meta_txt", Bool),
    built("dns_config.soa.refresh", Unsigned),
    built("dns_config.soa.retry", Unsigned),
    built("dns_config.soa.expire", Unsigned),
    built("dns_config.soa.min_ttl", Unsigned),
    no_effect("dns_config.allow_stale", Bool, "answers come from this server's own state"),
    no_effect("dns_config.max_stale", Text, "answers come from this server's own state"),
    no_effect("dns_config.use_cache", Bool, "answers are always kept for as long as they are true"),
    no_effect("dns_config.cache_max_age", Text, "answers are always kept for as long as they are true"),
    // HTTP.
    built("http_config.block_endpoints", Texts),
    built("http_config.response_headers", TextMap),
    built("http_config.allow_write_http_from", Texts)
        .flag("allow-write-http-from", "Network whose clients may write over HTTP, as 10.0.0.0/8. May be repeated."),
    built("disable_http_unprintable_char_filter", Bool),
    built("unix_sockets.user", Text),
    built("unix_sockets.group", Text),
    built("unix_sockets.mode", Text),
    built("default_query_time", Text)
        .flag("default-query-time", "How long a blocking query waits that names no time, 5m by default."),
    built("max_query_time", Text).flag("max-query-time", "How long a blocking query waits at most, 10m by default."),
    // Metrics.
    built("telemetry.prometheus_retention_time", Text),
    no_effect("telemetry.disable_hostname", Bool, "metric names never hold the hostname"),
    without("telemetry.metrics_prefix", Text, "the names of metrics are fixed in this version"),
    without("telemetry.prefix_filter", Texts, TELEMETRY),
    no_effect("telemetry.filter_default", Bool, TELEMETRY),
    without("telemetry.statsd_address", Text, TELEMETRY),
    without("telemetry.statsite_address", Text, TELEMETRY),
    without("telemetry.dogstatsd_addr", Text, TELEMETRY),
    without("telemetry.dogstatsd_tags", Texts, TELEMETRY),
    // Accepted, with a warning.
    without("ports.https", Int, NO_TLS_PORT).also("https-port"),
    without("ports.grpc_tls", Int, NO_TLS_PORT),
    without("connect.enabled", Bool, CONNECT),
    without("peering.enabled", Bool, "this version has no cluster peering"),
    // Accepted, with nothing to do.
    no_effect("version", Text, "the version is that of the program"),
    no_effect("disable_update_check", Bool, "there is no update check"),
    no_effect("disable_anonymous_signature", Bool, "there is no update check"),
    unless(is_true, "disable_host_node_id", Bool, "node ids are random and kept in the data directory")
        .also("disable-host-node-id"),
    unless(is_true, "disable_remote_exec", Bool, "this version runs no commands for others"),
    no_effect("enable_debug", Bool, "there are no profiling endpoints to open"),
    no_effect("translate_wan_addrs", Bool, ONE_DC),
    no_effect("discovery_max_stale", Text, "reads are fresh unless a request allows old answers"),
    no_effect("use_streaming_backend", Bool, "changes are always streamed"),
    no_effect("rpc.enable_streaming", Bool, "changes are always streamed"),
    no_effect("cache", Any, "reads are served from memory without a cache in between"),
    no_effect("http_config.use_cache", Bool, "reads are served from memory without a cache in between"),
    no_effect("raft_protocol", Int, RAFT).also("raft-protocol"),
    no_effect("raft_snapshot_threshold", Int, RAFT),
    no_effect("raft_snapshot_interval", Text, RAFT),
    no_effect("raft_trailing_logs", Int, RAFT),
    built("performance.raft_multiplier", Int),
    no_effect("performance.leave_drain_time", Text, ALONE),
    no_effect("performance.rpc_hold_timeout", Text, ALONE),
    no_effect("limits.https_handshake_timeout", Text, TLS_OFF),
    built("ports.sidecar_min_port", Int),
    built("ports.sidecar_max_port", Int),
    no_effect("ports.expose_min_port", Int, NO_EXPOSURE),
    no_effect("ports.expose_max_port", Int, NO_EXPOSURE),
    no_effect("addresses.https", Text, TLS_OFF),
    no_effect("tls_min_version", Text, TLS_OFF),
    no_effect("tls_cipher_suites", Text, TLS_OFF),
    no_effect("tls_prefer_server_cipher_suites", Bool, TLS_OFF),
    no_effect("server_name", Text, TLS_OFF),
    no_effect("retry_interval_wan", Text, ALONE).also("retry-interval-wan"),
    no_effect("retry_max_wan", Int, ALONE).also("retry-max-wan"),
    no_effect("ui_content_path", Text, UI).also("ui-content-path"),
    no_effect("acl.default_policy", Text, NO_ACL),
    no_effect("acl.down_policy", Text, NO_ACL),
    no_effect("acl.token_ttl", Text, NO_ACL),
    no_effect("acl.policy_ttl", Text, NO_ACL),
    no_effect("acl.role_ttl", Text, NO_ACL),
    no_effect("acl.disabled_ttl", Text, NO_ACL),
    no_effect("acl.enable_token_persistence", Bool, NO_ACL),
    no_effect("acl.enable_key_list_policy", Bool, NO_ACL),
    no_effect("acl.enable_token_replication", Bool, NO_ACL),
    no_effect("acl.tokens", Any, NO_ACL),
    no_effect("primary_gateways_interval", Text, ONE_DC),
    // Refused, unless the value asks for nothing.
    not_built("start_join_wan", Texts, ONE_DC).also("join-wan"),
    not_built("retry_join_wan", Texts, ONE_DC).also("retry-join-wan"),
    not_built("primary_gateways", Texts, ONE_DC).also("primary-gateway"),
    not_built("advertise_addr_wan", Text, ONE_DC).also("advertise-wan"),
    not_built("advertise_addr_ipv4", Text, "use advertise_addr"),
    not_built("advertise_addr_ipv6", Text, "use advertise_addr"),
    not_built("advertise_addr_wan_ipv4", Text, ONE_DC),
    not_built("advertise_addr_wan_ipv6", Text, ONE_DC),
    not_built("ca_file", Text, NO_TLS),
    not_built("ca_path", Text, NO_TLS),
    not_built("cert_file", Text, NO_TLS),
    not_built("key_file", Text, NO_TLS),
    not_built("verify_incoming", Bool, NO_TLS),
    not_built("verify_incoming_rpc", Bool, NO_TLS),
    not_built("verify_incoming_https", Bool, NO_TLS),
    not_built("verify_outgoing", Bool, NO_TLS),
    not_built("verify_server_hostname", Bool, NO_TLS),
    not_built("enable_agent_tls_for_checks", Bool, NO_TLS),
    not_built("tls", Any, NO_TLS),
    not_built("auto_encrypt", Any, NO_TLS),
    not_built("auto_config", Any, NO_TLS),
    not_built("acl.enabled", Bool, ACL),
    not_built("acl_datacenter", Text, ACL),
    not_built("acl_master_token", Text, ACL),
    not_built("acl_agent_master_token", Text, ACL),
    not_built("acl_agent_token", Text, ACL),
    not_built("acl_token", Text, ACL),
    not_built("acl_replication_token", Text, ACL),
    no_effect("acl_default_policy", Text, NO_ACL),
    no_effect("acl_down_policy", Text, NO_ACL),
    no_effect("acl_ttl", Text, NO_ACL),
    no_effect("acl_enable_key_list_policy", Bool, NO_ACL),
    no_effect("enable_acl_replication", Bool, NO_ACL),
    no_effect("connect.ca_provider", Text, CONNECT),
    no_effect("connect.ca_config", Any, CONNECT),
    not_built("connect.enable_mesh_gateway_wan_federation", Bool, CONNECT),
    not_built("config_entries.bootstrap", Any, CONNECT),
    no_effect("enable_central_service_config", Bool, CONNECT),
    unless(default_name, "partition", Text, ENTERPRISE),
    not_built("segment", Text, ENTERPRISE).also("segment"),
    not_built("segments", Any, ENTERPRISE),
    built("non_voting_server", Bool)
        .flag("non-voting-server", "The server takes part without a vote: it answers, but never counts for a quorum."),
    not_built("audit", Any, ENTERPRISE),
    not_built("ui", Bool, UI).also("ui"),
    not_built("ui_config.enabled", Bool, UI),
    not_built("ui_dir", Text, UI).also("ui-dir"),
];
