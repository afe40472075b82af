//! The log: lines in the shape of Consul's, or JSON, on standard output.

use crate::clock::Clock;
use crate::config::{Config, LogLevel};
use std::fmt;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts the log of this process and writes what the configuration had to say.
pub(super) fn start(config: &Config) -> Result<(), String> {
    let level = match config.log_level {
        LogLevel::Trace => LevelFilter::TRACE,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    let lines = tracing_subscriber::fmt().with_max_level(level).with_ansi(false);
    let started = if config.log_json {
        lines.json().flatten_event(true).with_timer(Timer(Clock::system())).finish().try_init()
    } else {
        lines.event_format(Lines(Timer(Clock::system()))).finish().try_init()
    };
    started.map_err(|e| format!("cannot start the log: {e}"))?;
    for notice in &config.notices {
        match notice.level {
            LogLevel::Trace | LogLevel::Debug => tracing::debug!("{}", notice.text),
            LogLevel::Info => tracing::info!("{}", notice.text),
            LogLevel::Warn => tracing::warn!("{}", notice.text),
            LogLevel::Error => tracing::error!("{}", notice.text),
        }
    }
    Ok(())
}

/// Times as in `2026-11-22T10:00:18.302Z`.
struct Timer(Clock);

impl FormatTime for Timer {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        writer.write_str(&timestamp(self.0.now_ms()))
    }
}

/// UTC, to the millisecond. The date is by the civil calendar, counted in years that begin in March so that the leap
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

/// `    TIME [LEVEL]  module: message: key=value key=value`.
struct Lines(Timer);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        writer.write_str("    ")?;
        self.0.format_time(&mut writer)?;
        let level = match *event.metadata().level() {
            Level::TRACE => "[TRACE]",
            Level::DEBUG => "[DEBUG]",
            Level::INFO => "[INFO] ",
            Level::WARN => "[WARN] ",
            Level::ERROR => "[ERROR]",
        };
        let mut parts = Parts::default();
        event.record(&mut parts);
        let module = module(event.metadata().target());
        write!(writer, " {level} {module}: {}", parts.message)?;
        if !parts.fields.is_empty() {
            write!(writer, ":{}", parts.fields)?;
        }
        writeln!(writer)
    }
}

/// `agent` for `lictor::agent::checks`: the module, without the path inside it.
fn module(target: &str) -> &str {
    let inside = target.strip_prefix("lictor::").unwrap_or(target);
    inside.split("::").next().unwrap_or(inside)
}

/// An event's message and its other fields.
#[derive(Default)]
struct Parts {
    message: String,
    fields: String,
}

impl Parts {
    fn add(&mut self, field: &Field, text: &str) {
        if field.name() == "message" {
            self.message.push_str(text);
        } else {
            // One event is one line, and a value with a space is in quotes.
            let plain = !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"');
            let quoted = if plain { text.to_owned() } else { format!("{text:?}") };
            self.fields.push_str(&format!(" {}={quoted}", field.name()));
        }
    }
}

impl Visit for Parts {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests;
