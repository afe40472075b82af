//! Latency histogram and counters of one bounded run.

use std::time::Duration;

/// Sub-buckets of each power of two: a quantile is off by at most 1/64.
const SUB_BITS: u32 = 6;
const SUB: usize = 1 << SUB_BITS;

/// Counts of latencies in nanoseconds, log-linear buckets.
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Histogram { counts: vec![0; SUB * (65 - SUB_BITS as usize)], total: 0 }
    }

    fn bucket(ns: u64) -> usize {
        if ns < SUB as u64 {
            return ns as usize;
        }
        let shift = ns.ilog2() - SUB_BITS;
        (shift as usize + 1) * SUB + ((ns >> shift) as usize - SUB)
    }

    /// Smallest value of a bucket.
    fn floor(bucket: usize) -> u64 {
        if bucket < SUB {
            return bucket as u64;
        }
        ((bucket % SUB + SUB) as u64) << (bucket / SUB - 1)
    }

    pub(crate) fn record(&mut self, latency: Duration) {
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.counts[Self::bucket(ns)] += 1;
        self.total += 1;
    }

    /// Value below which the share `q` (0-1) of the records lies, in microseconds; 0 without records.
    pub(crate) fn quantile_us(&self, q: f64) -> f64 {
        let rank = ((self.total as f64 * q).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Self::floor(bucket) as f64 / 1e3;
            }
        }
        0.0
    }
}

/// What a closed loop did.
pub(crate) struct Stats {
    pub(crate) ok: u64,
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    /// Bytes of answers, without gRPC's frame headers.
    pub(crate) bytes: u64,
    /// From the first request to the last answer.
    pub(crate) elapsed: Duration,
    pub(crate) latency: Histogram,
}

impl Stats {
    pub(crate) fn new() -> Self {
        Stats { ok: 0, errors: 0, first_error: None, bytes: 0, elapsed: Duration::ZERO, latency: Histogram::new() }
    }

    pub(crate) fn hit(&mut self, latency: Duration, bytes: usize) {
        self.ok += 1;
        self.bytes += bytes as u64;
        self.latency.record(latency);
    }

    pub(crate) fn miss(&mut self, why: String) {
        self.errors += 1;
        self.first_error.get_or_insert(why);
    }

    /// Successful operations per second.
    pub(crate) fn rate(&self) -> f64 {
        self.ok as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// The middle one of some measurements; 0 without any.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
