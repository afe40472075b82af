//! The same requests to this server and to a real Consul 1.8.7, and the answers side by side.
//!
//! The requests are random but valid, made from a seed, so that every difference can be replayed. What both servers
//! choose for themselves (ids, indexes) is replaced before the answers are compared (`normal.rs`); where they differ
//! on purpose, `deviations.rs` says why.
//!
//! `LICTOR_TEST_CONSUL` names the program (`.ci/install` unpacks one below `target/tools/bullseye`); without it the
//! tests say so and are skipped. `LICTOR_TEST_SEED=N` replays one seed and prints its requests, `LICTOR_TEST_SEEDS=N`
//! tries so many new ones,
//! `LICTOR_TEST_STEPS=N` sets the length of each. Missing: what takes time to happen (session
//! TTLs, lock delays that end), and everything that needs a second node.

#[path = "../common/mod.rs"]
mod common;
mod consul;
mod deviations;
mod normal;
mod op;
mod pair;
mod plan;

use common::Random;
use pair::Pair;

/// Requests of one seed.
const STEPS: u64 = 150;
/// Differences of one run that are shown.
const SHOWN: usize = 30;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}: not a number: {text}")))
}

/// The seeds of a run: fixed ones, so that a change of ours and not chance fails the gate.
fn seeds() -> Vec<u64> {
    if let Some(seed) = number("LICTOR_TEST_SEED") {
        return vec![seed];
    }
    match number("LICTOR_TEST_SEEDS") {
        None => (1..=40).collect(),
        Some(count) => {
            let first = u64::from(std::process::id()) << 20;
            (first..first + count).collect()
        }
    }
}

/// Runs a plan for every seed and fails with what differs.
fn compare(name: &str, plan: fn(&mut Random) -> plan::Plan) {
    let Some(program) = consul::program() else { return };
    let mut found = Vec::new();
    let mut requests = 0;
    let mut pair = Pair::start(&program);
    for seed in seeds() {
        let mut random = Random::new(seed);
        let mut plan = plan(&mut random);
        pair.begin(seed);
        for step in 0..number("LICTOR_TEST_STEPS").unwrap_or(STEPS) {
            let op = plan.next(&mut random);
            requests += 1;
            if number("LICTOR_TEST_SEED").is_some() {
                println!("{step}: {op}");
            }
            if let Some(difference) = pair.run(&op) {
                found.push(format!("{name}, seed {seed}, step {step}: {difference}"));
                // What follows may follow from it.
                break;
            }
        }
    }
    let (first, last) = (seeds().first().copied(), seeds().last().copied());
    println!("{name}: {requests} requests, {} difference(s), seeds {first:?} to {last:?}", found.len());
    let total = found.len();
    found.truncate(SHOWN);
    assert!(total == 0, "{total} difference(s):\n{}", found.join("\n"));
}

#[test]
fn catalog_and_health() {
    compare("catalog", plan::catalog);
}

#[test]
fn keys_and_sessions() {
    compare("keys", plan::keys);
}

#[test]
fn transactions() {
    compare("transactions", plan::transactions);
}

#[test]
fn agent() {
    compare("agent", plan::agent);
}

#[test]
fn prepared_queries() {
    compare("queries", plan::queries);
}
