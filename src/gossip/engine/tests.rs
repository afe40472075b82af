//! Pools in virtual time.

use super::*;
use crate::gossip::member::Status::{Alive, Failed, Left};
use crate::gossip::simulation::Simulation;
use std::time::Duration;

fn pool(seed: u64, size: usize) -> Simulation {
    Simulation::pool(seed, size, Tuning::default())
}

#[test]
fn a_dead_member_is_found_out_by_all_and_comes_back() {
    let mut pool = pool(1, 5);
    pool.kill(3);
    pool.until(20, "all see that n3 has failed", |p| p.all_see("n3", Some(Failed)));
    pool.restart(3, Simulation::identity(3));
    pool.join(3, 0);
    pool.until(10, "all see n3 again", |p| p.all_see("n3", Some(Alive)));
    assert_eq!(pool.member(0, "n3").unwrap().tag("n"), "3");
}

#[test]
fn a_dead_process_is_found_out_without_suspicion() {
    let mut pool = pool(21, 5);
    pool.kill_process(3);
    // Four others look for somebody to probe each second; suspicion alone would take four more.
    pool.until(4, "all see that n3 has failed", |p| p.all_see("n3", Some(Failed)));
    pool.restart(3, Simulation::identity(3));
    pool.join(3, 0);
    pool.until(10, "all see n3 again", |p| p.all_see("n3", Some(Alive)));
}

#[test]
fn a_refused_stream_of_a_member_that_answers_means_nothing() {
    let mut pool = pool(22, 4);
    for _ in 0..20 {
        for node in [0, 1, 2] {
            pool.with(node, |engine| engine.refused(crate::gossip::simulation::address(3)));
        }
        pool.run(700);
    }
    assert!(pool.nodes.iter().all(|node| node.seen.iter().all(|(_, status, _)| *status != Failed)));
}

#[test]
fn who_leaves_is_not_taken_for_failed() {
    let mut pool = pool(2, 5);
    pool.with(2, Engine::begin_leave);
    pool.until(10, "its leaving is told", |p| !p.nodes[2].engine.has_news());
    pool.with(2, Engine::finish_leave);
    for _ in 0..3 {
        pool.run(200);
        pool.with(2, Engine::repeat_leave);
    }
    pool.until(10, "all see that n2 has left", |p| p.all_see("n2", Some(Left)));
    pool.kill(2);
    for node in [0, 1, 3, 4] {
        let seen = &pool.nodes[node].seen;
        assert!(seen.iter().all(|(_, status, _)| *status != Failed), "{node}: {seen:?}");
    }
    pool.restart(2, Simulation::identity(2));
    pool.join(2, 4);
    pool.until(10, "all see n2 again", |p| p.all_see("n2", Some(Alive)));
}

#[test]
fn a_new_address_is_the_same_member() {
    let mut pool = pool(3, 4);
    pool.kill(3);
    let moved = SocketAddr::from(([10, 9, 9, 9], 8301));
    pool.run(500);
    pool.restart(3, Identity { address: moved, ..Simulation::identity(3) });
    pool.join(3, 1);
    pool.until(20, "all see the new address", |p| {
        (0..3).all(|n| p.member(n, "n3").is_some_and(|m| m.address == moved && m.status == Alive))
    });
    pool.run(20_000);
    assert!(pool.all_see("n3", Some(Alive)), "the old address is dead, and of no consequence");
}

#[test]
fn names_and_ids_that_are_taken_are_refused() {
    let mut pool = pool(4, 3);
    let thief = Identity { name: "N1".into(), ..Simulation::identity(7) };
    let twin = Identity { id: Simulation::identity(1).id, ..Simulation::identity(8) };
    let foreign = Identity {
        tags: BTreeMap::from([("dc".to_owned(), "dc2".to_owned())]),
        datacenter: "dc2".into(),
        ..Simulation::identity(9)
    };
    for (identity, why) in
        [(thief, "is reserved by node"), (twin, "has conflicting node ID"), (foreign, "wrong datacenter")]
    {
        let node = pool.add(identity);
        for with in [1, 0] {
            pool.join(node, with);
            pool.run(2_000);
        }
        let refusals = &pool.nodes[node].refusals;
        assert!(refusals.len() == 2 && refusals.iter().all(|r| r.contains(why)), "{refusals:?}");
        pool.kill(node);
    }
    assert!((0..3).all(|n| pool.nodes[n].members.count(Alive) == 3));
}

#[test]
fn operators_put_out_what_has_failed() {
    let mut pool = pool(5, 4);
    assert!(!pool.with(0, |e| e.force_leave("nobody", false)));
    assert!(pool.with(0, |e| e.force_leave("n3", false)));
    pool.run(3_000);
    assert!(pool.all_see("n3", Some(Alive)), "who lives stays");
    pool.kill(3);
    pool.until(20, "all see that n3 has failed", |p| p.all_see("n3", Some(Failed)));
    pool.with(0, |e| e.force_leave("n3", false));
    pool.until(10, "all see n3 as gone", |p| p.all_see("n3", Some(Left)));
    pool.with(1, |e| e.force_leave("n3", true));
    pool.until(10, "all have forgotten n3", |p| p.all_see("n3", None));
    pool.run(120_000);
    assert!(pool.all_see("n3", None), "nobody brings it back");
}

#[test]
fn events_and_tags_reach_everybody_once() {
    let mut pool = pool(6, 8);
    pool.loss = 100;
    fire(&mut pool, 4, "deploy");
    let tags = BTreeMap::from([("dc".to_owned(), "dc1".to_owned()), ("n".to_owned(), "new".to_owned())]);
    pool.with(5, |e| e.set_tags(tags)).unwrap();
    pool.until(60, "all know the tag", |p| (0..8).all(|n| p.member(n, "n5").is_some_and(|m| m.tag("n") == "new")));
    for node in (0..8).filter(|n| *n != 4) {
        assert_eq!(pool.nodes[node].events, [b"deploy".to_vec()], "{node}");
    }
    let large = BTreeMap::from([("a".to_owned(), "b".repeat(9_999))]);
    assert_eq!(pool.with(5, |e| e.set_tags(large)), Err(TagsTooLarge));
}

fn fire(pool: &mut Simulation, node: usize, body: &str) {
    let time = pool.nodes[node].engine.event_time() + 1;
    pool.with(node, |e| e.fire_event(time, body.as_bytes().to_vec()));
}

#[test]
fn an_event_that_gossip_has_lost_comes_by_an_exchange() {
    let mut pool = pool(17, 4);
    pool.no_datagrams = Box::new(|_, b| b == 3);
    for at in 0..5 {
        fire(&mut pool, 0, &at.to_string());
        pool.run(20_000);
    }
    // Probes that are not answered go over streams, and take news along; what those do not bring, exchanges do.
    pool.until(600, "all have heard", |p| p.nodes[3].events.len() == 5);
    pool.run(300_000);
    let mut heard = pool.nodes[3].events.clone();
    heard.sort();
    assert_eq!(heard, ["0", "1", "2", "3", "4"].map(|e| e.as_bytes().to_vec()), "each once");
}

#[test]
fn who_starts_again_hears_no_event_twice_and_is_heard() {
    let mut pool = pool(18, 4);
    for at in 0..50 {
        fire(&mut pool, at % 3, &format!("old {at}"));
        pool.run(500);
    }
    pool.until(60, "n3 has heard all", |p| p.nodes[3].events.len() == 50);
    pool.kill(3);
    pool.until(20, "all see that n3 has failed", |p| p.all_see("n3", Some(Failed)));
    pool.nodes[3].events.clear();
    pool.restart(3, Simulation::identity(3));
    pool.join(3, 1);
    pool.until(10, "all see n3 again", |p| p.all_see("n3", Some(Alive)));
    assert_eq!(pool.nodes[3].engine.event_time(), 50);
    fire(&mut pool, 3, "of the new life");
    fire(&mut pool, 0, "for the new life");
    let heard = |pool: &Simulation, node: usize, event: &str| {
        pool.nodes[node].events.iter().filter(|e| e.as_slice() == event.as_bytes()).count()
    };
    let all = |p: &Simulation| (0..3).all(|n| heard(p, n, "of the new life") == 1);
    pool.until(60, "the others hear it", all);
    pool.run(300_000);
    assert_eq!(pool.nodes[3].events, [b"for the new life".to_vec()], "nothing of what was before");
    assert!(all(&pool) && heard(&pool, 1, "for the new life") == 1, "each once");
}

#[test]
fn a_time_from_nowhere_makes_no_event_old() {
    let mut pool = pool(19, 2);
    fire(&mut pool, 0, "first");
    pool.with(0, |e| e.fire_event(u64::MAX, b"from nowhere".to_vec()));
    fire(&mut pool, 0, "second");
    pool.until(60, "it is heard", |p| p.nodes[1].events.len() == 2);
    let mut heard = pool.nodes[1].events.clone();
    heard.sort();
    assert_eq!(heard, [b"first".to_vec(), b"second".to_vec()]);
    assert_eq!(pool.nodes[1].engine.event_time(), 2);
}

#[test]
fn a_network_without_datagrams_kills_nobody() {
    let mut pool = pool(7, 6);
    pool.no_datagrams = Box::new(|a, b| a == 2 || b == 2);
    pool.run(120_000);
    assert!((0..6).all(|n| pool.nodes[n].members.count(Alive) == 6), "streams keep n2 alive");
    pool.kill(2);
    pool.until(30, "all see that n2 has failed", |p| p.all_see("n2", Some(Failed)));
}

#[test]
fn who_was_frozen_accuses_nobody_and_returns() {
    let mut pool = pool(8, 6);
    pool.freeze(1, 20_000);
    pool.until(19, "all see that n1 has failed", |p| {
        (0..6).filter(|n| *n != 1).all(|n| p.status(n, "n1") == Some(Failed))
    });
    pool.until(20, "all see n1 again", |p| (0..6).all(|n| p.nodes[n].members.count(Alive) == 6));
    let others =
        pool.nodes.iter().flat_map(|node| &node.seen).filter(|(name, status, _)| name != "n1" && *status == Failed);
    assert_eq!(others.count(), 0);
    assert_eq!(pool.nodes[1].seen.iter().filter(|(_, status, _)| *status == Failed).count(), 0);
}

#[test]
fn the_halves_of_a_pool_find_together() {
    let mut pool = pool(9, 6);
    pool.cut = Box::new(|a, b| (a < 3) != (b < 3));
    pool.until(60, "each half has failed for the other", |p| (0..6).all(|n| p.nodes[n].members.count(Failed) == 3));
    pool.cut = Box::new(|_, _| false);
    pool.until(200, "all are alive again", |p| (0..6).all(|n| p.nodes[n].members.count(Alive) == 6));
}

#[test]
fn who_was_alone_finds_back() {
    let mut pool = pool(10, 2);
    pool.cut = Box::new(|_, _| true);
    pool.until(60, "each is alone", |p| (0..2).all(|n| p.nodes[n].members.count(Failed) == 1));
    pool.cut = Box::new(|_, _| false);
    pool.until(120, "both are alive again", |p| (0..2).all(|n| p.nodes[n].members.count(Alive) == 2));
}

#[test]
fn a_clock_that_went_back_is_no_reason_to_stay_out() {
    let mut pool = pool(11, 3);
    pool.kill(2);
    pool.until(20, "all see that n2 has failed", |p| p.all_see("n2", Some(Failed)));
    // The next life begins with an earlier time than the last one.
    let clock = Clock::manual(pool.now(), 3);
    let mut early = Engine::new(Simulation::identity(2), Tuning::default(), clock, 5).unwrap();
    let request = early.exchange_request(true);
    let answer = pool.with(0, |e| e.answer_exchange(&request[1..])).unwrap();
    early.finish_exchange(&answer[1..], true).unwrap();
    assert!(early.generation() > 1_000_000, "{}", early.generation());
    assert!(pool.nodes[0].engine.holds_dead(Simulation::identity(2).address));
}

#[test]
fn the_reaped_are_forgotten() {
    let tuning = Tuning { reap_after: Duration::from_secs(60), ..Tuning::default() };
    let mut pool = Simulation::pool(12, 3, tuning);
    pool.kill(2);
    pool.until(20, "n2 has failed", |p| p.all_see("n2", Some(Failed)));
    pool.until(120, "n2 is forgotten", |p| p.all_see("n2", None));
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let run = |seed| {
        let mut pool = pool(seed, 64);
        pool.loss = 100;
        pool.kill(9);
        pool.run(20_000);
        assert!(pool.all_see("n9", Some(Failed)));
        let wrong = pool.nodes.iter().flat_map(|n| &n.seen).filter(|(name, s, _)| name != "n9" && *s == Failed);
        assert_eq!(wrong.count(), 0, "a tenth of all datagrams is lost, and nobody is taken for dead");
        pool.trace
    };
    let first = run(13);
    assert_eq!(first, run(13));
    assert_ne!(first, run(14));
}

#[test]
fn coordinates_show_who_is_near() {
    let mut pool = pool(15, 4);
    pool.run(120_000);
    let (own, others) = pool.nodes[0].engine.places();
    assert_eq!((own.node.as_str(), others.len()), ("n0", 3));
    for other in others {
        let rtt = own.distance_s(&other);
        assert!((0.0005..0.02).contains(&rtt), "{} is {rtt} s away", other.node);
    }
}

#[test]
fn malformed_packets_are_refused() {
    let mut pool = pool(16, 2);
    for bytes in
        [&[][..], &[0], &[99, 1, 2], &[kind::SWIM], &[kind::SWIM_FROM_HERE, 1], &[kind::ASK, 4], &[kind::TELL, 255]]
    {
        assert!(pool.with(0, |e| e.receive(bytes, Path::Datagram)).is_err(), "{bytes:?}");
    }
    pool.run(10_000);
    assert_eq!(pool.nodes[1].members.count(Alive), 2);
}
