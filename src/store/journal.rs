//! The entries of the raft log: a row of segment files that are written from front to back, one write and one sync for
//! many changes. A file whose entries are all purged is taken over by a later segment: its blocks are allocated, so a sync
//! has nothing but data to write.
//!
//! Owns the files `raft-<number>.log`, their order, and where each entry is. Which of them count (the first number, the
//! purged mark) is said by `raft.redb`. It must never acknowledge anything itself.

use super::segment::{self, Head, Record, Scan};
use super::tables::Marked;
use super::{Medium, StoreError};
use redb::StorageBackend;
use std::collections::VecDeque;
use std::io;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes after which the next batch begins a new segment.
const SEGMENT: u64 = if cfg!(test) { 16 << 10 } else { 4 << 20 };
/// A new file grows in steps of zeros, so that most syncs find their blocks allocated.
const STEP: u64 = if cfg!(test) { 4 << 10 } else { 512 << 10 };
/// Files that are kept to be taken over.
const SPARES: usize = 4;
/// The write buffer is let go above this size.
const BUFFER: usize = 1 << 20;

type File = Arc<dyn StorageBackend>;

/// A segment, and where its entries are. They are consecutive.
#[derive(Debug)]
struct Segment {
    number: u64,
    file: File,
    first: u64,
    /// Offset and length of each entry's bytes.
    entries: Vec<(u32, u32)>,
}

impl Segment {
    fn new(number: u64, file: File) -> Segment {
        Segment { number, file, first: 0, entries: Vec::new() }
    }

    /// Index of the last entry.
    fn last(&self) -> Option<u64> {
        Some(self.first + self.entries.len().checked_sub(1)? as u64)
    }
}

/// Where the durable entries are; shared with readers.
#[derive(Debug, Default)]
pub(super) struct Entries {
    segments: Mutex<VecDeque<Segment>>,
}

impl Entries {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Segment>> {
        // Every change leaves the row consistent, even when a thread panicked after it.
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads entries in order, at most `limit_bytes` of them after the first.
    pub(super) fn read(&self, range: RangeInclusive<u64>, limit_bytes: usize) -> io::Result<Vec<(u64, Vec<u8>)>> {
        let mut found = Vec::new();
        let mut places = Vec::new();
        let mut bytes = 0;
        'places: for segment in self.lock().iter() {
            let skip = range.start().saturating_sub(segment.first) as usize;
            for (n, (offset, length)) in segment.entries.iter().enumerate().skip(skip) {
                let index = segment.first + n as u64;
                bytes += *length as usize;
                if index > *range.end() || (bytes > limit_bytes && !places.is_empty()) {
                    break 'places;
                }
                places.push((segment.file.clone(), index, *offset, *length));
            }
        }
        // Without the lock: a file is not taken over while somebody holds it.
        for (file, index, offset, length) in places {
            let mut entry = vec![0; length as usize];
            file.read(offset.into(), &mut entry)?;
            found.push((index, entry));
        }
        Ok(found)
    }

    /// Index of the last entry.
    fn last(&self) -> Option<u64> {
        last(&self.lock())
    }
}

fn last(segments: &VecDeque<Segment>) -> Option<u64> {
    segments.iter().rev().find_map(Segment::last)
}

fn push(segments: &mut VecDeque<Segment>, index: u64, place: (u32, u32)) {
    if last(segments).is_some_and(|last| last + 1 != index) {
        // A hole: what was before it is purged, and must not pass for consecutive.
        truncate(segments, 0);
    }
    let Some(segment) = segments.back_mut() else { return };
    if segment.entries.is_empty() {
        segment.first = index;
    }
    segment.entries.push(place);
}

fn truncate(segments: &mut VecDeque<Segment>, from: u64) {
    for segment in segments {
        segment.entries.truncate(from.saturating_sub(segment.first) as usize);
    }
}

/// What to note of a record once it is durable.
#[derive(Debug)]
enum Note {
    Entry(u64, (u32, u32)),
    Truncate(u64),
}

/// The writing end.
#[derive(Debug)]
pub(super) struct Journal {
    medium: Medium,
    entries: Arc<Entries>,
    /// Number and file that is written to; `None` before the first write of a new journal.
    current: Option<(u64, File)>,
    /// Where the next write goes, and how far the file has blocks.
    position: u64,
    grown: u64,
    seal: u32,
    next: u64,
    buffer: Vec<u8>,
    notes: Vec<Note>,
    /// Files below the first segment that counts, oldest first; their numbers are consecutive.
    spares: VecDeque<(u64, File)>,
}

/// What [`Journal::open`] found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) journal: Journal,
    pub(super) committed: Option<Marked>,
    /// Index and bytes of the last entry.
    pub(super) last: Option<(u64, Vec<u8>)>,
}

impl Journal {
    /// Opens the segments from number `first` on, of which entries up to `purged` do not count.
    pub(super) fn open(medium: &Medium, first: u64, purged: Option<u64>) -> Result<Found, StoreError> {
        let entries = Arc::new(Entries::default());
        let mut journal = Journal {
            medium: medium.clone(),
            entries: entries.clone(),
            current: None,
            position: 0,
            grown: 0,
            seal: 0,
            next: first,
            buffer: Vec::new(),
            notes: Vec::new(),
            spares: VecDeque::new(),
        };
        journal.find_spares(first)?;
        let mut committed = None;
        while medium.exists(&name(journal.next)) {
            journal.load(purged, &mut committed)?;
        }
        if let Some((number, file)) = &journal.current {
            // What a killed process has written may not be on the disk yet, and will be answered for from now on.
            file.sync_data().map_err(|e| fail(medium, *number, "sync the raft log", e))?;
        }
        let last = entries.last().map_or(Ok(Vec::new()), |last| entries.read(last..=last, usize::MAX));
        let last = last.map_err(|e| fail(medium, journal.next, "read the end of the raft log", e))?.pop();
        Ok(Found { journal, committed, last })
    }

    /// The files whose entries an earlier run has purged.
    fn find_spares(&mut self, first: u64) -> Result<(), StoreError> {
        let mut number = first;
        while number > 0 && self.medium.exists(&name(number - 1)) {
            number -= 1;
            if self.spares.len() < SPARES {
                self.spares.push_front((number, self.medium.open_file(&name(number))?.into()));
            } else {
                self.medium.remove(&name(number))?;
            }
        }
        Ok(())
    }

    /// Reads the next segment.
    fn load(&mut self, purged: Option<u64>, committed: &mut Option<Marked>) -> Result<(), StoreError> {
        let number = self.next;
        let described = self.medium.describe(&name(number));
        let file: File = self.medium.open_file(&name(number))?.into();
        let read = || -> io::Result<Vec<u8>> {
            let length = usize::try_from(file.len()?).map_err(io::Error::other)?;
            let mut bytes = vec![0; length];
            file.read(0, &mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|e| fail(&self.medium, number, "read the raft log", e))?;
        (self.grown, self.next) = (bytes.len() as u64, number + 1);
        let mut segments = self.entries.lock();
        segments.push_back(Segment::new(number, file.clone()));
        self.current = Some((number, file));
        let seal = match segment::head(&bytes, number) {
            Head::Valid(seal) => seal,
            Head::Newer(found) => return Err(StoreError::NewerFormat { file: described, found, supported: 1 }),
            // Made or taken over, and never written to: it will get its header with the first record.
            Head::Other => {
                self.position = 0;
                return Ok(());
            }
        };
        let mut scan = Scan::new(&bytes, seal);
        for (record, start) in scan.by_ref() {
            match record {
                Record::Entry { index, bytes } => {
                    // Purged entries may be missing: a snapshot of the leader's took their place.
                    let hole = |last: &u64| last + 1 != index && (Some(*last) > purged || index <= *last);
                    if let Some(last) = last(&segments).filter(hole) {
                        let reason = format!("the entries between {last} and {index} are missing");
                        return Err(StoreError::corrupt(&described, reason));
                    }
                    push(&mut segments, index, (start as u32, bytes.len() as u32));
                }
                Record::Truncate { from } => truncate(&mut segments, from),
                Record::Committed { index, log_id } => *committed = Some(Marked { index, log_id: log_id.to_vec() }),
            }
        }
        (self.position, self.seal) = (scan.position as u64, scan.seal);
        Ok(())
    }

    /// Makes sure that there is a file: a new log makes one before it can hold anything, a later one must have it.
    pub(super) fn require_file(&mut self, new: bool) -> Result<(), StoreError> {
        match self.current {
            Some(_) => Ok(()),
            None if new => self.begin(),
            None => Err(StoreError::corrupt(
                &self.medium.describe(&name(self.next)),
                "it is missing, and with it the raft log",
            )),
        }
    }

    /// For readers.
    pub(super) fn entries(&self) -> &Arc<Entries> {
        &self.entries
    }

    /// Index of the last durable entry.
    pub(super) fn last(&self) -> Option<u64> {
        self.entries.last()
    }

    /// Adds a record to what the next commit writes.
    pub(super) fn put(&mut self, record: Record<'_>) -> Result<(), StoreError> {
        if self.buffer.is_empty() && (self.current.is_none() || self.position >= SEGMENT) {
            self.begin()?;
        }
        if self.position == 0 && self.buffer.is_empty() {
            let number = self.current.as_ref().map_or(0, |(number, _)| *number);
            self.seal = segment::put_header(&mut self.buffer, number);
        }
        self.seal = segment::put(&mut self.buffer, self.seal, record);
        let end = self.position + self.buffer.len() as u64;
        match record {
            Record::Entry { index, bytes } => {
                self.notes.push(Note::Entry(index, ((end - bytes.len() as u64) as u32, bytes.len() as u32)));
            }
            Record::Truncate { from } => self.notes.push(Note::Truncate(from)),
            Record::Committed { .. } => {}
        }
        Ok(())
    }

    /// Makes durable what was put. After an error nothing may be put any more.
    pub(super) fn commit(&mut self) -> Result<(), StoreError> {
        let Some((number, file)) = self.current.as_ref().filter(|_| !self.buffer.is_empty()) else { return Ok(()) };
        let end = self.position + self.buffer.len() as u64;
        let write = || -> io::Result<u64> {
            let mut grown = self.grown;
            if end > grown {
                grown = end.next_multiple_of(STEP);
                file.set_len(grown)?;
                file.write(end, &vec![0; (grown - end) as usize])?;
            }
            file.write(self.position, &self.buffer)?;
            file.sync_data()?;
            Ok(grown)
        };
        self.grown = write().map_err(|e| fail(&self.medium, *number, "write the raft log", e))?;
        self.position = end;
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER);
        let mut segments = self.entries.lock();
        for note in self.notes.drain(..) {
            match note {
                Note::Entry(index, place) => push(&mut segments, index, place),
                Note::Truncate(from) => truncate(&mut segments, from),
            }
        }
        Ok(())
    }

    /// Begins a new segment, in a file that is not needed any more if there is one.
    fn begin(&mut self) -> Result<(), StoreError> {
        let number = self.next;
        let file = match self.take_spare()? {
            Some((old, file)) => {
                self.medium.replace(&name(old), &name(number))?;
                file
            }
            None => self.medium.open_file(&name(number))?.into(),
        };
        self.grown = file.len().map_err(|e| fail(&self.medium, number, "read the raft log", e))?;
        self.entries.lock().push_back(Segment::new(number, file.clone()));
        self.current = Some((number, file));
        (self.position, self.next) = (0, number + 1);
        Ok(())
    }

    /// The number of the first segment that is needed when entries up to `purged` are not.
    pub(super) fn first_needed(&self, purged: u64) -> u64 {
        let segments = self.entries.lock();
        let needed = segments.iter().find(|segment| segment.last().is_some_and(|last| last > purged));
        needed.or(segments.back()).map_or(self.next, |segment| segment.number)
    }

    /// Lets go of the segments before `first`. What says so must be durable by now.
    pub(super) fn drop_before(&mut self, first: u64) -> Result<(), StoreError> {
        loop {
            let segment = {
                let mut segments = self.entries.lock();
                match segments.front() {
                    Some(segment) if segment.number < first => segments.pop_front(),
                    _ => None,
                }
            };
            let Some(Segment { number, file, .. }) = segment else { return Ok(()) };
            self.spares.push_back((number, file));
            if self.spares.len() > SPARES
                && let Some((oldest, _)) = self.spares.pop_front()
            {
                self.medium.remove(&name(oldest))?;
            }
        }
    }

    /// The oldest spare file that no reader holds.
    fn take_spare(&mut self) -> Result<Option<(u64, File)>, StoreError> {
        while let Some((number, file)) = self.spares.pop_front() {
            if Arc::strong_count(&file) == 1 {
                return Ok(Some((number, file)));
            }
            self.medium.remove(&name(number))?;
        }
        Ok(None)
    }
}

fn name(number: u64) -> String {
    format!("raft-{number:016x}.log")
}

fn fail(medium: &Medium, number: u64, what: &'static str, error: io::Error) -> StoreError {
    StoreError::io(&medium.describe(&name(number)), what, error)
}
