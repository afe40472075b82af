//! `debug`: what an agent says of itself over some minutes, in one archive.
//!
//! Owns: what is captured and when (`capture`), and the archive (`pack`). Profiles are captured when the agent offers
//! them; ours does not.

mod capture;
mod pack;

use super::client::Client;
use super::console::{Console, Exit};
use super::flags::{self, Flags};
use super::signals::Shutdown;
use crate::clock::Clock;
use crate::model::duration::format_duration;
use crate::model::go_json::to_json_indented;
use capture::Capture;
use clap::{ArgMatches, Command};
use serde::Serialize;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What can be captured; the first three are captured again and again.
const TARGETS: [&str; 6] = ["metrics", "logs", "pprof", "host", "agent", "cluster"];
const SECOND: i64 = 1_000_000_000;
const DURATION_MIN: i64 = 10 * SECOND;
const INTERVAL_MIN: i64 = 5 * SECOND;
/// Added to the duration, so that the last interval ends within it.
const GRACE: Duration = Duration::from_secs(2);

/// `index.json` of the archive.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Index<'a> {
    version: u32,
    agent_version: &'a str,
    interval: String,
    duration: String,
    targets: &'a [String],
}

pub(super) fn command() -> Command {
    flags::command("debug", "Records an archive for those who look for faults", "[options]")
        .args(flags::client_flags())
        .args([
            flags::switch("archive", "Packs the files into one archive; true by default.").default_value("true"),
            flags::many(
                "capture",
                "What to capture: metrics, logs, pprof, host, agent or cluster; all by default. May be repeated.",
            ),
            flags::duration("duration", "How long to capture; 2m by default.").default_value("2m"),
            flags::duration("interval", "How often metrics and logs are captured; 30s by default.")
                .default_value("30s"),
            flags::value("output", "Path of the archive, without .tar.gz; consul-debug-TIME by default."),
        ])
}

pub(super) async fn run(flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    if !flags.arguments().is_empty() {
        return Err(Exit::failed("==> debug: Too many arguments provided, expected 0"));
    }
    let mut shutdown = Shutdown::new().map_err(|e| Exit::failed(format!("==> Error watching for signals: {e}")))?;
    let client = Client::or(flags, console, "==> Error connecting to Consul agent")?;
    let invalid = |e: String| Exit::failed(format!("==> Capture validation failed: {e}"));
    check_times(flags).map_err(invalid)?;
    let clock = Clock::system();
    let output = match flags.text("output").filter(|o| !o.is_empty()) {
        Some(output) => PathBuf::from(output),
        None => PathBuf::from(format!("consul-debug-{}", clock.now_ms() / 1000)),
    };
    let (version, targets) = prepare(&client, flags, &output, console).await.map_err(invalid)?;
    let archive =
        if flags.on("archive") { format!("{}.tar.gz", output.display()) } else { output.display().to_string() };
    let (interval, duration) = (flags.duration("interval"), flags.duration("duration"));
    console.line("==> Starting debugger and capturing static information...")?;
    console.line(&format!("     Agent Version: '{version}'"))?;
    console.line(&format!("          Interval: '{}'", format_duration(interval)))?;
    console.line(&format!("          Duration: '{}'", format_duration(duration)))?;
    console.line(&format!("            Output: '{archive}'"))?;
    console.line(&format!("           Capture: '{}'", targets.join(", ")))?;
    let capture = Capture { client, clock, output: output.clone(), targets, interval: nanoseconds(interval) };
    if let Err(error) = capture.once().await {
        console.warn(&format!("==> Static capture failed: {error}"));
    }
    if capture.repeats() {
        let limit = nanoseconds(duration) + GRACE;
        let ended = tokio::select! {
            ended = tokio::time::timeout(limit, capture.again_and_again(console)) => ended.unwrap_or(Ok(())),
            _ = shutdown.asked() => {
                console.warn("==> Error encountered during collection: stopping collection due to shutdown signal");
                Ok(())
            }
        };
        ended?;
    }
    let index = Index {
        version: 1,
        agent_version: &version,
        interval: format_duration(interval),
        duration: format_duration(duration),
        targets: &capture.targets,
    };
    let failed = |e: String| Exit::failed(format!("==> Error creating index document: {e}"));
    let json = to_json_indented(&index, "\t").map_err(|e| failed(e.to_string()))?;
    std::fs::write(output.join("index.json"), json).map_err(|e| failed(e.to_string()))?;
    if flags.on("archive") {
        pack::pack(&output, Path::new(&archive))
            .map_err(|e| Exit::failed(format!("==> Archive creation failed: {e}")))?;
    }
    console.line(&format!("    Saved debug archive: {archive}"))
}

fn nanoseconds(ns: i64) -> Duration {
    Duration::from_nanos(u64::try_from(ns).unwrap_or(0))
}

fn check_times(flags: &ArgMatches) -> Result<(), String> {
    let (interval, duration) = (flags.duration("interval"), flags.duration("duration"));
    if duration < DURATION_MIN {
        return Err(format!("duration must be longer than {}", format_duration(DURATION_MIN)));
    }
    if interval < INTERVAL_MIN {
        return Err(format!("interval must be longer than {}", format_duration(INTERVAL_MIN)));
    }
    if duration < interval {
        let (duration, interval) = (format_duration(duration), format_duration(interval));
        return Err(format!("duration ({duration}) must be longer than interval ({interval})"));
    }
    Ok(())
}

/// Asks the agent what it offers and makes the directory; gives its version and what is to be captured.
async fn prepare(
    client: &Client,
    flags: &ArgMatches,
    output: &Path,
    console: &mut Console<'_>,
) -> Result<(String, Vec<String>), String> {
    let own: Value = client
        .get("/v1/agent/self")
        .fetch()
        .await
        .map_err(|e| format!("error querying target agent: {e}. verify connectivity and agent address"))?;
    let version = own["Config"]["Version"].as_str().ok_or("agent response did not contain version key")?;
    let profiles = own["DebugConfig"]["EnableDebug"].as_bool();
    let profiles = profiles.ok_or("agent response did not contain debug key")?;
    let mut targets = flags.all("capture");
    if targets.is_empty() {
        targets = TARGETS.map(str::to_owned).to_vec();
    }
    if !profiles && targets.iter().any(|t| t == "pprof") {
        targets.retain(|t| t != "pprof");
        console
            .warn("==> [WARN] Unable to capture pprof. Set enable_debug to true on target agent to enable profiling.");
    }
    if let Some(unknown) = targets.iter().find(|t| !TARGETS.contains(&t.as_str())) {
        return Err(format!("target not found: {unknown}"));
    }
    if output.exists() {
        return Err(format!("output directory already exists: {}", output.display()));
    }
    std::fs::create_dir_all(output).map_err(|e| format!("could not create output directory: {e}"))?;
    Ok((version.to_owned(), targets))
}
