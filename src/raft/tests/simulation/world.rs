//! The servers of a run: their lives and deaths, and what is looked at all the time.

use super::check::Check;
use super::network::{Network, Port};
use super::trace::{Trace, dice};
use crate::clock::{Clock, Generator};
use crate::raft::bootstrap::start_on;
use crate::raft::{Handle, Node, Options};
use crate::store::Medium;
use crate::store::fault::{Disk, Fault};
use crate::watch::Hub;
use futures::future::BoxFuture;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const CLUSTER: Uuid = Uuid::from_u128(77);
/// How often the servers are looked at, in milliseconds.
const LOOK_MS: u64 = 20;
/// How long a server may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// How a server's process ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum End {
    /// The power goes: what was not synced may be lost.
    PowerCut,
    /// The process dies, the machine goes on.
    Kill,
    /// It is stopped in good order.
    Stop,
    /// The process dies, and the machine comes back with an empty disk.
    Wipe,
}

/// A server in one of its lives.
#[derive(Clone)]
pub(super) struct Life {
    pub(super) handle: Handle,
    pub(super) hub: Arc<Hub>,
    /// Cancelled when this life ends.
    pub(super) over: CancellationToken,
    pub(super) number: u64,
}

/// A server through all its lives.
pub(super) struct Slot {
    pub(super) node: Node,
    pub(super) disk: Disk,
    pub(super) clock: Clock,
    pub(super) life: Option<Life>,
    lives: u64,
    /// Its disk was told to fail, so that it may.
    pub(super) may_fail: bool,
    /// It is to be a member; after its removal it stays down.
    pub(super) wanted: bool,
    /// It was told to join a cluster that exists.
    pub(super) joins: bool,
    /// Revision and time of its state when they were looked at last, in this life.
    seen: (u64, u64),
    /// Revision at which it ended its last life.
    before: u64,
    /// Revision up to which its events were looked at.
    told: u64,
}

pub(super) struct World {
    seed: u64,
    pub(super) trace: Arc<Trace>,
    pub(super) network: Network,
    pub(super) check: Arc<Check>,
    slots: Mutex<Vec<Slot>>,
    /// Clients stop.
    pub(super) closing: CancellationToken,
    /// Watchers look a last time.
    pub(super) settled: CancellationToken,
}

impl World {
    pub(super) fn new(seed: u64) -> Arc<World> {
        let trace = Arc::new(Trace::new());
        Arc::new(World {
            seed,
            network: Network::new(seed, trace.clone()),
            check: Arc::new(Check::new(trace.clone())),
            trace,
            slots: Mutex::default(),
            closing: CancellationToken::new(),
            settled: CancellationToken::new(),
        })
    }

    pub(super) fn slots(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.slots.lock().expect("nobody panicked")
    }

    /// A source of choices for one part of the run.
    pub(super) fn dice(&self, what: u64) -> Generator {
        dice(self.seed, what)
    }

    /// A new machine. Returns its number.
    pub(super) fn machine(&self, joins: bool) -> usize {
        let mut slots = self.slots();
        let at = slots.len();
        let seed = self.seed.wrapping_mul(1000).wrapping_add(at as u64);
        let name = format!("s{at}");
        let id = Uuid::from_u128(at as u128 + 1);
        slots.push(Slot {
            node: Node { name: name.clone(), address: name, id, ..Node::default() },
            disk: Disk::in_tasks(seed),
            clock: Clock::manual(1_000_000_000 + seed % 7000, seed),
            life: None,
            lives: 0,
            may_fail: false,
            wanted: true,
            joins,
            seen: (0, 0),
            before: 0,
            told: 0,
        });
        at
    }

    /// Starts `count` servers that found a cluster together.
    pub(super) async fn found(self: &Arc<World>, count: usize) {
        for _ in 0..count {
            let at = self.machine(false);
            self.start(at).await;
        }
        let lives: Vec<(Life, Node)> =
            self.slots().iter().filter_map(|slot| Some((slot.life.clone()?, slot.node.clone()))).collect();
        for (life, _) in &lives {
            life.handle.adopt(CLUSTER, &[]).await.expect("has no other");
        }
        let members = lives.iter().map(|(life, node)| (life.handle.status().id, node.clone())).collect();
        lives[0].0.handle.found(members).await.expect("is new");
    }

    /// Starts a server, if it is wanted and down.
    pub(super) fn start(self: &Arc<World>, at: usize) -> BoxFuture<'static, ()> {
        Box::pin(self.clone().begin_life(at))
    }

    async fn begin_life(self: Arc<World>, at: usize) {
        let (options, medium, number, joins) = {
            let mut slots = self.slots();
            let slot = &mut slots[at];
            if !slot.wanted || slot.life.is_some() {
                return;
            }
            slot.lives += 1;
            (slot.seen, slot.told) = ((0, 0), 0);
            let port = Port { network: self.network.clone(), own: slot.node.address.clone(), life: slot.lives };
            let options = Options {
                data_dir: None,
                node: slot.node.clone(),
                alone: false,
                expect: 3,
                slowness: 1,
                peers: Arc::new(port),
                clock: slot.clock.clone(),
            };
            (options, Medium::Simulated(slot.disk.clone()), slot.lives, slot.joins)
        };
        let (hub, address) = (Arc::new(Hub::default()), options.node.address.clone());
        let handle = match start_on(medium, options, hub.clone()).await {
            Ok(handle) => handle,
            Err(error) => return self.did_not_start(at, &error.to_string()),
        };
        let life = Life { handle, hub, over: CancellationToken::new(), number };
        self.trace.note(format_args!("{address} starts life {number} as {}", life.handle.status().id));
        self.network.attach(&address, number, life.handle.clone());
        self.slots()[at].life = Some(life.clone());
        tokio::spawn(self.clone().tend(at, life.clone()));
        tokio::spawn(self.clone().see_caught_up(at, life.clone()));
        if joins {
            tokio::spawn(self.clone().join(at, life));
        }
    }

    fn did_not_start(self: &Arc<World>, at: usize, error: &str) {
        let mut slots = self.slots();
        let slot = &mut slots[at];
        self.trace.note(format_args!("{} does not start: {error}", slot.node.name));
        if !slot.may_fail {
            self.trace.fail(format_args!("{} does not start from a healthy disk: {error}", slot.node.name));
        }
        slot.may_fail = false;
        let disk = slot.disk.clone();
        drop(slots);
        disk.cut_power();
        let world = self.clone();
        tokio::spawn(async move {
            // What it had begun to start ends by itself, without a disk.
            sleep(Duration::from_secs(1)).await;
            disk.restart();
            world.start(at).await;
        });
    }

    /// Ends a life. It is followed by another one after a while, if the machine is still wanted.
    pub(super) fn end(self: &Arc<World>, at: usize, how: End, down_ms: u64) {
        let mut slots = self.slots();
        let slot = &mut slots[at];
        let Some(life) = slot.life.take() else { return };
        self.trace.note(format_args!("{}: {how:?} for {down_ms} ms", slot.node.name));
        slot.before = life.handle.state().revision();
        if how == End::Wipe {
            slot.joins = true;
            slot.before = 0;
        }
        let (disk, address) = (slot.disk.clone(), slot.node.address.clone());
        drop(slots);
        if how != End::Stop {
            disk.cut_power();
            self.network.detach(&address, how == End::PowerCut);
        }
        life.over.cancel();
        let world = self.clone();
        tokio::spawn(async move {
            match timeout(STOP_LIMIT, life.handle.shutdown()).await {
                Err(_) => world.trace.fail(format_args!("{address} does not stop")),
                Ok(Err(error)) if how == End::Stop && !world.slots()[at].may_fail => {
                    world.trace.fail(format_args!("{address} does not stop in good order: {error}"));
                }
                Ok(_) => {}
            }
            world.network.detach(&address, how == End::PowerCut);
            world.restore_disk(at, how);
            sleep(Duration::from_millis(down_ms)).await;
            world.start(at).await;
        });
    }

    fn restore_disk(&self, at: usize, how: End) {
        let mut slots = self.slots();
        let slot = &mut slots[at];
        slot.may_fail = false;
        match how {
            End::PowerCut => slot.disk.restart(),
            End::Kill | End::Stop => slot.disk.reopen(),
            End::Wipe => slot.disk = Disk::in_tasks(self.seed ^ (slot.lives << 32)),
        }
    }

    /// Until this life ends: a server that says it must stop is stopped.
    async fn tend(self: Arc<World>, at: usize, life: Life) {
        let message = tokio::select! {
            biased;
            () = life.over.cancelled() => return,
            message = life.handle.fatal() => message,
        };
        let (name, may_fail) = {
            let slots = self.slots();
            (slots[at].node.name.clone(), slots[at].may_fail)
        };
        self.trace.note(format_args!("{name} must stop: {message}"));
        if !may_fail {
            self.trace.fail(format_args!("{name} stops without a cause: {message}"));
        }
        self.end(at, End::PowerCut, 500);
    }

    /// A server that has caught up is not behind where it was.
    async fn see_caught_up(self: Arc<World>, at: usize, life: Life) {
        tokio::select! {
            biased;
            () = life.over.cancelled() => return,
            () = life.handle.caught_up() => {}
        }
        let (now, before) = (life.handle.state().revision(), self.slots()[at].before);
        self.trace.note(format_args!("s{at} has caught up at {now}, was at {before}"));
        if now < before {
            self.trace.fail(format_args!("s{at} was at {before}, and says at {now} that it has caught up"));
        }
    }

    /// A server without data joins.
    async fn join(self: Arc<World>, at: usize, life: Life) {
        let mut dice = self.dice(1000 + at as u64 * 100 + life.number);
        let joining = async {
            let adopted = life.handle.adopt(CLUSTER, &[]).await;
            if let Err(error) = adopted {
                self.trace.note(format_args!("s{at} cannot adopt: {error}"));
                return;
            }
            loop {
                let status = life.handle.status();
                if status.members.iter().any(|member| member.id == status.id) {
                    self.trace.note(format_args!("s{at} is a member as {}", status.id));
                    self.slots()[at].joins = false;
                    return;
                }
                let other = dice.below(self.slots().len() as u64) as usize;
                if other != at {
                    let address = self.slots()[other].node.address.clone();
                    let done = life.handle.enrol_at(&address).await;
                    self.trace.note(format_args!("s{at} asks {address} to join: {done:?}"));
                }
                sleep(Duration::from_millis(300)).await;
            }
        };
        tokio::select! {
            biased;
            () = life.over.cancelled() => {}
            () = joining => {}
        }
    }

    /// The lives there are now, with the numbers of their servers.
    pub(super) fn lives(&self) -> Vec<(usize, Life)> {
        self.slots().iter().enumerate().filter_map(|(at, slot)| Some((at, slot.life.clone()?))).collect()
    }

    /// Who leads, as far as anybody knows.
    pub(super) fn leader(&self) -> Option<(usize, Life)> {
        let leading = self.lives().into_iter().filter(|(_, life)| life.handle.leadership().leads);
        leading.max_by_key(|(_, life)| life.handle.leadership().term)
    }

    /// Time passes, and everything is looked at.
    pub(super) async fn watch_over(self: Arc<World>) {
        loop {
            sleep(Duration::from_millis(LOOK_MS)).await;
            self.look();
        }
    }

    pub(super) fn look(&self) {
        for slot in self.slots().iter_mut() {
            slot.clock.advance(LOOK_MS);
            let Some(life) = &slot.life else { continue };
            let name = &slot.node.name;
            let leadership = life.handle.leadership();
            if leadership.leads {
                self.check.leads(leadership.term, life.handle.status().id);
            }
            let state = life.handle.state();
            let now = (state.revision(), state.time_ms());
            if now.0 < slot.seen.0 || now.1 < slot.seen.1 {
                self.trace.fail(format_args!("{name} goes from {:?} back to {now:?}", slot.seen));
            }
            if now.0 != slot.seen.0 {
                self.check.state(name, &state);
            }
            slot.seen = now;
            let complete = life.hub.complete_to();
            if complete != slot.told {
                // Without all of them it starts again from here.
                for event in life.hub.events_since(slot.told, |_| true).unwrap_or_default() {
                    self.check.event(name, &event);
                }
                slot.told = complete;
            }
        }
    }

    /// Lets go of the servers, which hold the network, which holds them.
    pub(super) fn forget(&self) {
        self.network.forget();
        self.slots().clear();
    }

    /// Everything works again, and what is down comes back.
    pub(super) fn heal(&self) {
        self.network.mend();
        self.network.set_weather(super::network::FAIR);
        for slot in self.slots().iter_mut() {
            self.network.pause(&slot.node.address, false);
            slot.disk.slow_down(0);
            slot.disk.plan(1 << 40, Fault::Crash);
        }
    }
}
