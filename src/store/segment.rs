//! The bytes of a segment of the raft log: a header, then records, each sealed with a checksum over itself and all
//! before it. So a record that a crash tore, or one left over from an earlier use of the file, never passes for the next.
//!
//! | part | bytes |
//! | --- | --- |
//! | header | magic (8), format (u32), number of the segment (u64), checksum of these (u32) |
//! | record | checksum (u32), length of the payload (u32), kind (u8), index (u64), payload |
//!
//! Numbers are little endian, checksums CRC-32C. A record's checksum goes on from that of the record before it, the
//! first one's from the header's.

use crc32c::crc32c_append;

/// Bytes before the first record.
pub(super) const HEADER: usize = 24;
/// Bytes of a record before its payload.
const RECORD: usize = 17;
const MAGIC: &[u8; 8] = b"lictrlog";
const FORMAT: u32 = 1;

const ENTRY: u8 = 1;
const TRUNCATE: u8 = 2;
const COMMITTED: u8 = 3;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record<'a> {
    /// The entry of an index.
    Entry {
        /// Its index.
        index: u64,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// The entries from an index on are gone.
    Truncate {
        /// The index.
        from: u64,
    },
    /// Everything up to an index is known to be committed.
    Committed {
        /// The index.
        index: u64,
        /// Its encoded log id.
        log_id: &'a [u8],
    },
}

/// Appends the header of a segment; returns the checksum that the first record goes on from.
pub(super) fn put_header(out: &mut Vec<u8>, number: u64) -> u32 {
    let start = out.len();
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&FORMAT.to_le_bytes());
    out.extend_from_slice(&number.to_le_bytes());
    let seal = crc32c_append(0, &out[start..]);
    out.extend_from_slice(&seal.to_le_bytes());
    seal
}

/// Appends a record; returns its checksum.
pub(super) fn put(out: &mut Vec<u8>, seal: u32, record: Record<'_>) -> u32 {
    let (kind, index, payload) = match record {
        Record::Entry { index, bytes } => (ENTRY, index, bytes),
        Record::Truncate { from } => (TRUNCATE, from, &[][..]),
        Record::Committed { index, log_id } => (COMMITTED, index, log_id),
    };
    let mut head = [0; RECORD];
    head[4..8].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    head[8] = kind;
    head[9..].copy_from_slice(&index.to_le_bytes());
    let seal = crc32c_append(crc32c_append(seal, &head[4..]), payload);
    head[..4].copy_from_slice(&seal.to_le_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(payload);
    seal
}

/// What stands at the beginning of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// The header of this segment; its checksum.
    Valid(u32),
    /// A file of a newer format.
    Newer(u32),
    /// Something else: a file that was made or taken over, but not written yet.
    Other,
}

/// Looks at the header of a segment.
pub(super) fn head(bytes: &[u8], number: u64) -> Head {
    let mut expected = Vec::with_capacity(HEADER);
    let seal = put_header(&mut expected, number);
    if bytes.starts_with(&expected) {
        return Head::Valid(seal);
    }
    let format = bytes.strip_prefix(MAGIC).and_then(|rest| rest.first_chunk()).map(|f| u32::from_le_bytes(*f));
    match format {
        Some(found) if found > FORMAT => Head::Newer(found),
        _ => Head::Other,
    }
}

/// Reads the records of a segment in order, up to the first that is torn, foreign or not there.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    bytes: &'a [u8],
    /// Where the next record begins.
    pub(super) position: usize,
    /// Checksum of the last valid record, or of the header.
    pub(super) seal: u32,
}

impl<'a> Scan<'a> {
    /// `bytes` are the whole segment, `seal` is the checksum of its header.
    pub(super) fn new(bytes: &'a [u8], seal: u32) -> Scan<'a> {
        Scan { bytes, position: HEADER, seal }
    }
}

impl<'a> Iterator for Scan<'a> {
    /// The record, and where its payload begins.
    type Item = (Record<'a>, usize);

    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = self.bytes.get(self.position..)?.split_first_chunk::<RECORD>()?;
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let payload = rest.get(..number(4) as usize)?;
        let seal = crc32c_append(crc32c_append(self.seal, &head[4..]), payload);
        if seal != number(0) {
            return None;
        }
        let index = u64::from(number(9)) | u64::from(number(13)) << 32;
        let record = match head[8] {
            ENTRY => Record::Entry { index, bytes: payload },
            TRUNCATE => Record::Truncate { from: index },
            COMMITTED => Record::Committed { index, log_id: payload },
            _ => return None,
        };
        let start = self.position + RECORD;
        self.position = start + payload.len();
        self.seal = seal;
        Some((record, start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn record() -> impl Strategy<Value = (u8, u64, Vec<u8>)> {
        (1..=3_u8, any::<u64>(), vec(any::<u8>(), 0..40))
    }

    fn as_record((kind, index, bytes): &(u8, u64, Vec<u8>)) -> Record<'_> {
        match *kind {
            ENTRY => Record::Entry { index: *index, bytes },
            TRUNCATE => Record::Truncate { from: *index },
            _ => Record::Committed { index: *index, log_id: bytes },
        }
    }

    fn segment(number: u64, records: &[(u8, u64, Vec<u8>)]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut seal = put_header(&mut out, number);
        for r in records {
            seal = put(&mut out, seal, as_record(r));
        }
        out
    }

    proptest! {
        #[test]
        fn records_come_back_and_a_change_of_any_byte_ends_them(
            records in vec(record(), 1..8), at in any::<prop::sample::Index>(), flip in 1..=255_u8,
        ) {
            let mut bytes = segment(7, &records);
            let Head::Valid(seal) = head(&bytes, 7) else { panic!("no header") };
            let found: Vec<_> = Scan::new(&bytes, seal).map(|(r, _)| r).collect();
            prop_assert_eq!(records.iter().map(as_record).collect::<Vec<_>>(), found);

            let at = HEADER + at.index(bytes.len() - HEADER);
            bytes[at] ^= flip;
            let found: Vec<_> = Scan::new(&bytes, seal).collect();
            prop_assert!(found.len() < records.len());
            for ((found, _), record) in found.iter().zip(&records) {
                prop_assert_eq!(&as_record(record), found);
            }
        }

        #[test]
        fn any_bytes_can_be_scanned(bytes in vec(any::<u8>(), 0..200)) {
            let _ = head(&bytes, 1);
            prop_assert_eq!(0, Scan::new(&bytes, 5).count());
        }

        #[test]
        fn what_an_earlier_use_left_behind_is_not_read(
            old in vec(record(), 3..8), new in vec(record(), 0..3),
        ) {
            let mut bytes = segment(1, &old);
            let fresh = segment(2, &new);
            let length = bytes.len().max(fresh.len());
            bytes.resize(length, 0);
            bytes[..fresh.len()].copy_from_slice(&fresh);
            prop_assert_eq!(Head::Other, head(&bytes, 1));
            let Head::Valid(seal) = head(&bytes, 2) else { panic!("no header") };
            prop_assert_eq!(new.len(), Scan::new(&bytes, seal).count());
        }
    }

    #[test]
    fn a_newer_format_is_told_apart() {
        let mut bytes = segment(3, &[]);
        bytes[8] = 9;
        assert_eq!(Head::Newer(9), head(&bytes, 3));
        assert_eq!(Head::Other, head(&[], 3));
    }
}
