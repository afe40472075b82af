//! The workloads: what each case sends, and how a server is filled before and emptied after.

use crate::catalog;
use crate::client::{Call, Link};
use crate::dialect::{BATCH, Dialect};
use crate::load::{Limit, Shape, closed_loop};
use crate::report::Record;
use crate::stats::{Stats, median};
use crate::sys;
use crate::target::Target;
use crate::watch::Watchers;
use anyhow::{Context, Result, bail};
use lictor::proto::v1::Instance;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Changes that each fan-out case makes.
const CHANGES: usize = 7;
/// No bulk load may take longer.
const BULK: Duration = Duration::from_secs(300);

/// What the command line chose.
#[derive(Clone, Copy)]
pub(crate) struct Options {
    pub(crate) time: Duration,
    pub(crate) connections: usize,
    pub(crate) total: u64,
}

/// One row of the table.
pub(crate) struct Case {
    pub(crate) name: String,
    kind: Kind,
}

enum Kind {
    Resolve { service: Option<&'static str>, concurrency: usize },
    Get { linearizable: bool, concurrency: usize },
    Put { concurrency: usize },
    Watch { streams: usize, connections: usize },
    Register { concurrency: usize },
    Bulk,
}

impl Case {
    /// A bulk load is measured once: a repeat would find a fuller server.
    pub(crate) fn repeats(&self) -> bool {
        !matches!(self.kind, Kind::Bulk)
    }
}

/// All cases, in the order they run; the one that leaves most behind comes last.
pub(crate) fn cases(options: &Options) -> Vec<Case> {
    let mut all = Vec::new();
    let mut add = |name: String, kind| all.push(Case { name, kind });
    for concurrency in [1, 32] {
        let small = Some("bench-0007");
        add(format!("resolve 10 c{concurrency}"), Kind::Resolve { service: small, concurrency });
        add(format!("resolve 100 c{concurrency}"), Kind::Resolve { service: Some(catalog::WIDE), concurrency });
        add(format!("resolve mix c{concurrency}"), Kind::Resolve { service: None, concurrency });
    }
    for (linearizable, word) in [(true, "linearizable"), (false, "local")] {
        for concurrency in [1, 64] {
            add(format!("get {word} c{concurrency}"), Kind::Get { linearizable, concurrency });
        }
    }
    for concurrency in [1, 32, 256] {
        add(format!("put c{concurrency}"), Kind::Put { concurrency });
    }
    for streams in [1, 100, 1000, 5000] {
        add(format!("watch {streams} own"), Kind::Watch { streams, connections: streams });
        if streams > options.connections {
            let connections = options.connections;
            add(format!("watch {streams} on {connections}"), Kind::Watch { streams, connections });
        }
    }
    add("register c32".into(), Kind::Register { concurrency: 32 });
    add(format!("register {} by {BATCH} c8", options.total), Kind::Bulk);
    all
}

/// Numbers that never repeat within a run, so that every write changes something.
fn fresh(count: u64) -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(count, Ordering::Relaxed)
}

impl Target {
    /// Fills the catalog and the keys.
    pub(crate) async fn fill(&self, options: &Options) -> Result<()> {
        let dialect = self.dialect;
        let instances: Vec<Instance> = catalog::seed().collect();
        let mut batches: Vec<Call> = instances.chunks(BATCH).map(|c| dialect.register(c.to_vec())).collect();
        batches.reverse();
        let operations = batches.len() as u64;
        let last = batches[0].clone();
        let make = Box::new(move |_| batches.pop().unwrap_or_else(|| last.clone()));
        self.bulk(options, 8, operations, make).await.context("fill the catalog")?;
        let make = Box::new(move |n| dialect.put(n, catalog::key(n)));
        self.bulk(options, 64, catalog::KEYS, make).await.context("fill the keys")?;
        Ok(())
    }

    /// Takes away what `fill` and the cases wrote.
    pub(crate) async fn empty(&self) -> Result<()> {
        let mut link = Link::connect(self.addr).await?;
        link.unary(&self.dialect.delete_prefix("bench/")).await?;
        if self.dialect == Dialect::Etcd {
            link.unary(&self.dialect.delete_prefix("bench-svc/")).await?;
            return Ok(());
        }
        let added = (0..fresh(0)).map(catalog::addition);
        let all: Vec<Instance> = catalog::seed().chain(added).collect();
        for batch in all.chunks(BATCH) {
            for call in self.dialect.deregister(batch.to_vec()) {
                link.unary(&call).await?;
            }
        }
        Ok(())
    }

    async fn bulk(
        &self,
        options: &Options,
        concurrency: usize,
        operations: u64,
        make: Box<dyn FnMut(u64) -> Call>,
    ) -> Result<Stats> {
        let shape = Shape { concurrency, connections: options.connections };
        let stats = closed_loop(self.addr, shape, Limit { time: BULK, operations }, make).await?;
        match &stats.first_error {
            Some(error) => bail!("{} of {operations} failed: {error}", stats.errors),
            None if stats.ok < operations => bail!("only {} of {operations} within {BULK:?}", stats.ok),
            None => Ok(stats),
        }
    }

    /// Measures one case once.
    pub(crate) async fn measure(&self, case: &Case, options: &Options) -> Result<Record> {
        let mut record = match case.kind {
            Kind::Watch { streams, connections } => self.fan_out(streams, connections).await?,
            Kind::Bulk => self.bulk_register(options).await?,
            _ => self.steady(case, options).await?,
        };
        record.case.clone_from(&case.name);
        record.target = self.name.into();
        record.rss_mib = self.pid.and_then(sys::rss_bytes).map(|b| b / f64::from(1 << 20));
        Ok(record)
    }

    /// The calls of a closed-loop case; what does not change is encoded once.
    fn calls(&self, kind: &Kind) -> (usize, Box<dyn FnMut(u64) -> Call>) {
        let dialect = self.dialect;
        match *kind {
            Kind::Resolve { service: Some(service), concurrency } => {
                let call = dialect.resolve(service);
                (concurrency, Box::new(move |_| call.clone()))
            }
            Kind::Resolve { service: None, concurrency } => {
                let calls: Vec<Call> = (0..catalog::SERVICES).map(|n| dialect.resolve(&catalog::service(n))).collect();
                (concurrency, Box::new(move |n| calls[(catalog::scatter(n) % catalog::SERVICES) as usize].clone()))
            }
            Kind::Get { linearizable, concurrency } => {
                let calls: Vec<Call> = (0..catalog::KEYS).map(|n| dialect.get(catalog::key(n), linearizable)).collect();
                (concurrency, Box::new(move |n| calls[(catalog::scatter(n) % catalog::KEYS) as usize].clone()))
            }
            Kind::Put { concurrency } => {
                (concurrency, Box::new(move |n| dialect.put(fresh(1), catalog::key(catalog::scatter(n)))))
            }
            Kind::Register { concurrency } => {
                (concurrency, Box::new(move |_| dialect.register(vec![catalog::addition(fresh(1))])))
            }
            // Neither is a closed loop of equal calls; `measure` sends them elsewhere.
            Kind::Watch { .. } | Kind::Bulk => unreachable!("not a steady case"),
        }
    }

    async fn steady(&self, case: &Case, options: &Options) -> Result<Record> {
        let warm = Limit { time: options.time / 8, operations: 100_000 };
        let limit = Limit { time: options.time, operations: 50_000_000 };
        let (concurrency, make) = self.calls(&case.kind);
        let shape = Shape { concurrency, connections: options.connections };
        closed_loop(self.addr, shape, warm, make).await?;
        let (_, make) = self.calls(&case.kind);
        let cpu = self.pid.and_then(sys::cpu_us);
        let stats = closed_loop(self.addr, shape, limit, make).await?;
        Ok(self.record(&stats, stats.rate(), "op/s", cpu, stats.ok))
    }

    async fn bulk_register(&self, options: &Options) -> Result<Record> {
        let (dialect, total) = (self.dialect, options.total.max(BATCH as u64));
        let before = self.pid.and_then(sys::rss_bytes);
        let cpu = self.pid.and_then(sys::cpu_us);
        let make = Box::new(move |_| {
            let first = fresh(BATCH as u64);
            dialect.register((first..first + BATCH as u64).map(catalog::addition).collect())
        });
        let operations = total / BATCH as u64;
        let stats = self.bulk(options, 8, operations, make).await?;
        let instances = operations * BATCH as u64;
        let rate = instances as f64 / stats.elapsed.as_secs_f64();
        let mut record = self.record(&stats, rate, "instances/s", cpu, instances);
        let after = self.pid.and_then(sys::rss_bytes);
        // A server may have shrunk meanwhile, and a foreign one may be hidden: then only the time is told.
        let grown = after.zip(before).map(|(after, before)| (after - before) / instances as f64);
        let each = grown.filter(|&b| b > 0.0).map_or(String::new(), |b| format!(", {b:.0} B RSS/instance"));
        record.note = Some(format!("{:.2} s{each}", stats.elapsed.as_secs_f64()));
        Ok(record)
    }

    fn record(&self, stats: &Stats, value: f64, unit: &'static str, cpu_before: Option<f64>, share: u64) -> Record {
        let cpu = self.pid.and_then(sys::cpu_us);
        Record {
            value,
            unit,
            p50_us: stats.latency.quantile_us(0.5),
            p99_us: stats.latency.quantile_us(0.99),
            cpu_us: cpu.zip(cpu_before).map(|(after, before)| (after - before) / share.max(1) as f64),
            bytes: stats.bytes as f64 / stats.ok.max(1) as f64,
            errors: stats.errors,
            note: stats.first_error.clone(),
            ..Record::default()
        }
    }

    async fn fan_out(&self, streams: usize, connections: usize) -> Result<Record> {
        let service = catalog::service(0);
        let watchers = Watchers::open(self.addr, self.dialect, &service, streams, connections).await?;
        let mut writer = Link::connect(self.addr).await?;
        let cpu = self.pid.and_then(sys::cpu_us);
        let mut rounds: Vec<Vec<Duration>> = Vec::new();
        for _ in 0..CHANGES {
            let mut changed = catalog::instance(&service, 0);
            changed.weight = Some(2 + (fresh(1) % 60_000) as u32);
            let call = self.dialect.register(vec![changed]);
            let start = Instant::now();
            let (written, delays) = tokio::join!(writer.unary(&call), watchers.delays(start));
            written?;
            rounds.push(delays?);
        }
        let at = |q: f64| {
            let of =
                |d: &Vec<Duration>| d.get(((d.len() - 1) as f64 * q) as usize).map_or(0.0, |d| d.as_secs_f64() * 1e6);
            median(rounds.iter().map(of).collect())
        };
        let delivered = (streams * CHANGES) as f64;
        let after = self.pid.and_then(sys::cpu_us);
        Ok(Record {
            value: at(1.0) / 1e3,
            unit: "ms",
            first_us: Some(at(0.0)),
            p50_us: at(0.5),
            p99_us: at(0.99),
            cpu_us: after.zip(cpu).map(|(after, before)| (after - before) / delivered),
            ..Record::default()
        })
    }
}
