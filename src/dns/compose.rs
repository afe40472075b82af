//! The hot path from an encoded answer to a reply: shuffle, cut to size, copy. Never writes more than the limit.

use super::encode::{Encoded, Piece, Pieces};
use super::query::{HEADER_BYTES, Query};
use super::types::{OPTION_SUBNET, Rcode, TYPE_OPT};

/// The furthest place that a pointer reaches (14 bits).
const POINTER_MAX: usize = 0x3FFF;
/// Bytes of an EDNS record without options.
const OPT_BYTES: usize = 11;

/// How much of an answer may go into a reply.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of the whole message; at least 512.
    pub(super) bytes: usize,
    /// Records in the answer section.
    pub(super) records: usize,
    /// Set the TC bit if something of the answer section is missing.
    pub(super) truncate: bool,
}

/// A small fast generator (xorshift64*): the order of answers needs to be even, not secret.
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    /// Seeded; any seed will do.
    pub(super) fn new(seed: u64) -> Dice {
        Dice(seed | 1)
    }

    /// Evenly below `n`, which is not 0.
    pub(super) fn below(&mut self, n: u32) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        ((high * u64::from(n)) >> 32) as u32
    }
}

/// Buffers that are used again from reply to reply.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Groups whose additional records are still to be written: how many of them, and the place of the last target.
    placed: Vec<(Pieces, usize, usize)>,
    /// By id of an additional record that several groups have: the last round in which it was promised or written.
    seen: Vec<u32>,
    /// Even; the next number means "written" where this one means "promised".
    round: u32,
    /// How many ids this reply has; 0: no record is in two groups.
    ids: usize,
}

impl Scratch {
    /// Forgets everything, and makes room for so many ids.
    fn start(&mut self, ids: usize) {
        self.placed.clear();
        self.ids = ids;
        self.round = self.round.wrapping_add(2);
        if self.round == 0 {
            self.seen.clear();
            self.round = 2;
        }
        if self.seen.len() < ids {
            self.seen.resize(ids, 0);
        }
    }

    /// Whether an additional record is neither promised nor written.
    fn is_new(&self, piece: &Piece) -> bool {
        self.seen[..self.ids].get(piece.id as usize).is_none_or(|seen| *seen < self.round)
    }

    /// Additional records are going to be written.
    fn promise(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            if let Some(seen) = self.seen[..self.ids].get_mut(piece.id as usize) {
                *seen = self.round;
            }
        }
    }

    /// Whether a promised record is still to be written; from now on it is written.
    fn redeem(&mut self, piece: &Piece) -> bool {
        let Some(seen) = self.seen[..self.ids].get_mut(piece.id as usize) else { return true };
        std::mem::replace(seen, self.round + 1) == self.round
    }
}

/// A reply that is being written at the end of a buffer.
struct Reply<'a> {
    encoded: &'a Encoded,
    scratch: &'a mut Scratch,
    out: &'a mut Vec<u8>,
    start: usize,
    /// Bytes that are not promised yet.
    room: usize,
}

/// Writes the reply to `query` at the end of `out`.
pub(super) fn write(
    encoded: &mut Encoded,
    query: &Query<'_>,
    limits: Limits,
    dice: &mut Dice,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) {
    let start = begin(query, out);
    let mut order = std::mem::take(&mut encoded.order);
    let groups = order.len().min(encoded.groups_max);
    scratch.start(encoded.shared_extras);
    let head = HEADER_BYTES + query.question.len() + opt_bytes(query);
    let mut reply = Reply { encoded, scratch, out, start, room: limits.bytes.saturating_sub(head) };
    let mut records = 0;
    let mut cut = false;
    for at in 0..groups {
        if encoded.shuffle {
            let other = at + dice.below((order.len() - at) as u32) as usize;
            order.swap(at, other);
        }
        let group = encoded.group(order[at]);
        let wanted = usize::from(group.records);
        let written = match limits.records - records {
            space if wanted <= space && reply.put_whole(group) => wanted,
            space if at == 0 => reply.put_part(group, space),
            _ => 0,
        };
        records += written;
        if written < wanted {
            cut = true;
            break;
        }
    }
    let mut authority = 0;
    for group in &encoded.authority {
        if reply.put_whole(*group) {
            authority += usize::from(group.records);
        }
    }
    let extras = reply.put_extras();
    encoded.order = order;
    // A reply without any of its answers would claim that there are none.
    let truncated = cut && (limits.truncate || records == 0);
    finish(query, encoded.rcode, [records, authority, extras], out, start);
    out[start + 2] |= u8::from(encoded.authoritative) << 2 | u8::from(truncated) << 1;
    out[start + 3] |= u8::from(encoded.recursion_available) << 7;
}

impl Reply<'_> {
    fn position(&self) -> usize {
        self.out.len() - self.start
    }

    /// Writes the records of a group, and promises its additional ones, if all of it fits.
    fn put_whole(&mut self, group: Pieces) -> bool {
        let encoded = self.encoded;
        let (records, extras) = (encoded.records(group), encoded.extras(group));
        let mut bytes: usize = records.iter().map(Piece::bytes).sum();
        // Owners after the reach of pointers are written in full.
        let far = self.position() + bytes > POINTER_MAX;
        if far {
            bytes = records.iter().map(Piece::bytes_in_full).sum();
        }
        for piece in extras {
            if self.scratch.is_new(piece) {
                bytes += if far { piece.bytes_in_full() } else { piece.bytes() };
            }
        }
        if bytes > self.room {
            return false;
        }
        self.room -= bytes;
        let mut target = 0;
        for piece in records {
            self.copy(piece, &mut target);
        }
        if !extras.is_empty() {
            self.scratch.promise(extras);
            self.scratch.placed.push((group, extras.len(), target));
        }
        true
    }

    /// Writes as many records of a group as fit, and promises as many additional ones. For the first group only, so
    /// that there is no promise yet. Returns how many records were written.
    fn put_part(&mut self, group: Pieces, space: usize) -> usize {
        let encoded = self.encoded;
        let mut fits = |piece: &&Piece| {
            let fits = piece.bytes_in_full() <= self.room;
            self.room -= if fits { piece.bytes_in_full() } else { 0 };
            fits
        };
        let records = encoded.records(group).iter().take(space).take_while(&mut fits).count();
        let extras = if records == 0 { 0 } else { encoded.extras(group).iter().take_while(fits).count() };
        let mut target = 0;
        for piece in &encoded.records(group)[..records] {
            self.copy(piece, &mut target);
        }
        if extras > 0 {
            self.scratch.promise(&encoded.extras(group)[..extras]);
            self.scratch.placed.push((group, extras, target));
        }
        records
    }

    /// Writes the promised additional records and returns how many.
    fn put_extras(&mut self) -> usize {
        let placed = std::mem::take(&mut self.scratch.placed);
        let mut written = 0;
        for (group, extras, target) in &placed {
            let mut target = *target;
            for piece in &self.encoded.extras(*group)[..*extras] {
                if self.scratch.redeem(piece) {
                    self.copy(piece, &mut target);
                    written += 1;
                }
            }
        }
        self.scratch.placed = placed;
        written
    }

    /// Copies a record. `target` is the place of the name that it may belong to, and becomes that of its own target.
    fn copy(&mut self, piece: &Piece, target: &mut usize) {
        let bytes = self.encoded.piece(piece);
        let at = self.out.len();
        if piece.owner_bytes == 0 {
            self.out.extend_from_slice(bytes);
        } else if *target <= POINTER_MAX {
            self.out.extend_from_slice(bytes);
            self.out[at..at + 2].copy_from_slice(&(0xC000 | *target as u16).to_be_bytes());
        } else {
            let name = self.start + *target;
            self.out.extend_from_within(name..name_end(self.out, name));
            self.out.extend_from_slice(&bytes[2..]);
        }
        if piece.target_at != 0 {
            // Counted from the end, because the owner may have grown.
            *target = self.position() - (piece.bytes() - usize::from(piece.target_at));
        }
    }
}

/// Where the name that begins here ends, be it with a pointer or not.
fn name_end(bytes: &[u8], mut at: usize) -> usize {
    loop {
        match bytes[at] {
            0 => return at + 1,
            0xC0.. => return at + 2,
            len => at += usize::from(len) + 1,
        }
    }
}

/// Writes a reply without records.
pub(super) fn write_empty(query: &Query<'_>, rcode: Rcode, out: &mut Vec<u8>) {
    let start = begin(query, out);
    finish(query, rcode, [0; 3], out, start);
}

/// Writes a reply to a message that could not be read: its id, the code, and nothing else.
pub(super) fn write_malformed(message: &[u8], rcode: Rcode, out: &mut Vec<u8>) {
    let [id_high, id_low, flags, ..] = message else { return };
    out.extend_from_slice(&[*id_high, *id_low, flags & 0x79 | 0x80, rcode as u8 & 0x0F]);
    out.extend_from_slice(&[0; 8]);
}

/// Room for the header, and the question as it came.
fn begin(query: &Query<'_>, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    out.extend_from_slice(query.question);
    start
}

/// Bytes of the EDNS record of the reply.
fn opt_bytes(query: &Query<'_>) -> usize {
    query.edns.map_or(0, |e| OPT_BYTES + e.subnet.map_or(0, |s| 4 + s.len()))
}

/// Writes the EDNS record and the header.
fn finish(query: &Query<'_>, rcode: Rcode, counts: [usize; 3], out: &mut Vec<u8>, start: usize) {
    let [answers, authority, mut extras] = counts;
    let code = rcode as u8;
    if let Some(edns) = query.edns {
        extras += 1;
        out.push(0);
        out.extend_from_slice(&TYPE_OPT.to_be_bytes());
        out.extend_from_slice(&edns.udp_bytes.to_be_bytes());
        out.extend_from_slice(&[code >> 4, 0, 0, 0]);
        let option = edns.subnet.map_or(0, |s| 4 + s.len() as u16);
        out.extend_from_slice(&option.to_be_bytes());
        if let Some(subnet) = edns.subnet {
            out.extend_from_slice(&OPTION_SUBNET.to_be_bytes());
            out.extend_from_slice(&(subnet.len() as u16).to_be_bytes());
            // Family and source prefix as they came, scope 0: the answer is good for everyone (RFC 7871 §7.2.1).
            let at = out.len();
            out.extend_from_slice(subnet);
            out[at + 3] = 0;
        }
    }
    let flags =
        [0x80 | u8::from(query.recursion_desired()), code & 0x0F | if query.checking_disabled() { 0x10 } else { 0 }];
    let header = &mut out[start..start + HEADER_BYTES];
    header[..2].copy_from_slice(&query.id);
    header[2..4].copy_from_slice(&flags);
    for (at, count) in [1, answers, authority, extras].into_iter().enumerate() {
        header[4 + 2 * at..6 + 2 * at].copy_from_slice(&(count as u16).to_be_bytes());
    }
}
