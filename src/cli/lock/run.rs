//! The command: hold, run the child, release.

use super::{Attempt, Cleanup, Lock, Options};
use crate::cli::child::{Running, program, start};
use crate::cli::client::Client;
use crate::cli::console::{Console, Exit};
use crate::cli::event::node_name;
use crate::cli::flags::{self, Flags};
use crate::cli::signals::Shutdown;
use clap::{ArgMatches, Command};
use rustix::process::Signal;
use std::process::Stdio;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Between SIGTERM and SIGKILL to the child.
const GRACE: Duration = Duration::from_secs(5);

pub(in crate::cli) fn command() -> Command {
    flags::command("lock", "Runs a command while it holds a lock", "[options] prefix child...")
        .args(flags::server_flags())
        .args([
            flags::switch("child-exit-code", "Ends with 2 when the child fails; with 0 otherwise."),
            flags::integer(
                "monitor-retry",
                "How many times a failed look at the lock is repeated before it counts as lost.",
            )
            .default_value("3"),
            flags::integer("n", "How many may hold it at once; more than one makes it a semaphore.").default_value("1"),
            flags::value("name", "Name of the session; one with the child's words by default."),
            flags::switch("pass-stdin", "Gives standard input to the child."),
            flags::switch("shell", "Runs the child through the shell of SHELL, or /bin/sh; true by default.")
                .default_value("true"),
            flags::duration("timeout", "How long to wait for the lock; for ever by default."),
            flags::duration("try", "The same as -timeout, which is its better name."),
            flags::switch("verbose", "Says what is done."),
        ])
}

pub(in crate::cli) async fn run(flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    let mut shutdown = Shutdown::new().map_err(|e| Exit::failed(format!("Error watching for signals: {e}")))?;
    let (options, child) = options(flags, console)?;
    let verbose = flags.on("verbose");
    node_name(&options.client).await.map_err(|e| Exit::failed(format!("Error querying Consul agent: {e}")))?;
    if verbose {
        console.line(&match options.limit {
            1 => format!("Setting up lock at path: {}", options.lock_key()),
            n => format!("Setting up semaphore (limit {n}) at prefix: {}", options.prefix),
        })?;
    }
    let mut lock = Lock::new(options).map_err(|e| Exit::failed(format!("Lock setup failed: {e}")))?;
    if verbose {
        console.line("Attempting lock acquisition")?;
        console.flush()?;
    }
    let mut lost = match lock.acquire(&mut shutdown).await {
        Ok(Attempt::Held(lost)) => lost,
        Ok(Attempt::GaveUp) => return Err(Exit::failed("Shutdown triggered or timeout during lock acquisition")),
        Err(error) => return Err(Exit::failed(format!("Lock acquisition failed: {error}"))),
    };
    let succeeded = attend(&child, flags, &mut lost, &mut shutdown, console).await;
    // What is released on purpose is not lost.
    lost.abort();
    lock.release().await.map_err(|e| Exit::failed(format!("Lock release failed: {e}")))?;
    match lock.clean_up().await.map_err(|e| Exit::failed(format!("Lock cleanup failed: {e}")))? {
        Cleanup::InUse if verbose => console.line("Cleanup aborted, lock in use")?,
        Cleanup::Done if verbose => console.line("Cleanup succeeded")?,
        _ => {}
    }
    if succeeded? || !flags.on("child-exit-code") { Ok(()) } else { Err(Exit::new(2, "")) }
}

/// What to hold, and the words of the child.
fn options(flags: &ArgMatches, console: &Console<'_>) -> Result<(Options, Vec<String>), Exit> {
    let limit = usize::try_from(flags.integer("n")).unwrap_or(0);
    if limit == 0 {
        return Err(Exit::failed("Lock holder limit must be positive"));
    }
    let mut child = flags.arguments();
    if child.len() < 2 {
        return Err(Exit::failed("Key prefix and child command must be specified"));
    }
    let prefix = child.remove(0);
    let prefix = prefix.strip_prefix('/').unwrap_or(&prefix).to_owned();
    let timeout = if flags.given("timeout") { flags.duration("timeout") } else { flags.duration("try") };
    let timeout = u64::try_from(timeout).map_err(|_| Exit::failed("Timeout must be positive"))?;
    let name = match flags.text("name").filter(|n| !n.is_empty()) {
        Some(name) => name.to_owned(),
        None => format!("Consul lock for '{}' at '{prefix}'", child.join(" ")),
    };
    let monitor_retries = u64::try_from(flags.integer("monitor-retry"));
    let monitor_retries = monitor_retries.map_err(|_| Exit::failed("Number for 'monitor-retry' must be >= 0"))?;
    let client = Client::new(flags, console)?;
    let timeout = (timeout > 0).then(|| Duration::from_nanos(timeout));
    Ok((Options { client, prefix, name, limit, timeout, monitor_retries }, child))
}

/// Runs the child to its end, or ends it when the lock is lost or a signal comes; whether it succeeded.
async fn attend(
    child: &[String],
    flags: &ArgMatches,
    lost: &mut JoinHandle<()>,
    shutdown: &mut Shutdown,
    console: &mut Console<'_>,
) -> Result<bool, Exit> {
    let verbose = flags.on("verbose");
    let mut say = |console: &mut Console<'_>, text: &str| {
        if verbose { console.line(text).and_then(|()| console.flush()) } else { Ok(()) }
    };
    say(console, "Starting handler")?;
    let mut command = program(child, flags.on("shell"), console);
    command.env("CONSUL_LOCK_HELD", "true");
    let input = if flags.on("pass-stdin") {
        say(console, "Stdin passed to handler process")?;
        Stdio::inherit()
    } else {
        Stdio::null()
    };
    console.flush()?;
    let mut running = match start(&mut command, input) {
        Ok(running) => running,
        Err(error) => {
            console.warn(&format!("Error starting handler: {error}"));
            say(console, "Child terminated, releasing lock")?;
            return Ok(false);
        }
    };
    tokio::select! {
        ended = running.ended() => {
            let succeeded = ended.is_ok();
            report(ended, console);
            say(console, "Child terminated, releasing lock")?;
            return Ok(succeeded);
        }
        signal = shutdown.asked() => {
            if let Err(error) = running.signal(signal) {
                console.warn(&format!("Warning, could not forward signal: {error}"));
            }
            say(console, "Shutdown triggered, killing child")?;
        }
        _ = lost => say(console, "Lock lost, killing child")?,
    }
    end(&mut running, &mut say, console).await?;
    // A child that was ended from here has not failed.
    Ok(true)
}

/// Ends the child: politely, then not.
async fn end(
    running: &mut Running,
    say: &mut impl FnMut(&mut Console<'_>, &str) -> Result<(), Exit>,
    console: &mut Console<'_>,
) -> Result<(), Exit> {
    let Some(pid) = running.pid() else { return say(console, "No child process to kill") };
    say(console, &format!("Terminating child pid {pid}"))?;
    if let Err(error) = running.signal(Signal::TERM) {
        console.warn(&format!("Failed to terminate {pid}: {error}"));
        return Ok(());
    }
    if let Ok(ended) = tokio::time::timeout(GRACE, running.ended()).await {
        report(ended, console);
        return say(console, "Child terminated");
    }
    say(console, &format!("Child did not exit after grace period of {}s", GRACE.as_secs()))?;
    say(console, &format!("Killing child pid {pid}"))?;
    if let Err(error) = running.signal(Signal::KILL) {
        console.warn(&format!("Failed to kill {pid}: {error}"));
        return Ok(());
    }
    report(running.ended().await, console);
    Ok(())
}

fn report(ended: Result<(), String>, console: &mut Console<'_>) {
    if let Err(error) = ended {
        console.warn(&format!("Error running handler: {error}"));
    }
}
