//! The log: lines in the shape of Consul's, or JSON, on standard output, and in a file and syslog if asked for. Who
//! listens to it while it runs gets it from a monitor.

mod file;
mod output;
mod tap;

use crate::clock::Clock;
use crate::config::{Config, LogLevel, Notice};
use crate::monitor::Monitor;
use output::Outputs;
use serde_json::{Map, Value};
use std::fmt::{self, Write};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

/// Changes the level of a log that runs.
pub(super) type SetLevel = Box<dyn Fn(LogLevel) + Send + Sync>;

/// Starts the log of this process and writes what the configuration had to say.
pub(super) fn start(config: &Config) -> Result<(SetLevel, Monitor), String> {
    let clock = Clock::system();
    let outputs = Outputs::open(&config.log, &clock)?;
    let monitor = Monitor::new();
    let tap = tap::tap(&monitor, clock.clone());
    let lines = Lines { clock, json: config.log.json };
    let (filter, handle) = reload::Layer::new(targets(filter_of(config.log.level)));
    let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(outputs).event_format(lines);
    let started = tracing_subscriber::registry().with(layer.with_filter(filter)).with(tap).try_init();
    started.map_err(|e| format!("cannot start the log: {e}"))?;
    write_notices(&config.notices);
    let set_level = move |level| {
        if let Err(error) = handle.reload(targets(filter_of(level))) {
            tracing::error!(target: "lictor::agent", %error, "the log level could not be changed");
        }
    };
    Ok((Box::new(set_level), monitor))
}

fn filter_of(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Trace => LevelFilter::TRACE,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    }
}

/// What is logged at a level.
fn targets(level: LevelFilter) -> Targets {
    // The libraries below us only speak up when something is wrong, but for whoever asks for everything.
    let others = if level == LevelFilter::TRACE { level } else { level.min(LevelFilter::WARN) };
    // It warns of every heartbeat to a server that is down; what follows from that, we say ourselves.
    let consensus = if level >= LevelFilter::DEBUG { others } else { others.min(LevelFilter::ERROR) };
    Targets::new().with_target("lictor", level).with_target("openraft", consensus).with_default(others)
}

fn write_notices(notices: &[Notice]) {
    for notice in notices {
        match notice.level {
            LogLevel::Trace | LogLevel::Debug => tracing::debug!(target: "lictor::agent", "{}", notice.text),
            LogLevel::Info => tracing::info!(target: "lictor::agent", "{}", notice.text),
            LogLevel::Warn => tracing::warn!(target: "lictor::agent", "{}", notice.text),
            LogLevel::Error => tracing::error!(target: "lictor::agent", "{}", notice.text),
        }
    }
}

/// UTC to the millisecond, as in `2026-11-22T10:00:18.302Z`. The date is by the civil calendar, counted in years that begin in March so that the leap
/// day is the last.
fn timestamp(ms: u64) -> String {
    let (days, of_day) = (ms / 86_400_000, ms % 86_400_000);
    // Day 719468 before the epoch is 0000-03-01; an era is 400 years.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", of_day % 1000)
}

/// `    TIME [LEVEL]  module: message: key=value key=value`, or the same as a JSON object with the keys of Consul's.
struct Lines {
    clock: Clock,
    json: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        if !self.json {
            writer.write_str("    ")?;
        }
        Line::of(event, self.clock.now_ms()).write(&mut writer, self.json)
    }
}

/// One line, before it has a shape.
struct Line {
    time_ms: u64,
    level: Level,
    module: &'static str,
    message: String,
    fields: Map<String, Value>,
}

impl Line {
    fn empty(time_ms: u64) -> Line {
        Line { time_ms, level: Level::INFO, module: "", message: String::new(), fields: Map::new() }
    }

    fn of(event: &Event<'_>, time_ms: u64) -> Line {
        let metadata = event.metadata();
        let mut line = Line { level: *metadata.level(), module: module(metadata.target()), ..Line::empty(time_ms) };
        event.record(&mut line);
        line
    }

    /// Writes it with its end.
    fn write(&self, out: &mut impl Write, json: bool) -> fmt::Result {
        let time = timestamp(self.time_ms);
        if json {
            let mut object = self.fields.clone();
            let level = self.level.as_str().to_ascii_lowercase();
            for (key, value) in [
                ("@level", level),
                ("@message", self.message.clone()),
                ("@module", self.module.to_owned()),
                ("@timestamp", time),
            ] {
                object.insert(key.to_owned(), value.into());
            }
            return writeln!(out, "{}", Value::Object(object));
        }
        // Brackets are padded as a whole, so that modules line up.
        let level = format!("[{}]", self.level);
        write!(out, "{time} {level:<7} {}: {}", self.module, OneLine(&self.message))?;
        for (index, (key, value)) in self.fields.iter().enumerate() {
            let colon = if index == 0 { ":" } else { "" };
            match value {
                Value::String(text)
                    if text.is_empty() || text.contains(|c: char| !c.is_ascii_graphic() || c == '"') =>
                {
                    write!(out, "{colon} {key}={text:?}")?;
                }
                Value::String(text) => write!(out, "{colon} {key}={text}")?,
                other => write!(out, "{colon} {key}={other}")?,
            }
        }
        writeln!(out)
    }

    fn add(&mut self, field: &Field, value: Value) {
        self.fields.insert(field.name().to_owned(), value);
    }
}

/// A message without its control characters, so that one event is one line.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .chars()
            .try_for_each(|c| if c.is_control() { write!(f, "{}", c.escape_default()) } else { f.write_char(c) })
    }
}

/// `agent` for `lictor::agent::checks`: the module, without the path inside it.
fn module(target: &'static str) -> &'static str {
    let inside = target.strip_prefix("lictor::").unwrap_or(target);
    inside.split("::").next().unwrap_or(inside)
}

impl Visit for Line {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message.push_str(value),
            _ => self.add(field, value.into()),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests;
