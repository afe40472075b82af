//! `join`, `leave`, `force-leave` and `reload`: one request each to the agent.

use super::client::Client;
use super::console::{Console, Exit};
use super::flags::{self, Flags};
use clap::{ArgMatches, Command};

pub(super) fn join_command() -> Command {
    flags::command("join", "Tells an agent to join a cluster", "[options] address ...")
        .args(flags::client_flags())
        .arg(flags::switch("wan", "Joins the pool between datacenters."))
}

pub(super) fn leave_command() -> Command {
    flags::command("leave", "Leaves the cluster and stops the agent", "[options]").args(flags::client_flags())
}

pub(super) fn force_leave_command() -> Command {
    flags::command("force-leave", "Takes a failed member for one that has left", "[options] name")
        .args(flags::client_flags())
        .arg(flags::switch("prune", "Forgets the member altogether."))
}

pub(super) fn reload_command() -> Command {
    flags::command("reload", "Makes the agent read its configuration files again", "").args(flags::client_flags())
}

pub(super) async fn join(
    flags: &ArgMatches,
    usage: &(dyn Fn() -> String + Sync),
    console: &mut Console<'_>,
) -> Result<(), Exit> {
    let addresses = flags.arguments();
    if addresses.is_empty() {
        let text = format!("At least one address to join must be specified.\n\n{}", usage().trim_end());
        return Err(Exit::failed(text));
    }
    let client = Client::new(flags, console)?;
    let mut joined = 0;
    for address in addresses {
        let request = client.put(format!("/v1/agent/join/{address}"));
        let request = if flags.on("wan") { request.query("wan", "1") } else { request };
        match request.done().await {
            Ok(()) => joined += 1,
            Err(error) => console.warn(&format!("Error joining address '{address}': {error}")),
        }
    }
    match joined {
        0 => Err(Exit::failed("Failed to join any nodes.")),
        n => console.line(&format!("Successfully joined cluster by contacting {n} nodes.")),
    }
}

pub(super) async fn leave(
    flags: &ArgMatches,
    usage: &(dyn Fn() -> String + Sync),
    console: &mut Console<'_>,
) -> Result<(), Exit> {
    let arguments = flags.arguments();
    if !arguments.is_empty() {
        console.print(&usage())?;
        return Err(Exit::failed(format!("Error found unexpected args: [{}]", arguments.join(" "))));
    }
    let request = Client::new(flags, console)?.put("/v1/agent/leave");
    request.done().await.map_err(|e| Exit::failed(format!("Error leaving: {e}")))?;
    console.line("Graceful leave complete")
}

pub(super) async fn force_leave(
    flags: &ArgMatches,
    usage: &(dyn Fn() -> String + Sync),
    console: &mut Console<'_>,
) -> Result<(), Exit> {
    let arguments = flags.arguments();
    let [node] = &arguments[..] else {
        let text = format!("A single node name must be specified to force leave.\n\n{}", usage().trim_end());
        return Err(Exit::failed(text));
    };
    let request = Client::new(flags, console)?.put(format!("/v1/agent/force-leave/{node}"));
    let request = if flags.on("prune") { request.query("prune", "1") } else { request };
    request.done().await.map_err(|e| Exit::failed(format!("Error force leaving: {e}")))
}

pub(super) async fn reload(flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    let request = Client::new(flags, console)?.put("/v1/agent/reload");
    request.done().await.map_err(|e| Exit::failed(format!("Error reloading: {e}")))?;
    console.line("Configuration reload triggered")
}
