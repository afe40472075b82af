//! One message in, one message out: what a thread or connection needs to answer.

use super::cache::Cache;
use super::compose::{self, Dice, Limits, Scratch};
use super::encode::Encoder;
use super::lookup::Lookup;
use super::name::Name;
use super::options::{LiveOptions, Options};
use super::query::{Malformed, Query};
use super::recursor::Outside;
use super::reverse::ReverseTree;
use super::types::Rcode;
use super::zone::Zone;
use crate::machine::State;
use std::sync::Arc;
use tokio::sync::watch;

/// The most bytes of a reply over UDP: what fits into a datagram, less a margin for headers.
pub(super) const UDP_REPLY_BYTES_MAX: usize = 65_535 - 68;
/// The most bytes of a message over TCP.
pub(super) const TCP_REPLY_BYTES_MAX: usize = 65_535;
/// The most records of an answer over UDP without EDNS, whatever the operator says.
const PLAIN_UDP_RECORDS_MAX: usize = 8;

/// How a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// One datagram.
    Udp,
    /// A stream with two bytes of length before each message.
    Tcp,
}

/// What is to be done about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing more.
    Done,
    /// Nothing was written: recursors have to be asked.
    Later(Forward),
}

/// What recursors are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Forward {
    /// The message itself.
    Relay,
    /// The addresses of these names, folded.
    Aliases(Vec<Name>),
}

/// Answers queries; not shared between threads.
#[derive(Debug)]
pub(super) struct Responder {
    zone: Arc<Zone>,
    /// Options to come.
    live: watch::Receiver<Arc<Options>>,
    reverse: Arc<ReverseTree>,
    dice: Dice,
    cache: Cache,
    scratch: Scratch,
    /// Servers answer, whatever is asked.
    relays: bool,
}

impl Responder {
    /// A responder for these zones, with options that may change. The seed decides the order of answers.
    pub(super) fn new(zone: Arc<Zone>, live: &LiveOptions, reverse: Arc<ReverseTree>, seed: u64) -> Responder {
        let (dice, live) = (Dice::new(seed), live.subscribe());
        Responder { zone, live, reverse, dice, cache: Cache::default(), scratch: Scratch::default(), relays: false }
    }

    /// The same for an agent that has no state: well-formed questions are all for [`Forward::Relay`].
    pub(super) fn relaying(self) -> Responder {
        Responder { relays: true, ..self }
    }

    /// Takes up new options. What was kept was made with the old ones.
    fn refresh(&mut self) {
        // An error means that nobody can change them any more.
        if self.live.has_changed().unwrap_or(false) {
            let options = self.live.borrow_and_update().clone();
            self.zone = Arc::new(self.zone.with_options((*options).clone()));
            self.cache = Cache::default();
        }
    }

    /// Writes the reply to `message` at the end of `out`, or nothing if it deserves none or comes later.
    pub(super) fn respond(
        &mut self,
        state: &State,
        message: &[u8],
        transport: Transport,
        out: &mut Vec<u8>,
    ) -> Outcome {
        self.respond_with(state, message, transport, &Outside::default(), false, out)
    }

    /// The same with what recursors said. If it is the `last` try, what they did not say is left out.
    pub(super) fn respond_with(
        &mut self,
        state: &State,
        message: &[u8],
        transport: Transport,
        outside: &Outside,
        last: bool,
        out: &mut Vec<u8>,
    ) -> Outcome {
        self.refresh();
        match Query::parse(message) {
            Ok(query) if query.edns.is_some_and(|e| e.version != 0) => {
                compose::write_empty(&query, Rcode::BadVers, out);
            }
            Ok(_) if self.relays => return Outcome::Later(Forward::Relay),
            Ok(query) => return self.reply(state, &query, transport, (outside, last), out),
            Err(Malformed::Ignored) => {}
            Err(Malformed::Refused(rcode)) => compose::write_malformed(message, rcode, out),
        }
        Outcome::Done
    }

    /// Writes a reply that says that nobody could answer.
    pub(super) fn respond_failure(&mut self, message: &[u8], rcode: Rcode, out: &mut Vec<u8>) {
        if let Ok(query) = Query::parse(message) {
            let start = out.len();
            compose::write_empty(&query, rcode, out);
            // Recursion is available, though it failed.
            out[start + 3] |= 0x80;
        }
    }

    fn reply(
        &mut self,
        state: &State,
        query: &Query<'_>,
        transport: Transport,
        (outside, last): (&Outside, bool),
        out: &mut Vec<u8>,
    ) -> Outcome {
        let limits = self.limits(query, transport);
        if let Some(encoded) = self.cache.get(query.key(), state) {
            compose::write(encoded, query, limits, &mut self.dice, &mut self.scratch, out);
            return Outcome::Done;
        }
        let (zone, reverse, dice) = (&*self.zone, &*self.reverse, &mut self.dice);
        let mut lookup = Lookup { zone, state, reverse, outside, missing: Vec::new(), dice };
        let mut answer = lookup.answer(query.name(), query.qtype);
        let missing = std::mem::take(&mut lookup.missing);
        let keep = answer.keep && missing.is_empty() && outside.is_empty();
        if !self.zone.options.recursors.is_empty() {
            if answer.elsewhere {
                return Outcome::Later(Forward::Relay);
            }
            if !missing.is_empty() && !last {
                return Outcome::Later(Forward::Aliases(missing));
            }
            answer.recursion_available = true;
        }
        let encoder = Encoder {
            question: query.name(),
            zone: &self.zone.domain,
            soa: self.zone.options.soa,
            compress: !self.zone.options.disable_compression,
        };
        let mut encoded = encoder.encode(answer);
        compose::write(&mut encoded, query, limits, &mut self.dice, &mut self.scratch, out);
        if keep {
            self.cache.insert(query.key(), encoded, state);
        }
        Outcome::Done
    }

    fn limits(&self, query: &Query<'_>, transport: Transport) -> Limits {
        let options = &self.zone.options;
        match transport {
            Transport::Tcp => Limits { bytes: TCP_REPLY_BYTES_MAX, records: usize::MAX, truncate: true },
            Transport::Udp => {
                let bytes = query.udp_limit().min(UDP_REPLY_BYTES_MAX);
                let plain = query.edns.is_none_or(|e| usize::from(e.udp_bytes) <= super::query::UDP_BYTES_MIN);
                let records = if plain { options.udp_answer_limit.min(PLAIN_UDP_RECORDS_MAX) } else { usize::MAX };
                Limits { bytes, records, truncate: options.enable_truncate }
            }
        }
    }
}
