//! The log for those who listen while it is written.
//!
//! Owns: who listens, from which level on, and what they have not read yet. Must never: block who writes a line, hold
//! lines without bound, or cost anything while nobody listens: the log asks [`Monitor::on_change`]'s listener for no
//! event that nobody wants. What a line looks like is the log's business.

use bytes::Bytes;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use tracing::Level;

/// Lines that a reader may be behind, as many as in Consul; further ones are left out and counted.
const LINES_MAX: usize = 512;

/// How a reader wants its lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// The least important level.
    pub level: Level,
    /// Objects in JSON instead of text.
    pub json: bool,
}

/// Told the least important level that anybody listens to, or `None`.
type OnChange = Box<dyn Fn(Option<Level>) + Send + Sync>;

/// All who listen to the log of this process.
#[derive(Clone, Default)]
pub struct Monitor {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    readers: Mutex<Vec<Reader>>,
    next: AtomicU64,
    on_change: OnceLock<OnChange>,
    /// Held while the log is told of a change, so that it hears of the last one last.
    telling: Mutex<()>,
}

struct Reader {
    id: u64,
    style: Style,
    lines: mpsc::Sender<Bytes>,
    /// Lines that were left out since the last one that was not.
    dropped: u64,
}

impl Monitor {
    /// Nobody listens. Nothing is ever heard until a log feeds it.
    pub fn new() -> Monitor {
        Monitor::default()
    }

    /// Sets who is told of changes of the level that is listened to; once only.
    pub fn on_change(&self, tell: impl Fn(Option<Level>) + Send + Sync + 'static) {
        // A second log in one process would find the first one's listeners taken.
        let _ = self.inner.on_change.set(Box::new(tell));
    }

    /// The lines from now on.
    pub fn listen(&self, style: Style) -> Lines {
        let (sender, lines) = mpsc::channel(LINES_MAX);
        let id = self.inner.next.fetch_add(1, Ordering::Relaxed);
        self.inner.change(|readers| readers.push(Reader { id, style, lines: sender, dropped: 0 }));
        Lines { id, lines, inner: self.inner.clone() }
    }

    /// Hands a line to everybody who wants it. `line` makes it in JSON or as text; the number is how many lines before
    /// it were left out for this reader, which the result must say if it is not 0.
    pub fn publish(&self, level: Level, line: impl Fn(bool, u64) -> Bytes) {
        let mut ready: [Option<Bytes>; 2] = [None, None];
        for reader in lock(&self.inner.readers).iter_mut().filter(|r| level <= r.style.level) {
            let json = reader.style.json;
            let Ok(place) = reader.lines.try_reserve() else {
                reader.dropped += 1;
                continue;
            };
            place.send(match std::mem::take(&mut reader.dropped) {
                0 => ready[usize::from(json)].get_or_insert_with(|| line(json, 0)).clone(),
                dropped => line(json, dropped),
            });
        }
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor").field("readers", &lock(&self.inner.readers).len()).finish()
    }
}

impl Inner {
    fn change(&self, change: impl FnOnce(&mut Vec<Reader>)) {
        let _turn = lock(&self.telling);
        let level = {
            let mut readers = lock(&self.readers);
            change(&mut readers);
            readers.iter().map(|r| r.style.level).max()
        };
        // Not under the lock of the readers: the log may write a line about it.
        if let Some(tell) = self.on_change.get() {
            tell(level);
        }
    }
}

/// What is guarded is whole after every statement, so a panic elsewhere cannot have broken it.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The lines of one reader, until it is dropped.
pub struct Lines {
    id: u64,
    lines: mpsc::Receiver<Bytes>,
    inner: Arc<Inner>,
}

impl Lines {
    /// The next line, with its end.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.lines.poll_recv(context)
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.inner.change(|readers| readers.retain(|r| r.id != self.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(lines: &mut Lines) -> Option<String> {
        let mut context = Context::from_waker(std::task::Waker::noop());
        match lines.poll_next(&mut context) {
            Poll::Ready(line) => line.map(|l| String::from_utf8(l.into()).expect("UTF-8")),
            Poll::Pending => None,
        }
    }

    fn say(monitor: &Monitor, level: Level, text: &str) {
        monitor.publish(level, |json, dropped| format!("{text} {json} {dropped}").into());
    }

    #[test]
    fn the_log_hears_which_level_is_wanted() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let monitor = Monitor::new();
        let to = heard.clone();
        monitor.on_change(move |level| lock(&to).push(level));
        let warnings = monitor.listen(Style { level: Level::WARN, json: false });
        let all = monitor.listen(Style { level: Level::TRACE, json: false });
        drop(warnings);
        drop(all);
        let (warn, trace) = (Some(Level::WARN), Some(Level::TRACE));
        assert_eq!(*lock(&heard), [warn, trace, trace, None]);
    }

    #[test]
    fn a_reader_gets_its_levels_in_its_style() {
        let monitor = Monitor::new();
        let mut text = monitor.listen(Style { level: Level::INFO, json: false });
        let mut json = monitor.listen(Style { level: Level::DEBUG, json: true });
        say(&monitor, Level::DEBUG, "a");
        say(&monitor, Level::ERROR, "b");
        assert_eq!([next(&mut text), next(&mut text)], [Some("b false 0".to_owned()), None]);
        assert_eq!([next(&mut json), next(&mut json)].map(Option::unwrap), ["a true 0", "b true 0"]);
    }

    #[test]
    fn a_slow_reader_loses_lines_and_is_told_how_many() {
        let monitor = Monitor::new();
        let mut lines = monitor.listen(Style { level: Level::INFO, json: false });
        for number in 0..LINES_MAX + 3 {
            say(&monitor, Level::INFO, &number.to_string());
        }
        for number in 0..LINES_MAX {
            assert_eq!(next(&mut lines), Some(format!("{number} false 0")));
        }
        assert_eq!(next(&mut lines), None);
        say(&monitor, Level::INFO, "again");
        say(&monitor, Level::INFO, "more");
        assert_eq!([next(&mut lines), next(&mut lines)].map(Option::unwrap), ["again false 3", "more false 0"]);
    }
}
