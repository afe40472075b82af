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
mod races;
mod restart;
mod write;

use common::{keys, set};
use std::future::Future;

/// Runs a test on two threads.
fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("runtime").block_on(test)
}
