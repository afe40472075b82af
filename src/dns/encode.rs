//! From an [`Answer`] to bytes that can be put together anew for every reply. Owns: how records are written.
//!
//! Each record is encoded once. Names point only into the question, whose place is the same in every reply, or to the
//! target of a record of the same group, which is filled in when the place of that record is known. So records can be
//! shuffled and cut by copying, without encoding anything again.

use super::answer::{Answer, Data, Dependency, Group, Owner, Record};
use super::name::{self, Name};
use super::options::Soa;
use super::query::HEADER_BYTES;
use super::types::Rcode;
use std::collections::HashMap;
use std::net::IpAddr;

/// A pointer to the name in the question.
const QUESTION_POINTER: [u8; 2] = [0xC0, HEADER_BYTES as u8];
/// The class of everything here.
const CLASS_IN: u16 = 1;
/// Priority of every SRV record.
const SRV_PRIORITY: u16 = 1;
/// Bytes of the longest string in a TXT record.
const TXT_STRING_BYTES_MAX: usize = 255;

/// One encoded record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    start: u32,
    len: u16,
    /// Where its target name begins within it; 0: it has none.
    pub(super) target_at: u16,
    /// Its first two bytes are to become a pointer to the last target before it, whose name has so many bytes in full;
    /// 0: its owner is complete.
    pub(super) owner_bytes: u8,
    /// Equal for equal additional records.
    pub(super) id: u32,
}

impl Piece {
    /// Bytes with a pointer as owner.
    pub(super) fn bytes(&self) -> usize {
        usize::from(self.len)
    }

    /// Bytes with its owner written in full.
    pub(super) fn bytes_in_full(&self) -> usize {
        self.bytes() + usize::from(self.owner_bytes.saturating_sub(2))
    }
}

/// Records that are kept or cut together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pieces {
    first: u32,
    /// How many are in the answer or authority section.
    pub(super) records: u16,
    /// How many follow for the additional section.
    extras: u16,
}

/// An answer whose records have bytes.
#[derive(Debug)]
pub(super) struct Encoded {
    /// Response code.
    pub(super) rcode: Rcode,
    /// The AA bit.
    pub(super) authoritative: bool,
    /// The RA bit.
    pub(super) recursion_available: bool,
    /// See [`Answer::shuffle`].
    pub(super) shuffle: bool,
    /// See [`Answer::groups_max`].
    pub(super) groups_max: usize,
    /// Places of the answer's groups in their last order. Any order is a fair start for the next shuffle.
    pub(super) order: Vec<u32>,
    /// Groups of the authority section.
    pub(super) authority: Box<[Pieces]>,
    answers: Box<[Pieces]>,
    pieces: Box<[Piece]>,
    bytes: Box<[u8]>,
    /// How many different additional records there are; 0: no two groups have one in common.
    pub(super) shared_extras: usize,
    /// What it was made from.
    pub(super) depends: Box<[Dependency]>,
}

impl Encoded {
    /// The group of the answer section at this place.
    pub(super) fn group(&self, at: u32) -> Pieces {
        self.answers[at as usize]
    }

    /// The records of a group.
    pub(super) fn records(&self, group: Pieces) -> &[Piece] {
        let first = group.first as usize;
        &self.pieces[first..first + usize::from(group.records)]
    }

    /// The additional records of a group.
    pub(super) fn extras(&self, group: Pieces) -> &[Piece] {
        let first = group.first as usize + usize::from(group.records);
        &self.pieces[first..first + usize::from(group.extras)]
    }

    /// The bytes of a record.
    pub(super) fn piece(&self, piece: &Piece) -> &[u8] {
        let start = piece.start as usize;
        &self.bytes[start..start + piece.bytes()]
    }

    /// About how much memory it takes, bytes.
    pub(super) fn memory(&self) -> usize {
        let groups = self.answers.len() + self.authority.len();
        size_of::<Encoded>()
            + self.bytes.len()
            + size_of_val(&*self.pieces)
            + groups * (size_of::<Pieces>() + size_of::<u32>())
            + self.depends.len() * size_of::<Dependency>()
    }
}

/// What records are written for.
pub(super) struct Encoder<'a> {
    /// The name asked for, folded.
    pub(super) question: &'a [u8],
    /// The zone's name, folded: appears in most names.
    pub(super) zone: &'a Name,
    /// Values of the SOA record.
    pub(super) soa: Soa,
    /// Whether names are compressed.
    pub(super) compress: bool,
}

/// The growing parts of an [`Encoded`].
#[derive(Default)]
struct Draft {
    pieces: Vec<Piece>,
    bytes: Vec<u8>,
    ids: HashMap<(Option<Name>, Data), u32>,
    extras: usize,
}

impl Encoder<'_> {
    /// Encodes an answer. Records that cannot be encoded (none are made) would be left out.
    pub(super) fn encode(&self, answer: Answer) -> Encoded {
        let mut draft = Draft::default();
        let groups = |draft: &mut Draft, groups: &[Group]| -> Box<[Pieces]> {
            groups.iter().map(|g| self.group(draft, g)).collect()
        };
        let answers = groups(&mut draft, &answer.answers);
        let authority = groups(&mut draft, &answer.authority);
        Encoded {
            rcode: answer.rcode,
            authoritative: answer.authoritative,
            recursion_available: answer.recursion_available,
            shuffle: answer.shuffle,
            groups_max: answer.groups_max,
            order: (0..answers.len() as u32).collect(),
            authority,
            answers,
            shared_extras: if draft.ids.len() < draft.extras { draft.ids.len() } else { 0 },
            pieces: draft.pieces.into(),
            bytes: draft.bytes.into(),
            depends: answer.depends.into(),
        }
    }

    fn group(&self, draft: &mut Draft, group: &Group) -> Pieces {
        let first = draft.pieces.len() as u32;
        let mut target = None;
        for record in &group.records {
            self.record(draft, record, &mut target);
        }
        let records = draft.pieces.len() as u32 - first;
        for record in &group.extras {
            let owner = match &record.owner {
                Owner::Named(name) => Some(name.clone()),
                Owner::Target => target.cloned(),
                Owner::Question => None,
            };
            self.record(draft, record, &mut target);
            let next = draft.ids.len() as u32;
            let id = *draft.ids.entry((owner, record.data.clone())).or_insert(next);
            draft.extras += 1;
            if let Some(piece) = draft.pieces.last_mut() {
                piece.id = id;
            }
        }
        let extras = draft.pieces.len() as u32 - first - records;
        Pieces { first, records: records as u16, extras: extras as u16 }
    }

    fn record<'r>(&self, draft: &mut Draft, record: &'r Record, target: &mut Option<&'r Name>) {
        let out = &mut draft.bytes;
        let start = out.len();
        let mut owner_bytes = 0;
        match (&record.owner, *target) {
            (Owner::Question, _) if self.compress => out.extend_from_slice(&QUESTION_POINTER),
            (Owner::Question, _) => out.extend_from_slice(self.question),
            (Owner::Named(name), _) => self.name(out, name),
            (Owner::Target, Some(name)) if self.compress => {
                owner_bytes = name.wire().len() as u8;
                out.extend_from_slice(&[0, 0]);
            }
            (Owner::Target, Some(name)) => out.extend_from_slice(name.wire()),
            (Owner::Target, None) => out.extend_from_slice(&QUESTION_POINTER),
        }
        out.extend_from_slice(&record.data.rtype().to_be_bytes());
        out.extend_from_slice(&CLASS_IN.to_be_bytes());
        out.extend_from_slice(&record.ttl.to_be_bytes());
        let length_at = out.len();
        out.extend_from_slice(&[0, 0]);
        let target_at = self.data(out, &record.data);
        let data_bytes = (out.len() - length_at - 2) as u16;
        out[length_at..length_at + 2].copy_from_slice(&data_bytes.to_be_bytes());
        let target_at = target_at.map_or(0, |at| (at - start) as u16);
        let len = (out.len() - start) as u16;
        draft.pieces.push(Piece { start: start as u32, len, target_at, owner_bytes, id: 0 });
        if let Some(name) = record.data.target() {
            *target = Some(name);
        }
    }

    /// Writes the content and says where the target name begins.
    fn data(&self, out: &mut Vec<u8>, data: &Data) -> Option<usize> {
        match data {
            Data::Address(IpAddr::V4(a)) => out.extend_from_slice(&a.octets()),
            Data::Address(IpAddr::V6(a)) => out.extend_from_slice(&a.octets()),
            Data::Srv { weight, port, target } => {
                for number in [SRV_PRIORITY, *weight, *port] {
                    out.extend_from_slice(&number.to_be_bytes());
                }
                let at = out.len();
                // RFC 2782: the target is not compressed.
                out.extend_from_slice(target.wire());
                return Some(at);
            }
            Data::Cname(name) | Data::Ptr(name) | Data::Ns(name) => {
                let at = out.len();
                self.name(out, name);
                return Some(at).filter(|_| data.target().is_some());
            }
            Data::Soa { serial } => {
                for host in ["ns", "hostmaster"] {
                    match Name::under(host, self.zone.wire()) {
                        Some(name) => self.name(out, &name),
                        None => self.name(out, self.zone),
                    }
                }
                let soa = self.soa;
                for number in [*serial, soa.refresh, soa.retry, soa.expire, soa.min_ttl] {
                    out.extend_from_slice(&number.to_be_bytes());
                }
            }
            Data::Txt(text) => {
                if text.is_empty() {
                    out.push(0);
                }
                for string in text.as_bytes().chunks(TXT_STRING_BYTES_MAX) {
                    out.push(string.len() as u8);
                    out.extend_from_slice(string);
                }
            }
        }
        None
    }

    /// Writes a name; as much of its end as the question ends in too becomes a pointer.
    fn name(&self, out: &mut Vec<u8>, name: &Name) {
        let folded = name.folded();
        let mut here = 0;
        while self.compress && folded.wire()[here] != 0 {
            if let Some(there) = name::suffix_at(self.question, &folded.wire()[here..]) {
                out.extend_from_slice(&name.wire()[..here]);
                out.extend_from_slice(&(0xC000 | (HEADER_BYTES + there) as u16).to_be_bytes());
                return;
            }
            here += usize::from(folded.wire()[here]) + 1;
        }
        out.extend_from_slice(name.wire());
    }
}
