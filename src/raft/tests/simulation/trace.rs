//! What happened, in order, and the first thing that should not have.

use crate::clock::{Clock, Generator};
use std::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

/// Lines of a failed run that are shown: before the first broken rule, and after it.
const BEFORE: usize = 100;
const AFTER: usize = 20;

/// The story of one run.
pub(super) struct Trace {
    started: Instant,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    lines: Vec<String>,
    broken: Option<String>,
}

impl Trace {
    pub(super) fn new() -> Trace {
        Trace { started: Instant::now(), told: Mutex::default() }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().expect("nobody panicked")
    }

    /// Virtual milliseconds since the start.
    pub(super) fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    pub(super) fn note(&self, what: impl std::fmt::Display) {
        let line = format!("{:>6} {what}", self.now_ms());
        self.told().lines.push(line);
    }

    /// A rule is broken. The first one counts.
    pub(super) fn fail(&self, what: impl std::fmt::Display) {
        self.note(format_args!("BROKEN: {what}"));
        self.told().broken.get_or_insert_with(|| what.to_string());
    }

    pub(super) fn broken(&self) -> Option<String> {
        self.told().broken.clone()
    }

    /// All lines, or an account of what went wrong.
    pub(super) fn finish(&self) -> Result<Vec<String>, String> {
        let mut told = self.told();
        let lines = std::mem::take(&mut told.lines);
        match told.broken.take() {
            None => Ok(lines),
            Some(broken) => {
                // Heartbeats say little.
                let telling = lines.iter().filter(|line| !line.contains(" append/0 ")).cloned().collect::<Vec<_>>();
                let at = telling.iter().position(|line| line.contains(" BROKEN: ")).unwrap_or(0);
                let shown = match std::env::var_os("LICTOR_SIM_TRACE") {
                    Some(_) => &telling[..],
                    None => &telling[at.saturating_sub(BEFORE)..telling.len().min(at + AFTER)],
                };
                Err(format!("{}\n{broken}", shown.join("\n")))
            }
        }
    }
}

/// A source of choices; `what` keeps those of different parts of a run apart.
pub(super) fn dice(seed: u64, what: u64) -> Generator {
    Clock::manual(0, seed.wrapping_mul(1_000_003).wrapping_add(what)).generator()
}
