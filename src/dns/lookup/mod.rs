//! From a question to an [`Answer`]: which names exist, and what they are. Pure functions of the state; they know no
//! sizes and no bytes of messages, and they never wait.
//!
//! Follows Consul 1.8 but for what `connect` names and other data centers would need: those names do not exist yet.
//! What only recursors know is named in the result, for whoever can wait.

mod alias;
mod authority;
mod node;
mod query;
mod service;

use super::answer::{Answer, Data, Dependency, Group, Record};
use super::compose::Dice;
use super::name::{self, Name, Reverse};
use super::recursor::Outside;
use super::reverse::ReverseTree;
use super::types::{Rcode, TYPE_A, TYPE_AAAA, TYPE_ANY, TYPE_AXFR, TYPE_NS, TYPE_SOA, TYPE_SRV, TYPE_TXT};
use super::zone::Zone;
use crate::machine::State;
use std::net::IpAddr;

/// How often an alias may lead to another one.
const ALIAS_DEPTH_MAX: u8 = 3;

/// Everything that an answer is made from.
pub(super) struct Lookup<'a> {
    /// Zones and options.
    pub(super) zone: &'a Zone,
    /// The state that is served.
    pub(super) state: &'a State,
    /// Names of addresses.
    pub(super) reverse: &'a ReverseTree,
    /// What recursors said about names outside of the zones.
    pub(super) outside: &'a Outside,
    /// Names outside of the zones that the answer lacks, folded.
    pub(super) missing: Vec<Name>,
    /// For choices that are made once per answer and not once per reply.
    pub(super) dice: &'a mut Dice,
}

/// One question on its way.
#[derive(Clone, Copy)]
struct Question<'q> {
    /// The whole name, folded, wire form.
    name: &'q [u8],
    qtype: u16,
    /// How many aliases may still be followed.
    depth: u8,
}

impl Question<'_> {
    /// Whether an address is of the type that is asked for. TXT gets addresses of services too, as in Consul.
    fn wants(&self, address: IpAddr) -> bool {
        match self.qtype {
            TYPE_A => address.is_ipv4(),
            TYPE_AAAA => address.is_ipv6(),
            TYPE_ANY | TYPE_SRV | TYPE_TXT => true,
            _ => false,
        }
    }
}

impl Lookup<'_> {
    /// Answers the question for a folded name in wire form.
    pub(super) fn answer(&mut self, name: &[u8], qtype: u16) -> Answer {
        if let Some(reverse) = name::reverse(name) {
            return self.pointer(reverse);
        }
        let Some(head) = self.zone.within(name) else {
            return Answer { authoritative: false, elsewhere: true, ..Answer::new(Rcode::Refused) };
        };
        match qtype {
            TYPE_SOA => self.start_of_authority(),
            TYPE_NS => self.name_servers(),
            TYPE_AXFR => Answer::new(Rcode::NotImp),
            _ => self.inside(head, Question { name, qtype, depth: ALIAS_DEPTH_MAX }),
        }
    }

    /// Answers for the part of the name that is left of the zone.
    fn inside(&mut self, head: &[u8], question: Question<'_>) -> Answer {
        let mut labels = Vec::new();
        for label in name::labels(head) {
            // What is not UTF-8 is no name of anything here.
            let Ok(label) = std::str::from_utf8(label) else { return self.unknown() };
            labels.push(label);
        }
        let is_kind = |label: &&str| match *label {
            "service" | "node" | "addr" | "query" | "connect" | "ingress" => true,
            // `_web._tcp` without `service` after it means the same, for SRV only.
            label => question.qtype == TYPE_SRV && label.starts_with('_'),
        };
        let Some(at) = labels.iter().rposition(is_kind) else { return self.unknown() };
        let is_short = labels[at].starts_with('_');
        let (parts, place) = (&labels[..at + usize::from(is_short)], &labels[at + 1..]);
        let here = match place {
            [] => true,
            [dc] | [dc, "dc"] => *dc == self.zone.datacenter,
            _ => return self.unknown(),
        };
        match (labels[at], parts) {
            (_, []) => self.unknown(),
            ("node", parts) => self.node(&parts.join("."), here, question),
            ("addr", [label]) => self.address(label),
            ("query", parts) if here => self.query(&parts.join("."), question),
            ("service", parts) if here => self.named_service(parts, question),
            (_, parts) if here && is_short => self.named_service(parts, question),
            _ => self.unknown(),
        }
    }

    /// `[tag.]web`, or `_web._tag` with `tcp` for any tag (RFC 2782).
    fn named_service(&mut self, parts: &[&str], question: Question<'_>) -> Answer {
        if let [service, tag] = parts
            && let (Some(service), Some(tag)) = (service.strip_prefix('_'), tag.strip_prefix('_'))
        {
            return self.service(service, if tag == "tcp" { "" } else { tag }, question);
        }
        match parts.split_last() {
            Some((service, tag)) => self.service(service, &tag.join("."), question),
            None => self.unknown(),
        }
    }

    /// `<hex>.addr`: the address, whatever type and data center are asked for.
    fn address(&mut self, label: &str) -> Answer {
        let mut answer = Answer::new(Rcode::NoError);
        match (name::address_of_label(label.as_bytes()), label.len()) {
            (Some(address), _) => {
                answer.answers.push(Group::of(Record::of_question(self.zone.node_ttl, Data::Address(address))));
                answer
            }
            // As long as an address, but none.
            (None, 8 | 32) => self.unknown(),
            (None, _) => answer,
        }
    }

    /// A name below the reverse trees.
    fn pointer(&mut self, reverse: Reverse) -> Answer {
        let mut answer = Answer::new(Rcode::NoError);
        if let Reverse::Address(address) = reverse {
            let index = self.reverse.index(self.state, self.zone);
            let group = |name: &Name| Group::of(Record::of_question(0, Data::Ptr(name.clone())));
            answer.answers = index.names(address).iter().map(group).collect();
            answer.depends.push(Dependency::Addresses(index.revisions.0, index.revisions.1));
        }
        if answer.answers.is_empty() {
            // Where Consul would ask its recursors, and fails without.
            let failed = Answer::new(Rcode::ServFail);
            return Answer { authoritative: false, recursion_available: true, elsewhere: true, ..failed };
        }
        answer.keep = true;
        answer
    }

    /// A name that does not exist.
    fn unknown(&mut self) -> Answer {
        self.negative(Rcode::NxDomain)
    }
}
