//! openraft's log storage on top of [`crate::store::Log`]: typed entries, a cache of recent ones, and the rule that an
//! appended entry is readable at once.

use super::codec;
use super::entry_cache::EntryCache;
use super::types::{Entry, LogId, TypeConfig, Vote};
use crate::store::{Log, OpenedLog};
use futures::Stream;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes after which a limited read from disk ends.
const READ_LIMIT: usize = 1 << 20;
/// Entries that a stream holds in memory.
const PIECE: u64 = 1024;

/// The log as openraft sees it. Clones share it and serve as readers.
#[derive(Clone, Debug)]
pub(super) struct LogStore {
    log: Log,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    cache: EntryCache,
    vote: Option<Vote>,
    committed: Option<LogId>,
}

impl LogStore {
    /// # Errors
    /// What is on disk cannot be decoded.
    pub(super) fn new(opened: OpenedLog) -> io::Result<LogStore> {
        let OpenedLog { log, vote, committed, purged, last, .. } = opened;
        let purged = purged.map(|(_, id)| codec::decode_log_id(&id)).transpose()?;
        let last = last.map(|(index, entry)| codec::decode_entry(index, entry)).transpose()?;
        let shared = Shared {
            cache: EntryCache::new(last.map(|e| e.log_id), purged),
            vote: vote.map(|v| codec::decode_vote(&v)).transpose()?,
            committed: committed.map(|c| codec::decode_log_id(&c)).transpose()?,
        };
        Ok(LogStore { log, shared: Arc::new(Mutex::new(shared)) })
    }

    /// Last purged entry.
    pub(super) fn purged(&self) -> Option<LogId> {
        self.shared().cache.purged
    }

    /// Applied entries need not stay in memory.
    pub(super) fn note_applied(&self, index: u64) {
        self.shared().cache.note_applied(index);
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        // Never held across an await or a call that can panic half way.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entries of a range that the log has. With a limit, only the first of them, but at least one.
    fn read(&self, start: u64, end: u64, limit: usize) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let mut next = start;
        loop {
            let disk_end = {
                let cache = &self.shared().cache;
                next = cache.purged.map_or(next, |p| next.max(p.index + 1));
                let end = end.min(cache.last.map_or(0, |l| l.index + 1));
                let cached_from = cache.first().unwrap_or(u64::MAX);
                if cached_from <= next || end <= next {
                    cache.read(next, end, &mut entries);
                    return check_no_hole(entries);
                }
                end.min(cached_from)
            };
            // What is not in memory is durable, so the file has it; more may leave the memory meanwhile.
            for (index, entry) in self.log.read(next..=disk_end - 1, limit)? {
                entries.push(codec::decode_entry(index, entry)?);
            }
            if limit < usize::MAX && !entries.is_empty() {
                return check_no_hole(entries);
            }
            next = disk_end;
        }
    }
}

/// First index, and the one after the last.
fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    (start, end)
}

/// The entries of a range, a piece in memory at a time: replaying a long log must not hold all of it.
struct Pieces {
    store: LogStore,
    next: u64,
    end: u64,
    piece: std::vec::IntoIter<Entry>,
}

impl Iterator for Pieces {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<io::Result<Entry>> {
        loop {
            if let Some(entry) = self.piece.next() {
                return Some(Ok(entry));
            }
            if self.next >= self.end {
                return None;
            }
            let piece_end = self.end.min(self.next.saturating_add(PIECE));
            let read = self.store.read(self.next, piece_end, usize::MAX);
            self.next = piece_end;
            match read {
                Ok(entries) => self.piece = entries.into_iter(),
                Err(e) => {
                    self.next = self.end;
                    return Some(Err(e));
                }
            }
        }
    }
}

fn check_no_hole(entries: Vec<Entry>) -> io::Result<Vec<Entry>> {
    let hole = entries.windows(2).find(|pair| pair[0].log_id.index + 1 != pair[1].log_id.index);
    match hole {
        None => Ok(entries),
        Some(pair) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the raft log has no entry after {} until {}", pair[0].log_id.index, pair[1].log_id.index),
        )),
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (start, end) = bounds(&range);
        let (next, end) = {
            let cache = &self.shared().cache;
            let start = cache.purged.map_or(start, |p| start.max(p.index + 1));
            (start, end.min(cache.last.map_or(0, |l| l.index + 1)))
        };
        futures::stream::iter(Pieces { store: self.clone(), next, end, piece: Vec::new().into_iter() })
    }

    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        let (start, end) = bounds(&range);
        self.read(start, end, usize::MAX)
    }

    /// Only what goes to followers is read this way.
    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.shared().cache.note_replicated();
        self.read(start, end, READ_LIMIT)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.shared().vote)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = LogStore;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let cache = &self.shared().cache;
        Ok(LogState { last_purged_log_id: cache.purged, last_log_id: cache.last })
    }

    async fn get_log_reader(&mut self) -> LogStore {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.log.save_vote(codec::encode_vote(vote)).await?;
        self.shared().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        if let Some(id) = &committed {
            self.log.note_committed(id.index, codec::encode_log_id(id));
        }
        self.shared().committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.shared().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let indexes = entries.iter().map(|entry| entry.log_id.index);
        let encoded = indexes.zip(codec::encode_entries(&entries)).collect();
        let last = entries.last().map(|entry| entry.log_id);
        {
            let mut shared = self.shared();
            entries.into_iter().for_each(|entry| shared.cache.append(entry));
        }
        let shared = self.shared.clone();
        let done = move |result: io::Result<()>| {
            if let (Ok(()), Some(last)) = (&result, last) {
                shared.lock().unwrap_or_else(PoisonError::into_inner).cache.note_flushed(last);
            }
            callback.io_completed(result);
        };
        self.log.append(encoded, Box::new(done)).await
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        self.shared().cache.truncate_after(last);
        self.log.truncate_from(last.map_or(0, |l| l.index + 1)).await
    }

    async fn purge(&mut self, id: LogId) -> io::Result<()> {
        self.shared().cache.purge(id);
        self.log.purge_through(id.index, codec::encode_log_id(&id)).await
    }
}
