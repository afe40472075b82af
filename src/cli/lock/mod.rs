//! `lock`: runs a child while a lock or a place in a semaphore is held.
//!
//! Owns: the session that holds (`session`), the two ways to hold (`mutex`, `semaphore`), with Consul's keys, flags and
//! order of calls, so that its clients and ours exclude each other; and the life of the child (`run`).

mod mutex;
mod run;
mod semaphore;
mod session;

pub(super) use run::{command, run};

use super::client::Client;
use super::signals::Shutdown;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The key below the prefix that is the lock, or that lists the holders.
const LOCK_KEY: &str = ".lock";
/// How long one request waits for a change, unless a time limit was given.
const WAIT: Duration = Duration::from_secs(15);
/// The pause before a failed request of the monitor is repeated.
const MONITOR_PAUSE: Duration = Duration::from_secs(1);

/// What to hold, and how long to try.
#[derive(Clone)]
struct Options {
    client: Client,
    /// Without a leading slash.
    prefix: String,
    /// Name of the session.
    name: String,
    /// How many may hold at once.
    limit: usize,
    /// For ever, unless given.
    timeout: Option<Duration>,
    /// Failed requests in a row before what is held counts as lost.
    monitor_retries: u64,
}

impl Options {
    /// The key of the lock, or of the list of holders.
    fn lock_key(&self) -> String {
        join(&self.prefix, LOCK_KEY)
    }
}

/// A path as Go's `path.Join` makes it: no empty parts, no dots.
fn join(prefix: &str, name: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let rooted = prefix.starts_with('/');
    for part in prefix.split('/').chain([name]) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|p| *p != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            other => parts.push(other),
        }
    }
    format!("{}{}", if rooted { "/" } else { "" }, parts.join("/"))
}

/// The time that is left of a limit, as the `wait` of a request.
struct Patience {
    started: Instant,
    limit: Option<Duration>,
    attempts: u64,
}

impl Patience {
    fn new(limit: Option<Duration>) -> Patience {
        Patience { started: Instant::now(), limit, attempts: 0 }
    }

    /// How long the next request may wait; `None` when the time is over. The first attempt always has all of it.
    fn next(&mut self) -> Option<Duration> {
        self.attempts += 1;
        let Some(limit) = self.limit else { return Some(WAIT) };
        match self.attempts {
            1 => Some(limit),
            _ => limit.checked_sub(self.started.elapsed()),
        }
    }
}

/// A duration as a parameter; never 0, which would stand for minutes.
fn wait_parameter(wait: Duration) -> String {
    format!("{}ms", wait.as_millis().max(1))
}

/// How an attempt to hold ended.
enum Attempt {
    /// Held; the task ends when it is lost.
    Held(JoinHandle<()>),
    /// The time was over, or a signal came.
    GaveUp,
}

/// A lock or a place in a semaphore.
enum Lock {
    Mutex(mutex::Mutex),
    Semaphore(semaphore::Semaphore),
}

/// Why a key was left where it is.
enum Cleanup {
    Done,
    /// Others hold it or wait for it.
    InUse,
}

impl Lock {
    fn new(options: Options) -> Result<Lock, String> {
        match options.limit {
            1 => Ok(Lock::Mutex(mutex::Mutex::new(options))),
            _ if options.prefix.is_empty() => Err("missing prefix".to_owned()),
            _ => Ok(Lock::Semaphore(semaphore::Semaphore::new(options))),
        }
    }

    async fn acquire(&mut self, shutdown: &mut Shutdown) -> Result<Attempt, String> {
        match self {
            Lock::Mutex(mutex) => mutex.acquire(shutdown).await,
            Lock::Semaphore(semaphore) => semaphore.acquire(shutdown).await,
        }
    }

    async fn release(&mut self) -> Result<(), String> {
        match self {
            Lock::Mutex(mutex) => mutex.release().await,
            Lock::Semaphore(semaphore) => semaphore.release().await,
        }
    }

    /// Removes the keys that nobody uses any more.
    async fn clean_up(&self) -> Result<Cleanup, String> {
        match self {
            Lock::Mutex(mutex) => mutex.clean_up().await,
            Lock::Semaphore(semaphore) => semaphore.clean_up().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_as_go_does() {
        for (prefix, expected) in [
            ("a/b", "a/b/.lock"),
            ("a//b/", "a/b/.lock"),
            ("", ".lock"),
            ("./a", "a/.lock"),
            ("a/../b", "b/.lock"),
            ("../a", "../a/.lock"),
            ("/a", "/a/.lock"),
            ("/../a", "/a/.lock"),
        ] {
            assert_eq!(join(prefix, LOCK_KEY), expected);
        }
    }

    #[test]
    fn patience_ends() {
        let mut endless = Patience::new(None);
        assert_eq!((endless.next(), endless.next()), (Some(WAIT), Some(WAIT)));
        let started = Instant::now().checked_sub(Duration::from_secs(3)).expect("the machine runs for seconds");
        let mut short = Patience { started, limit: Some(Duration::from_secs(2)), attempts: 0 };
        assert_eq!((short.next(), short.next()), (Some(Duration::from_secs(2)), None));
        assert_eq!(wait_parameter(Duration::from_nanos(1)), "1ms");
    }
}
