//! Reading an archive that may be foreign, damaged or hostile.

use super::{META, Meta, STATE, SUMS, hex};
use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};
use thiserror::Error;

/// The description and the checksums are read into memory up to this size.
const SMALL_BYTES_MAX: u64 = 64 * 1024;
/// So much of what follows the archive is counted for the error.
const TAIL_BYTES_MAX: u64 = 1024 * 1024;
/// A block of a tar archive; two of zeros end it, of which the library takes the first.
const BLOCK: u64 = 512;

/// Within which bounds an archive is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the state, unpacked.
    pub state_bytes_max: u64,
}

impl Limits {
    /// For who keeps nothing of the state.
    pub const NONE: Limits = Limits { state_bytes_max: u64::MAX };
}

/// Why an archive is refused, in the words of Consul where it has any.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// It is not gzip.
    #[error("failed to decompress snapshot: {0}")]
    Gzip(String),
    /// It is cut short, or no tar archive, or something in it is not what it should be.
    #[error("failed to read snapshot file: {0}")]
    Content(String),
    /// A checksum is wrong or missing, or the file for one.
    #[error("failed to read snapshot file: failed checking integrity of snapshot: {0}")]
    Integrity(String),
    /// Something follows after its end.
    #[error("{0} unread uncompressed bytes remain")]
    Remains(u64),
    /// What follows after its end is no gzip.
    #[error("{0}")]
    Tail(String),
    /// What stands in the state cannot be used.
    #[error("failed to restore snapshot: {0}")]
    State(String),
}

impl ArchiveError {
    /// The state cannot be read.
    pub fn state_data(error: &io::Error) -> ArchiveError {
        ArchiveError::Content(format!("failed to read or write snapshot data: {}", words(error)))
    }
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
    let mut input = BufReader::new(input);
    check_magic(&mut input)?;
    let mut unpacked = MultiGzDecoder::new(input);
    let mut found = BTreeMap::new();
    let (mut meta, mut sums) = (None, Vec::new());
    let reading = |e: io::Error| ArchiveError::Content(format!("failed reading snapshot: {}", words(&e)));
    {
        let mut archive = tar::Archive::new(&mut unpacked);
        // Raw: names and sizes that stand outside of the headers would be read without a bound.
        for entry in archive.entries().map_err(reading)?.raw(true) {
            let mut entry = entry.map_err(reading)?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let plain = entry.header().entry_type().is_file();
            let file = [META, STATE, SUMS].into_iter().find(|file| *file == name && plain);
            let Some(file) = file.filter(|file| !found.contains_key(file)) else {
                return Err(ArchiveError::Content(format!("unexpected file {name:?} in snapshot")));
            };
            let (bytes, limit) = (entry.size(), if file == STATE { limits.state_bytes_max } else { SMALL_BYTES_MAX });
            if bytes > limit {
                let text = format!("{file} has {bytes} bytes, at most {limit} are allowed");
                return Err(ArchiveError::Content(text));
            }
            let mut summed = Summed { sum: Sha256::new(), bytes: 0, input: &mut entry };
            match file {
                STATE => {
                    state(&mut summed)?;
                    io::copy(&mut summed, &mut io::sink()).map_err(|e| ArchiveError::state_data(&e))?;
                }
                META => meta = Some(description(&small(&mut summed, "metadata")?)?),
                _ => sums = small(&mut summed, "hashes")?,
            }
            if summed.bytes != bytes {
                return Err(reading(io::ErrorKind::UnexpectedEof.into()));
            }
            found.insert(file, hex(&summed.sum.finalize()));
        }
    }
    check_sums(&sums, &found).map_err(ArchiveError::Integrity)?;
    check_end(unpacked)?;
    meta.ok_or_else(|| missing(META)).map_err(ArchiveError::Integrity)
}

/// Looks at the first bytes, because the decompressor tells only later and in other words.
fn check_magic(input: &mut impl BufRead) -> Result<(), ArchiveError> {
    let begin = input.fill_buf().map_err(|e| ArchiveError::Gzip(words(&e)))?;
    let wrong = match begin {
        [] => "EOF",
        [0x1f, 0x8b, 8, ..] => return Ok(()),
        short if short.len() < 10 => "unexpected EOF",
        _ => "gzip: invalid header",
    };
    Err(ArchiveError::Gzip(wrong.to_owned()))
}

/// A file whose size was looked at.
fn small(input: &mut impl Read, what: &str) -> Result<Vec<u8>, ArchiveError> {
    let mut content = Vec::new();
    let read = input.read_to_end(&mut content);
    read.map_err(|e| ArchiveError::Content(format!("failed to read snapshot {what}: {}", words(&e))))?;
    Ok(content)
}

fn description(content: &[u8]) -> Result<Meta, ArchiveError> {
    serde_json::from_slice(content)
        .map_err(|e| ArchiveError::Content(format!("failed to decode snapshot metadata: {e}")))
}

fn missing(file: &str) -> String {
    format!("file missing for {file:?}")
}

/// Both files must be there, and in the list, which is as `sha256sum` writes it, and no other.
fn check_sums(list: &[u8], found: &BTreeMap<&str, String>) -> Result<(), String> {
    let text = std::str::from_utf8(list).map_err(|e| e.to_string())?;
    let mut listed = Vec::new();
    for line in text.lines() {
        let (sum, name) = line.split_once("  ").ok_or_else(|| format!("line is not a hash and a name: {line:?}"))?;
        let Some(file) = [META, STATE].into_iter().find(|file| *file == name) else {
            return Err(format!("list missing hash for {name:?}"));
        };
        if !found.get(file).is_some_and(|own| own.eq_ignore_ascii_case(sum)) {
            return Err(format!("hash check failed for {file:?}"));
        }
        listed.push(file);
    }
    [META, STATE].iter().find(|file| !listed.contains(file)).map_or(Ok(()), |file| Err(missing(file)))
}

/// Nothing may follow; and the checksum of gzip itself is only looked at when all of it is read.
fn check_end(rest: impl Read) -> Result<(), ArchiveError> {
    let remains = io::copy(&mut rest.take(BLOCK + TAIL_BYTES_MAX), &mut io::sink());
    let remains = remains.map_err(|e| ArchiveError::Tail(words(&e)))?;
    if remains > BLOCK { Err(ArchiveError::Remains(remains - BLOCK)) } else { Ok(()) }
}

/// The cause of an error; Consul's word for an archive that ends too early.
fn words(error: &io::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let text = cause.to_string();
    if error.kind() == io::ErrorKind::UnexpectedEof || text.contains("failed to fill whole buffer") {
        "unexpected EOF".to_owned()
    } else {
        text.split(" (os error").next().unwrap_or(&text).to_lowercase()
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
