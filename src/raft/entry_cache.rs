//! The recent end of the log in memory: what was appended is readable at once, before it is on disk, and applying needs
//! no decoding. Bounded: entries that are durable and applied go, oldest first; at once where nobody replicates them,
//! because their memory is needed for the next ones.

use super::types::{Entry, LogId, Payload};
use std::collections::VecDeque;

/// Entries that stay although they could be read from disk: enough for a follower that is a little behind.
const KEEP_ENTRIES: usize = 1024;
/// Bytes of records above which even those go.
const KEEP_BYTES: usize = 1 << 20;

/// What is known of the log without reading the disk.
#[derive(Debug, Default)]
pub(super) struct EntryCache {
    /// Consecutive, up to the end of the log.
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Last entry of the log; the purged one if there is none after it.
    pub(super) last: Option<LogId>,
    pub(super) purged: Option<LogId>,
    /// Entries up to this index are durable.
    flushed: Option<u64>,
    applied: Option<u64>,
    /// Followers read here.
    replicated: bool,
}

impl EntryCache {
    /// A log as found on disk: all of it is durable, none of it in memory.
    pub(super) fn new(last: Option<LogId>, purged: Option<LogId>) -> EntryCache {
        let last = last.or(purged);
        EntryCache { last, purged, flushed: last.map(|l| l.index), ..EntryCache::default() }
    }

    /// Index of the first entry in memory.
    pub(super) fn first(&self) -> Option<u64> {
        self.entries.front().map(|e| e.log_id.index)
    }

    pub(super) fn append(&mut self, entry: Entry) {
        if self.last.is_some_and(|last| last.index + 1 != entry.log_id.index) {
            // A hole: nothing before it can be read any more, so it must not pass for consecutive.
            self.entries.clear();
            self.bytes = 0;
        }
        self.last = Some(entry.log_id);
        self.bytes += size(&entry);
        self.entries.push_back(entry);
    }

    /// The entries from `start` up to, not including, `end`; `start` must not be before [`EntryCache::first`].
    pub(super) fn read(&self, start: u64, end: u64, into: &mut Vec<Entry>) {
        let Some(first) = self.first() else { return };
        let skip = start.saturating_sub(first) as usize;
        let count = end.saturating_sub(start.max(first)) as usize;
        into.extend(self.entries.iter().skip(skip).take(count).cloned());
    }

    /// Forgets the entries after `last`.
    pub(super) fn truncate_after(&mut self, last: Option<LogId>) {
        while self.entries.back().is_some_and(|e| last.is_none_or(|last| e.log_id.index > last.index)) {
            let gone = self.entries.pop_back();
            self.bytes -= gone.as_ref().map_or(0, size);
        }
        self.last = last.min(self.last).max(self.purged);
        // A later entry under an old index is not durable because the old one was.
        self.flushed = self.flushed.min(self.last.map(|l| l.index));
    }

    /// Forgets the entries up to `purged`.
    pub(super) fn purge(&mut self, purged: LogId) {
        self.purged = Some(purged);
        self.last = self.last.max(Some(purged));
        while self.first().is_some_and(|first| first <= purged.index) {
            self.drop_first();
        }
    }

    pub(super) fn note_flushed(&mut self, id: LogId) {
        // An entry that was replaced meanwhile says nothing about the one in its place.
        let last = self.last.map(|l| l.index);
        let current = self.entry(id.index).is_some_and(|e| e.log_id == id);
        if current {
            // Nothing goes yet: this is the log's thread, and what is dropped where it was made costs less.
            self.flushed = self.flushed.max(Some(id.index)).min(last);
        }
    }

    pub(super) fn note_applied(&mut self, index: u64) {
        self.applied = self.applied.max(Some(index));
        self.shrink();
    }

    /// From now on what followers may still read stays for a while.
    pub(super) fn note_replicated(&mut self) {
        self.replicated = true;
    }

    fn entry(&self, index: u64) -> Option<&Entry> {
        self.entries.get(index.checked_sub(self.first()?)? as usize)
    }

    fn shrink(&mut self) {
        let done = self.flushed.min(self.applied);
        let (entries, bytes) = if self.replicated { (KEEP_ENTRIES, KEEP_BYTES) } else { (0, 0) };
        while (self.entries.len() > entries || self.bytes > bytes)
            && self.first().is_some_and(|first| Some(first) <= done)
        {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        let gone = self.entries.pop_front();
        self.bytes -= gone.as_ref().map_or(0, size);
    }
}

fn size(entry: &Entry) -> usize {
    match &entry.payload {
        Payload::Normal(proposal) => proposal.bytes().len(),
        Payload::Blank | Payload::Membership(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Command, Put, Record};
    use crate::raft::types::Proposal;

    fn id(index: u64) -> LogId {
        LogId::new(1.into(), index)
    }

    fn filled(until: u64) -> EntryCache {
        let mut cache = EntryCache::default();
        for index in 1..=until {
            let record = Record { time_ms: 1, request_id: None, command: Command::Put(Put::default()) };
            cache.append(Entry { log_id: id(index), payload: Payload::Normal(Proposal::new(record)) });
        }
        cache
    }

    #[test]
    fn what_is_durable_and_applied_goes() {
        let mut cache = filled(10);
        cache.note_applied(5);
        assert_eq!(Some(1), cache.first(), "nothing is durable");
        cache.note_flushed(id(8));
        cache.note_applied(7);
        assert_eq!((Some(8), 3), (cache.first(), cache.entries.len()));
        cache.note_applied(10);
        assert_eq!(Some(9), cache.first(), "applied before it is durable");
        cache.note_flushed(id(10));
        cache.note_applied(10);
        assert_eq!((None, 0), (cache.first(), cache.bytes));
        assert_eq!(Some(id(10)), cache.last);
    }

    #[test]
    fn followers_find_the_newest_entries() {
        let until = 2 * KEEP_ENTRIES as u64;
        let mut cache = filled(until);
        cache.note_replicated();
        cache.note_flushed(id(until));
        cache.note_applied(until);
        assert_eq!((Some(until + 1 - KEEP_ENTRIES as u64), KEEP_ENTRIES), (cache.first(), cache.entries.len()));
    }
}
