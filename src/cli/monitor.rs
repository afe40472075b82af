//! `monitor`: the log of an agent as it is written.

use super::client::{Client, Reply};
use super::console::{Console, Exit};
use super::flags::{self, Flags};
use super::signals::Shutdown;
use clap::{ArgMatches, Command};

pub(super) fn command() -> Command {
    flags::command("monitor", "Shows the log of an agent as it is written", "[options]")
        .args(flags::client_flags())
        .args([
            flags::switch("log-json", "Shows the log in JSON."),
            flags::value("log-level", "Least level of the lines to show; `info` by default.").default_value("INFO"),
        ])
}

pub(super) async fn run(flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    let mut shutdown = Shutdown::new().map_err(|e| Exit::failed(format!("Error watching for signals: {e}")))?;
    let request = Client::new(flags, console)?
        .get("/v1/agent/monitor")
        .query_if("loglevel", flags.text("log-level").unwrap_or_default());
    let json = flags.on("log-json");
    let request = if json { request.query("logjson", "true") } else { request };
    let what = if json { "JSON monitor" } else { "monitor" };
    let reply = request.ok().await.map_err(|e| Exit::failed(format!("Error starting {what}: {e}")))?;
    tokio::select! {
        copied = copy(reply, console) => copied?,
        _ = shutdown.asked() => return Ok(()),
    }
    console.line("")?;
    console.line("Remote side ended the monitor! This usually means that the\nremote side has exited or crashed.")?;
    Err(Exit::new(1, ""))
}

/// Prints the log up to its end, whatever ends it.
async fn copy(mut reply: Reply, console: &mut Console<'_>) -> Result<(), Exit> {
    while let Ok(Some(piece)) = reply.piece().await {
        console.bytes(&piece)?;
        console.flush()?;
    }
    Ok(())
}
