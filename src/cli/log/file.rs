//! The log file, and its successors when it is too large or too old.

use crate::clock::Clock;
use crate::config::LogFile;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The name of a log file that was given as a directory.
const DEFAULT_NAME: &str = "lictor.log";

/// A log file that is open.
pub(super) struct Rotating {
    settings: LogFile,
    clock: Clock,
    /// Directory, name without extension, and extension with its dot.
    parts: (PathBuf, String, String),
    open: Option<File>,
    written: u64,
    /// When it was begun.
    since_ms: u64,
}

impl Rotating {
    /// Opens the first file.
    pub(super) fn open(settings: &LogFile, clock: Clock) -> io::Result<Rotating> {
        let parts = parts(&settings.path);
        let mut rotating = Rotating { settings: settings.clone(), clock, parts, open: None, written: 0, since_ms: 0 };
        rotating.begin()?;
        Ok(rotating)
    }

    /// Writes a line, into a new file if the present one has had its time.
    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let age_ms = self.clock.now_ms().saturating_sub(self.since_ms);
        let full = self.settings.rotate_bytes > 0 && self.written >= self.settings.rotate_bytes;
        if full || u128::from(age_ms) >= self.settings.rotate_after.as_millis() || self.open.is_none() {
            // Until the next line there is no file, should it fail.
            self.open = None;
            self.begin()?;
            self.prune()?;
        }
        if let Some(file) = &mut self.open {
            file.write_all(line)?;
            self.written += line.len() as u64;
        }
        Ok(())
    }

    /// Begins a file, as Consul names them: `NAME-NANOSECONDS.EXTENSION`.
    fn begin(&mut self) -> io::Result<()> {
        let (dir, stem, extension) = &self.parts;
        std::fs::create_dir_all(dir)?;
        let mut at = self.clock.now_ms() * 1_000_000;
        loop {
            let path = dir.join(format!("{stem}-{at}{extension}"));
            match OpenOptions::new().append(true).create_new(true).open(path) {
                Ok(file) => {
                    self.open = Some(file);
                    self.written = 0;
                    self.since_ms = self.clock.now_ms();
                    return Ok(());
                }
                // Two within a millisecond.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => at += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Removes the oldest files above the number to keep, beside the present one.
    fn prune(&self) -> io::Result<()> {
        let Some(keep) = self.settings.max_files else { return Ok(()) };
        let (dir, stem, extension) = &self.parts;
        let mut old = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let number = name.strip_prefix(&format!("{stem}-")).and_then(|n| n.strip_suffix(extension.as_str()));
            if let Some(number) = number.and_then(|n| n.parse::<u64>().ok()) {
                old.push((number, name));
            }
        }
        old.sort();
        let present = 1;
        for (_, name) in old.iter().take(old.len().saturating_sub(keep + present)) {
            std::fs::remove_file(dir.join(name))?;
        }
        Ok(())
    }
}

fn parts(path: &Path) -> (PathBuf, String, String) {
    let is_dir = path.as_os_str().to_string_lossy().ends_with('/');
    let path = if is_dir { path.join(DEFAULT_NAME) } else { path.to_owned() };
    let text = |part: Option<&std::ffi::OsStr>| part.map(|p| p.to_string_lossy().into_owned()).unwrap_or_default();
    let dir = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
    let extension = path.extension().map_or(".log".to_owned(), |e| format!(".{}", e.to_string_lossy()));
    (dir, text(path.file_stem()), extension)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn names(dir: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(dir).expect("a directory");
        let mut names: Vec<_> =
            entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn files_are_rotated_by_size_and_age_and_the_oldest_go() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let settings = LogFile {
            path: dir.path().join("a/x.txt"),
            rotate_bytes: 4,
            rotate_after: Duration::from_millis(100),
            max_files: Some(1),
        };
        let clock = Clock::manual(5, 1);
        let mut file = Rotating::open(&settings, clock.clone()).expect("opened");
        let dir = dir.path().join("a");
        file.write(b"ab\n").expect("written");
        file.write(b"c\n").expect("written");
        assert_eq!(names(&dir), ["x-5000000.txt"]);
        file.write(b"d\n").expect("written");
        assert_eq!(names(&dir), ["x-5000000.txt", "x-5000001.txt"]);
        assert_eq!(std::fs::read(dir.join("x-5000000.txt")).expect("there"), b"ab\nc\n");
        clock.advance(100);
        file.write(b"e\n").expect("written");
        assert_eq!(names(&dir), ["x-105000000.txt", "x-5000001.txt"]);
    }

    #[test]
    fn a_directory_gets_a_file_with_our_name() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = PathBuf::from(format!("{}/", dir.path().display()));
        let settings = LogFile { path, rotate_bytes: 0, rotate_after: Duration::from_secs(1), max_files: None };
        Rotating::open(&settings, Clock::manual(5, 1)).expect("opened");
        assert_eq!(names(dir.path()), ["lictor-5000000.log"]);
    }
}
