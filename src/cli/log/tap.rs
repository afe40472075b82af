//! What the log hands to those who listen while it is written: the same lines, but for the space in front of a text.

use super::{Line, targets};
use crate::clock::Clock;
use crate::monitor::Monitor;
use bytes::Bytes;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;

/// A layer that feeds the monitor, off while nobody listens.
pub(super) fn tap<S>(monitor: &Monitor, clock: Clock) -> impl Layer<S> + Send + Sync + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let (filter, handle) = reload::Layer::new(targets(LevelFilter::OFF));
    monitor.on_change(move |level| {
        let level = level.map_or(LevelFilter::OFF, LevelFilter::from_level);
        // It fails when the log is gone; then there is nothing to listen to.
        let _ = handle.reload(targets(level));
    });
    Tap { monitor: monitor.clone(), clock }.with_filter(filter)
}

struct Tap {
    monitor: Monitor,
    clock: Clock,
}

impl<S: Subscriber> Layer<S> for Tap {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let line = Line::of(event, self.clock.now_ms());
        self.monitor.publish(rank(event.metadata()), |json, dropped| {
            let mut text = String::new();
            if dropped > 0 {
                let message = format!("{dropped} lines are missing here, they came faster than they were read");
                let notice = Line { level: Level::WARN, message, module: "monitor", ..Line::empty(line.time_ms) };
                // Writing to memory does not fail.
                let _ = notice.write(&mut text, json);
            }
            let _ = line.write(&mut text, json);
            Bytes::from(text)
        });
    }
}

/// The level from which on somebody gets a line: libraries only speak up when something is wrong, but for whoever asks
/// for everything.
fn rank(of: &Metadata<'_>) -> Level {
    let ours = of.target() == "lictor" || of.target().starts_with("lictor::");
    if ours || *of.level() <= Level::WARN { *of.level() } else { Level::TRACE }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::{Lines, Style};
    use std::task::{Context, Poll, Waker};
    use tracing_subscriber::layer::SubscriberExt;

    fn heard(lines: &mut Lines) -> String {
        let mut text = String::new();
        let mut context = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(line)) = lines.poll_next(&mut context) {
            text += std::str::from_utf8(&line).expect("UTF-8");
        }
        text
    }

    #[test]
    fn lines_come_as_they_are_logged() {
        let monitor = Monitor::new();
        let log = tracing_subscriber::registry().with(tap(&monitor, Clock::manual(1_795_341_618_302, 1)));
        tracing::subscriber::with_default(log, || {
            assert!(!tracing::enabled!(target: "lictor::agent", Level::ERROR));
            let mut debug = monitor.listen(Style { level: Level::DEBUG, json: false });
            let mut json = monitor.listen(Style { level: Level::WARN, json: true });
            tracing::debug!(target: "lictor::agent::checks", check = "c", "in sync");
            tracing::info!(target: "h2", "noise");
            tracing::warn!(target: "h2", "trouble");
            assert_eq!(
                heard(&mut debug),
                "2026-11-22T10:00:18.302Z [DEBUG] agent: in sync: check=c\n\
                 2026-11-22T10:00:18.302Z [WARN]  h2: trouble\n"
            );
            let expected =
                r#"{"@level":"warn","@message":"trouble","@module":"h2","@timestamp":"2026-11-22T10:00:18.302Z"}"#;
            assert_eq!(heard(&mut json), format!("{expected}\n"));
            for _ in 0..600 {
                tracing::error!(target: "lictor::agent", "much");
            }
            heard(&mut json);
            tracing::error!(target: "lictor::agent", "last");
            let text = heard(&mut json);
            let mut lines = text.lines();
            assert!(lines.next().is_some_and(|l| l.contains(r#""@message":"88 lines are missing here"#)), "{text}");
            assert!(lines.next().is_some_and(|l| l.contains(r#""@message":"last""#)), "{text}");
            drop((debug, json));
            assert!(!tracing::enabled!(target: "lictor::agent", Level::ERROR));
        });
    }
}
