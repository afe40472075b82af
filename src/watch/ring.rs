//! Recent events in memory, bounded in number and bytes.

use crate::machine::Event;
use crate::machine::history::parts;
use std::collections::VecDeque;
use std::sync::Arc;

const EVENTS_MAX: usize = 65_536;
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// Events of one batch or of a part of it, shared with those who read them.
pub(super) struct Chunk {
    pub(super) last_revision: u64,
    pub(super) events: Vec<Event>,
    weight: usize,
}

/// All events after `floor`, in order.
#[derive(Default)]
pub(super) struct Ring {
    /// Events up to this revision are no longer complete.
    pub(super) floor: u64,
    chunks: VecDeque<Arc<Chunk>>,
    events: usize,
    bytes: usize,
}

impl Ring {
    pub(super) fn after_floor(floor: u64) -> Ring {
        Ring { floor, ..Ring::default() }
    }

    /// Adds the events of a batch. A large one is split, so that it drops older ones and not itself.
    pub(super) fn push(&mut self, events: Vec<Event>) {
        parts(events).into_iter().for_each(|part| self.push_part(part));
    }

    fn push_part(&mut self, events: Vec<Event>) {
        let Some(last_revision) = events.last().map(|e| e.revision) else { return };
        let weight = events.iter().map(Event::weight).sum();
        self.events += events.len();
        self.bytes += weight;
        self.chunks.push_back(Arc::new(Chunk { last_revision, events, weight }));
        while self.events > EVENTS_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.chunks.pop_front() else { return };
            self.floor = oldest.last_revision;
            self.events -= oldest.events.len();
            self.bytes -= oldest.weight;
        }
    }

    /// The chunks that hold events after `revision`; `None` if some are gone.
    pub(super) fn after(&self, revision: u64) -> Option<Vec<Arc<Chunk>>> {
        if revision < self.floor {
            return None;
        }
        let from = self.chunks.partition_point(|c| c.last_revision <= revision);
        Some(self.chunks.range(from..).cloned().collect())
    }
}
