//! The newest messages of a topic: for readers who are behind, and for those who come back.

use super::watched::Position;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;

/// Messages that are kept, and their bytes; the newest one is, whatever its size.
const FRAMES_MAX: usize = 256;
const BYTES_MAX: usize = 2 << 20;

/// A message as readers are sent it.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) bytes: Bytes,
    /// Where its reader is then; `None`: in the middle of something.
    pub(super) after: Option<Arc<Position>>,
    /// Revisions of the first and the last event in it; 0 where that is not what counts.
    pub(super) first: u64,
    pub(super) last: u64,
}

/// Messages with numbers that grow by one.
#[derive(Debug, Default)]
pub(super) struct Ring {
    frames: VecDeque<Frame>,
    /// Number of the frame that comes next.
    next: u64,
    bytes: usize,
    /// Every event behind this revision is here or still to come.
    floor: u64,
}

/// What there is at a number.
pub(super) enum Slot<'a> {
    /// It is kept no longer.
    Gone,
    /// This one.
    Frame(&'a Frame),
    /// It is still to come.
    Next,
}

impl Ring {
    /// Of a stream that begins behind this revision.
    pub(super) fn behind(floor: u64) -> Ring {
        Ring { floor, ..Ring::default() }
    }

    /// Number of the frame that comes next.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    pub(super) fn push(&mut self, frame: Frame) {
        self.next += 1;
        self.bytes += frame.bytes.len();
        self.frames.push_back(frame);
        while self.frames.len() > 1 && (self.frames.len() > FRAMES_MAX || self.bytes > BYTES_MAX) {
            let Some(oldest) = self.frames.pop_front() else { return };
            self.bytes -= oldest.bytes.len();
            self.floor = oldest.last;
        }
    }

    /// What was is no way to what is: every reader is behind.
    pub(super) fn clear(&mut self) {
        self.frames.clear();
        self.bytes = 0;
        self.next += 1;
    }

    pub(super) fn get(&self, number: u64) -> Slot<'_> {
        let first = self.next - self.frames.len() as u64;
        if number >= self.next {
            return Slot::Next;
        }
        let at = number.checked_sub(first).and_then(|at| self.frames.get(usize::try_from(at).ok()?));
        at.map_or(Slot::Gone, Slot::Frame)
    }

    /// Number behind the frame that has left its readers with this token.
    pub(super) fn behind_token(&self, token: &[u8]) -> Option<u64> {
        let after = |frame: &Frame| frame.after.as_ref().is_some_and(|after| after.token == token);
        Some(self.next - self.frames.iter().rev().position(after)? as u64)
    }

    /// Number of the first frame with an event behind this revision; `None`: some may be gone.
    pub(super) fn behind_revision(&self, revision: u64) -> Option<u64> {
        if revision < self.floor {
            return None;
        }
        let later = self.frames.iter().rev().take_while(|frame| frame.last > revision).count();
        Some(self.next - later as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::ResponseHeader;
    use proptest::prelude::*;

    fn frame(revision: u64, bytes: usize) -> Frame {
        let token = Bytes::from(revision.to_string());
        let after = Arc::new(Position { token, header: ResponseHeader { revision, ..ResponseHeader::default() } });
        Frame { bytes: vec![0; bytes].into(), after: Some(after), first: revision, last: revision }
    }

    fn revisions_from(ring: &Ring, mut number: u64) -> Option<Vec<u64>> {
        let mut found = Vec::new();
        loop {
            match ring.get(number) {
                Slot::Gone => return None,
                Slot::Frame(frame) => found.push(frame.last),
                Slot::Next => return Some(found),
            }
            number += 1;
        }
    }

    #[test]
    fn the_newest_is_kept_whatever_its_size() {
        let mut ring = Ring::behind(10);
        ring.push(frame(11, 10));
        ring.push(frame(12, BYTES_MAX * 2));
        assert_eq!(ring.behind_revision(10), None);
        assert_eq!(revisions_from(&ring, 0), None);
        assert_eq!(revisions_from(&ring, ring.behind_revision(11).expect("kept")), Some(vec![12]));
        let reader = ring.next();
        ring.clear();
        assert!(matches!(ring.get(reader), Slot::Gone), "whoever had all is behind, too");
        assert!(matches!(ring.get(ring.next()), Slot::Next));
    }

    proptest! {
        #[test]
        fn from_any_place_all_that_follows_or_nothing(sizes in prop::collection::vec(0usize..200_000, 0..200)) {
            let mut ring = Ring::behind(0);
            for (at, bytes) in sizes.iter().enumerate() {
                ring.push(frame(2 * (at as u64 + 1), *bytes));
                prop_assert!(ring.bytes <= BYTES_MAX || ring.frames.len() == 1);
            }
            let last = 2 * sizes.len() as u64;
            for revision in 0..=last + 2 {
                let Some(number) = ring.behind_revision(revision) else { continue };
                let found = revisions_from(&ring, number).expect("a place that was given");
                let expected: Vec<u64> = (1..=sizes.len() as u64).map(|n| 2 * n).filter(|r| *r > revision).collect();
                prop_assert_eq!(&found, &expected);
                if let Some(number) = ring.behind_token(revision.to_string().as_bytes()) {
                    prop_assert_eq!(revisions_from(&ring, number).expect("a place that was given"), expected);
                }
            }
            prop_assert!(ring.behind_revision(last).is_some());
        }
    }
}
