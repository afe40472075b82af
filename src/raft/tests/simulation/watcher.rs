//! A watcher: it follows all keys, moves from server to server, resumes where it was, and must come to know every change
//! once and in order, or be told that it missed some.

use super::world::{Life, World};
use crate::machine::Subject;
use crate::watch::Topic;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// What a watcher knows: the revision of every key, and up to where that is complete.
#[derive(Default)]
struct Known {
    revision: u64,
    keys: BTreeMap<Vec<u8>, u64>,
}

/// Works until the run ends.
pub(super) async fn run(world: Arc<World>, number: u64) {
    let mut dice = world.dice(200 + number);
    let mut known = Known::default();
    while !world.settled.is_cancelled() {
        let mut lives = world.lives();
        if lives.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        }
        let (at, life) = lives.swap_remove(dice.below(lives.len() as u64) as usize);
        let stay = Duration::from_millis(200 + dice.below(3000));
        let followed = timeout(stay, follow(&world, number, at, &life, &mut known));
        tokio::select! {
            biased;
            () = life.over.cancelled() => {}
            () = world.settled.cancelled() => {}
            _ = followed => {}
        }
    }
    let Some((at, life)) = world.leader() else { return };
    take(&world, number, at, &life, &mut known);
    let state = life.handle.state();
    let all: BTreeMap<Vec<u8>, u64> = state.kv_from(b"").map(|e| (e.key.to_vec(), e.modify_revision)).collect();
    if known.keys != all && world.trace.broken().is_none() {
        world.trace.fail(format_args!("w{number} knows {:?}, there is {all:?}", known.keys));
    }
}

async fn follow(world: &World, number: u64, at: usize, life: &Life, known: &mut Known) {
    // As every reader does: a server that is behind what it answered before waits until it is not.
    life.handle.caught_up().await;
    let mut subscription = life.hub.subscribe(Topic::Prefix("".into()));
    loop {
        take(world, number, at, life, known);
        subscription.changed().await;
    }
}

/// What is new at this server.
fn take(world: &World, number: u64, at: usize, life: &Life, known: &mut Known) {
    let complete = life.hub.complete_to();
    let Ok(events) = life.hub.events_since(known.revision, |event| event.kv_key().is_some()) else {
        // Announced: look at everything.
        let state = life.handle.state();
        if state.revision() >= known.revision {
            world.trace.note(format_args!("w{number} takes a snapshot of s{at} at {}", state.revision()));
            known.keys = state.kv_from(b"").map(|e| (e.key.to_vec(), e.modify_revision)).collect();
            known.revision = state.revision();
        }
        return;
    };
    let mut from = known.revision + 1;
    for event in events {
        let Subject::Kv { before, after } = &event.subject else { continue };
        let Some(key) = event.kv_key() else { continue };
        let (was, had) = (before.as_ref().map_or(0, |e| e.modify_revision), known.keys.get(key).copied().unwrap_or(0));
        if was != had || event.revision < from {
            world.trace.fail(format_args!(
                "w{number} at s{at}: the event {} says that {} was at {was}, the watcher had it at {had}, all to {}",
                event.revision,
                String::from_utf8_lossy(key),
                known.revision,
            ));
        }
        match after {
            Some(_) => known.keys.insert(key.to_vec(), event.revision),
            None => known.keys.remove(key),
        };
        // The end of a session changes several keys at once.
        from = event.revision;
        known.revision = event.revision;
    }
    known.revision = known.revision.max(complete);
}
