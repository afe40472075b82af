//! Defaults, and the text of every refusal.

use super::*;
use crate::config::template::Interface;
use std::path::Path;
use std::time::Duration;

fn host() -> Host {
    host_with(&["10.0.0.5"])
}

fn host_with(addresses: &[&str]) -> Host {
    let interface =
        |ip: &&str| Interface { name: "eth0".to_owned(), address: ip.parse().expect("an address"), default: true };
    Host { hostname: "box".to_owned(), interfaces: addresses.iter().map(interface).collect() }
}

/// Loads `flag value` pairs; a value of `true` suits switches.
fn load_on(host: &Host, flags: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let mut parsed = AgentFlags::default();
    for (name, value) in flags {
        parsed.set(name, &[(*value).to_owned()])?;
    }
    Config::load_on(host, &parsed, &Clock::manual(0, 1))
}

fn load(flags: &[(&str, &str)]) -> Result<Config, ConfigError> {
    load_on(&host(), flags)
}

fn error(flags: &[(&str, &str)]) -> String {
    load(flags).expect_err("must be refused").to_string()
}

fn file(dir: &Path, name: &str, json: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, json).expect("written");
    path.to_str().expect("UTF-8").to_owned()
}

fn error_of_file(json: &str) -> String {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = file(dir.path(), "f.json", json);
    error(&[("dev", "true"), ("config-file", &path)]).replace(&path, "FILE")
}

fn addrs(list: &[SocketAddr]) -> Vec<String> {
    list.iter().map(SocketAddr::to_string).collect()
}

#[test]
fn development_mode() {
    let c = load(&[("dev", "true")]).expect("accepted");
    assert_eq!(addrs(&c.http_addrs), ["127.0.0.1:8500"]);
    assert_eq!(addrs(&c.grpc_addrs), ["127.0.0.1:8502"]);
    assert_eq!(addrs(&c.dns_addrs), ["127.0.0.1:8600"]);
    assert_eq!(c.server_addr.to_string(), "127.0.0.1:8300");
    assert_eq!((c.serf_lan_port, c.serf_wan_port), (8301, Some(8302)));
    assert_eq!((c.node_name.as_str(), c.datacenter.as_str(), c.domain.as_str()), ("box", "dc1", "consul."));
    assert_eq!((c.data_dir, c.log.level, c.advertise_addr.to_string()), (None, LogLevel::Info, "127.0.0.1".to_owned()));
    assert!(!c.node_id.is_nil());
}

#[test]
fn the_performance_harness_file_starts_both_ways() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = file(
        dir.path(),
        "n0.json",
        r#"{"bind_addr":"127.0.0.1","client_addr":"127.0.0.1","node_name":"n0","log_level":"err",
        "ports":{"http":38050,"dns":38051,"server":38052,"serf_lan":38053,"serf_wan":38054,"grpc":38055},
        "limits":{"http_max_conns_per_client":12000,"rpc_max_conns_per_client":1000},
        "disable_update_check":true,"leave_on_terminate":false}"#,
    );
    let data = dir.path().join("data");
    let data = data.to_str().expect("UTF-8");
    let server = [("server", "true"), ("bootstrap-expect", "1"), ("data-dir", data), ("config-file", &path)];
    for flags in [&server[..], &[("dev", "true"), ("config-file", &path)]] {
        let c = load(flags).expect("accepted");
        assert_eq!(addrs(&c.http_addrs), ["127.0.0.1:38050"]);
        assert_eq!(addrs(&c.grpc_addrs), ["127.0.0.1:38055"]);
        assert_eq!(c.server_addr.to_string(), "127.0.0.1:38052");
        assert_eq!((c.serf_lan_port, c.serf_wan_port), (38053, Some(38054)));
        assert_eq!((c.node_name.as_str(), c.log.level), ("n0", LogLevel::Error));
        let limits = &c.limits;
        assert_eq!((limits.http_max_conns_per_client, limits.rpc_max_conns_per_client), (12_000, 1_000));
        assert_eq!(limits.grpc_max_conns_per_client, 12_000, "as many as to HTTP");
        let mut notices: Vec<_> = c.notices.iter().map(|n| n.text.replace(&path, "FILE")).collect();
        notices.sort();
        assert_eq!(notices, ["FILE: disable_update_check has no effect: there is no update check",]);
    }
}

#[test]
fn a_server_keeps_its_id() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let data = dir.path().join("data");
    let flags = [("server", "true"), ("bootstrap", "true"), ("data-dir", data.to_str().expect("UTF-8"))];
    let first = load(&flags).expect("accepted");
    assert_eq!(first.data_dir.as_deref(), Some(data.as_path()));
    assert_eq!((first.bind_addr.to_string(), first.advertise_addr.to_string()), ("0.0.0.0".into(), "10.0.0.5".into()));
    assert_eq!(load(&flags).expect("accepted").node_id, first.node_id);
    let id = "34c9fbd5-2ce4-d430-b23c-8876642de61b";
    let named = load(&[&flags[..], &[("node-id", id)]].concat()).expect("accepted");
    assert_eq!(named.node_id.to_string(), id);
    assert_eq!(load(&flags).expect("accepted").node_id.to_string(), id);
}

#[test]
fn development_mode_says_that_it_uses_no_data_dir() {
    let c = load(&[("dev", "true"), ("data-dir", "/nowhere/at/all")]).expect("accepted");
    assert_eq!(c.data_dir, None);
    assert_eq!(
        c.notices,
        [Notice {
            level: LogLevel::Warn,
            text: "-dev keeps all state in memory: data_dir /nowhere/at/all is not used".to_owned()
        }]
    );
}

#[test]
fn roles() {
    assert_eq!(error(&[("bootstrap", "true")]), "'bootstrap = true' requires 'server = true'");
    assert_eq!(error(&[("bootstrap-expect", "1")]), "'bootstrap = true' requires 'server = true'");
    assert_eq!(
        error(&[("server", "true"), ("bootstrap", "true"), ("bootstrap-expect", "3")]),
        "'bootstrap_expect > 0' and 'bootstrap = true' are mutually exclusive"
    );
    assert_eq!(
        error(&[("server", "true"), ("bootstrap-expect", "-1")]),
        "bootstrap_expect cannot be -1. Must be greater than or equal to zero"
    );
    assert_eq!(
        error(&[("server", "true"), ("bootstrap-expect", "16")]),
        "bootstrap_expect cannot be more than 15 servers"
    );
    assert_eq!(
        error(&[("dev", "true"), ("bootstrap-expect", "3")]),
        "'bootstrap_expect > 1' cannot be used with -dev, which is a cluster of one"
    );
    assert_eq!(error(&[]), "data_dir cannot be empty");
    assert_eq!(error(&[("server", "true"), ("bootstrap", "true")]), "data_dir cannot be empty");
}

#[test]
fn values_that_cannot_be() {
    for (flag, value, expected) in [
        ("datacenter", "bad dc", "datacenter cannot be \"bad dc\". Please use only [a-z0-9-_]"),
        ("node-id", "x", "failed to setup node ID: specified NodeID is invalid: uuid string is wrong length"),
        ("log-level", "loud", "Invalid log level: loud. Valid log levels are: [TRACE DEBUG INFO WARN ERR ERROR]"),
        ("http-port", "99999", "1 error occurred:\n\t* ports.http: invalid port: 99999\n"),
        ("http-port", "x", "invalid value \"x\" for flag -http-port: not a whole number"),
        ("server", "maybe", "invalid value \"maybe\" for flag -server: not true or false"),
        ("client", "x", "1 error occurred:\n\t* client_addr: invalid ip address: x\n"),
        (
            "bind",
            "{{ GetInterfaceIP \"eth9\" }}",
            "bind_addr cannot be empty: the template \"{{ GetInterfaceIP \\\"eth9\\\" }}\" finds no address on this machine",
        ),
        (
            "bind",
            "{{ Nope }}",
            "1 error occurred:\n\t* bind_addr: unable to parse address template \"{{ Nope }}\": \"Nope\" is not known\n",
        ),
        ("client", "unix:///x", "1 error occurred:\n\t* client_addr: client_addr cannot be a unix socket: unix:///x\n"),
        ("recursor", "x", "1 error occurred:\n\t* recursors: not an IP address with or without port: x\n"),
        ("recursor", "0.0.0.0", "DNS recursor address cannot be 0.0.0.0, :: or [::]"),
        ("config-format", "yaml", "-config-format must be either 'hcl' or 'json'"),
        (
            "hcl",
            "a b",
            "failed to parse flags-0.hcl: At 1:4: key 'b' expected start of object ('{') or assignment ('='), got EOF",
        ),
        ("hcl", "bogus = 1", "failed to parse flags-0.hcl: 1 error occurred:\n\t* invalid config key bogus (at 1:1)\n"),
        ("advertise", "0.0.0.0", "Advertise address cannot be 0.0.0.0, :: or [::]"),
        ("domain", "a b", "1 error occurred:\n\t* domain: not a DNS domain: a b\n"),
        (
            "server-port",
            "-1",
            "1 error occurred:\n\t* ports.server: a server needs this port: give one, or 0 for a free one\n",
        ),
        ("http-port", "8300", "1 error occurred:\n\t* ports.http: 127.0.0.1:8300 is already taken by ports.server\n"),
        (
            "retry-join",
            "provider=aws tag=a",
            "retry_join with a cloud provider is not built yet: give addresses or DNS names",
        ),
        ("encrypt", "a", "encrypt has invalid key: illegal base64 data at input byte 0"),
        ("encrypt", "YWJj", "encrypt has invalid key: key size must be 16, 24 or 32 bytes"),
        ("hcl", "reconnect_timeout = \"1h\"", "1 error occurred:\n\t* reconnect_timeout: must be at least 8h\n"),
        (
            "node-meta",
            "consul-a:1",
            "node_meta invalid: Couldn't load metadata pair ('consul-a', '1'): Key prefix 'consul-' is reserved for internal use",
        ),
    ] {
        assert_eq!(error(&[("dev", "true"), (flag, value)]), expected);
    }
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn values_in_files_that_cannot_be() {
    let decoding = "failed to parse FILE: 1 error(s) decoding:\n\n* ";
    for (json, expected) in [
        (r#"{"bogus":1}"#, "failed to parse FILE: 1 error occurred:\n\t* invalid config key bogus\n".to_owned()),
        (
            r#"{"bogus":1,"ports":{"x":1}}"#,
            "failed to parse FILE: 2 errors occurred:\n\t* invalid config key bogus\n\t* invalid config key ports.x\n"
                .into(),
        ),
        (r#"{"server":"x"}"#, format!("{decoding}'server' expected type 'bool', got unconvertible type 'string'")),
        (
            r#"{"ports":{"http":"x"}}"#,
            format!("{decoding}'ports.http' expected type 'int', got unconvertible type 'string'"),
        ),
        (
            r#"{"ports":{"http":1.5}}"#,
            format!("{decoding}'ports.http' expected type 'int', got unconvertible type 'float64'"),
        ),
        (r#"{"ports":3}"#, format!("{decoding}'ports' expected a map, got 'float64'")),
        (
            r#"{"node_meta":{"a":1}}"#,
            format!("{decoding}'node_meta[a]' expected type 'string', got unconvertible type 'float64'"),
        ),
        (r#"{"retry_join":"a"}"#, format!("{decoding}'retry_join': source data must be an array or slice, got string")),
        (
            r#"{"retry_join_wan":["a"]}"#,
            "FILE: retry_join_wan is not built yet: this version knows one datacenter".into(),
        ),
        (
            r#"{"acl":{"enabled":true}}"#,
            "FILE: acl.enabled is not built yet: this version does not enforce access control lists".into(),
        ),
        (r#"{"cert_file":"x"}"#, "FILE: cert_file is not built yet: this version speaks plain text only".into()),
        (r#"{"segments":[{}]}"#, "FILE: segments is not built yet: it is a feature of Consul Enterprise".into()),
        (r#"[]"#, "failed to parse FILE: a configuration file must hold an object, not a slice".into()),
        (
            r#"{"performance":{"raft_multiplier":99}}"#,
            "performance.raft_multiplier cannot be 99. Must be between 1 and 10".into(),
        ),
        (
            r#"{"limits":{"http_max_conns_per_client":-5}}"#,
            "1 error occurred:\n\t* limits.http_max_conns_per_client: must be 0 or more, not -5\n".into(),
        ),
        (
            r#"{"limits":{"kv_max_value_size":4194304}}"#,
            "1 error occurred:\n\t* limits.kv_max_value_size: must be at most 1572864 in this version, not 4194304\n"
                .into(),
        ),
        (
            r#"{"limits":{"txn_max_req_len":-1}}"#,
            format!("{decoding}cannot parse 'limits.txn_max_req_len', -1 overflows uint"),
        ),
        (
            r#"{"dns_config":{"node_ttl":"x"}}"#,
            "1 error occurred:\n\t* dns_config.node_ttl: invalid duration: \"x\": time: invalid duration \"x\"\n"
                .into(),
        ),
        (
            r#"{"dns_config":{"udp_answer_limit":-1}}"#,
            "dns_config.udp_answer_limit cannot be -1. Must be greater than or equal to zero".into(),
        ),
        (
            r#"{"check_output_max_size":0}"#,
            "check_output_max_size must be positive, to discard check output use the discard_check_output flag".into(),
        ),
        (
            r#"{"http_config":{"allow_write_http_from":["1.2.3.4"]}}"#,
            "1 error occurred:\n\t* allow_write_http_from: invalid cidr: 1.2.3.4\n".into(),
        ),
        (
            r#"{"ports":{"sidecar_max_port":20000}}"#,
            "sidecar_min_port must be less than sidecar_max_port. To disable, set both to zero.".into(),
        ),
        (
            r#"{"ports":{"sidecar_max_port":70000}}"#,
            "1 error occurred:\n\t* ports.sidecar_max_port: invalid port: 70000\n".into(),
        ),
        (r#"{"watches":[{"type":"x","args":["a"]}]}"#, "FILE: Unsupported watch type: x".into()),
        (
            r#"{"enable_syslog":true,"syslog_facility":"x"}"#,
            "1 error occurred:\n\t* syslog_facility: invalid syslog facility: X\n".into(),
        ),
        (
            r#"{"primary_datacenter":"dc2"}"#,
            "primary_datacenter \"dc2\" beside datacenter \"dc1\" is not built yet: this version knows one datacenter"
                .into(),
        ),
    ] {
        assert_eq!(error_of_file(json), expected, "{json}");
    }
    assert!(error_of_file("{").starts_with("failed to parse FILE: unexpected end of JSON input"));
    assert!(error_of_file(" ").starts_with("failed to parse FILE: unexpected end of JSON input"));
}

#[test]
fn settings_that_ask_for_nothing_are_accepted() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = file(
        dir.path(),
        "f.json",
        r#"{"acl":{"enabled":false,"tokens":{"master":"root"}},"ports":{"https":-1,"grpc_tls":-1},"segments":null,
        "encrypt":"","retry_join":[],"connect":{"enabled":false},"primary_datacenter":"dc1","raft_protocol":3,
        "disable_remote_exec":true,"partition":"default","node_name":null,"performance":{"raft_multiplier":1}}"#,
    );
    let c = load(&[("dev", "true"), ("config-file", &path)]).expect("accepted");
    assert_eq!(c.node_name, "box");
}

#[test]
fn addresses_and_ports() {
    let c = load(&[
        ("dev", "true"),
        ("client", "127.0.0.1 ::1"),
        ("grpc-port", "-1"),
        ("dns-port", "0"),
        ("serf-wan-port", "-1"),
        ("domain", ".Example.COM"),
        ("alt-domain", "alt."),
    ])
    .expect("accepted");
    assert_eq!(addrs(&c.http_addrs), ["127.0.0.1:8500", "[::1]:8500"]);
    assert_eq!(addrs(&c.grpc_addrs), [""; 0]);
    assert_eq!(addrs(&c.dns_addrs), ["127.0.0.1:0", "[::1]:0"]);
    assert_eq!((c.serf_wan_port, c.domain.as_str(), c.alt_domain.as_deref()), (None, "example.com.", Some("alt.")));
}

#[test]
fn the_advertised_address_must_be_the_only_one() {
    let flags = [("dev", "true"), ("bind", "0.0.0.0")];
    let two = host_with(&["10.0.0.5", "192.168.0.5", "fd00::1"]);
    assert_eq!(
        load_on(&two, &flags).expect_err("refused").to_string(),
        "Multiple private IPv4 addresses found. Please configure one with 'bind' and/or 'advertise'."
    );
    let none = host_with(&["8.8.8.8"]);
    assert!(load_on(&none, &flags).expect_err("refused").to_string().starts_with("No private IPv4 address found"));
    let named = load_on(&two, &[&flags[..], &[("advertise", "10.0.0.5")]].concat()).expect("accepted");
    assert_eq!(named.advertise_addr.to_string(), "10.0.0.5");
}

/// What the test harness of Consul's own client writes.
#[test]
fn the_file_of_the_go_test_server_is_accepted() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let data = dir.path().join("data");
    let socket = dir.path().join("http.sock");
    let text = format!(
        r#"{{"node_name":"node-1","node_id":"34c9fbd5-2ce4-d430-b23c-8876642de61b","node_meta":{{"k":"v"}},
        "performance":{{"raft_multiplier":1}},"bootstrap":true,"server":true,"data_dir":{:?},"segments":null,
        "disable_update_check":true,"log_level":"debug","bind_addr":"127.0.0.1",
        "addresses":{{"http":"unix://{}"}},
        "ports":{{"dns":19001,"http":19002,"https":19003,"serf_lan":19004,"serf_wan":19005,"server":19006,"grpc":19007,
        "grpc_tls":19008}},"raft_protocol":3,"acl":{{"enabled":false,"tokens":{{"master":"root"}}}},
        "connect":{{"enabled":true,"ca_config":{{"cluster_id":"x"}}}},"enable_debug":true,"enable_script_checks":true,
        "skip_leave_on_interrupt":true,"peering":{{"enabled":true}},"telemetry":{{"prometheus_retention_time":"10s"}}}}"#,
        data.display().to_string(),
        socket.display(),
    );
    let c = load(&[("config-file", &file(dir.path(), "f.json", &text))]).expect("accepted");
    assert!(c.http_addrs.is_empty() && c.checks.enable_script_checks);
    assert_eq!(c.http.sockets.iter().map(|s| &s.path).collect::<Vec<_>>(), [&socket]);
    assert_eq!((c.prometheus, c.log.level), (true, LogLevel::Debug));
    let warnings: Vec<_> = c.notices.iter().filter(|n| n.level == LogLevel::Warn).map(|n| n.text.as_str()).collect();
    let has = |key: &str| warnings.iter().any(|w| w.contains(key));
    assert!(has("ports.https has no effect: ") && has("connect.enabled has no effect: "), "{warnings:?}");
}

#[test]
fn every_setting_of_dns_is_read() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let text = r#"
        recursors = ["1.1.1.1", "[::1]:5300", "8.8.8.8:5353", "1.1.1.1"]
        dns_config {
          node_ttl = "5s"  service_ttl { "*" = "1s" "web*" = "2s" }  enable_truncate = true  only_passing = true
          recursor_timeout = "3s"  disable_compression = true  udp_answer_limit = 5  a_record_limit = 2
          enable_additional_node_meta_txt = false  allow_stale = true  max_stale = "10s"  use_cache = true
          cache_max_age = "1m"  soa { refresh = 1 retry = 2 expire = 3 min_ttl = 4 }
        }"#;
    let dns = load(&[("dev", "true"), ("config-file", &file(dir.path(), "f.hcl", text))]).expect("accepted").dns;
    let seconds = Duration::from_secs;
    assert_eq!(
        dns,
        DnsSettings {
            recursors: ["1.1.1.1:53", "[::1]:5300", "8.8.8.8:5353"].map(|a| a.parse().expect("an address")).into(),
            recursor_timeout: seconds(3),
            node_ttl: seconds(5),
            service_ttl: vec![("*".into(), seconds(1)), ("web*".into(), seconds(2))],
            enable_truncate: true,
            only_passing: true,
            disable_compression: true,
            udp_answer_limit: 5,
            a_record_limit: 2,
            node_meta_txt: false,
            soa: crate::config::SoaSettings { refresh: 1, retry: 2, expire: 3, min_ttl: 4 },
        }
    );
}

#[test]
fn a_reload_takes_what_it_may_and_names_what_it_may_not() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = file(dir.path(), "f.hcl", "log_level = \"info\" service { name = \"a\" }");
    let mut flags = AgentFlags::default();
    flags.set("dev", &["true".to_owned()]).expect("known");
    flags.set("config-file", std::slice::from_ref(&path)).expect("known");
    let clock = Clock::manual(0, 1);
    let first = Config::load_on(&host(), &flags, &clock).expect("accepted");
    file(
        dir.path(),
        "f.hcl",
        "log_level = \"err\" log_json = true node_meta { k = \"v\" } node_name = \"x\" service { name = \"b\" }",
    );
    let second = first.reload_on(&host(), &flags, &clock).expect("accepted");
    assert_eq!((second.log.level, second.log.json, &second.node_name), (LogLevel::Error, false, &first.node_name));
    assert_eq!((second.definitions.services[0].name.as_str(), second.node_meta["k"].as_str()), ("b", "v"));
    let notices: Vec<_> = second.notices.iter().map(|n| n.text.as_str()).collect();
    let restart = "the change takes effect after a restart, a reload does not change it";
    assert_eq!(notices, [format!("node_name: {restart}"), format!("log_json, log_file and enable_syslog: {restart}")]);
    file(dir.path(), "f.hcl", "bogus = 1");
    assert!(second.reload_on(&host(), &flags, &clock).is_err());
}

#[test]
fn sidecars_have_a_range_of_ports() {
    let range = |ports: &str| {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = file(dir.path(), "f.json", &format!(r#"{{"ports":{{{ports}}}}}"#));
        load(&[("dev", "true"), ("config-file", &path)]).expect("accepted").sidecar_ports
    };
    assert_eq!(range(""), Some(21000..=21255));
    assert_eq!(range(r#""sidecar_min_port":3,"sidecar_max_port":3"#), Some(3..=3));
    for off in [
        r#""sidecar_min_port":0,"sidecar_max_port":0"#,
        r#""sidecar_min_port":-1"#,
        r#""sidecar_min_port":0,"sidecar_max_port":5"#,
    ] {
        assert_eq!(range(off), None, "{off}");
    }
}
