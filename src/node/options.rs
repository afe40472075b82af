//! From the configuration to what each part of the server is told.

use super::reload::Live;
use crate::agent::Agent;
use crate::config::{Config, DnsSettings, HttpSettings, Limits};
use crate::monitor::Monitor;
use crate::{agent, dns, http};
use metrics_exporter_prometheus::PrometheusHandle;

/// What DNS is told.
pub(super) fn dns(settings: &DnsSettings) -> dns::Options {
    dns::Options {
        recursors: settings.recursors.clone(),
        recursor_timeout: settings.recursor_timeout,
        udp_answer_limit: settings.udp_answer_limit,
        a_record_limit: settings.a_record_limit,
        enable_truncate: settings.enable_truncate,
        only_passing: settings.only_passing,
        node_meta_txt: settings.node_meta_txt,
        disable_compression: settings.disable_compression,
        node_ttl: settings.node_ttl,
        service_ttl: settings.service_ttl.clone(),
        soa: dns::Soa {
            refresh: settings.soa.refresh,
            retry: settings.soa.retry,
            expire: settings.soa.expire,
            min_ttl: settings.soa.min_ttl,
        },
        ..dns::Options::default()
    }
}

/// What clients of HTTP may do at most.
pub(super) fn limits(limits: &Limits) -> http::Limits {
    http::Limits {
        conns_per_client_max: limits.http_max_conns_per_client,
        value_bytes_max: limits.kv_max_value_size,
        txn_bytes_max: limits.txn_max_req_len,
    }
}

/// What HTTP refuses and adds.
fn rules(settings: &HttpSettings) -> http::Rules {
    let writers = settings.allow_write_from.clone();
    http::Rules::new(settings.block_endpoints.clone(), &settings.response_headers, writers)
}

/// What the agent is told.
pub(super) fn agent(config: &Config) -> agent::Settings {
    let checks = config.checks;
    agent::Settings {
        data_dir: config.data_dir.clone(),
        local_scripts: checks.enable_script_checks || checks.enable_local_script_checks,
        remote_scripts: checks.enable_script_checks,
        check_update_interval: checks.update_interval,
        check_output_max_size: checks.output_max,
        discard_check_output: checks.discard_output,
        sidecar_ports: config.sidecar_ports.clone(),
    }
}

/// What HTTP is told; `told`: what metrics and the log are read from.
pub(super) fn http(config: &Config, agent: &Agent, live: &Live, told: (PrometheusHandle, Monitor)) -> http::Options {
    let (metrics, monitor) = told;
    http::Options {
        rules: rules(&config.http),
        wait_default: config.query_times.default,
        wait_max: config.query_times.max,
        limits: live.limits.clone(),
        session_ttl_min: config.session_ttl_min,
        unprintable_paths: config.http.unprintable_paths,
        agent: agent.clone(),
        metrics,
        monitor,
        prometheus: config.prometheus,
        pretty_default: config.dev,
    }
}
