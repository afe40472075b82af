//! Defaults, and the text of every refusal.

use super::*;
use std::path::Path;

fn host() -> Host {
    Host { hostname: "box".to_owned(), private: vec![[10, 0, 0, 5].into()] }
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
    assert_eq!((c.data_dir, c.log_level, c.advertise_addr.to_string()), (None, LogLevel::Info, "127.0.0.1".to_owned()));
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
        assert_eq!((c.node_name.as_str(), c.log_level), ("n0", LogLevel::Error));
        assert_eq!((c.limits.http_max_conns_per_client, c.limits.rpc_max_conns_per_client), (12000, 1000));
        let notices: Vec<_> = c.notices.iter().map(|n| n.text.replace(&path, "FILE")).collect();
        assert_eq!(
            notices,
            [
                "FILE: disable_update_check has no effect: there is no update check",
                "FILE: leave_on_terminate has no effect: a single server has nobody to leave",
            ]
        );
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
        error(&[("server", "true"), ("bootstrap-expect", "3")]),
        "bootstrap_expect = 3 is not built yet: clusters of several servers come later: use -bootstrap-expect=1"
    );
    assert_eq!(error(&[]), "a client agent is not built yet: start with -server -bootstrap-expect=1, or with -dev");
    assert!(error(&[("server", "true")]).starts_with("a server that waits to be joined is not built yet: "));
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
            "{{ GetPrivateIP }}",
            "bind_addr: the template {{ GetPrivateIP }} is not built yet: give the IP address itself",
        ),
        ("advertise", "0.0.0.0", "Advertise address cannot be 0.0.0.0, :: or [::]"),
        ("domain", "a b", "1 error occurred:\n\t* domain: not a DNS domain: a b\n"),
        (
            "server-port",
            "-1",
            "1 error occurred:\n\t* ports.server: a server needs this port: give one, or 0 for a free one\n",
        ),
        ("http-port", "8300", "1 error occurred:\n\t* ports.http: 127.0.0.1:8300 is already taken by ports.server\n"),
        ("retry-join", "a", "-retry-join is not built yet: this version runs a single server"),
        ("encrypt", "a", "-encrypt is not built yet: a single server gossips with nobody"),
        ("hcl", "a=1", "-hcl with HCL is not built yet: write the same settings as JSON"),
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
        (r#"{"retry_join":["a"]}"#, "FILE: retry_join is not built yet: this version runs a single server".into()),
        (
            r#"{"acl":{"enabled":true}}"#,
            "FILE: acl.enabled is not built yet: this version does not enforce access control lists".into(),
        ),
        (
            r#"{"ports":{"https":8501}}"#,
            "FILE: ports.https is not built yet: this version speaks plain text only".into(),
        ),
        (r#"{"segments":[{}]}"#, "FILE: segments is not built yet: it is a feature of Consul Enterprise".into()),
        (r#"[]"#, "failed to parse FILE: a configuration file must hold an object, not a slice".into()),
        (
            r#"{"performance":{"raft_multiplier":99}}"#,
            "performance.raft_multiplier cannot be 99. Must be between 1 and 10".into(),
        ),
        (
            r#"{"limits":{"kv_max_value_size":-5}}"#,
            "1 error occurred:\n\t* limits.kv_max_value_size: must be between 0 and 524288, not -5\n".into(),
        ),
        (
            r#"{"primary_datacenter":"dc2"}"#,
            "primary_datacenter \"dc2\" beside datacenter \"dc1\" is not built yet: this version knows one datacenter"
                .into(),
        ),
    ] {
        assert_eq!(error_of_file(json), expected, "{json}");
    }
    assert!(error_of_file("{").starts_with("failed to parse FILE: EOF while parsing"));
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
    let two = Host { private: vec![[10, 0, 0, 5].into(), [192, 168, 0, 5].into()], ..host() };
    assert_eq!(
        load_on(&two, &flags).expect_err("refused").to_string(),
        "Multiple private IPv4 addresses found. Please configure one with 'bind' and/or 'advertise'."
    );
    let none = Host { private: Vec::new(), ..host() };
    assert!(load_on(&none, &flags).expect_err("refused").to_string().starts_with("No private IPv4 address found"));
    let named = load_on(&two, &[&flags[..], &[("advertise", "10.0.0.5")]].concat()).expect("accepted");
    assert_eq!(named.advertise_addr.to_string(), "10.0.0.5");
}
