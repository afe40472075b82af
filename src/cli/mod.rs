//! The command line: one file per command, each a thin client of the HTTP API; only `agent` runs anything, and only
//! `operator raft recover` works on files of a server.
//!
//! Owns: the commands and their flags (`commands`), Go's way of writing flags (`go_flags`), help, tables, exit codes and
//! the texts that Consul's commands print, which scripts read.
//!
//! Must never: hold logic of the registry, or talk to anything but the HTTP API of an agent.
//!
//! Missing: the commands named in `commands::REFUSED`.

mod agent;
mod catalog;
mod child;
mod client;
mod cluster;
mod commands;
mod console;
mod debug;
mod event;
mod flags;
mod go_flags;
mod help;
mod info;
mod keygen;
mod keyring;
mod kv;
mod lock;
mod log;
mod maint;
mod members;
mod monitor;
mod operator;
mod recover;
mod rtt;
mod services;
mod signals;
mod snapshot;
mod table;
mod validate;
mod version;
mod watch;

#[cfg(test)]
mod canned;

pub use console::Console;

use clap::ArgMatches;
use console::Exit;
use go_flags::Parsed;

/// Runs the command that the arguments name, and returns the exit code of the process.
///
/// `program` is the name by which the process was started; through a link named `consul`, it answers as Consul does.
pub async fn run(program: &str, args: &[String], console: &mut Console<'_>) -> i32 {
    let outcome = dispatch(program, args, console).await;
    let flushed = console.out.flush().is_ok();
    match outcome {
        Ok(()) if flushed => 0,
        Ok(()) => 1,
        Err(exit) => {
            if !exit.message.is_empty() {
                // There is nobody left to tell when standard error is gone.
                let _ = writeln!(console.err, "{}", exit.message);
            }
            exit.code
        }
    }
}

async fn dispatch(program: &str, args: &[String], console: &mut Console<'_>) -> Result<(), Exit> {
    let root = commands::root();
    let before = args.iter().take_while(|a| a.starts_with('-')).count();
    if let Some(done) = top_flags(program, &root, &args[..before], console) {
        return done;
    }
    let (mut command, mut path, mut rest) = (&root, Vec::new(), &args[before..]);
    // Down the tree as far as words name commands.
    while command.has_subcommands() {
        let word = rest.first().map(String::as_str);
        if matches!(word, Some("-h" | "-help" | "--help")) {
            return console.print(&help::commands(program, &path, command));
        }
        let name = [&path[..], &[word.unwrap_or_default()]].concat().join(" ");
        if let Some((_, reason)) = commands::REFUSED.iter().find(|(refused, _)| *refused == name) {
            return Err(Exit::failed(format!("The command {name:?} is not available: {reason}.")));
        }
        let Some(found) = word.and_then(|w| command.find_subcommand(w)) else {
            let code = if path.is_empty() { 127 } else { 1 };
            return Err(Exit::new(code, help::commands(program, &path, command).trim_end()));
        };
        path.push(found.get_name());
        (command, rest) = (found, &rest[1..]);
    }
    if before > 0 {
        let flags = args[..before].join(" ");
        return Err(Exit::failed(format!(
            "Invalid flags before the subcommand: {flags}. They belong after it.\n\n{}",
            help::command(program, &path, command).trim_end()
        )));
    }
    let parsed =
        if go_flags::asks_for_help(command, rest) { Ok(Parsed::Help) } else { go_flags::rewrite(command, rest) };
    let rewritten = match parsed {
        Ok(Parsed::Help) => return console.print(&help::command(program, &path, command)),
        Ok(Parsed::Arguments(rewritten)) => rewritten,
        Err(fault) => return Err(Exit::failed(format!("{fault}\n\n{}", help::flags(command).trim_end()))),
    };
    let matches = command.clone().try_get_matches_from(rewritten).map_err(|e| Exit::failed(go_flags::explain(&e)))?;
    let usage = || help::command(program, &path, command);
    run_command(program, &path.join(" "), &matches, &usage, console).await
}

/// Flags before any command; `None` when there is nothing to do but to go on.
fn top_flags(
    program: &str,
    root: &clap::Command,
    flags: &[String],
    console: &mut Console<'_>,
) -> Option<Result<(), Exit>> {
    for flag in flags {
        match flag.trim_start_matches('-') {
            "v" | "version" => return Some(version::run(program, &version::no_flags(), console)),
            "h" | "help" => return Some(console.print(&help::commands(program, &[], root))),
            "autocomplete-install" | "autocomplete-uninstall" => {
                return Some(Err(Exit::failed(format!(
                    "{flag} is not available: there is no completion of commands."
                ))));
            }
            _ => {}
        }
    }
    None
}

async fn run_command(
    program: &str,
    name: &str,
    flags: &ArgMatches,
    usage: &(dyn Fn() -> String + Sync),
    console: &mut Console<'_>,
) -> Result<(), Exit> {
    match name {
        "agent" => agent::run(flags, console).await,
        "catalog datacenters" => catalog::datacenters(flags, console).await,
        "catalog nodes" => catalog::nodes(flags, console).await,
        "catalog services" => catalog::services(flags, console).await,
        "debug" => debug::run(flags, console).await,
        "event" => event::run(flags, usage, console).await,
        "force-leave" => cluster::force_leave(flags, usage, console).await,
        "info" => info::run(flags, console).await,
        "join" => cluster::join(flags, usage, console).await,
        "keygen" => keygen::run(console),
        "keyring" => keyring::run(flags, usage, console).await,
        "kv delete" => kv::delete(flags, console).await,
        "kv export" => kv::export(flags, console).await,
        "kv get" => kv::get(flags, console).await,
        "kv import" => kv::import(flags, console).await,
        "kv put" => kv::put(flags, console).await,
        "leave" => cluster::leave(flags, usage, console).await,
        "lock" => lock::run(flags, console).await,
        "maint" => maint::run(flags, console).await,
        "members" => members::run(flags, console).await,
        "monitor" => monitor::run(flags, console).await,
        "operator autopilot get-config" => operator::get_config(flags, console).await,
        "operator autopilot set-config" => operator::set_config(flags, console).await,
        "operator raft list-peers" => operator::list_peers(flags, console).await,
        "operator raft recover" => recover::run(flags, console).await,
        "operator raft transfer-leader" => operator::transfer_leader(flags, console).await,
        "operator raft remove-peer" => operator::remove_peer(flags, console).await,
        "reload" => cluster::reload(flags, console).await,
        "rtt" => rtt::run(flags, usage, console).await,
        "services deregister" => services::deregister(flags, console).await,
        "services register" => services::register(flags, console).await,
        "snapshot inspect" => snapshot::inspect(flags, console),
        "snapshot restore" => snapshot::restore(flags, console).await,
        "snapshot save" => snapshot::save(flags, console).await,
        "validate" => validate::run(flags, console),
        "version" => version::run(program, flags, console),
        "watch" => watch::run(flags, usage, console).await,
        other => Err(Exit::failed(format!("the command {other:?} is listed but has no code"))),
    }
}

#[cfg(test)]
mod tests;
