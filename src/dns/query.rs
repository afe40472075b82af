//! Reads queries by hand: the header, the one question and the EDNS record, and nothing that is not needed to answer.
//! Never panics, never allocates, never follows a compression pointer (a question has nothing to point back to).

use super::name::NAME_BYTES_MAX;
use super::types::{OPTION_SUBNET, Rcode, TYPE_OPT};

/// Bytes of the header.
pub(super) const HEADER_BYTES: usize = 12;
/// The smallest message that every client takes over UDP (RFC 1035 §2.3.4).
pub(super) const UDP_BYTES_MIN: usize = 512;
/// A client-subnet option never has more: family, two prefix lengths and an IPv6 address (RFC 7871 §6).
const SUBNET_BYTES_MAX: usize = 20;

/// What a query says about EDNS (RFC 6891).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edns<'a> {
    /// The size of UDP messages that the client takes, as it said it.
    pub(super) udp_bytes: u16,
    /// 0 is the only one there is.
    pub(super) version: u8,
    /// The value of the client-subnet option, if there is a well-formed one.
    pub(super) subnet: Option<&'a [u8]>,
}

/// A well-formed query with one question.
#[derive(Clone, Debug)]
pub(super) struct Query<'a> {
    /// Echoed.
    pub(super) id: [u8; 2],
    /// First byte of the header's flags.
    flags: u8,
    /// Second byte of the header's flags.
    flags_low: u8,
    /// Name, type and class as they came.
    pub(super) question: &'a [u8],
    folded: [u8; NAME_BYTES_MAX + 2],
    /// What is asked for; numbers of RFC 1035 and its successors.
    pub(super) qtype: u16,
    /// EDNS, if the client speaks it.
    pub(super) edns: Option<Edns<'a>>,
}

/// Why a message is no query that can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    /// Too short to be answered, or itself an answer: silence.
    Ignored,
    /// Answered with this code and an empty body.
    Refused(Rcode),
}

impl<'a> Query<'a> {
    /// Reads a message.
    pub(super) fn parse(message: &'a [u8]) -> Result<Query<'a>, Malformed> {
        let Some((header, body)) = message.split_first_chunk::<HEADER_BYTES>() else { return Err(Malformed::Ignored) };
        let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        if header[2] & 0x80 != 0 {
            return Err(Malformed::Ignored);
        }
        if header[2] & 0x78 != 0 {
            return Err(Malformed::Refused(Rcode::NotImp));
        }
        let broken = Malformed::Refused(Rcode::FormErr);
        // One question; a query has no answers, and at most EDNS and a signature besides.
        let (records, additional) = (count(6).saturating_add(count(8)), count(10));
        if count(4) != 1 || records > 2 || additional > 2 {
            return Err(broken);
        }
        let name = name_bytes(body).ok_or(broken)?;
        let question = body.get(..name + 4).ok_or(broken)?;
        let mut query = Query {
            id: [header[0], header[1]],
            flags: header[2],
            flags_low: header[3],
            question,
            folded: [0; NAME_BYTES_MAX + 2],
            qtype: u16::from_be_bytes([question[name], question[name + 1]]),
            edns: None,
        };
        let key = &mut query.folded[..name + 2];
        key.copy_from_slice(&question[..name + 2]);
        key[..name].make_ascii_lowercase();
        query.edns = edns(&body[name + 4..], records, additional).ok_or(broken)?;
        Ok(query)
    }

    /// The name in lower case, wire form.
    pub(super) fn name(&self) -> &[u8] {
        &self.folded[..self.question.len() - 4]
    }

    /// The name in lower case and the type: what an answer depends on. The class is not looked at, as in Consul.
    pub(super) fn key(&self) -> &[u8] {
        &self.folded[..self.question.len() - 2]
    }

    /// Whether recursion is asked for: echoed.
    pub(super) fn recursion_desired(&self) -> bool {
        self.flags & 1 != 0
    }

    /// Whether checking is disabled: echoed (RFC 4035 §3.2.2).
    pub(super) fn checking_disabled(&self) -> bool {
        self.flags_low & 0x10 != 0
    }

    /// The most bytes that the client takes over UDP.
    pub(super) fn udp_limit(&self) -> usize {
        self.edns.map_or(0, |e| usize::from(e.udp_bytes)).max(UDP_BYTES_MIN)
    }
}

/// Length of the uncompressed name at the start, root byte included.
fn name_bytes(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match usize::from(*bytes.get(at)?) {
            0 => return Some(at + 1),
            len @ 1..64 if at + len + 2 <= NAME_BYTES_MAX => at += len + 1,
            _ => return None,
        }
    }
}

/// Finds EDNS among the records after the question. `None`: malformed, or two of them.
fn edns(mut rest: &[u8], records: u16, additional: u16) -> Option<Option<Edns<'_>>> {
    let mut found = None;
    for at in 0..records + additional {
        let owner = skip_name(rest)?;
        let (head, tail) = rest[owner..].split_first_chunk::<10>()?;
        let data_bytes = usize::from(u16::from_be_bytes([head[8], head[9]]));
        let data = tail.get(..data_bytes)?;
        rest = &tail[data_bytes..];
        if u16::from_be_bytes([head[0], head[1]]) != TYPE_OPT {
            continue;
        }
        if at < records || owner != 1 || found.is_some() {
            return None;
        }
        found =
            Some(Edns { udp_bytes: u16::from_be_bytes([head[2], head[3]]), version: head[5], subnet: subnet(data)? });
    }
    Some(found)
}

/// Length of the name at the start as it is stored, be it with a pointer or not.
fn skip_name(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match usize::from(*bytes.get(at)?) {
            0 => return Some(at + 1),
            len @ 1..64 => at += len + 1,
            0xC0.. => return bytes.get(at + 1).map(|_| at + 2),
            _ => return None,
        }
    }
}

/// The client-subnet option among the options. Outer `None`: the options are malformed.
fn subnet(mut options: &[u8]) -> Option<Option<&[u8]>> {
    let mut found = None;
    while !options.is_empty() {
        let (head, tail) = options.split_first_chunk::<4>()?;
        let bytes = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = tail.get(..bytes)?;
        options = &tail[bytes..];
        if u16::from_be_bytes([head[0], head[1]]) == OPTION_SUBNET && (4..=SUBNET_BYTES_MAX).contains(&bytes) {
            found = Some(value);
        }
    }
    Some(found)
}
