//! The journal's file: reading it, appending to it, writing it anew.

use super::row::{Change, Key, Row};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The first line.
pub(super) const FORMAT: &str = "lictor agent journal 1\n";
/// A file below this size is never written anew.
const SMALL_BYTES: u64 = 1024 * 1024;

/// The open file, and the lines in it that still count.
#[derive(Debug)]
pub(super) struct JournalFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    live: BTreeMap<Key, String>,
    live_bytes: u64,
    /// An append has failed: what is at the end of the file is not known.
    torn: bool,
}

impl JournalFile {
    /// Opens or creates the file and reads what is kept in it.
    pub(super) fn open(dir: &Path) -> io::Result<(JournalFile, Vec<Row>)> {
        let path = dir.join("agent.journal");
        let mut rows = BTreeMap::new();
        let text = match fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        match text.strip_prefix(FORMAT) {
            Some(lines) => read(&path, lines, &mut rows),
            None if text.is_empty() => {}
            None => {
                let aside = dir.join("agent.journal.damaged");
                fs::rename(&path, &aside)?;
                tracing::error!(
                    file = %path.display(), kept = %aside.display(),
                    "the file of registrations is of no format that is known, it is kept aside"
                );
            }
        }
        let mut live = BTreeMap::new();
        let mut live_bytes = 0;
        for (key, row) in &rows {
            let line = Change::Put(row.clone()).line()?;
            live_bytes += line.len() as u64;
            live.insert(key.clone(), line);
        }
        let file = rewrite(&path, live.values())?;
        let journal =
            JournalFile { path, file, bytes: FORMAT.len() as u64 + live_bytes, live, live_bytes, torn: false };
        Ok((journal, rows.into_values().collect()))
    }

    /// Appends changes; after an error nothing of them counts as stored.
    pub(super) fn append(&mut self, changes: &[Change]) -> io::Result<()> {
        let mut text = String::new();
        for change in changes {
            let line = change.line()?;
            text.push_str(&line);
            match change {
                Change::Put(row) => self.keep(row.key(), line),
                _ => change.dropped().iter().for_each(|key| self.forget(key)),
            }
        }
        if self.torn || (self.bytes > SMALL_BYTES && self.bytes > 4 * self.live_bytes) {
            self.torn = true;
            self.file = rewrite(&self.path, self.live.values())?;
            (self.bytes, self.torn) = (FORMAT.len() as u64 + self.live_bytes, false);
            return Ok(());
        }
        self.torn = true;
        self.file.write_all(text.as_bytes())?;
        if changes.iter().any(Change::is_durable) {
            self.file.sync_data()?;
        }
        self.torn = false;
        self.bytes += text.len() as u64;
        Ok(())
    }

    fn keep(&mut self, key: Key, line: String) {
        self.live_bytes += line.len() as u64;
        if let Some(before) = self.live.insert(key, line) {
            self.live_bytes -= before.len() as u64;
        }
    }

    fn forget(&mut self, key: &Key) {
        if let Some(before) = self.live.remove(key) {
            self.live_bytes -= before.len() as u64;
        }
    }
}

fn read(path: &Path, lines: &str, rows: &mut BTreeMap<Key, Row>) {
    for (index, line) in lines.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        match Change::parse(line) {
            Ok(Change::Put(row)) => {
                rows.insert(row.key(), row);
            }
            Ok(drop) => {
                for key in drop.dropped() {
                    rows.remove(&key);
                }
            }
            // The format is the first line.
            Err(reason) => tracing::warn!(
                file = %path.display(), line = index + 2, reason,
                "a registration is damaged and was skipped"
            ),
        }
    }
}

/// Writes the lines beside the file, renames them over it, and opens the result for appending.
fn rewrite<'a>(path: &Path, lines: impl Iterator<Item = &'a String>) -> io::Result<File> {
    let beside = path.with_extension("journal.new");
    let mut text = FORMAT.to_owned();
    lines.for_each(|line| text.push_str(line));
    let mut file = File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    if let Some(dir) = path.parent() {
        File::open(dir)?.sync_all()?;
    }
    OpenOptions::new().append(true).open(path)
}
