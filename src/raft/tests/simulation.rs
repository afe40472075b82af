//! Whole clusters in one process, in virtual time, driven by a seed: raft and store as they are, on simulated disks and a
//! simulated network, with clients that remember what they were told, and a nemesis.
//!
//! Everything that is random comes from the seed, and each run has one thread, so the same seed gives the same run. A
//! failing seed says how to run it alone; with `LICTOR_SIM_TRACE=1` it prints all of its trace instead of the end, and a
//! passing one does, too.
//!
//! - `LICTOR_SIM_SEEDS=from..to`: other seeds than the usual ones.
//! - `LICTOR_SIM_STEPS=n`: so many bad things in each run.
//! - `LICTOR_SIM_LOCKS=0`: no clients of sessions and locks, as it was before there were any.
//!
//! Missing: gRPC below [`crate::raft::Peers`], the service layer (leases and secrets of sessions) above raft, clocks of
//! unequal speed, a pause that stops a server's own timers.

use super::{applied, runtime};
use std::num::NonZero;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{sleep, timeout};
use world::World;

mod caller;
mod check;
mod client;
mod held;
mod locks;
mod log;
mod nemesis;
mod network;
mod rules;
mod settle;
mod steward;
mod trace;
mod watcher;
mod world;

/// Bad things in a run.
const STEPS: u64 = 14;
/// The longest that a client may take for its last operation.
const LAST_ANSWER: Duration = Duration::from_secs(120);

/// What a run is made of, besides its seed.
#[derive(Clone, Copy)]
struct Script {
    /// Bad things.
    steps: u64,
    /// There are clients of sessions and locks.
    locks: bool,
}

impl Script {
    fn asked() -> Script {
        let number = |name| std::env::var(name).ok().and_then(|n| n.parse().ok());
        Script { steps: number("LICTOR_SIM_STEPS").unwrap_or(STEPS), locks: number("LICTOR_SIM_LOCKS") != Some(0) }
    }
}

/// One run. `Err`: what went wrong, after the end of its trace.
fn run(seed: u64, script: Script) -> Result<Vec<String>, String> {
    runtime::seed(seed);
    trace::note_panics();
    let tokio = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    tokio.expect("starts").block_on(simulate(seed, script))
}

async fn simulate(seed: u64, script: Script) -> Result<Vec<String>, String> {
    let world = World::new(seed);
    let check = world.check.clone();
    applied::listen(Some(Rc::new(move |id, done| {
        let done = done.map(|(proposal, reply)| (proposal.clone(), reply.clone()));
        check.applied(id.index, log::Entry { term: id.leader_id.term, done });
    })));
    let mut dice = world.dice(3);
    world.found(if dice.below(4) == 0 { 5 } else { 3 }).await;
    tokio::spawn(world.clone().watch_over());
    tokio::spawn(steward::run(world.clone()));
    let mut clients: Vec<_> = (0..3 + dice.below(3)).map(|n| tokio::spawn(client::run(world.clone(), n))).collect();
    let lockers = if script.locks { 2 + dice.below(2) } else { 0 };
    clients.extend((0..lockers).map(|n| tokio::spawn(locks::run(world.clone(), n))));
    let watchers: Vec<_> = (0..2).map(|n| tokio::spawn(watcher::run(world.clone(), n))).collect();
    nemesis::run(&world, script.steps).await;
    world.trace.note("NEMESIS rests");
    world.heal();
    sleep(Duration::from_secs(1)).await;
    world.closing.cancel();
    for client in clients {
        match timeout(LAST_ANSWER, client).await {
            Err(_) => world.trace.fail("a client never gets an answer"),
            Ok(Err(error)) => world.trace.fail(format_args!("a client: {error}")),
            Ok(Ok(())) => {}
        }
    }
    if world.trace.broken().is_none() {
        settle::run(&world).await;
    }
    world.settled.cancel();
    for watcher in watchers {
        if let Err(error) = watcher.await {
            world.trace.fail(format_args!("a watcher: {error}"));
        }
    }
    if world.trace.broken().is_none() {
        world.check.settle();
    }
    applied::listen(None);
    world.forget();
    world.trace.finish()
}

fn seeds(usual: Range<u64>) -> Range<u64> {
    let Ok(text) = std::env::var("LICTOR_SIM_SEEDS") else { return usual };
    let range = text.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    range.or_else(|| Some(0..text.parse().ok()?)).unwrap_or(usual)
}

/// Whether a seed passes. Of one that does not it is said how to run it alone.
fn passes(seed: u64, script: Script) -> bool {
    match run(seed, script) {
        Ok(trace) => {
            if std::env::var_os("LICTOR_SIM_TRACE").is_some() {
                eprintln!("{}", trace.join("\n"));
            }
            true
        }
        Err(story) => {
            eprintln!(
                "{story}\nseed {seed} failed; alone it runs with\n  LICTOR_SIM_SEEDS={seed}..{} LICTOR_SIM_STEPS={} \
                LICTOR_SIM_LOCKS={} cargo test --lib raft::tests::simulation::nothing_is_lost",
                seed + 1,
                script.steps,
                u8::from(script.locks)
            );
            false
        }
    }
}

/// Runs the seeds, one on each core at a time.
fn check_seeds(seeds: &[u64], script: Script) {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if !passes(*seed, script) {
                        failed.lock().expect("nobody panicked").push(*seed);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("nobody panicked");
    assert!(failed.is_empty(), "seeds {failed:?}");
}

#[test]
fn nothing_is_lost() {
    check_seeds(&seeds(0..200).collect::<Vec<_>>(), Script::asked());
}

/// Seeds that found defects: a leader that led on after a restart although it had lost entries that others had from it
/// (1, 17), a follower that said it had caught up without the end of its log (25), two leaders in one term (2004, 3060), a
/// nemesis that took a change for done before it was agreed on (40788), changes of the members whose leader did not live to
/// end them (53642, 54085, 54548). There were no clients of locks then, and with
/// them these seeds would give other runs.
#[test]
fn what_once_failed_passes() {
    check_seeds(&[1, 17, 25, 2004, 3060, 40788, 53642, 54085, 54548], Script { steps: STEPS, locks: false });
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let script = Script { steps: 8, locks: true };
    for seed in 1_000..1_002 {
        let (one, two) = (run(seed, script).expect("passes"), run(seed, script).expect("passes"));
        if let Some(at) = one.iter().zip(&two).position(|(one, two)| one != two) {
            let from = at.saturating_sub(20);
            panic!("seed {seed}, line {at}:\n{}\n- {}\n+ {}", one[from..at].join("\n"), one[at], two[at]);
        }
        assert_eq!(one.len(), two.len(), "seed {seed}");
        assert!(one.len() > 500, "seed {seed} does next to nothing");
    }
}
