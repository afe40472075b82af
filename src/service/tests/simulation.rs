//! A whole single server (service, raft, store) on a simulated disk and a manual clock, driven by a seed: random work,
//! heartbeats, time that passes, power cuts. After every step a plain model must agree.
//!
//! Two kinds of cuts: between operations, where everything that follows is determined by the seed (the same seed twice
//! gives the same trace), and at a random write of the disk, where the operation under way may or may not have happened.

use super::*;
use crate::command::{Delete, Deregister, Target};
use crate::machine::Subject;
use crate::model::SessionId;
use crate::raft::Handle;
use crate::store::fault::{Disk, Fault};
use std::collections::{BTreeMap, BTreeSet};

/// What must be there, because somebody was told so.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    kv: BTreeMap<String, String>,
    /// Instance id to the session it lives with.
    instances: BTreeMap<String, Option<SessionId>>,
    sessions: BTreeSet<SessionId>,
}

impl Model {
    fn of(core: &Core) -> Model {
        let state = core.local().state;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Model {
            kv: state.kv_from(b"").map(|e| (text(&e.key), text(&e.value))).collect(),
            instances: state
                .services("default", "")
                .flat_map(|s| s.instances.iter().map(|i| (i.id.to_string(), i.session)).collect::<Vec<_>>())
                .collect(),
            sessions: state.sessions().map(|s| s.id).collect(),
        }
    }

    fn end_session(&mut self, id: &SessionId) {
        self.sessions.remove(id);
        self.instances.retain(|_, session| session.as_ref() != Some(id));
    }
}

/// A KV watcher as a client has it: the keys it knows, and where it would resume.
#[derive(Default)]
struct Watcher {
    revision: u64,
    kv: BTreeMap<String, String>,
}

struct World {
    disk: Disk,
    clock: Clock,
    dice: Clock,
    core: Core,
    raft: Handle,
    model: Model,
    secrets: BTreeMap<SessionId, Proof>,
    heard_ms: BTreeMap<SessionId, u64>,
    watcher: Watcher,
    acknowledged: u64,
    trace: Vec<String>,
}

impl World {
    async fn new(seed: u64) -> World {
        let disk = Disk::new(seed);
        let clock = Clock::manual(1_000_000, seed);
        let (core, raft) = started(Medium::Simulated(disk.clone()), &clock).await;
        World {
            disk,
            clock,
            dice: Clock::manual(0, seed ^ 0xD1CE),
            core,
            raft,
            model: Model::default(),
            secrets: BTreeMap::new(),
            heard_ms: BTreeMap::new(),
            watcher: Watcher::default(),
            acknowledged: 0,
            trace: Vec::new(),
        }
    }

    fn roll(&self, sides: u64) -> u64 {
        u64::from_be_bytes(self.dice.random()[..8].try_into().expect("eight bytes")) % sides
    }

    /// One random operation. `Err`: the disk died under it.
    async fn step(&mut self) -> Result<(), ()> {
        let (key, value) = (format!("k{}", self.roll(5)), format!("v{}", self.roll(3)));
        let id = format!("i{}", self.roll(4));
        // Of one that nobody was told of nobody knows the secret.
        let known = |s: &&SessionId| self.secrets.contains_key(*s);
        let session = self.model.sessions.iter().filter(known).nth(self.roll(4) as usize).copied();
        let before = self.model.clone();
        let what = self.roll(10);
        let mut after = before.clone();
        let result = match what {
            0..=3 => {
                after.kv.insert(key.clone(), value.clone());
                let put = Put { key: key.clone().into(), value: value.clone().into(), ..Put::default() };
                self.core.put(None, put).await.map(|w| w.revision)
            }
            4 => {
                after.kv.remove(&key);
                let delete = Delete { target: Target::Key(key.clone().into()), expected_revision: None };
                self.core.delete(None, delete).await.map(|w| w.revision)
            }
            5 | 6 => self.register(&id, session, &mut after).await,
            7 => {
                after.instances.remove(&id);
                let keys = vec![instance(&id).key()];
                let deregister = Deregister { keys, ..Deregister::default() };
                self.core.deregister(None, deregister).await.map(|w| w.revision)
            }
            8 if self.model.sessions.len() < 6 => return self.create_session().await,
            _ => return self.pass_time().await,
        };
        match result {
            Ok(revision) => {
                assert!(revision > self.acknowledged, "revisions grow");
                self.acknowledged = revision;
                self.model = after;
                self.trace.push(format!("{what} {key} {value} {id} {session:?} -> {revision}"));
                Ok(())
            }
            Err(Error::Rejected(refused)) => {
                self.trace.push(format!("{what} {id} refused: {refused}"));
                self.acknowledged += 1;
                Ok(())
            }
            Err(_) => {
                // It may have happened: from now on what the disk kept is the truth, if it is one of the two.
                self.recover().await;
                let found = Model::of(&self.core);
                assert!(found == before || found == after, "{found:?} is neither {before:?} nor {after:?}");
                self.model = found;
                Err(())
            }
        }
    }

    async fn register(&self, id: &str, session: Option<SessionId>, after: &mut Model) -> Result<u64, Error> {
        let proof = session.map(|s| self.secrets[&s].clone());
        after.instances.insert(id.to_owned(), session);
        self.core.register(None, proof, vec![instance(id)], false).await.map(|w| w.revision)
    }

    async fn create_session(&mut self) -> Result<(), ()> {
        match self.core.create_session(None, SessionSpec::default()).await {
            Ok(written) => {
                let session = written.value;
                self.acknowledged = written.revision;
                self.model.sessions.insert(session.id);
                self.secrets.insert(session.id, proof_of(&session));
                self.heard_ms.insert(session.id, self.clock.now_ms());
                self.trace.push(format!("session {} -> {}", session.id, written.revision));
                Ok(())
            }
            Err(_) => {
                self.recover().await;
                let found = Model::of(&self.core);
                // Nobody was told of it, so nobody renews it: it must not stay in the way of what is checked.
                self.model.sessions.extend(found.sessions.iter().copied());
                for id in &found.sessions {
                    self.heard_ms.entry(*id).or_insert(self.clock.now_ms());
                }
                Err(())
            }
        }
    }

    /// Some seconds go by; some sessions are heard of; what is due ends, and nothing else.
    async fn pass_time(&mut self) -> Result<(), ()> {
        self.clock.advance(self.roll(6_000));
        let heard = self.model.sessions.iter().filter(|_| self.roll(3) > 0).copied().collect::<Vec<_>>();
        for id in heard {
            if let Some(proof) = self.secrets.get(&id)
                && self.core.keep_alive(proof).await.is_ok()
            {
                self.heard_ms.insert(id, self.clock.now_ms());
            }
        }
        self.core.expire_due(self.raft.leadership().term).await;
        let now_ms = self.clock.now_ms();
        let due = self.model.sessions.iter().filter(|id| self.heard_ms[*id] + 15_000 <= now_ms).copied();
        let due: Vec<SessionId> = due.collect();
        let mut after = self.model.clone();
        due.iter().for_each(|id| after.end_session(id));
        if Model::of(&self.core) == self.model && after != self.model {
            // The disk died before the end was logged; a new leader gives them all their full time.
            self.recover().await;
            let found = Model::of(&self.core);
            assert!(found == self.model || found == after, "an expiry is whole or not at all");
            self.model = found;
            return Err(());
        }
        self.acknowledged = self.acknowledged.max(self.core.local().state.revision());
        self.model = after;
        self.trace.push(format!("time {now_ms} ended {due:?}"));
        Ok(())
    }

    /// The power goes off and on again.
    async fn recover(&mut self) {
        self.disk.plan(0, Fault::Crash);
        // A server without a disk cannot write its last checkpoint; that is the point.
        let _ = self.raft.clone().shutdown().await;
        self.disk.restart();
        (self.core, self.raft) = started(Medium::Simulated(self.disk.clone()), &self.clock).await;
        let state = self.core.local().state;
        assert!(state.revision() >= self.acknowledged, "no acknowledged write is lost");
        self.acknowledged = state.revision();
        self.core.expire_due(self.raft.leadership().term).await;
        let sessions: Vec<Arc<crate::model::Session>> = state.sessions().cloned().collect();
        for session in sessions {
            // A new leader gives every session its full time.
            let left = self.core.keep_alive(&proof_of(&session)).await.expect("the session is there").1;
            assert_eq!(left, 15_000);
            self.heard_ms.insert(session.id, self.clock.now_ms());
        }
        self.trace.push(format!("power cut, back at {}", state.revision()));
    }

    fn check(&mut self, seed: u64) {
        assert_eq!(Model::of(&self.core), self.model, "seed {seed}, after {:?}", self.trace.last());
        let wanted = |e: &crate::machine::Event| e.kv_key().is_some();
        let Ok(events) = self.core.hub().events_since(self.watcher.revision, wanted) else {
            // Announced, so the client takes a snapshot.
            self.watcher.kv = self.model.kv.clone();
            self.watcher.revision = self.core.local().state.revision();
            return;
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        for event in events {
            assert!(event.revision > self.watcher.revision, "seed {seed}: an event comes twice");
            let Subject::Kv { before, after } = event.subject else { continue };
            let key = text(&after.as_ref().or(before.as_ref()).expect("one side").key);
            let known = self.watcher.kv.get(&key).cloned();
            assert_eq!(before.map(|e| text(&e.value)), known, "seed {seed}: an event before this one is missing");
            match after {
                Some(entry) => self.watcher.kv.insert(key, text(&entry.value)),
                None => self.watcher.kv.remove(&key),
            };
        }
        self.watcher.revision = self.core.local().state.revision();
        assert_eq!(self.watcher.kv, self.model.kv, "seed {seed}: the watcher knows everything");
    }
}

/// Cuts between operations only.
async fn run_determined(seed: u64, steps: usize) -> Vec<String> {
    let mut world = World::new(seed).await;
    for _ in 0..steps {
        world.step().await.expect("the disk lives while something is under way");
        if world.roll(25) == 0 {
            world.recover().await;
        }
        world.check(seed);
    }
    world.trace
}

/// Seeds to run: more by `LICTOR_SIM_SEEDS`.
fn seeds(default: u64) -> u64 {
    std::env::var("LICTOR_SIM_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

#[tokio::test]
async fn the_same_seed_gives_the_same_trace() {
    for seed in 0..seeds(6) {
        let (one, two) = (run_determined(seed, 120).await, run_determined(seed, 120).await);
        assert_eq!(one, two, "seed {seed}");
        assert!(one.len() >= 120);
    }
}

#[tokio::test]
async fn power_cuts_at_any_write_lose_nothing_acknowledged() {
    for seed in 100..100 + seeds(25) {
        let mut world = World::new(seed).await;
        let mut cuts = 0;
        for _ in 0..100 {
            if world.roll(15) == 0 {
                world.disk.plan(world.roll(12), Fault::Crash);
            }
            cuts += usize::from(world.step().await.is_err());
            // A cut that hits the checkpoint thread is noticed by the next write.
            if world.core.put(None, Put { key: "probe".into(), ..Put::default() }).await.is_err() {
                world.recover().await;
                cuts += 1;
                world.model = Model { kv: Model::of(&world.core).kv, ..world.model };
            }
            world.model.kv.insert("probe".into(), String::new());
            if world.core.local().state.kv(b"probe").is_none() {
                world.model.kv.remove("probe");
            }
            world.acknowledged = world.acknowledged.max(world.core.local().state.revision());
            world.check(seed);
        }
        assert!(cuts > 0, "seed {seed} cuts nothing");
    }
}
