//! What commands are made of: kinds of flags, the flags that many of them share, and reads of what was given.

use super::console::Exit;
use clap::builder::ValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::collections::BTreeMap;

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

/// Reads of parsed flags, which are all defined by the command.
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
