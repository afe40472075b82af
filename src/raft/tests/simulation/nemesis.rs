//! What goes wrong, and when.

use super::network::{FAIR, Weather};
use super::world::{End, Life, World};
use crate::clock::Generator;
use crate::store::fault::Fault;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Machines that a run makes at most.
const MACHINES: usize = 6;
/// Clocks jump by less than this, in milliseconds: all jumps of a run together stay below the time for which the
/// results of requests are kept.
const JUMP_MS: u64 = 20_000;

struct Nemesis {
    world: Arc<World>,
    dice: Generator,
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Does `steps` bad things, one after the other.
pub(super) async fn run(world: &Arc<World>, steps: u64) {
    let mut nemesis = Nemesis { world: world.clone(), dice: world.dice(2) };
    for _ in 0..steps {
        let pause_ms = 100 + nemesis.dice.below(1200);
        sleep(ms(pause_ms)).await;
        if world.trace.broken().is_some() {
            return;
        }
        nemesis.step().await;
    }
}

impl Nemesis {
    fn note(&self, what: impl std::fmt::Display) {
        self.world.trace.note(format_args!("NEMESIS {what}"));
    }

    fn any(&mut self) -> Option<(usize, Life)> {
        // Rather the leader: that is where it hurts.
        if self.dice.below(3) == 0
            && let Some(leader) = self.world.leader()
        {
            return Some(leader);
        }
        let mut lives = self.world.lives();
        match lives.len() as u64 {
            0 => None,
            n => Some(lives.swap_remove(self.dice.below(n) as usize)),
        }
    }

    async fn step(&mut self) {
        let Some((at, life)) = self.any() else { return };
        let down_ms = 100 + self.dice.below(4000);
        match self.dice.below(30) {
            0..=2 => self.world.end(at, End::PowerCut, down_ms),
            3..=5 => self.world.end(at, End::Kill, down_ms),
            6 => self.world.end(at, End::Stop, down_ms),
            7 => {
                for (at, _) in self.world.lives() {
                    let how = if self.dice.below(2) == 0 { End::PowerCut } else { End::Kill };
                    let down_ms = 100 + self.dice.below(1000);
                    self.world.end(at, how, down_ms);
                }
            }
            8..=10 => self.pause(at),
            11..=13 => self.partition(),
            14..=16 => self.cut_one_way(at),
            17 | 18 => self.weather(),
            19 => self.slow_link(at),
            20 => self.jump(at),
            21 => self.slow_disk(at),
            22 | 23 => self.break_disk(at),
            24 | 25 => self.transfer(life),
            _ => self.change_members(at).await,
        }
    }

    fn pause(&mut self, at: usize) {
        let address = self.world.slots()[at].node.address.clone();
        let pause_ms = 100 + self.dice.below(4000);
        self.note(format_args!("pauses {address} for {pause_ms} ms"));
        self.world.network.pause(&address, true);
        let world = self.world.clone();
        tokio::spawn(async move {
            sleep(ms(pause_ms)).await;
            world.network.pause(&address, false);
        });
    }

    fn mend_later(&mut self) {
        let (world, cut_ms) = (self.world.clone(), 200 + self.dice.below(5000));
        tokio::spawn(async move {
            sleep(ms(cut_ms)).await;
            world.trace.note("NEMESIS mends the network");
            world.network.mend();
        });
    }

    fn partition(&mut self) {
        let addresses: Vec<String> = self.world.slots().iter().map(|slot| slot.node.address.clone()).collect();
        let (mut here, mut there) = (Vec::new(), Vec::new());
        for address in addresses {
            if self.dice.below(2) == 0 { here.push(address) } else { there.push(address) }
        }
        self.note(format_args!("divides {here:?} from {there:?}"));
        for a in &here {
            for b in &there {
                self.world.network.cut(a, b);
                self.world.network.cut(b, a);
            }
        }
        self.mend_later();
    }

    fn cut_one_way(&mut self, at: usize) {
        let addresses: Vec<String> = self.world.slots().iter().map(|slot| slot.node.address.clone()).collect();
        let (own, kind) = (&addresses[at], self.dice.below(3));
        self.note(format_args!("cuts {own} off, {}", ["from it", "to it", "one link"][kind as usize]));
        let one = self.dice.below(addresses.len() as u64) as usize;
        for (n, other) in addresses.iter().enumerate().filter(|(n, _)| *n != at) {
            match kind {
                0 => self.world.network.cut(own, other),
                1 => self.world.network.cut(other, own),
                _ if n == one => self.world.network.cut(own, other),
                _ => {}
            }
        }
        self.mend_later();
    }

    fn weather(&mut self) {
        let (loss, repeats, delay_ms) = (self.dice.below(300), self.dice.below(200), 1 + self.dice.below(150));
        let weather = Weather { loss, repeats, delay_ms };
        self.note(format_args!("{weather:?}"));
        self.world.network.set_weather(weather);
        let (world, bad_ms) = (self.world.clone(), 500 + self.dice.below(4000));
        tokio::spawn(async move {
            sleep(ms(bad_ms)).await;
            world.network.set_weather(FAIR);
        });
    }

    fn slow_link(&mut self, at: usize) {
        let other = self.dice.below(self.world.slots().len() as u64) as usize;
        let slow_ms = 50 + self.dice.below(1000);
        let name = |at: usize| self.world.slots()[at].node.address.clone();
        let (from, to) = (name(at), name(other));
        self.note(format_args!("slows {from} to {to} by {slow_ms} ms"));
        self.world.network.slow_down(&from, &to, slow_ms);
        self.mend_later();
    }

    fn jump(&mut self, at: usize) {
        let (jump_ms, back) = (self.dice.below(JUMP_MS), self.dice.below(2) == 0);
        self.note(format_args!("sets the clock of s{at} {} by {jump_ms} ms", if back { "back" } else { "forward" }));
        let slots = self.world.slots();
        // The clock counts modulo 2^64, so that an advance by the complement goes back.
        slots[at].clock.advance(if back { jump_ms.wrapping_neg() } else { jump_ms });
    }

    fn slow_disk(&mut self, at: usize) {
        let slow_ms = 5 + self.dice.below(300);
        self.note(format_args!("slows the disk of s{at} by {slow_ms} ms"));
        let disk = self.world.slots()[at].disk.clone();
        disk.slow_down(slow_ms);
        let until_ms = 500 + self.dice.below(5000);
        tokio::spawn(async move {
            sleep(ms(until_ms)).await;
            disk.slow_down(0);
        });
    }

    fn break_disk(&mut self, at: usize) {
        let fault = [Fault::NoSpace, Fault::SyncFails, Fault::Crash][self.dice.below(3) as usize];
        let operations = self.dice.below(40);
        self.note(format_args!("{fault:?} on s{at} in {operations} operations"));
        let mut slots = self.world.slots();
        slots[at].may_fail = true;
        slots[at].disk.plan(operations, fault);
    }

    fn transfer(&mut self, life: Life) {
        let Some((at, leader)) = self.world.leader() else { return };
        let to = if self.dice.below(2) == 0 { None } else { Some(life.handle.status().id) };
        self.note(format_args!("has s{at} hand over to {to:?}"));
        let world = self.world.clone();
        tokio::spawn(async move {
            let done = leader.handle.hand_over(to).await.is_ok();
            world.trace.note(format_args!("s{at} has handed over: {done}"));
        });
    }

    /// One change at a time, and none while a server that has lost its data is not replaced: an operator who removes
    /// more than a majority can spare has lost the cluster by the rules.
    async fn change_members(&mut self, at: usize) {
        if !self.world.settled() {
            return;
        }
        let wanted = self.world.slots().iter().filter(|slot| slot.wanted).count();
        let machines = self.world.slots().len();
        match self.dice.below(3) {
            0 if machines < MACHINES => {
                self.note(format_args!("adds s{machines}"));
                let at = self.world.machine(true);
                self.world.start(at).await;
            }
            1 if wanted > 3 => {
                let life = self.world.slots()[at].life.clone();
                let (Some((by, leader)), Some(life)) = (self.world.leader(), life) else { return };
                let id = life.handle.status().id;
                self.note(format_args!("has s{by} remove s{at} ({id})"));
                let world = self.world.clone();
                tokio::spawn(async move {
                    let done = tokio::time::timeout(Duration::from_secs(10), leader.handle.remove(id)).await;
                    world.trace.note(format_args!("s{at} is removed: {done:?}"));
                    if matches!(done, Ok(Ok(()))) {
                        world.slots()[at].wanted = false;
                        world.end(at, End::Stop, 0);
                    }
                });
            }
            _ => {
                let down_ms = 100 + self.dice.below(3000);
                self.world.end(at, End::Wipe, down_ms);
            }
        }
    }
}
