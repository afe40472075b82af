//! Load generator for the gRPC API: `cargo bench --bench grpc -- [options]`.
//!
//! Without `--addr` it starts the release binary itself, a durable single node in a scratch directory. `--null` adds a
//! server that does nothing but send the same bytes (the limit of this machine and this protocol), `--etcd` the nearest
//! equivalent in etcd. Every case runs on all servers in turn, in the other order each time, and only ratios within one
//! run mean much: the generator shares the machine with the servers.
//!
//! Load is closed loop: latency at a concurrency, not at a rate. Every loop is bounded in time and count.

mod catalog;
mod client;
mod dialect;
mod etcd;
#[path = "../common/limits.rs"]
mod limits;
mod load;
mod null;
#[path = "../common/process.rs"]
mod process;
mod report;
mod stats;
mod sys;
mod target;
mod watch;
mod workload;

use anyhow::{Context, Result, bail};
use clap::Parser;
use dialect::Dialect;
use report::Record;
use std::path::PathBuf;
use std::time::Duration;
use target::Target;
use tokio::task::LocalSet;
use workload::{Case, Options};

/// Load generator for Lictor's gRPC API.
#[derive(Parser)]
#[command(name = "grpc")]
struct Args {
    /// A running server, HOST:PORT; without it the binary is started.
    #[arg(long)]
    addr: Option<String>,
    /// Binary to start.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_lictor"))]
    bin: PathBuf,
    /// Start it with -dev (state in memory only).
    #[arg(long)]
    dev: bool,
    /// Measure only the others (to try the generator).
    #[arg(long)]
    without_lictor: bool,
    /// Also measure etcd: HOST:PORT of a running one, or the path of its binary.
    #[arg(long)]
    etcd: Option<String>,
    /// Also measure the do-nothing server.
    #[arg(long)]
    null: bool,
    /// Cases to run: beginnings of their names, separated by commas, as "resolve,put c32".
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 3.0)]
    secs: f64,
    /// Repeats of each case; the median counts.
    #[arg(long, default_value_t = 3)]
    reps: usize,
    /// Connections that calls and shared watches are spread over.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Instances of the bulk registration.
    #[arg(long, default_value_t = 100_000)]
    total: u64,
    /// Give every write a request id, as the SDKs do.
    #[arg(long)]
    request_ids: bool,
    /// Core for the servers that are started.
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// Core for the generator.
    #[arg(long, default_value_t = 1)]
    gen_core: usize,
    /// Leave the placing of processes to the kernel.
    #[arg(long)]
    no_pin: bool,
    /// File the records are appended to, as JSON lines.
    #[arg(long, default_value = concat!(env!("CARGO_TARGET_TMPDIR"), "/bench-grpc.jsonl"))]
    json: PathBuf,
    /// Be the do-nothing server, with its log in this directory.
    #[arg(long, hide = true)]
    serve_null: Option<PathBuf>,
    /// Given by `cargo bench`; means nothing here.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    sys::raise_open_files();
    if let Some(dir) = &args.serve_null {
        return null::serve(dir);
    }
    if !(0.01..=600.0).contains(&args.secs) || args.reps == 0 || args.connections == 0 {
        bail!("--secs must be 0.01 to 600, --reps and --connections at least 1");
    }
    let targets = targets(&args)?;
    if !args.no_pin {
        sys::pin(args.gen_core);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let records = LocalSet::new().block_on(&runtime, run(&args, &targets))?;
    let base = targets.first().map_or("", |t| t.name);
    print!("{}", report::table(&records, base));
    report::append(&args.json, &records).with_context(|| format!("write {}", args.json.display()))?;
    println!("\nrecords: {}", args.json.display());
    Ok(())
}

fn targets(args: &Args) -> Result<Vec<Target>> {
    let core = (!args.no_pin).then_some(args.server_core);
    let dialect = Dialect::Lictor { request_ids: args.request_ids };
    let mut targets = Vec::new();
    if !args.without_lictor {
        targets.push(match &args.addr {
            Some(addr) => Target::running("lictor", dialect, addr)?,
            None => Target::lictor(&args.bin, args.dev, dialect, core)?,
        });
    }
    if let Some(place) = &args.etcd {
        targets.push(Target::etcd(place, core)?);
    }
    if args.null {
        targets.push(Target::null(core)?);
    }
    if targets.is_empty() {
        bail!("no server to measure");
    }
    Ok(targets)
}

async fn run(args: &Args, targets: &[Target]) -> Result<Vec<Record>> {
    let options =
        Options { time: Duration::from_secs_f64(args.secs), connections: args.connections, total: args.total };
    for target in targets {
        eprintln!("fill {} at {}", target.name, target.addr);
        target.fill(&options).await.with_context(|| target.name)?;
    }
    let mut records = Vec::new();
    for case in workload::cases(&options) {
        if args.only.is_empty() || args.only.iter().any(|o| case.name.starts_with(o.trim())) {
            records.extend(compare(&case, targets, &options, args.reps).await);
        }
    }
    for target in targets.iter().filter(|t| t.is_foreign()) {
        eprintln!("empty {}", target.name);
        target.empty().await.with_context(|| target.name)?;
    }
    Ok(records)
}

/// One case on every server, in the other order each time; for each the repeat with the median result. A server that
/// fails a case gets a row that says so.
async fn compare(case: &Case, targets: &[Target], options: &Options, reps: usize) -> Vec<Record> {
    let mut measured: Vec<Vec<Record>> = targets.iter().map(|_| Vec::new()).collect();
    let reps = if case.repeats() { reps } else { 1 };
    for rep in 0..reps {
        let mut order: Vec<usize> = (0..targets.len()).collect();
        if rep % 2 == 1 {
            order.reverse();
        }
        for at in order {
            let target = &targets[at];
            eprintln!("{} {} {}/{reps}", case.name, target.name, rep + 1);
            let failed = |e: anyhow::Error| Record {
                case: case.name.clone(),
                target: target.name.into(),
                errors: 1,
                note: Some(format!("{e:#}")),
                ..Record::default()
            };
            measured[at].push(target.measure(case, options).await.unwrap_or_else(failed));
        }
    }
    let middle = |mut all: Vec<Record>| {
        all.sort_by(|a, b| a.value.total_cmp(&b.value));
        let at = all.len() / 2;
        all.into_iter().nth(at)
    };
    measured.into_iter().filter_map(middle).collect()
}
