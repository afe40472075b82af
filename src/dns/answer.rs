//! An answer as sections of records, before it has bytes, and what of the state it was made from.

use super::name::Name;
use super::types::{Rcode, TYPE_A, TYPE_AAAA, TYPE_CNAME, TYPE_NS, TYPE_PTR, TYPE_SOA, TYPE_SRV, TYPE_TXT};
use crate::machine::State;
use crate::model::{ServiceKey, Text};
use std::net::IpAddr;

/// Whose record it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The name that was asked for.
    Question,
    /// The name that the nearest SRV, CNAME or NS record before it in its group leads to.
    Target,
    /// This name.
    Named(Name),
}

/// Type and content of a record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Data {
    /// A or AAAA.
    Address(IpAddr),
    /// SRV with priority 1.
    Srv { weight: u16, port: u16, target: Name },
    /// CNAME.
    Cname(Name),
    /// PTR.
    Ptr(Name),
    /// NS.
    Ns(Name),
    /// SOA of the zone with this serial.
    Soa { serial: u32 },
    /// TXT; longer texts are stored in several strings.
    Txt(String),
}

impl Data {
    /// The record's type.
    pub(super) fn rtype(&self) -> u16 {
        match self {
            Data::Address(IpAddr::V4(_)) => TYPE_A,
            Data::Address(IpAddr::V6(_)) => TYPE_AAAA,
            Data::Srv { .. } => TYPE_SRV,
            Data::Cname(_) => TYPE_CNAME,
            Data::Ptr(_) => TYPE_PTR,
            Data::Ns(_) => TYPE_NS,
            Data::Soa { .. } => TYPE_SOA,
            Data::Txt(_) => TYPE_TXT,
        }
    }

    /// The name that records after it may belong to.
    pub(super) fn target(&self) -> Option<&Name> {
        match self {
            Data::Srv { target, .. } | Data::Cname(target) | Data::Ns(target) => Some(target),
            Data::Address(_) | Data::Ptr(_) | Data::Soa { .. } | Data::Txt(_) => None,
        }
    }
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Whose.
    pub(super) owner: Owner,
    /// Time to live, seconds.
    pub(super) ttl: u32,
    /// Type and content.
    pub(super) data: Data,
}

impl Record {
    /// A record of the name that was asked for.
    pub(super) fn of_question(ttl: u32, data: Data) -> Record {
        Record { owner: Owner::Question, ttl, data }
    }
}

/// Records that are kept or cut together: one answer, and what the additional section says about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    /// In the answer (or authority) section, in this order.
    pub(super) records: Vec<Record>,
    /// In the additional section; equal ones of several groups appear once.
    pub(super) extras: Vec<Record>,
}

impl Group {
    /// One record and nothing besides.
    pub(super) fn of(record: Record) -> Group {
        Group { records: vec![record], extras: Vec::new() }
    }
}

/// What an answer was made from: it is good for as long as these revisions stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Dependency {
    /// The service, its instances, and their nodes and checks.
    Service(ServiceKey, u64),
    /// The node.
    Node(Text, u64),
    /// The addresses of all nodes and instances: their last changes.
    Addresses(u64, u64),
    /// All prepared queries.
    Queries(u64),
}

impl Dependency {
    /// On a service, there or not.
    pub(super) fn service(state: &State, key: ServiceKey) -> Dependency {
        let revision = state.service_revision(&key);
        Dependency::Service(key, revision)
    }

    /// On a node, there or not.
    pub(super) fn node(state: &State, name: &str) -> Dependency {
        Dependency::Node(name.into(), node_revision(state, name))
    }

    /// On which prepared queries there are.
    pub(super) fn queries(state: &State) -> Dependency {
        Dependency::Queries(state.meta().queries_revision)
    }

    /// Whether nothing has changed.
    pub(super) fn holds(&self, state: &State) -> bool {
        match self {
            Dependency::Service(key, revision) => state.service_revision(key) == *revision,
            Dependency::Node(name, revision) => node_revision(state, name) == *revision,
            Dependency::Queries(revision) => state.meta().queries_revision == *revision,
            Dependency::Addresses(services, nodes) => {
                (state.meta().services_revision, state.meta().nodes_revision) == (*services, *nodes)
            }
        }
    }
}

/// An unknown node can only become known by a change of the nodes.
fn node_revision(state: &State, name: &str) -> u64 {
    state.node(name).map_or(state.meta().nodes_revision, |n| n.revision)
}

/// The whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Response code.
    pub(super) rcode: Rcode,
    /// The AA bit.
    pub(super) authoritative: bool,
    /// The RA bit.
    pub(super) recursion_available: bool,
    /// The name is not ours: recursors, if there are any, shall answer.
    pub(super) elsewhere: bool,
    /// Each reply has the groups in a new random order.
    pub(super) shuffle: bool,
    /// At most this many groups per reply.
    pub(super) groups_max: usize,
    /// Answer section.
    pub(super) answers: Vec<Group>,
    /// Authority section.
    pub(super) authority: Vec<Group>,
    /// What it was made from.
    pub(super) depends: Vec<Dependency>,
    /// Worth to be kept: its name is one that exists, so their number is bounded by the state.
    pub(super) keep: bool,
}

impl Answer {
    /// An empty, authoritative answer.
    pub(super) fn new(rcode: Rcode) -> Answer {
        Answer {
            rcode,
            authoritative: true,
            recursion_available: false,
            elsewhere: false,
            shuffle: false,
            groups_max: usize::MAX,
            answers: Vec::new(),
            authority: Vec::new(),
            depends: Vec::new(),
            keep: false,
        }
    }
}
