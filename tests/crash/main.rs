//! The real binary dies under load, by SIGKILL and by SIGTERM, and comes back with everything it acknowledged.
//!
//! `LICTOR_CRASH_ROUNDS` (default 12) and `LICTOR_CRASH_SEED` choose how often and which moments; the seed is printed.
//! A killed process tests the order of writes and the replay, not the disk: the kernel keeps what was written. What a
//! machine does that loses its power is not tested here.

#[path = "../common/mod.rs"]
mod common;
mod counter;
mod fleet;
mod reader;
mod streams;
mod writer;

use common::{Random, Server};
use fleet::{End, Fleet};
use std::time::Duration;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |v| v.parse().unwrap_or_else(|_| panic!("{name}={v}: not a number")))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("runtime")
}

#[test]
fn kill9_under_load_loses_nothing_that_was_acknowledged() {
    let seed = number("LICTOR_CRASH_SEED", 1802);
    let rounds = number("LICTOR_CRASH_ROUNDS", 12);
    eprintln!("LICTOR_CRASH_SEED={seed} LICTOR_CRASH_ROUNDS={rounds}");
    let mut random = Random::new(seed);
    let dir = tempfile::tempdir().expect("directory");
    let mut server = Server::durable(dir.path());
    let mut fleet = Fleet::new(&mut random);
    let runtime = runtime();
    for round in 0..rounds {
        // From the very first writes to enough of them for checkpoints and a purge of the log.
        let scale = 1 << random.below(13);
        let acks = scale + random.below(scale);
        let after = Duration::from_micros(random.below(4000));
        eprintln!("round {round}: kill {after:?} after {acks} answers");
        runtime.block_on(fleet.work(&mut server, acks, End::Kill { after }));
        if random.below(3) == 0 {
            // Killed again while it comes back.
            server.restart_and_kill9(Duration::from_micros(random.below(60_000)));
        }
        server.restart();
        runtime.block_on(fleet.check(&server));
    }
    assert!(rounds == 0 || fleet.raised() > 0, "the counter was never raised");
}

#[test]
fn sigterm_under_load_ends_cleanly_and_keeps_everything() {
    let mut random = Random::new(2);
    let dir = tempfile::tempdir().expect("directory");
    let mut server = Server::durable(dir.path());
    let mut fleet = Fleet::new(&mut random);
    let runtime = runtime();
    for _ in 0..2 {
        let streams = runtime.block_on(streams::Streams::open(&server));
        runtime.block_on(fleet.work(&mut server, 200, End::Term));
        runtime.block_on(streams.ended());
        server.restart();
        runtime.block_on(fleet.check(&server));
    }
}
