//! Records of a run: one JSON line each, and one table with the ratios between the servers.

use anyhow::Result;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

/// One case on one server (the median of its repeats).
#[derive(Clone, Default, Serialize)]
pub(crate) struct Record {
    pub(crate) case: String,
    pub(crate) target: String,
    /// The number that is compared: operations per second, or milliseconds of a delay.
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// Fan-out only: the first watcher.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_us: Option<f64>,
    /// CPU time of the server per operation, or per update delivered.
    pub(crate) cpu_us: Option<f64>,
    /// Bytes of an answer.
    pub(crate) bytes: f64,
    pub(crate) errors: u64,
    /// Memory the server holds after the case.
    pub(crate) rss_mib: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
}

impl Record {
    /// How much better this is than `other`: above 1 is better, whatever the unit.
    fn ratio(&self, other: &Record) -> Option<f64> {
        let (own, other) = (self.value, other.value);
        let ratio = if self.unit == "ms" { other / own } else { own / other };
        (ratio.is_finite() && ratio > 0.0).then_some(ratio)
    }
}

/// Markdown; `base` is the target whose ratio to each other one is shown.
pub(crate) fn table(records: &[Record], base: &str) -> String {
    let mut out = format!(
        "| case | server | result | p50 µs | p99 µs | first µs | CPU µs/op | B/answer | RSS MiB | errors | {base} is |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n"
    );
    for r in records {
        let own = records.iter().find(|b| b.case == r.case && b.target == base);
        let ratio = own.filter(|_| r.target != base).and_then(|b| b.ratio(r));
        let ratio = ratio.map_or(String::new(), |x| format!("×{x:.2}"));
        let note = r.note.as_ref().map_or(String::new(), |n| format!(" ({n})"));
        let (first, cpu) = (optional(r.first_us), optional(r.cpu_us));
        let _ = writeln!(
            out,
            "| {} | {} | {} {} | {} | {} | {first} | {cpu} | {:.0} | {} | {}{note} | {ratio} |",
            r.case,
            r.target,
            number(r.value),
            r.unit,
            number(r.p50_us),
            number(r.p99_us),
            r.bytes,
            optional(r.rss_mib),
            r.errors,
        );
    }
    out
}

fn optional(value: Option<f64>) -> String {
    value.map_or("-".into(), number)
}

/// Three digits that count, thousands apart.
fn number(value: f64) -> String {
    if value < 10.0 {
        return format!("{value:.2}");
    }
    if value < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// Appends the records to a file, one JSON object a line.
pub(crate) fn append(path: &Path, records: &[Record]) -> Result<()> {
    let mut file = std::fs::File::options().create(true).append(true).open(path)?;
    for record in records {
        serde_json::to_writer(&mut file, record)?;
        file.write_all(b"\n")?;
    }
    Ok(())
}
