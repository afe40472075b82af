//! The project's metrics in the shape of Consul's `agent/metrics`. The numbers are totals since the start, where
//! Consul's are of the last ten seconds; least and greatest values are not kept.

use crate::footprint;
use std::collections::BTreeMap;

type Labels = BTreeMap<String, String>;

/// The whole document.
#[derive(Debug, Default, serde::Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Report {
    timestamp: String,
    gauges: Vec<Gauge>,
    points: [u8; 0],
    counters: Vec<Sample>,
    samples: Vec<Sample>,
}

#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct Gauge {
    name: String,
    value: f64,
    labels: Labels,
}

#[derive(Debug, Default, serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct Sample {
    name: String,
    count: u64,
    rate: f64,
    sum: f64,
    min: f64,
    max: f64,
    mean: f64,
    stddev: f64,
    labels: Labels,
}

/// Takes note of what the process uses now, under the names that dashboards for Consul have for it.
pub(super) fn note_process() {
    if let Some(memory) = footprint::memory() {
        metrics::gauge!("consul_runtime_alloc_bytes").set(memory.written_bytes as f64);
        metrics::gauge!("consul_runtime_sys_bytes").set(memory.resident_bytes as f64);
    }
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    metrics::gauge!("consul_runtime_num_goroutines").set(tasks as f64);
}

/// The name in the JSON document, where Consul's names have dots.
fn dotted(name: &str) -> String {
    name.strip_prefix("consul_runtime_").map_or_else(|| name.to_owned(), |rest| format!("consul.runtime.{rest}"))
}

impl Report {
    /// From the text that Prometheus reads. `uptime_ms` is what rates are over.
    pub(super) fn of(text: &str, now_ms: u64, uptime_ms: u64) -> Report {
        let uptime = (uptime_ms.max(1) as f64) / 1000.0;
        let mut kinds: BTreeMap<&str, &str> = BTreeMap::new();
        let mut histograms: BTreeMap<(String, Labels), (u64, f64)> = BTreeMap::new();
        let mut report = Report { timestamp: timestamp(now_ms), ..Report::default() };
        for line in text.lines() {
            if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
                kinds.insert(name, kind);
                continue;
            }
            let Some((name, labels, value)) = row(line) else { continue };
            let part = |suffix: &str| {
                name.strip_suffix(suffix).filter(|base| matches!(kinds.get(base), Some(&("histogram" | "summary"))))
            };
            if let Some(base) = part("_sum") {
                histograms.entry((base.to_owned(), labels)).or_default().1 = value;
            } else if let Some(base) = part("_count") {
                histograms.entry((base.to_owned(), labels)).or_default().0 = value as u64;
            } else if part("_bucket").is_none() {
                match kinds.get(name) {
                    Some(&"counter") => report.counters.push(Sample {
                        name: name.to_owned(),
                        count: value as u64,
                        rate: value / uptime,
                        sum: value,
                        labels,
                        ..Sample::default()
                    }),
                    _ => report.gauges.push(Gauge { name: dotted(name), value, labels }),
                }
            }
        }
        report.samples = histograms
            .into_iter()
            .map(|((name, labels), (count, sum))| {
                let mean = if count == 0 { 0.0 } else { sum / count as f64 };
                Sample { name, count, rate: sum / uptime, sum, mean, labels, ..Sample::default() }
            })
            .collect();
        report
    }
}

/// `name{a="b"} 1`
fn row(line: &str) -> Option<(&str, Labels, f64)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let (head, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok().filter(|value: &f64| value.is_finite())?;
    let Some((name, labels)) = head.split_once('{') else { return Some((head, Labels::new(), value)) };
    let mut found = Labels::new();
    for pair in labels.strip_suffix('}')?.split("\",") {
        if let Some((key, value)) = pair.split_once("=\"") {
            found.insert(key.to_owned(), value.trim_end_matches('"').to_owned());
        }
    }
    Some((name, found, value))
}

/// As in `2026-11-22 16:06:10 +0000 UTC`.
fn timestamp(ms: u64) -> String {
    let seconds = ms / 1000;
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Day 719468 before the epoch is 0000-03-01; an era is 400 years, and a year that begins in March ends with the
    // leap day.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} +0000 UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_finds_its_list() {
        let text = "# TYPE a_total counter\na_total{op=\"x\",outcome=\"ok\"} 4\n# TYPE g gauge\ng 2.5\n\
                    # TYPE consul_runtime_alloc_bytes gauge\nconsul_runtime_alloc_bytes 7\n\
                    # TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n";
        let report = Report::of(text, 1_000_000_000_000, 2_000);
        assert_eq!(report.timestamp, "2001-09-09 01:46:40 +0000 UTC");
        assert_eq!((report.counters[0].count, report.counters[0].rate), (4, 2.0));
        assert_eq!(report.counters[0].labels["outcome"], "ok");
        let gauges: Vec<(&str, f64)> = report.gauges.iter().map(|g| (&*g.name, g.value)).collect();
        assert_eq!(gauges, [("g", 2.5), ("consul.runtime.alloc_bytes", 7.0)]);
        assert_eq!((report.samples.len(), report.samples[0].mean), (1, 1.5));
    }
}
