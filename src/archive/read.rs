//! Reading an archive that may be foreign, damaged or hostile.

use super::{META, Meta, STATE, SUMS, hex};
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{self, Read};
use thiserror::Error;

/// The description and the checksums are read into memory up to this size.
const SMALL_BYTES_MAX: u64 = 64 * 1024;
/// Padding after the last file; tar programs fill up to 10 KiB.
const TAIL_BYTES_MAX: u64 = 64 * 1024;

/// Within which bounds an archive is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the state, unpacked.
    pub state_bytes_max: u64,
}

/// Why an archive is refused, in the words of Consul where it has any.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// It is not gzip.
    #[error("failed to decompress snapshot: {0}")]
    Gzip(&'static str),
    /// It is cut short, or no tar archive.
    #[error("failed to read snapshot file: {0}")]
    Tar(io::Error),
    /// A file that a snapshot does not have, or has once only.
    #[error("failed to read snapshot file: unexpected file {0:?} in snapshot")]
    Unexpected(String),
    /// A file is larger than allowed.
    #[error("failed to read snapshot file: {file} has {bytes} bytes, at most {limit} are allowed")]
    TooLarge {
        /// Which.
        file: &'static str,
        /// What it has.
        bytes: u64,
        /// What it may have.
        limit: u64,
    },
    /// The description is no JSON, or no description.
    #[error("failed to read snapshot file: failed to decode snapshot metadata: {0}")]
    Meta(serde_json::Error),
    /// A file is missing.
    #[error("failed to read snapshot file: {0} is missing")]
    Missing(&'static str),
    /// A checksum is wrong or missing.
    #[error("failed to read snapshot file: failed checking integrity of snapshot: hash check failed for {0:?}")]
    Checksum(&'static str),
    /// What stands in the state cannot be used.
    #[error("failed to restore snapshot: {0}")]
    State(String),
}

/// Reads an archive, and hands the state on while it is read; it may be trusted only when this has returned. What
/// `state` leaves unread is skipped.
///
/// # Errors
/// [`ArchiveError`] says what is wrong with the archive.
pub fn read<R: Read>(
    input: R,
    limits: Limits,
    mut state: impl FnMut(&mut dyn Read) -> Result<(), ArchiveError>,
) -> Result<Meta, ArchiveError> {
    let mut unpacked = GzDecoder::new(Start::check(input)?);
    let mut found = BTreeMap::new();
    let (mut meta, mut sums) = (None, None);
    {
        let mut archive = tar::Archive::new(&mut unpacked);
        // Raw: names and sizes that stand outside of the headers would be read without a bound.
        for entry in archive.entries().map_err(ArchiveError::Tar)?.raw(true) {
            let mut entry = entry.map_err(ArchiveError::Tar)?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let plain = entry.header().entry_type().is_file();
            let file = [META, STATE, SUMS].into_iter().find(|file| *file == name && plain);
            let Some(file) = file.filter(|file| !found.contains_key(file)) else {
                return Err(ArchiveError::Unexpected(name));
            };
            let (bytes, limit) = (entry.size(), if file == STATE { limits.state_bytes_max } else { SMALL_BYTES_MAX });
            if bytes > limit {
                return Err(ArchiveError::TooLarge { file, bytes, limit });
            }
            let mut summed = Summed { sum: Sha256::new(), bytes: 0, input: &mut entry };
            if file == STATE {
                state(&mut summed)?;
                io::copy(&mut summed, &mut io::sink()).map_err(ArchiveError::Tar)?;
            } else {
                let mut content = Vec::new();
                summed.read_to_end(&mut content).map_err(ArchiveError::Tar)?;
                *(if file == META { &mut meta } else { &mut sums }) = Some(content);
            }
            if summed.bytes != bytes {
                return Err(ArchiveError::Tar(io::ErrorKind::UnexpectedEof.into()));
            }
            found.insert(file, hex(&summed.sum.finalize()));
        }
    }
    finish(&mut unpacked)?;
    let meta = meta.ok_or(ArchiveError::Missing(META))?;
    let sums = sums.ok_or(ArchiveError::Missing(SUMS))?;
    if !found.contains_key(STATE) {
        return Err(ArchiveError::Missing(STATE));
    }
    for file in [META, STATE] {
        if found.get(file).map(String::as_str) != checksum(&sums, file) {
            return Err(ArchiveError::Checksum(file));
        }
    }
    serde_json::from_slice(&meta).map_err(ArchiveError::Meta)
}

/// The rest of the stream, so that its own checksum is looked at, too.
fn finish(unpacked: &mut impl Read) -> Result<(), ArchiveError> {
    let tail = io::copy(&mut unpacked.take(TAIL_BYTES_MAX + 1), &mut io::sink()).map_err(ArchiveError::Tar)?;
    if tail > TAIL_BYTES_MAX {
        return Err(ArchiveError::Tar(io::Error::other("bytes follow its end")));
    }
    Ok(())
}

/// The checksum of a file in a list as `sha256sum` writes it.
fn checksum<'a>(sums: &'a [u8], file: &str) -> Option<&'a str> {
    let lines = std::str::from_utf8(sums).ok()?.lines();
    lines.filter_map(|line| line.split_once("  ")).find(|(_, name)| *name == file).map(|(sum, _)| sum)
}

/// Input whose first two bytes were looked at: Consul says by itself when they are not those of gzip.
struct Start<R> {
    head: [u8; 2],
    taken: usize,
    input: R,
}

impl<R: Read> Start<R> {
    fn check(mut input: R) -> Result<Start<R>, ArchiveError> {
        let mut head = [0; 2];
        let mut read = 0;
        while read < head.len() {
            match input.read(&mut head[read..]) {
                Ok(0) if read == 0 => return Err(ArchiveError::Gzip("EOF")),
                Ok(0) => return Err(ArchiveError::Gzip("unexpected EOF")),
                Ok(n) => read += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ArchiveError::Tar(error)),
            }
        }
        if head != [0x1f, 0x8b] {
            return Err(ArchiveError::Gzip("gzip: invalid header"));
        }
        Ok(Start { head, taken: 0, input })
    }
}

impl<R: Read> Read for Start<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let ready = &self.head[self.taken..];
        if ready.is_empty() {
            return self.input.read(out);
        }
        let n = ready.len().min(out.len());
        out[..n].copy_from_slice(&ready[..n]);
        self.taken += n;
        Ok(n)
    }
}

/// Sums what is read through it.
struct Summed<R> {
    sum: Sha256,
    bytes: u64,
    input: R,
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(out)?;
        self.sum.update(&out[..read]);
        self.bytes += read as u64;
        Ok(read)
    }
}
