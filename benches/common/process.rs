//! What the kernel tells about a process under measurement.
//!
//! Must never fail a run: a number that cannot be read is absent, and the table says so.

use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit};
use std::fs;

/// Lifts the limit of open files to the hard limit: thousands of streams may each have a socket.
pub(crate) fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// CPU time used so far by all threads of a process, in microseconds.
///
/// The threads' run times (nanoseconds) are exact but forget threads that ended; `stat` forgets nothing but counts in
/// ticks of 10 ms. The larger one is nearer to the truth.
pub(crate) fn cpu_us(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    let by_ticks = ticks * 1e6 / rustix::param::clock_ticks_per_second() as f64;
    let mut by_threads = 0.0;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let text = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        by_threads += text.split_whitespace().next().and_then(|v| v.parse::<f64>().ok()).unwrap_or(0.0) / 1e3;
    }
    Some(by_ticks.max(by_threads))
}

/// Resident memory of a process in bytes.
pub(crate) fn rss_bytes(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kib: f64 = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024.0)
}

/// Asks a process to end (SIGTERM).
pub(crate) fn terminate(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}
