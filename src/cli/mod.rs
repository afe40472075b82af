//! The command line: one file per command, each a thin client of the HTTP API; only `agent` runs anything.
//!
//! Owns: the commands and their flags (`tree`), Go's way of writing flags (`go_flags`), help, tables, exit codes and
//! the texts that Consul's commands print, which scripts read.
//!
//! Must never: hold logic of the registry, or talk to anything but the HTTP API of an agent.
//!
//! Missing: the commands named in `tree::NOT_BUILT`, and TLS.

mod agent;
mod catalog;
mod client;
mod console;
mod endpoint;
mod go_flags;
mod help;
mod kv;
mod log;
mod members;
mod table;
mod tree;
mod validate;
mod version;

#[cfg(test)]
mod canned;

pub use console::Console;

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
    let root = tree::root();
    let (mut command, mut path, mut rest) = (&root, Vec::new(), args);
    // Down the tree as far as words name commands.
    while command.has_subcommands() {
        let word = rest.first().map(String::as_str);
        match word {
            Some("-h" | "-help" | "--help") => return console.print(&help::commands(program, &path, command)),
            Some("-v" | "-version" | "--version") if path.is_empty() => {
                return version::run(program, &tree::no_flags(), console);
            }
            _ => {}
        }
        let Some(found) = word.and_then(|w| command.find_subcommand(w)) else {
            let list = help::commands(program, &path, command);
            let code = if path.is_empty() { 127 } else { 1 };
            let name = [&path[..], &[word.unwrap_or_default()]].concat().join(" ");
            let refused = tree::NOT_BUILT.contains(&name.as_str());
            let first = if refused { format!("The command {name:?} is not built yet.\n\n") } else { String::new() };
            return Err(Exit::new(code, format!("{first}{}", list.trim_end())));
        };
        path.push(found.get_name());
        (command, rest) = (found, &rest[1..]);
    }
    let rewritten = match go_flags::rewrite(command, rest) {
        Ok(Parsed::Help) => return console.print(&help::command(program, &path, command)),
        Ok(Parsed::Arguments(rewritten)) => rewritten,
        Err(fault) => return Err(Exit::failed(format!("{fault}\n\n{}", help::flags(command).trim_end()))),
    };
    let matches = command.clone().try_get_matches_from(rewritten).map_err(|e| Exit::failed(go_flags::explain(&e)))?;
    match path.join(" ").as_str() {
        "agent" => agent::run(&matches, console).await,
        "members" => members::run(&matches, console).await,
        "validate" => validate::run(&matches, console),
        "version" => version::run(program, &matches, console),
        "catalog datacenters" => catalog::datacenters(&matches, console).await,
        "catalog nodes" => catalog::nodes(&matches, console).await,
        "catalog services" => catalog::services(&matches, console).await,
        "kv get" => kv::get(&matches, console).await,
        "kv put" => kv::put(&matches, console).await,
        "kv delete" => kv::delete(&matches, console).await,
        "kv export" => kv::export(&matches, console).await,
        "kv import" => kv::import(&matches, console).await,
        other => Err(Exit::failed(format!("the command {other:?} is listed but has no code"))),
    }
}

#[cfg(test)]
mod tests;
