//! Watch of the real binary against the classes of bugs that watches are known for: etcd's list of what its robustness
//! tests and its users found, and what follows from our own promises.
//!
//! Every stream is read through a [`keys::KeyReader`] or a [`set::SetReader`], which check each message against all
//! that came before it: order, no gap, no duplicate, no revision in two pieces, no progress ahead of a change, tokens
//! where they may be. A test says in its comment what went wrong elsewhere, and what the rule is here.

#[path = "../common/mod.rs"]
mod common;
mod discovery;
mod key_compaction;
mod key_order;
mod key_resume;
mod keys;
mod races;
mod restart;
mod set;
mod write;

use std::future::Future;
use std::time::Duration;

/// What is waited for must come within this. It decides nothing but how soon a failure shows.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a test on two threads.
fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("runtime").block_on(test)
}

/// What comes, or a failure that says what did not.
async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, event).await.unwrap_or_else(|_| panic!("{what}: nothing came within {PATIENCE:?}"))
}
