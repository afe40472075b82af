//! Stands in for the published crate `base2histogram` below openraft, which keeps statistics of batch sizes that Lictor
//! never reads. On first use the published crate builds tables for sixteen resolutions, of which openraft uses one: 50 MiB
//! of memory and 0.1 s of processor time at every start of a server whose goals are 12 MiB and 25 ms. This is an own
//! implementation of the few calls that openraft makes. Remove it when a release builds only the table that it uses.

use std::fmt;
use std::marker::PhantomData;

/// Buckets per power of two, as bits: values are known to about 25 %.
const FINE_BITS: u32 = 2;
const BUCKETS: usize = 64 << FINE_BITS;

/// Counts of values in buckets that grow with the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram<T = ()> {
    counts: Vec<u64>,
    marker: PhantomData<T>,
}

impl<T> Default for Histogram<T> {
    fn default() -> Self {
        Histogram { counts: Vec::new(), marker: PhantomData }
    }
}

impl<T> Histogram<T> {
    /// An empty histogram; it takes memory with the first value.
    pub fn new() -> Self {
        Histogram::default()
    }

    /// Counts a value once.
    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Counts a value `count` times.
    pub fn record_n(&mut self, value: u64, count: u64) {
        if self.counts.is_empty() {
            self.counts = vec![0; BUCKETS];
        }
        self.counts[bucket(value)] += count;
    }

    /// How many values were counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The smallest value of the bucket in which this part of all values is reached; 0 without values.
    fn percentile(&self, part: f64) -> u64 {
        let wanted = ((self.total() as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        let reached = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        reached.map_or(0, smallest)
    }

    /// The usual percentiles.
    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats {
            samples: self.total(),
            p0_1: self.percentile(0.001),
            p1: self.percentile(0.01),
            p5: self.percentile(0.05),
            p10: self.percentile(0.1),
            p50: self.percentile(0.5),
            p90: self.percentile(0.9),
            p99: self.percentile(0.99),
            p99_9: self.percentile(0.999),
        }
    }
}

fn bucket(value: u64) -> usize {
    let fine = 1u64 << FINE_BITS;
    if value < fine {
        return value as usize;
    }
    let power = value.ilog2();
    let offset = (value >> (power - FINE_BITS)) & (fine - 1);
    (((power - FINE_BITS + 1) as usize) << FINE_BITS) + offset as usize
}

fn smallest(bucket: usize) -> u64 {
    let fine = 1usize << FINE_BITS;
    if bucket < fine {
        return bucket as u64;
    }
    let (power, offset) = (bucket >> FINE_BITS, bucket & (fine - 1));
    ((fine + offset) as u64) << (power - 1)
}

/// Percentiles of a histogram.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PercentileStats {
    pub samples: u64,
    pub p0_1: u64,
    pub p1: u64,
    pub p5: u64,
    pub p10: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n={} p50={} p90={} p99={} p99.9={}", self.samples, self.p50, self.p90, self.p99, self.p99_9)
    }
}

/// Several histograms under their names; one line each.
#[derive(Clone, Debug, Default)]
pub struct AsciiChart(Vec<(String, PercentileStats)>);

impl AsciiChart {
    /// Nothing to show yet.
    pub fn new() -> Self {
        AsciiChart::default()
    }

    /// Adds a histogram.
    #[must_use]
    pub fn add(mut self, name: impl Into<String>, histogram: Histogram) -> Self {
        self.0.push((name.into(), histogram.percentile_stats()));
        self
    }
}

impl fmt::Display for AsciiChart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, stats)| writeln!(f, "{name}: {stats}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_a_bucket_that_starts_at_or_below_it() {
        for value in (0..10_000).chain([u64::MAX / 3, u64::MAX - 1, u64::MAX]) {
            let at = bucket(value);
            assert!(at < BUCKETS && smallest(at) <= value, "{value}");
            assert!(value - smallest(at) <= value / 4, "{value} is known to a quarter");
        }
    }

    #[test]
    fn percentiles_follow_the_counts() {
        let mut histogram = Histogram::<()>::new();
        assert_eq!(histogram.percentile_stats(), PercentileStats::default());
        histogram.record_n(1, 90);
        histogram.record_n(64, 10);
        let stats = histogram.percentile_stats();
        assert_eq!((stats.samples, stats.p50, stats.p90, stats.p99), (100, 1, 1, 64));
    }
}
