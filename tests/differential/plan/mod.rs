//! Plans: which requests are made, at random, from small sets of names so that they meet.

mod agent;
mod catalog;
mod kv;
mod query;
mod session;
mod txn;

use super::common::Random;
use super::op::Op;

/// A family of requests and how often each is made.
pub(crate) struct Plan {
    makers: Vec<(u64, fn(&mut Random) -> Op)>,
}

impl Plan {
    /// The next request.
    pub(crate) fn next(&mut self, random: &mut Random) -> Op {
        let total = self.makers.iter().map(|(weight, _)| weight).sum();
        let mut at = random.below(total);
        for (weight, maker) in &self.makers {
            match at.checked_sub(*weight) {
                Some(rest) => at = rest,
                None => return maker(random),
            }
        }
        unreachable!("the weights add up")
    }
}

pub(crate) fn catalog(_: &mut Random) -> Plan {
    Plan { makers: vec![(3, catalog::register), (1, catalog::deregister), (5, catalog::read)] }
}

pub(crate) fn keys(_: &mut Random) -> Plan {
    let keys = [(6, kv::write as fn(&mut Random) -> Op), (3, kv::lock), (2, kv::delete), (6, kv::read)];
    let sessions = [(2, session::create as fn(&mut Random) -> Op), (1, session::end), (2, session::read)];
    // What ends sessions: their node or one of its checks goes.
    let causes = [(1, catalog::register as fn(&mut Random) -> Op), (1, catalog::deregister)];
    Plan { makers: keys.into_iter().chain(sessions).chain(causes).collect() }
}

pub(crate) fn transactions(_: &mut Random) -> Plan {
    Plan {
        makers: vec![
            (6, txn::kv),
            (3, txn::catalog),
            (1, session::create),
            (2, kv::read),
            (2, catalog::read),
            (1, catalog::register),
        ],
    }
}

pub(crate) fn agent(_: &mut Random) -> Plan {
    Plan {
        makers: vec![
            (4, agent::register),
            (2, agent::deregister),
            (4, agent::check),
            (1, agent::maintenance),
            (4, agent::read),
            (2, agent::catalog_read),
        ],
    }
}

pub(crate) fn queries(_: &mut Random) -> Plan {
    Plan { makers: vec![(3, catalog::register), (3, query::write), (1, query::delete), (4, query::read)] }
}

/// The ids of services that change their name.
pub(crate) const RENAMED: &[&str] = &["c", "job"];

/// The name that the service with this id has in this plan, if it does not change.
fn name_of(id: &str) -> Option<&'static str> {
    ["web", "db", "api"].into_iter().find(|name| id.starts_with(name))
}

/// One of a few.
pub(crate) fn pick<'a>(random: &mut Random, from: &[&'a str]) -> &'a str {
    from[random.below(from.len() as u64) as usize]
}

/// True once in so many times.
pub(crate) fn once_in(random: &mut Random, times: u64) -> bool {
    random.below(times) == 0
}

/// Percent-encodes a filter for a query string.
pub(crate) fn encode(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
