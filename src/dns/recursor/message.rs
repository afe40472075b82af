//! Messages of recursors: as much of them as is needed. Never panics on what came from the network.

use crate::dns::answer::{Data, Owner, Record};
use crate::dns::name::{NAME_BYTES_MAX, Name};
use crate::dns::query::HEADER_BYTES;
use crate::dns::types::{TYPE_A, TYPE_AAAA, TYPE_CNAME};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Pointers that are followed within one name.
const POINTERS_MAX: usize = 32;
/// Records of a reply that are taken.
const RECORDS_MAX: usize = 64;
/// RD: the recursor shall find out itself.
const RECURSION_DESIRED: u8 = 1;

/// What a recursor said about addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// Low bits of the response code.
    pub(super) rcode: u8,
    /// Addresses and aliases of the answer section.
    pub(super) records: Vec<Record>,
}

impl Reply {
    /// The response code of a message.
    pub(super) fn rcode(message: &[u8]) -> Option<u8> {
        message.get(3).map(|flags| flags & 0x0F)
    }

    /// Reads the answer section; `None` if it is malformed.
    pub(super) fn parse(message: &[u8]) -> Option<Reply> {
        let header = message.first_chunk::<HEADER_BYTES>()?;
        let count = |at: usize| usize::from(u16::from_be_bytes([header[at], header[at + 1]]));
        let mut at = HEADER_BYTES;
        for _ in 0..count(4) {
            at = read_name(message, at)?.1 + 4;
        }
        let mut records = Vec::new();
        for _ in 0..count(6).min(RECORDS_MAX) {
            let (owner, after) = read_name(message, at)?;
            let (head, tail) = message.get(after..)?.split_first_chunk::<10>()?;
            let kind = u16::from_be_bytes([head[0], head[1]]);
            let ttl = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
            let bytes = usize::from(u16::from_be_bytes([head[8], head[9]]));
            let data = tail.get(..bytes)?;
            let data_at = after + 10;
            at = data_at + bytes;
            let data = match kind {
                TYPE_A => <[u8; 4]>::try_from(data).ok().map(|a| Data::Address(Ipv4Addr::from(a).into())),
                TYPE_AAAA => <[u8; 16]>::try_from(data).ok().map(|a| Data::Address(Ipv6Addr::from(a).into())),
                TYPE_CNAME => Some(Data::Cname(read_name(message, data_at)?.0)),
                _ => continue,
            };
            records.push(Record { owner: Owner::Named(owner), ttl, data: data? });
        }
        Some(Reply { rcode: header[3] & 0x0F, records })
    }
}

/// A question for one name.
pub(super) fn query(id: u16, name: &Name, qtype: u16) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    message.extend_from_slice(&[RECURSION_DESIRED, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    message.extend_from_slice(name.wire());
    message.extend_from_slice(&qtype.to_be_bytes());
    message.extend_from_slice(&1u16.to_be_bytes());
    message
}

/// Whether `reply` is a reply to `query`: a response with its id and its question.
pub(super) fn answers(reply: &[u8], query: &[u8]) -> bool {
    let (Some(theirs), Some(ours)) = (reply.first_chunk::<HEADER_BYTES>(), query.first_chunk::<HEADER_BYTES>()) else {
        return false;
    };
    let question = |message: &[u8]| {
        let end = read_name(message, HEADER_BYTES)?.1 + 4;
        message.get(HEADER_BYTES..end).map(<[u8]>::to_ascii_lowercase)
    };
    let is_reply = theirs[2] & 0x80 != 0 && theirs[..2] == ours[..2];
    // A server that refuses a malformed question may leave it out.
    let leaves_out = theirs[4..6] == [0, 0] && theirs[3] & 0x0F != 0;
    is_reply && (leaves_out || (question(reply).is_some() && question(reply) == question(query)))
}

/// The name at this place, and where what follows it begins.
fn read_name(message: &[u8], start: usize) -> Option<(Name, usize)> {
    let (mut wire, mut at, mut end) = (Vec::new(), start, None);
    let mut pointers = 0;
    loop {
        match usize::from(*message.get(at)?) {
            0 => break,
            len @ 1..64 => {
                wire.extend_from_slice(message.get(at..=at + len)?);
                if wire.len() >= NAME_BYTES_MAX {
                    return None;
                }
                at += len + 1;
            }
            high @ 0xC0.. => {
                let low = usize::from(*message.get(at + 1)?);
                end.get_or_insert(at + 2);
                pointers += 1;
                if pointers > POINTERS_MAX {
                    return None;
                }
                at = (high & 0x3F) << 8 | low;
            }
            _ => return None,
        }
    }
    wire.push(0);
    Some((Name::of_wire(wire), end.unwrap_or(at + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Name {
        Name::parse(text).expect("a name")
    }

    /// `www.example.com` with an alias, an address and a record that is of no interest.
    fn reply() -> Vec<u8> {
        let mut message = query(7, &name("www.example.com"), TYPE_A);
        message[2] |= 0x80;
        message[7] = 3;
        message.extend_from_slice(b"\xC0\x0C\0\x05\0\x01\0\0\0\x3C\0\x04\x01a\xC0\x10");
        message.extend_from_slice(b"\x01a\xC0\x10\0\x01\0\x01\0\0\0\x3D\0\x04\x0A\0\0\x01");
        message.extend_from_slice(b"\xC0\x0C\0\x10\0\x01\0\0\0\x3C\0\x02\x01x");
        message
    }

    #[test]
    fn aliases_and_addresses_are_read() {
        let record = |owner: &str, ttl, data| Record { owner: Owner::Named(name(owner)), ttl, data };
        let records = vec![
            record("www.example.com", 60, Data::Cname(name("a.example.com"))),
            record("a.example.com", 61, Data::Address([10, 0, 0, 1].into())),
        ];
        assert_eq!(Reply::parse(&reply()), Some(Reply { rcode: 0, records }));
    }

    #[test]
    fn replies_to_other_questions_are_not_believed() {
        let ours = query(7, &name("WWW.example.com"), TYPE_A);
        assert!(answers(&reply(), &ours));
        assert!(!answers(&ours, &ours));
        assert!(!answers(&reply(), &query(8, &name("www.example.com"), TYPE_A)));
        assert!(!answers(&reply(), &query(7, &name("www.example.org"), TYPE_A)));
        assert!(!answers(&reply(), &query(7, &name("www.example.com"), TYPE_AAAA)));
        assert!(!answers(&[], &ours));
    }

    #[test]
    fn pointers_that_lead_in_circles_end() {
        let mut message = query(7, &name("a"), TYPE_A);
        message[12..15].copy_from_slice(b"\xC0\x0C\0");
        assert_eq!(Reply::parse(&message), None);
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80), at in 0usize..60, byte in any::<u8>()) {
            let _ = (Reply::parse(&bytes), answers(&bytes, &bytes));
            let mut changed = reply();
            changed[at] = byte;
            let _ = Reply::parse(&changed);
            changed.truncate(at);
            let _ = Reply::parse(&changed);
        }
    }
}
