//! The commands, their flags and what they are for.

use super::console::Exit;
use crate::config::{AgentFlags, Arity};
use clap::builder::ValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::collections::BTreeMap;

/// Commands of Consul that this version does not have, each with the reason that it gives.
pub(crate) const REFUSED: &[(&str, &str)] = &[
    ("acl", "access control is not built yet"),
    ("config", "there is no service mesh, and so there are no central configuration entries"),
    ("connect", "there is no service mesh"),
    ("exec", "nodes do not run commands for others"),
    ("intention", "there is no service mesh"),
    ("login", "access control is not built yet"),
    ("logout", "access control is not built yet"),
    ("snapshot agent", "it is a part of Consul Enterprise; run `snapshot save` from a timer instead"),
    ("tls", "certificates are made by other tools"),
];

/// A flag that is false unless given.
pub(crate) fn switch(name: &'static str, help: &'static str) -> Arg {
    flag(name, help).num_args(0..=1).default_missing_value("true").value_parser(ValueParser::new(boolean))
}

/// A flag with one text; the last one given wins.
pub(crate) fn value(name: &'static str, help: &'static str) -> Arg {
    flag(name, help)
}

/// A flag with a whole number from 0.
pub(crate) fn number(name: &'static str, help: &'static str) -> Arg {
    flag(name, help).value_parser(clap::value_parser!(u64))
}

/// A flag with a whole number of either sign.
pub(crate) fn integer(name: &'static str, help: &'static str) -> Arg {
    flag(name, help).value_parser(clap::value_parser!(i64))
}

/// A flag with a duration, such as `1m30s`.
pub(crate) fn duration(name: &'static str, help: &'static str) -> Arg {
    flag(name, help).value_parser(ValueParser::new(nanoseconds))
}

fn nanoseconds(text: &str) -> Result<i64, String> {
    crate::model::duration::parse_duration(text)
}

/// A flag that may be given any number of times.
pub(crate) fn many(name: &'static str, help: &'static str) -> Arg {
    flag(name, help).action(ArgAction::Append)
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).help(help).num_args(1).require_equals(true).allow_hyphen_values(true)
}

fn boolean(text: &str) -> Result<bool, String> {
    crate::config::parse_bool(text).ok_or_else(|| super::go_flags::NOT_BOOLEAN.to_owned())
}

/// A command with nothing but its arguments; `usage` is what follows its name in the help.
pub(crate) fn command(name: &'static str, about: &'static str, usage: &'static str) -> Command {
    Command::new(name)
        .about(about)
        .override_usage(usage)
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .disable_version_flag(true)
        .args_override_self(true)
        .arg(Arg::new("arguments").num_args(0..).allow_hyphen_values(true))
}

/// A command that has commands.
pub(crate) fn group(name: &'static str, about: &'static str) -> Command {
    Command::new(name).about(about).disable_help_subcommand(true)
}

/// Flags of every command that asks an agent.
pub(crate) fn client_flags() -> Vec<Arg> {
    vec![
        value(
            "http-addr",
            "Address of the agent's HTTP API, as host:port, http://host:port or unix:///path; 127.0.0.1:8500 by default. Also CONSUL_HTTP_ADDR or LICTOR_HTTP_ADDR.",
        ),
        value("token", "Token to send with the request. Also CONSUL_HTTP_TOKEN or LICTOR_HTTP_TOKEN."),
        value("token-file", "File that holds the token. Also CONSUL_HTTP_TOKEN_FILE or LICTOR_HTTP_TOKEN_FILE."),
        value("ca-file", "File with the certificates to trust, for https. Also CONSUL_CACERT or LICTOR_CACERT."),
        value("ca-path", "Directory with certificates to trust, for https. Also CONSUL_CAPATH or LICTOR_CAPATH."),
        value("client-cert", "Certificate to show, for https. Also CONSUL_CLIENT_CERT or LICTOR_CLIENT_CERT."),
        value("client-key", "Key of that certificate. Also CONSUL_CLIENT_KEY or LICTOR_CLIENT_KEY."),
        value(
            "tls-server-name",
            "Name that the agent's certificate must be of, if not that of its address. Also CONSUL_TLS_SERVER_NAME or LICTOR_TLS_SERVER_NAME.",
        ),
    ]
}

/// Flags of commands that ask the servers.
pub(crate) fn server_flags() -> Vec<Arg> {
    let mut flags = client_flags();
    flags.push(value("datacenter", "Datacenter to ask; that of the agent by default."));
    flags.push(switch("stale", "Lets any server answer, with data that may be old."));
    flags
}

/// The flag of commands whose objects have a namespace.
pub(crate) fn namespace() -> Arg {
    value("namespace", "Namespace to ask; agents know none but the default one, and refuse the parameter.")
}

/// All commands.
pub(crate) fn root() -> Command {
    group("lictor", "")
        .subcommand(agent())
        .subcommand(catalog())
        .subcommand(super::debug::command())
        .subcommand(super::event::command())
        .subcommand(super::cluster::force_leave_command())
        .subcommand(super::info::command())
        .subcommand(super::cluster::join_command())
        .subcommand(super::keygen::command())
        .subcommand(super::keyring::command())
        .subcommand(kv())
        .subcommand(super::cluster::leave_command())
        .subcommand(super::lock::command())
        .subcommand(super::maint::command())
        .subcommand(command("members", "Lists the members of a cluster", "[options]").args(client_flags()).args([
            switch("detailed", "Shows the tags of each member."),
            switch("wan", "Shows the members of the pool between datacenters."),
            value("status", "Regular expression that the status must match.").default_value(".*"),
            value("segment", "Network segment; there is only the default one.").default_value("_all"),
        ]))
        .subcommand(super::monitor::command())
        .subcommand(super::operator::command())
        .subcommand(super::cluster::reload_command())
        .subcommand(super::rtt::command())
        .subcommand(super::services::command())
        .subcommand(super::snapshot::command())
        .subcommand(super::validate::command())
        .subcommand(
            command("version", "Prints the version", "[options]")
                .arg(value("format", "`pretty` or `json`.").default_value("pretty")),
        )
        .subcommand(super::watch::command())
}

/// What `version` gets when it is asked for as a flag.
pub(crate) fn no_flags() -> ArgMatches {
    command("version", "", "").arg(value("format", "").default_value("pretty")).get_matches_from(["version"])
}

fn agent() -> Command {
    let flags = AgentFlags::list().map(|f| {
        let help = f.help.unwrap_or_default();
        match f.arity {
            Arity::Switch => many(f.name, help).num_args(0..=1).default_missing_value("true"),
            Arity::One | Arity::Many => many(f.name, help),
        }
    });
    // Files and directories share one list, because their order counts.
    let flags = flags.map(|f| if f.get_id() == "config-file" { f.alias("config-dir") } else { f });
    command("agent", "Runs an agent", "[options]").args(flags)
}

fn catalog() -> Command {
    group("catalog", "Lists nodes, services and datacenters")
        .subcommand(command("datacenters", "Lists all known datacenters", "[options]").args(server_flags()))
        .subcommand(command("nodes", "Lists all nodes in a datacenter", "[options]").args(server_flags()).args([
            switch("detailed", "Shows whole ids, addresses and metadata."),
            value("filter", "Expression that nodes must match."),
            value("near", "Node to sort by round trip time from; `_agent` for this agent's."),
            many("node-meta", "Metadata that nodes must have, as `key=value`. May be repeated."),
            value("service", "Lists only nodes with this service."),
        ]))
        .subcommand(
            command("services", "Lists all services in a datacenter", "[options]")
                .args(server_flags())
                .arg(namespace())
                .args([
                    value("node", "Lists only services of this node, a name or an id."),
                    many(
                        "node-meta",
                        "Metadata that nodes of the services must have, as `key=value`. May be repeated.",
                    ),
                    switch("tags", "Shows the tags of each service."),
                ]),
        )
}

fn kv() -> Command {
    let cas = || switch("cas", "Writes only if the key is still at -modify-index.");
    let index = || number("modify-index", "ModifyIndex that the key must have, with -cas.").default_value("0");
    group("kv", "Reads and writes the key-value store")
        .subcommand(
            command("delete", "Removes keys", "[options] KEY_OR_PREFIX").args(server_flags()).arg(namespace()).args([
                cas(),
                index(),
                switch("recurse", "Removes all keys with the prefix."),
            ]),
        )
        .subcommand(
            command("export", "Prints keys as JSON", "[options] [PREFIX]").args(server_flags()).arg(namespace()),
        )
        .subcommand(
            command("get", "Reads a key, or lists keys", "[options] [KEY_OR_PREFIX]")
                .args(server_flags())
                .arg(namespace())
                .args([
                    switch("base64", "Prints values in base 64."),
                    switch("detailed", "Prints indexes, flags and session too."),
                    switch("keys", "Lists the keys with the prefix, without values."),
                    switch("recurse", "Prints all keys with the prefix."),
                    value("separator", "Where -keys cuts keys.").default_value("/"),
                ]),
        )
        .subcommand(
            command("import", "Writes keys from JSON", "[options] DATA|@FILE|-").args(server_flags()).arg(namespace()),
        )
        .subcommand(
            command("put", "Writes a key", "[options] KEY [DATA|@FILE|-]").args(server_flags()).arg(namespace()).args(
                [
                    switch("acquire", "Takes the lock on the key for -session."),
                    switch("base64", "Reads the data as base 64."),
                    cas(),
                    number("flags", "Number to keep with the key.").default_value("0"),
                    index(),
                    switch("release", "Gives up the lock on the key of -session."),
                    value("session", "Session for -acquire and -release.").default_value(""),
                ],
            ),
        )
}

/// Reads of parsed flags, which are all defined above.
pub(crate) trait Flags {
    /// Whether a switch is on.
    fn on(&self, name: &str) -> bool;
    /// A text, when given or with a default.
    fn text(&self, name: &str) -> Option<&str>;
    /// A number; 0 when not given.
    fn number(&self, name: &str) -> u64;
    /// A number of either sign; 0 when not given.
    fn integer(&self, name: &str) -> i64;
    /// A duration in nanoseconds; 0 when not given.
    fn duration(&self, name: &str) -> i64;
    /// Whether the flag was written, whatever its value.
    fn given(&self, name: &str) -> bool;
    /// The `key=value` pairs of a flag, in order of key; of two with the same key, the last.
    fn pairs(&self, name: &str) -> Result<BTreeMap<String, String>, Exit>;
    /// All values of a flag.
    fn all(&self, name: &str) -> Vec<String>;
    /// What follows the flags.
    fn arguments(&self) -> Vec<String>;
}

impl Flags for ArgMatches {
    fn on(&self, name: &str) -> bool {
        self.try_get_one::<bool>(name).ok().flatten().copied().unwrap_or(false)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.try_get_one::<String>(name).ok().flatten().map(String::as_str)
    }

    fn number(&self, name: &str) -> u64 {
        self.try_get_one::<u64>(name).ok().flatten().copied().unwrap_or(0)
    }

    fn integer(&self, name: &str) -> i64 {
        self.try_get_one::<i64>(name).ok().flatten().copied().unwrap_or(0)
    }

    fn duration(&self, name: &str) -> i64 {
        self.integer(name)
    }

    fn given(&self, name: &str) -> bool {
        self.value_source(name) == Some(ValueSource::CommandLine)
    }

    fn pairs(&self, name: &str) -> Result<BTreeMap<String, String>, Exit> {
        let pair = |pair: String| match pair.split_once('=') {
            Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
            None => {
                let text = format!("invalid value {pair:?} for flag -{name}: Missing \"=\" value in argument: {pair}");
                Err(Exit::failed(text))
            }
        };
        self.all(name).into_iter().map(pair).collect()
    }

    fn all(&self, name: &str) -> Vec<String> {
        self.try_get_many::<String>(name).ok().flatten().into_iter().flatten().cloned().collect()
    }

    fn arguments(&self) -> Vec<String> {
        self.all("arguments")
    }
}
