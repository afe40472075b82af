//! Go's way of writing flags, turned into clap's: one dash or two, `-flag value` or `-flag=value`, switches that take
//! `=false`, and the first argument that is not a flag ends the flags.
//!
//! The last rule is kept strictly: `kv put key -1` must store `-1`.

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use thiserror::Error;

/// Arguments that no command can take.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum Fault {
    #[error("flag provided but not defined: -{0}")]
    Unknown(String),
    #[error("flag needs an argument: -{0}")]
    NoValue(String),
    #[error("bad flag syntax: {0}")]
    Syntax(String),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// `-h` or `-help` was among the flags.
    Help,
    /// The command's name, `--flag=value` for each flag, `--`, and the arguments as they were.
    Arguments(Vec<String>),
}

/// Why a text is not the value of a switch.
pub(crate) const NOT_BOOLEAN: &str = "not true or false";

/// Rewrites the arguments of one command.
pub(crate) fn rewrite(command: &Command, args: &[String]) -> Result<Parsed, Fault> {
    let mut rewritten = vec![command.get_name().to_owned()];
    let mut rest = args.iter();
    let mut arguments = Vec::new();
    while let Some(arg) = rest.next() {
        let Some(bare) = arg.strip_prefix('-').filter(|b| !b.is_empty()) else {
            arguments.push(arg.clone());
            break;
        };
        let bare = bare.strip_prefix('-').unwrap_or(bare);
        if bare.is_empty() {
            break;
        }
        if bare.starts_with(['-', '=']) {
            return Err(Fault::Syntax(arg.clone()));
        }
        let (name, value) = bare.split_once('=').map_or((bare, None), |(name, value)| (name, Some(value)));
        let known = command
            .get_arguments()
            .find(|a| a.get_long() == Some(name) || a.get_all_aliases().is_some_and(|aliases| aliases.contains(&name)));
        let value = match (known, value) {
            (None, _) if matches!(name, "h" | "help") => return Ok(Parsed::Help),
            (None, _) => return Err(Fault::Unknown(name.to_owned())),
            (Some(_), Some(value)) => value,
            (Some(flag), None) if is_switch(flag) => "true",
            (Some(_), None) => rest.next().ok_or_else(|| Fault::NoValue(name.to_owned()))?,
        };
        rewritten.push(format!("--{name}={value}"));
    }
    rewritten.push("--".to_owned());
    rewritten.append(&mut arguments);
    rewritten.extend(rest.cloned());
    Ok(Parsed::Arguments(rewritten))
}

/// Whether `-h` stands anywhere before `--`. Commands whose arguments are a command of their own do not look there: that
/// one may want the flag.
pub(crate) fn asks_for_help(command: &Command, args: &[String]) -> bool {
    let mut before = args.iter().take_while(|a| *a != "--");
    !matches!(command.get_name(), "lock" | "watch") && before.any(|a| matches!(a.as_str(), "-h" | "-help" | "--help"))
}

/// Whether a flag stands for true when it has no value.
pub(crate) fn is_switch(flag: &clap::Arg) -> bool {
    flag.get_num_args().is_some_and(|n| n.min_values() == 0)
}

/// What clap found wrong with rewritten arguments, in the words of Go's flags.
pub(crate) fn explain(error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    if error.kind() == ErrorKind::ValueValidation
        && let (Some(arg), Some(value)) = (context(ContextKind::InvalidArg), context(ContextKind::InvalidValue))
    {
        let name = arg.trim_start_matches('-').split([' ', '=', '[']).next().unwrap_or(arg);
        let cause = std::error::Error::source(error).map(ToString::to_string);
        if cause.as_deref() == Some(NOT_BOOLEAN) {
            return format!("invalid boolean value {value:?} for -{name}: parse error");
        }
        return format!("invalid value {value:?} for flag -{name}: parse error");
    }
    error.to_string()
}

#[cfg(test)]
mod tests;
