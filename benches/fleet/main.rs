//! A fleet of agents against one server: `cargo bench --bench fleet -- [options]`.
//!
//! The server is the real binary with its data on disk. The agents are those of this crate, each with its own connection,
//! its registrations and its anti-entropy, but without the listeners and the gossip of a process of its own; the server
//! is told to them instead of found. All of them begin at once, and come back at once when the server is restarted.
//!
//! Generator and server share the machine, so the times are those of a machine that is busy with both; memory and CPU are
//! the server's alone.

mod fleet;
#[path = "../common/limits.rs"]
mod limits;
#[path = "../common/process.rs"]
mod process;
mod server;

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use fleet::{Fleet, Shape};
use serde::Serialize;
use server::Server;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A fleet of agents against one server.
#[derive(Parser)]
#[command(name = "fleet")]
struct Args {
    /// Binary to start.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_lictor"))]
    bin: PathBuf,
    /// How many agents.
    #[arg(long, default_value_t = 1000)]
    agents: usize,
    /// How many services each of them registers.
    #[arg(long, default_value_t = 100)]
    services: usize,
    /// How many different names these services have.
    #[arg(long, default_value_t = 1000)]
    names: usize,
    /// What checks each service has.
    #[arg(long, value_enum, default_value_t = Checks::None)]
    checks: Checks,
    /// Seconds of rest over which CPU is measured.
    #[arg(long, default_value_t = 30.0)]
    rest: f64,
    /// Seconds that pass between the end of the registrations and the rest.
    #[arg(long, default_value_t = 10.0)]
    settle: f64,
    /// Seconds that registering, and coming back, may take at most.
    #[arg(long, default_value_t = 900.0)]
    limit: f64,
    /// File the result is appended to, as a JSON line.
    #[arg(long, default_value = concat!(env!("CARGO_TARGET_TMPDIR"), "/bench-fleet.jsonl"))]
    json: PathBuf,
    /// Given by `cargo bench`; means nothing here.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What checks a service has.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Checks {
    /// None.
    None,
    /// One that its client renews.
    Ttl,
}

/// What was measured. Times in seconds, memory in MiB but for one instance; absent: the kernel did not tell.
#[derive(Default, Serialize)]
struct Found {
    agents: usize,
    instances: u64,
    checks: u64,
    empty_mib: Option<f64>,
    registered_s: f64,
    full_mib: Option<f64>,
    bytes_per_instance: Option<f64>,
    /// Of one core.
    rest_cpu_percent: Option<f64>,
    after_rest_mib: Option<f64>,
    restarts: Vec<Restart>,
}

impl Found {
    /// What is held beyond an empty server, in bytes for each instance.
    fn per_instance(&self, mib: Option<f64>) -> Option<f64> {
        let more = mib? - self.empty_mib?;
        Some(more * (1 << 20) as f64 / self.instances.max(1) as f64)
    }
}

/// One end and one beginning.
#[derive(Serialize)]
struct Restart {
    how: &'static str,
    stop_s: f64,
    /// Until it says that it is ready.
    ready_s: f64,
    /// Until every instance is in its answers.
    complete_s: f64,
    /// Until every agent has asked it again.
    agents_s: f64,
    after_mib: Option<f64>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    if args.agents == 0 || args.names == 0 || !(0.0..=3600.0).contains(&args.rest) {
        bail!("--agents and --names must be at least 1, --rest 0 to 3600");
    }
    process::raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let found = runtime.block_on(run(&args))?;
    print!("{}", table(&found));
    append(&args.json, &found).with_context(|| format!("write {}", args.json.display()))?;
    println!("\nrecord: {}", args.json.display());
    // The agents end with the process.
    runtime.shutdown_background();
    Ok(())
}

fn mib(server: &Server) -> Option<f64> {
    process::rss_bytes(server.pid()).map(|bytes| bytes / (1 << 20) as f64)
}

async fn run(args: &Args) -> Result<Found> {
    let limit = Duration::from_secs_f64(args.limit);
    let mut server = Server::start(&args.bin)?;
    let own = server.wait_for(|_| true, limit).await?;
    let empty_mib = mib(&server);
    let shape =
        Shape { agents: args.agents, services: args.services, names: args.names, ttl: args.checks == Checks::Ttl };
    let wanted = own + shape.instances();
    eprintln!("{} agents register {} instances", args.agents, shape.instances());
    let start = Instant::now();
    let fleet = Fleet::start(shape, server.address()).await?;
    server.wait_for(|total| total >= wanted, limit).await.context("registration")?;
    let registered_s = start.elapsed().as_secs_f64();
    tokio::time::sleep(Duration::from_secs_f64(args.settle)).await;
    let full_mib = mib(&server);
    eprintln!("resting for {} s", args.rest);
    let (before, begun) = (process::cpu_us(server.pid()), Instant::now());
    tokio::time::sleep(Duration::from_secs_f64(args.rest)).await;
    let used = process::cpu_us(server.pid()).zip(before).map(|(after, before)| after - before);
    let rest_cpu_percent = used.map(|us| us / 1e4 / begun.elapsed().as_secs_f64());
    let instances = shape.instances();
    let mut found = Found {
        agents: args.agents,
        instances,
        checks: if shape.ttl { instances } else { 0 },
        empty_mib,
        registered_s,
        full_mib,
        bytes_per_instance: None,
        rest_cpu_percent,
        after_rest_mib: mib(&server),
        restarts: Vec::new(),
    };
    found.bytes_per_instance = found.per_instance(full_mib);
    for (how, gently) in [("SIGTERM", true), ("SIGKILL", false)] {
        eprintln!("restart after {how}");
        found.restarts.push(restart(&mut server, &fleet, how, gently, wanted, limit).await.context(how)?);
    }
    Ok(found)
}

async fn restart(
    server: &mut Server,
    fleet: &Fleet,
    how: &'static str,
    gently: bool,
    wanted: u64,
    limit: Duration,
) -> Result<Restart> {
    let stopping = Instant::now();
    server.stop(gently)?;
    let stop_s = stopping.elapsed().as_secs_f64();
    let start = Instant::now();
    server.start_again()?;
    let ready_s = start.elapsed().as_secs_f64();
    let total = server.wait_for(|_| true, limit).await?;
    if total < wanted {
        // An answer that has fewer would be a loss, not a delay.
        bail!("the first answer after the restart has {total} instances of {wanted}");
    }
    let complete_s = start.elapsed().as_secs_f64();
    tokio::time::timeout(limit, fleet.back()).await.context("the agents do not come back")?;
    Ok(Restart { how, stop_s, ready_s, complete_s, agents_s: start.elapsed().as_secs_f64(), after_mib: mib(server) })
}

fn table(found: &Found) -> String {
    let number = |value: Option<f64>, unit: &str| value.map_or("?".to_owned(), |v| format!("{v:.1} {unit}"));
    let mut rows = vec![
        ("agents".to_owned(), found.agents.to_string()),
        ("instances".to_owned(), found.instances.to_string()),
        ("checks".to_owned(), found.checks.to_string()),
        ("memory before".to_owned(), number(found.empty_mib, "MiB")),
        ("registered in".to_owned(), number(Some(found.registered_s), "s")),
        ("memory with all".to_owned(), number(found.full_mib, "MiB")),
        ("memory per instance".to_owned(), number(found.bytes_per_instance, "B")),
        ("CPU at rest, of one core".to_owned(), number(found.rest_cpu_percent, "%")),
        ("memory after the rest".to_owned(), number(found.after_rest_mib, "MiB")),
    ];
    for r in &found.restarts {
        let how = r.how;
        rows.extend([
            (format!("{how}: it has ended after"), format!("{:.2} s", r.stop_s)),
            (format!("{how}: started, it is ready after"), format!("{:.2} s", r.ready_s)),
            (format!("{how}: all instances in its answers after"), format!("{:.2} s", r.complete_s)),
            (format!("{how}: every agent has asked it after"), format!("{:.2} s", r.agents_s)),
            (format!("{how}: memory then"), number(r.after_mib, "MiB")),
            (format!("{how}: memory per instance then"), number(found.per_instance(r.after_mib), "B")),
        ]);
    }
    let rows = rows.iter().map(|(name, value)| format!("| {name} | {value} |\n"));
    format!("| what | result |\n|---|---|\n{}", rows.collect::<String>())
}

fn append(path: &Path, found: &Found) -> Result<()> {
    let mut file = std::fs::File::options().create(true).append(true).open(path)?;
    writeln!(file, "{}", serde_json::to_string(found)?)?;
    Ok(())
}
