//! Too much at once: what a client is told that asks for more than its share, and that a crowd of watchers and lists
//! holds up neither writes nor heartbeats and is served in the end by following the hints it is given.

#[path = "../common/mod.rs"]
mod common;
mod herd;
mod limits;

use common::Server;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tonic::Status;
use tonic_types::StatusExt;

/// What is waited for must come within this. It decides nothing but how soon a failure shows.
const PATIENCE: Duration = Duration::from_secs(180);

/// Writes the configuration file.
fn write(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("config.hcl");
    std::fs::write(&path, text).expect("a config file");
    path
}

/// The flag for a configuration file with these limits.
fn limits(dir: &Path, text: &str) -> String {
    format!("-config-file={}", write(dir, &format!("limits {{ {text} }}")).display())
}

fn start(dir: &Path, text: &str) -> Server {
    Server::dev_with(&[&limits(dir, text)])
}

/// How long a status says to wait before the next attempt.
fn hint(status: &Status) -> Option<Duration> {
    status.get_details_retry_info().and_then(|info| info.retry_delay)
}
