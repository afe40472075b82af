//! One message in, one message out: what a thread or connection needs to answer.

use super::cache::Cache;
use super::compose::{self, Dice, Limits, Scratch};
use super::encode::Encoder;
use super::lookup::Lookup;
use super::query::{Malformed, Query};
use super::reverse::ReverseTree;
use super::types::Rcode;
use super::zone::Zone;
use crate::machine::State;
use std::sync::Arc;

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

/// Answers queries; not shared between threads.
#[derive(Debug)]
pub(super) struct Responder {
    zone: Arc<Zone>,
    reverse: Arc<ReverseTree>,
    dice: Dice,
    cache: Cache,
    scratch: Scratch,
}

impl Responder {
    /// A responder for these zones. The seed decides the order of answers.
    pub(super) fn new(zone: Arc<Zone>, reverse: Arc<ReverseTree>, seed: u64) -> Responder {
        Responder { zone, reverse, dice: Dice::new(seed), cache: Cache::default(), scratch: Scratch::default() }
    }

    /// Writes the reply to `message` at the end of `out`, or nothing if it deserves none.
    pub(super) fn respond(&mut self, state: &State, message: &[u8], transport: Transport, out: &mut Vec<u8>) {
        match Query::parse(message) {
            Ok(query) if query.edns.is_some_and(|e| e.version != 0) => {
                compose::write_empty(&query, Rcode::BadVers, out);
            }
            Ok(query) => self.reply(state, &query, transport, out),
            Err(Malformed::Ignored) => {}
            Err(Malformed::Refused(rcode)) => compose::write_malformed(message, rcode, out),
        }
    }

    fn reply(&mut self, state: &State, query: &Query<'_>, transport: Transport, out: &mut Vec<u8>) {
        let limits = self.limits(query, transport);
        if let Some(encoded) = self.cache.get(query.key(), state) {
            return compose::write(encoded, query, limits, &mut self.dice, &mut self.scratch, out);
        }
        let mut lookup = Lookup { zone: &self.zone, state, reverse: &self.reverse, dice: &mut self.dice };
        let answer = lookup.answer(query.name(), query.qtype);
        let keep = answer.keep;
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
