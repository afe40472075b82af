//! Gates: who runs, who waits, who is sent away, and when they come back.

use super::*;
use futures::FutureExt;
use proptest::prelude::*;
use std::collections::VecDeque;

fn gate(permits: u32, waiting: u32) -> (Gate, Clock) {
    let clock = Clock::manual(0, 1);
    (Gate::new("tests", permits, waiting, Duration::from_secs(5), clock.clone()), clock)
}

#[tokio::test(start_paused = true)]
async fn some_run_some_wait_and_the_rest_is_sent_away_with_a_time() {
    let (gate, _clock) = gate(2, 1);
    let running = (gate.enter(1).await.expect("runs"), gate.enter(1).await.expect("runs"));
    let mut waiting = Box::pin(gate.enter(1));
    assert!(waiting.as_mut().now_or_never().is_none());
    let busy = gate.enter(1).await.expect_err("no room to wait");
    assert_eq!((busy.limit, busy.fault), ("tests", Fault::Everyone));
    assert_eq!(busy.to_string(), "this server is busy with tests: too many wait already");
    assert!((RETRY_MIN..=RETRY_MAX).contains(&busy.retry_after));
    drop(running.0);
    let turn = waiting.now_or_never().expect("at once").expect("its turn");
    let mut late = Box::pin(gate.enter(1));
    assert!(late.as_mut().now_or_never().is_none());
    // The clock of the runtime goes on by itself while nobody has anything to do.
    let busy = late.await.expect_err("nobody lets go");
    assert_eq!(busy.to_string(), "this server is busy with tests: the turn did not come in time");
    drop((turn, running.1));
    gate.enter(1).await.expect("room");
}

#[tokio::test]
async fn what_is_large_counts_for_many_and_never_for_more_than_all() {
    let (gate, _clock) = gate(4, 4);
    let all = gate.enter(100).await.expect("as many as there are");
    assert!(gate.enter(1).now_or_never().is_none());
    drop(all);
    let _three = gate.enter(3).await.expect("three");
    assert!(gate.enter(2).now_or_never().is_none());
    gate.enter(1).await.expect("one more");
    gate.set_waiting(0);
    let busy = gate.enter(2).await.expect_err("nobody may wait any longer");
    assert_eq!(busy.limit, "tests");
}

#[tokio::test]
async fn who_gives_up_leaves_the_queue() {
    let (gate, _clock) = gate(1, 1);
    let turn = gate.enter(1).await.expect("runs");
    for _ in 0..10 {
        assert!(gate.enter(1).now_or_never().is_none(), "there is room to wait each time");
    }
    drop(turn);
    gate.enter(1).now_or_never().expect("nobody is before it").expect("its turn");
}

#[tokio::test]
async fn a_herd_is_told_to_come_back_one_after_the_other() {
    let (gate, clock) = gate(1, 0);
    // A turn takes 10 ms, so says experience.
    for _ in 0..100 {
        let turn = gate.enter(1).await.expect("runs");
        clock.advance(10);
        drop(turn);
    }
    let _turn = gate.enter(1).await.expect("runs");
    let mut times = Vec::new();
    for _ in 0..5_000 {
        times.push(gate.enter(1).await.expect_err("full").retry_after);
    }
    assert!(times.iter().all(|t| (RETRY_MIN..=RETRY_MAX).contains(t)));
    times.sort_unstable();
    // As many as can be served in 30 s come within 30 s; no second sees many more than it can serve.
    let mut seconds = [0; 31];
    times.iter().for_each(|t| seconds[t.as_secs() as usize] += 1);
    assert!(seconds.iter().take(20).all(|n| *n <= 200), "{seconds:?}");
    assert!(times.windows(50).all(|w| w[49] > w[0]), "nobody is told the same time as many others");
}

#[test]
fn commands_wait_in_the_lane_of_their_kind() {
    use crate::command::{CloseSession, CreateSession, Expire, Put};
    let id = uuid::Uuid::nil();
    let expire = Expire { term: 1, sessions: vec![], keys: vec![], overrides: vec![] };
    assert_eq!(Lane::of(&Command::Expire(expire)), Lane::Own);
    assert_eq!(Lane::of(&Command::CreateSession(CreateSession::default())), Lane::Leases);
    assert_eq!(Lane::of(&Command::CloseSession(CloseSession { id })), Lane::Leases);
    assert_eq!(Lane::of(&Command::Put(Put::default())), Lane::Writes);
}

#[tokio::test]
async fn no_class_waits_for_one_below_it() {
    use crate::command::{CreateSession, Put};
    let admission = Admission::new(&Clock::manual(0, 1), 2, Bounds { writes: 0, watch_starts: 0, lists: 0 });
    let large = Command::Put(Put { value: vec![0; WRITES_BYTES].into(), ..Put::default() });
    let (small, create) = (Command::Put(Put::default()), Command::CreateSession(CreateSession::default()));
    let list = admission.list().await.expect("a list");
    assert_eq!(admission.list().await.expect_err("one list").limit, "lists");
    assert_eq!(admission.watch_start().await.expect_err("one of both").limit, "watch starts");
    let writes = admission.command(Lane::Writes, &large).await.expect("all of it").expect("bounded");
    assert_eq!(admission.command(Lane::Writes, &small).await.expect_err("full").limit, "writes");
    let lease = admission.command(Lane::Leases, &create).await.expect("leases have room").expect("bounded");
    assert!(admission.command(Lane::Own, &small).await.expect("never held up").is_none());
    drop((writes, lease, list));
    let start = admission.watch_start().await.expect("a start");
    assert_eq!(admission.list().await.expect_err("after the start").limit, "lists");
    drop(start);
    let _snapshot = admission.snapshot().await.expect("one at a time");
    assert!(admission.snapshot().now_or_never().is_none());
    admission.set(Bounds::default());
    let _list = admission.list().await.expect("a list");
    assert!(admission.watch_start().now_or_never().is_none(), "it may wait now");
}

proptest! {
    /// In any order of coming, going and giving up: never more than the bound run, and in the end all is free again.
    #[test]
    fn the_bounds_hold(
        permits in 1_u32..6, waiting in 0_u32..6,
        steps in prop::collection::vec((0_u8..3, 1_u32..4, 0_usize..8), 1..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let (gate, _clock) = gate(permits, waiting);
            let mut running: Vec<(u32, Permit<'_>)> = Vec::new();
            let mut queue = VecDeque::new();
            for (step, cost, which) in steps {
                match step {
                    0 => {
                        let cost = cost.min(permits);
                        let mut entering = Box::pin(gate.enter(cost));
                        match entering.as_mut().now_or_never() {
                            Some(Ok(turn)) => running.push((cost, turn)),
                            Some(Err(_)) => {}
                            None => queue.push_back((cost, entering)),
                        }
                    }
                    1 if !running.is_empty() => drop(running.swap_remove(which % running.len())),
                    _ => drop(queue.pop_back()),
                }
                while let Some((cost, front)) = queue.front_mut() {
                    let Some(entered) = front.as_mut().now_or_never() else { break };
                    running.push((*cost, entered.expect("its turn")));
                    queue.pop_front();
                }
                assert!(running.iter().map(|(cost, _)| cost).sum::<u32>() <= permits);
                assert!(queue.iter().map(|(cost, _)| cost).sum::<u32>() <= waiting);
            }
            drop((queue, running));
            gate.enter(permits).now_or_never().expect("at once").expect("all is free");
        });
    }
}
