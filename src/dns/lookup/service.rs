//! Names of services: the usable instances as addresses or as SRV records.

use super::{Lookup, Question};
use crate::dns::answer::{Answer, Data, Dependency, Group, Owner, Record};
use crate::dns::name::Name;
use crate::dns::types::{Rcode, TYPE_SRV};
use crate::machine::Node;
use crate::model::{Health, Instance, ServiceKey};
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

/// Where an instance is reached.
enum Place {
    /// Its own address.
    Own(IpAddr),
    /// Its node's address.
    Node(IpAddr),
    /// A host name.
    Host(Name),
}

/// A usable instance and its node.
struct Shown<'a> {
    instance: &'a Instance,
    node: Option<&'a Arc<Node>>,
    health: Health,
}

impl Lookup<'_> {
    /// `[tag.]<service>.service`.
    pub(super) fn service(&mut self, name: &str, tag: &str, question: Question<'_>) -> Answer {
        let key = ServiceKey::of(name);
        let state = self.state;
        let depends = Dependency::service(state, key.clone());
        let Some(service) = state.service(&key) else { return Answer { depends: vec![depends], ..self.unknown() } };
        let ttl = self.zone.options.service_ttl(&service.key.name);
        let mut answer = Answer { keep: true, shuffle: true, ..Answer::new(Rcode::NoError) };
        answer.depends.push(depends);
        let usable = |instance: &&Arc<Instance>| {
            let node = state.node(&instance.node).filter(|_| !instance.node.is_empty());
            (tag.is_empty() || instance.has_tag(tag)) && self.is_usable(instance, node)
        };
        let usable: Vec<&Arc<Instance>> = service.instances.iter().filter(usable).collect();
        self.instances(usable.into_iter(), ttl, question, answer, tag)
    }

    /// The answer for these instances. `tag` is what they were picked by.
    pub(super) fn instances<'s>(
        &mut self,
        instances: impl Iterator<Item = &'s Arc<Instance>>,
        ttl: u32,
        question: Question<'_>,
        mut answer: Answer,
        tag: &str,
    ) -> Answer {
        let state = self.state;
        let mut any = false;
        let mut last: Option<&Arc<Node>> = None;
        let mut groups = Groups::default();
        for instance in instances {
            // Instances are in order of node, so most have the node of the one before.
            let node = match last {
                Some(node) if node.record.name == instance.node => Some(node),
                _ => state.node(&instance.node),
            };
            last = node.or(last);
            if node.is_none() && !instance.node.is_empty() {
                answer.depends.push(Dependency::node(state, &instance.node));
            }
            let shown = Shown { instance, node, health: health(instance, node) };
            any = true;
            if question.qtype == TYPE_SRV {
                self.server_record(&shown, question, ttl, &mut groups, &mut answer);
            } else {
                self.address_record(&shown, question, ttl, &mut groups, &mut answer);
            }
        }
        if !any {
            return self.nothing(Rcode::NxDomain, answer, tag);
        }
        let limit = self.zone.options.a_record_limit;
        if !groups.direct.is_empty() {
            answer.answers = groups.direct;
            answer.groups_max = if limit == 0 || question.qtype == TYPE_SRV { usize::MAX } else { limit };
        } else if !groups.aliases.is_empty() {
            // A name has at most one alias: each reply shows one of them.
            answer.answers = groups.aliases;
            answer.groups_max = 1;
        } else {
            return self.nothing(Rcode::NoError, answer, tag);
        }
        answer
    }

    /// An answer without records about a service that exists.
    fn nothing(&self, rcode: Rcode, answer: Answer, tag: &str) -> Answer {
        // Tags that nobody has are without number, and so not worth to be kept.
        let keep = tag.is_empty() || rcode == Rcode::NoError;
        Answer { depends: answer.depends, keep, ..self.negative(rcode) }
    }

    fn is_usable(&self, instance: &Instance, node: Option<&Arc<Node>>) -> bool {
        let worst = if self.zone.options.only_passing { Health::Passing } else { Health::Warning };
        instance.is_serving() && health(instance, node) <= worst
    }

    fn address_record(
        &mut self,
        shown: &Shown<'_>,
        question: Question<'_>,
        ttl: u32,
        groups: &mut Groups,
        answer: &mut Answer,
    ) {
        match place(shown, question) {
            Some(Place::Own(address) | Place::Node(address))
                if question.wants(address) && groups.addresses.insert(address) =>
            {
                groups.direct.push(Group::of(Record::of_question(ttl, Data::Address(address))));
            }
            Some(Place::Host(name)) if groups.names.insert((name.folded(), 0)) => {
                let records = self.alias(name, question, ttl, answer);
                groups.aliases.push(Group { records, extras: Vec::new() });
            }
            _ => {}
        }
    }

    fn server_record(
        &mut self,
        shown: &Shown<'_>,
        question: Question<'_>,
        ttl: u32,
        groups: &mut Groups,
        answer: &mut Answer,
    ) {
        let instance = shown.instance;
        // What is no port number is written as its low bits, like the record does it.
        let port = instance.port as u16;
        let Some(place) = place(shown, question) else { return };
        let (target, address) = match place {
            Place::Own(address) => (self.zone.address_name(address), Some(address)),
            // A node whose name is no name in DNS still has an address.
            Place::Node(address) => {
                let named = shown.node.and_then(|n| self.zone.node_name(&n.record.name));
                (named.or_else(|| self.zone.address_name(address)), Some(address))
            }
            Place::Host(name) => (Some(name), None),
        };
        let Some(target) = target else { return };
        if !groups.names.insert((target.folded(), port)) {
            return;
        }
        let mut extras = match address {
            Some(address) => vec![Record { owner: Owner::Target, ttl, data: Data::Address(address) }],
            None => self.follow(&target, question, ttl, answer),
        };
        if let Some(node) = shown.node {
            // Behind an alias the last target is another name.
            extras.extend(self.node_texts(&node.record, address.map(|_| &target), ttl));
        }
        let data = Data::Srv { weight: weight(shown), port, target };
        groups.direct.push(Group { records: vec![Record::of_question(ttl, data)], extras });
    }
}

/// Records so far, and what they are about.
#[derive(Default)]
struct Groups {
    direct: Vec<Group>,
    aliases: Vec<Group>,
    addresses: HashSet<IpAddr>,
    names: HashSet<(Name, u16)>,
}

/// Worst of the instance's and its node's checks.
fn health(instance: &Instance, node: Option<&Arc<Node>>) -> Health {
    node.map_or(Health::Passing, |n| n.record.health()).max(instance.own_health())
}

/// Where the instance is; `None` if its address is neither an IP address nor a name.
fn place(shown: &Shown<'_>, question: Question<'_>) -> Option<Place> {
    let node_address = shown.node.map(|n| n.record.address.as_str()).unwrap_or_default();
    let node = node_address.parse().ok().map(Place::Node);
    let own = shown.instance.address.as_str();
    if own.is_empty() {
        return node.or_else(|| Name::parse(node_address).map(Place::Host));
    }
    if let Ok(address) = own.parse() {
        return Some(Place::Own(address));
    }
    let name = Name::parse(own)?;
    // A service whose address is its own name would be an alias of itself.
    match node {
        Some(node) if name.folded().wire() == question.name => Some(node),
        _ => Some(Place::Host(name)),
    }
}

/// The weight of an SRV record: by health, unless the operator said one.
fn weight(shown: &Shown<'_>) -> u16 {
    let warning = shown.instance.extra.as_ref().and_then(|e| e.weight_warning).unwrap_or(1);
    match shown.health {
        Health::Warning => shown.instance.overriding().and_then(|o| o.weight).unwrap_or(warning),
        Health::Passing | Health::Critical => shown.instance.weight(),
    }
}
