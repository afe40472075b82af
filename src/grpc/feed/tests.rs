//! A reader that applies what it is sent has what a snapshot shows, however it lags.

use super::*;
use crate::command::{Command, Deregister, Record, Register, Report, SetOverride};
use crate::grpc::convert::selector::selector;
use crate::grpc::select::Policy;
use crate::grpc::set::catch_up;
use crate::machine;
use crate::model::{Check, Health, Instance, InstanceKey, Lifecycle, Override, ServiceKey};
use crate::proto::v1 as pb;
use proptest::prelude::*;
use std::collections::{BTreeMap, HashSet};

fn key(service: usize, id: usize) -> InstanceKey {
    // Half of the instances are on a node, so that ids of the two kinds meet.
    let node = if id.is_multiple_of(2) { "" } else { "n1" };
    InstanceKey {
        service: ServiceKey::of(&format!("s{service}")),
        node: node.into(),
        id: format!("{service}-{id}").into(),
    }
}

fn register(service: usize, id: usize, port: i32) -> Command {
    let mut i = Instance::new(key(service, id), "10.0.0.1".into(), port);
    i.meta = [("port".into(), port.to_string().into())].into();
    Command::Register(Register { session: None, instances: vec![i] })
}

fn report(service: usize, id: usize, health: Health, output: &str) -> Command {
    let check = Check { id: "c".into(), health, output: output.into(), ..Check::default() };
    let lifecycle = (output == "5").then_some(Lifecycle::Draining);
    Command::Report(Report { key: key(service, id), checks: vec![check], lifecycle, session: None })
}

struct World {
    state: State,
    touched: Vec<(u64, InstanceKey)>,
}

impl World {
    fn new() -> World {
        World { state: State::new(), touched: Vec::new() }
    }

    fn apply(&mut self, command: Command) {
        let revision = self.state.revision() + 1;
        let record = Record { time_ms: revision, request_id: None, command };
        let changes = machine::apply(&mut self.state, revision, 1, &record).changes;
        for event in changes.iter().filter_map(machine::Event::of) {
            if let machine::Subject::Instance { service, node, id } = event.subject {
                self.touched.push((revision, InstanceKey { service: (*service).clone(), node, id }));
            }
        }
    }
}

fn feed(feeds: &Feeds, name: pb::service_selector::Name, policy: Policy, full: bool) -> Arc<Feed> {
    let wanted = pb::ServiceSelector { name: Some(name), ..Default::default() };
    feeds.join(selector(&wanted, policy).unwrap(), full)
}

fn one(name: &str) -> pb::service_selector::Name {
    pb::service_selector::Name::Service(name.into())
}

fn all() -> pb::service_selector::Name {
    pb::service_selector::Name::ServicePrefix(String::new())
}

/// What a client holds.
#[derive(Clone, Debug, Default, PartialEq)]
struct Client {
    instances: BTreeMap<(String, String, String), pb::Instance>,
    services: BTreeMap<String, pb::ServiceState>,
}

impl Client {
    fn of(feed: &Feed, set: &Arc<Set>) -> Client {
        let mut client = Client::default();
        for part in feed.snapshot(set, &Locality::default()) {
            let part = pb::watch_response::Snapshot::decode(part).unwrap();
            client.take(part.instances, Vec::new(), part.services);
        }
        client
    }

    fn take(&mut self, upserts: Vec<pb::Instance>, removed: Vec<pb::InstanceKey>, services: Vec<pb::ServiceState>) {
        let id = |k: &pb::InstanceKey| (k.service.clone(), k.node.clone(), k.instance_id.clone());
        for key in removed {
            self.instances.remove(&id(&key));
        }
        for mut i in upserts {
            // A revision alone is no news in the routing view.
            i.modify_revision = 0;
            self.instances.insert(id(i.key.as_ref().unwrap()), i);
        }
        for mut s in services {
            s.modify_revision = 0;
            if s.exists {
                self.services.insert(s.service.clone(), s);
            } else {
                self.services.remove(&s.service);
            }
        }
    }

    fn update(&mut self, update: Update) {
        let Update::Delta(bytes) = update else { return };
        let message = pb::WatchResponse::decode(bytes).unwrap();
        let Some(pb::watch_response::Update::Delta(d)) = message.update else { panic!("{message:?}") };
        self.take(d.upserts, d.removed, d.services);
    }
}

#[test]
fn a_change_is_encoded_once_for_all() {
    let feeds = Feeds::default();
    let feed = feed(&feeds, one("s0"), Policy::Serving, false);
    let mut world = World::new();
    let from = feed.advance(&world.state);
    world.apply(register(0, 0, 1));
    let to = feed.advance(&world.state);
    let (Update::Delta(first), Update::Delta(second)) = (feed.update(&from, &to), feed.update(&from, &to)) else {
        panic!("nothing to send")
    };
    assert_eq!(first.as_ptr(), second.as_ptr());
    let (a, b) = (feed.snapshot(&to, &Locality::default()), feed.snapshot(&to, &Locality::default()));
    assert_eq!(a[0].as_ptr(), b[0].as_ptr());
}

#[test]
fn what_did_not_change_is_not_made_again() {
    let feeds = Feeds::default();
    let feed = feed(&feeds, all(), Policy::Any, false);
    let mut world = World::new();
    (0..3).for_each(|s| (0..3).for_each(|i| world.apply(register(s, i, 1))));
    let from = feed.advance(&world.state);
    world.apply(register(1, 1, 2));
    let to = feed.advance(&world.state);
    let same = |a: usize| Arc::ptr_eq(&from.services[a], &to.services[a]);
    assert!(same(0) && !same(1) && same(2));
    let kept = from.services[1].entries.iter().filter(|e| to.services[1].entries.iter().any(|n| Arc::ptr_eq(e, n)));
    assert_eq!(kept.count(), 2);
    let old = feed.advance(&World::new().state);
    assert!(Arc::ptr_eq(&old, &to), "an older state does not bring the feed back");
}

#[test]
fn a_feed_ends_with_its_last_watcher() {
    let feeds = Feeds::default();
    let a = feed(&feeds, one("s0"), Policy::Serving, false);
    let b = feed(&feeds, one("S0"), Policy::Serving, false);
    assert!(Arc::ptr_eq(&a, &b));
    let full = feed(&feeds, one("s0"), Policy::Serving, true);
    assert_eq!(feeds.count(), 2);
    drop((a, b, full));
    assert_eq!(feeds.count(), 0);
}

fn step() -> impl Strategy<Value = Command> {
    let at = || (0..3usize, 0..4usize);
    prop_oneof![
        4 => (at(), 1..4i32).prop_map(|((s, i), port)| register(s, i, port)),
        2 => at().prop_map(|(s, i)| Command::Deregister(Deregister { keys: vec![key(s, i)], ..Default::default() })),
        4 => (at(), 0..3u8, 0..6u8).prop_map(|((s, i), health, output)| {
            let health = [Health::Passing, Health::Warning, Health::Critical][health as usize];
            report(s, i, health, &output.to_string())
        }),
        1 => (at(), any::<bool>()).prop_map(|((s, i), drain)| Command::SetOverride(SetOverride {
            key: key(s, i),
            overriding: drain.then(|| Override { drain, ..Override::default() }),
        })),
    ]
}

proptest! {
    #[test]
    fn a_reader_has_what_a_snapshot_shows(
        steps in proptest::collection::vec((step(), any::<bool>()), 1..40),
        full: bool,
        policy in prop_oneof![Just(Policy::Serving), Just(Policy::Any), Just(Policy::FailOpen)],
        single: bool,
        resume_at: usize,
    ) {
        let feeds = Feeds::default();
        let name = if single { one("s1") } else { all() };
        let feed = feed(&feeds, name, policy, full);
        let mut world = World::new();
        let mut sent = feed.advance(&world.state);
        let mut client = Client::of(&feed, &sent);
        let mut left: Option<(u64, Client)> = None;
        let resume_at = resume_at % steps.len();
        for (index, (command, reads)) in steps.into_iter().enumerate() {
            world.apply(command);
            if reads || index == resume_at {
                let now = feed.advance(&world.state);
                client.update(feed.update(&sent, &now));
                sent = now;
                prop_assert_eq!(&client, &Client::of(&feed, &sent));
            }
            if index == resume_at {
                left = Some((world.state.revision(), client.clone()));
            }
        }
        // Another one comes back with a token, to a server that knows only what was touched.
        let Some((revision, mut back)) = left else { return Ok(()) };
        let set = Arc::new(Set::build(&world.state, &feed.selector, full, None));
        let touched: HashSet<_> = world.touched.into_iter().filter(|(r, _)| *r > revision).map(|(_, k)| k)
            .filter(|k| feed.selector.names(&k.service)).collect();
        back.update(encode(&catch_up(&set, &touched, policy == Policy::FailOpen)));
        prop_assert_eq!(&back, &Client::of(&feed, &set));
    }
}
