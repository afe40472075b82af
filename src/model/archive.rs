//! The archive of a snapshot, as Consul's tools read it: a compressed tar of `meta.json`, `state.bin` and the SHA-256 of
//! both in `SHA256SUMS`.
//!
//! Reading checks everything and keeps nothing but the metadata: the state goes to a writer as it comes. What the state
//! means is its server's business.

use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::io::{self, BufReader, Read, Write};
use thiserror::Error;

/// `meta.json` and `SHA256SUMS` may not be longer; real ones have hundreds of bytes.
const SMALL_FILE_BYTES_MAX: u64 = 1024 * 1024;
/// A block of a tar archive.
const BLOCK: u64 = 512;

/// What `meta.json` says of a snapshot. Fields that only its own server needs are left alone.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default, rename_all = "PascalCase")]
pub struct ArchiveMeta {
    /// Name of the snapshot: term, index and time.
    #[serde(rename = "ID")]
    pub id: String,
    /// Bytes of `state.bin`.
    pub size: u64,
    /// Position of the log that it holds.
    pub index: u64,
    /// Term of that position.
    pub term: u64,
    /// Version of the format of `meta.json`.
    pub version: u64,
}

/// Why an archive cannot be used; the texts are those of Consul's tools.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// It is not compressed as it should be.
    #[error("failed to decompress snapshot: {0}")]
    Compression(String),
    /// A file in it is missing, too long or not what it should be, or a hash is wrong.
    #[error("failed to read snapshot file: {0}")]
    Content(String),
    /// There is something after its end.
    #[error("{0} unread uncompressed bytes remain")]
    Remains(u64),
    /// The state could not be written where the caller wants it.
    #[error("failed to read snapshot file: failed to read or write snapshot data: {0}")]
    State(#[source] io::Error),
}

fn content(text: impl Into<String>) -> ArchiveError {
    ArchiveError::Content(text.into())
}

/// Reads and checks a whole archive; its state goes to `state`, which must be thrown away when this fails.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn read_archive(input: impl Read, state: &mut dyn Write) -> Result<ArchiveMeta, ArchiveError> {
    let mut input = BufReader::new(input);
    check_magic(&mut input)?;
    let mut archive = tar::Archive::new(MultiGzDecoder::new(input));
    let (mut meta, mut meta_hash, mut state_hash, mut sums) = (None, Sha256::new(), Sha256::new(), Vec::new());
    let reading = |e: io::Error| content(format!("failed reading snapshot: {}", words(&e)));
    for entry in archive.entries().map_err(reading)? {
        let mut entry = entry.map_err(reading)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        match name.as_str() {
            "meta.json" => {
                let bytes = small(&mut entry, "metadata")?;
                meta_hash.update(&bytes);
                let decoded = serde_json::from_slice::<ArchiveMeta>(&bytes);
                meta = Some(decoded.map_err(|e| content(format!("failed to decode snapshot metadata: {e}")))?);
            }
            "state.bin" => copy(&mut entry, state, &mut state_hash)?,
            "SHA256SUMS" => sums.extend(small(&mut entry, "hashes")?),
            _ => return Err(content(format!("unexpected file {name:?} in snapshot"))),
        }
    }
    check_sums(&sums, &[("meta.json", meta_hash), ("state.bin", state_hash)])
        .map_err(|reason| content(format!("failed checking integrity of snapshot: {reason}")))?;
    check_end(archive.into_inner())?;
    meta.ok_or_else(|| content("failed to read snapshot metadata: file missing for \"meta.json\""))
}

/// Looks at the first bytes, because the decompressor tells only later and in other words.
fn check_magic(input: &mut impl io::BufRead) -> Result<(), ArchiveError> {
    let begin = input.fill_buf().map_err(|e| ArchiveError::Compression(words(&e)))?;
    match begin {
        [] => Err(ArchiveError::Compression("EOF".to_owned())),
        [0x1f, 0x8b, 8, ..] => Ok(()),
        short if short.len() < 10 => Err(ArchiveError::Compression("unexpected EOF".to_owned())),
        _ => Err(ArchiveError::Compression("gzip: invalid header".to_owned())),
    }
}

fn small(entry: &mut impl Read, what: &str) -> Result<Vec<u8>, ArchiveError> {
    let mut bytes = Vec::new();
    // One byte more than is allowed, so that too much is noticed.
    let read = entry.take(SMALL_FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|e| content(format!("failed to read snapshot {what}: {}", words(&e))))?;
    if bytes.len() as u64 > SMALL_FILE_BYTES_MAX {
        return Err(content(format!("failed to read snapshot {what}: more than {SMALL_FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

fn copy(entry: &mut impl Read, state: &mut dyn Write, hash: &mut Sha256) -> Result<(), ArchiveError> {
    let mut piece = vec![0; 64 * 1024];
    loop {
        match entry.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                hash.update(&piece[..length]);
                state.write_all(&piece[..length]).map_err(ArchiveError::State)?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(content(format!("failed to read or write snapshot data: {}", words(&error))));
            }
        }
    }
}

/// Every file must be listed with its hash, and nothing else.
fn check_sums(sums: &[u8], files: &[(&str, Sha256)]) -> Result<(), String> {
    let text = std::str::from_utf8(sums).map_err(|e| e.to_string())?;
    let mut seen = Vec::new();
    for line in text.lines() {
        let (sum, name) = line.split_once("  ").ok_or_else(|| format!("line is not a hash and a name: {line:?}"))?;
        let Some((file, hash)) = files.iter().find(|(file, _)| *file == name) else {
            return Err(format!("list missing hash for {name:?}"));
        };
        let digest: String = hash.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        if !sum.eq_ignore_ascii_case(&digest) {
            return Err(format!("hash check failed for {name:?}"));
        }
        seen.push(*file);
    }
    match files.iter().find(|(file, _)| !seen.contains(file)) {
        Some((file, _)) => Err(format!("file missing for {file:?}")),
        None => Ok(()),
    }
}

/// After the last file there is nothing but the second of the two blocks that end a tar archive.
fn check_end(mut rest: impl Read) -> Result<(), ArchiveError> {
    let mut remains = 0u64;
    let mut piece = vec![0; 4096];
    loop {
        match rest.read(&mut piece) {
            Ok(0) if remains <= BLOCK => return Ok(()),
            Ok(0) => return Err(ArchiveError::Remains(remains - BLOCK)),
            Ok(length) => remains += length as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(content(words(&error))),
        }
    }
}

/// An archive that ends too early, in the word of Consul's tools.
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

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    const META: &str = r#"{"Version":1,"ID":"2-13-1","Index":13,"Term":2,"Peers":"","Size":5}"#;

    fn sum(bytes: &[u8]) -> String {
        Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
    }

    fn pack(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o600);
            tar.append_data(&mut header, name, *bytes).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    }

    fn good() -> Vec<u8> {
        let sums = format!("{}  meta.json\n{}  state.bin\n", sum(META.as_bytes()), sum(b"state"));
        pack(&[("meta.json", META.as_bytes()), ("state.bin", b"state"), ("SHA256SUMS", sums.as_bytes())])
    }

    fn read(bytes: &[u8]) -> Result<(ArchiveMeta, Vec<u8>), String> {
        let mut state = Vec::new();
        read_archive(bytes, &mut state).map(|meta| (meta, state)).map_err(|e| e.to_string())
    }

    #[test]
    fn reads_what_is_whole() {
        let (meta, state) = read(&good()).unwrap();
        let expected = ArchiveMeta { id: "2-13-1".to_owned(), size: 5, index: 13, term: 2, version: 1 };
        assert_eq!((meta, state.as_slice()), (expected, b"state".as_slice()));
    }

    #[test]
    fn says_what_is_wrong() {
        let sums = |meta: &str| format!("{meta}  meta.json\n{}  state.bin\n", sum(b"state"));
        let wrong = sums(&sum(b"x"));
        let half = format!("{}  meta.json\n", sum(META.as_bytes()));
        let other = format!("{}  other\n", sum(b"x"));
        let with = |sums: &str| {
            pack(&[("meta.json", META.as_bytes()), ("state.bin", b"state"), ("SHA256SUMS", sums.as_bytes())])
        };
        let integrity =
            |what: &str| format!("failed to read snapshot file: failed checking integrity of snapshot: {what}");
        for (bytes, expected) in [
            (vec![], "failed to decompress snapshot: EOF".to_owned()),
            (b"short".to_vec(), "failed to decompress snapshot: unexpected EOF".to_owned()),
            (b"this is no archive".to_vec(), "failed to decompress snapshot: gzip: invalid header".to_owned()),
            (with(&wrong), integrity("hash check failed for \"meta.json\"")),
            (with(&half), integrity("file missing for \"state.bin\"")),
            (with(&other), integrity("list missing hash for \"other\"")),
            (pack(&[("x", b"")]), "failed to read snapshot file: unexpected file \"x\" in snapshot".to_owned()),
        ] {
            assert_eq!(read(&bytes), Err(expected));
        }
        let whole = good();
        assert!(read(&whole[..whole.len() / 2]).unwrap_err().starts_with("failed to read snapshot file: "));
        let mut more = GzEncoder::new(good(), Compression::fast());
        more.write_all(b"more").unwrap();
        assert_eq!(read(&more.finish().unwrap()), Err("4 unread uncompressed bytes remain".to_owned()));
    }

    proptest! {
        #[test]
        fn damage_is_never_taken_for_a_snapshot(at in 0usize..300, bit in 0u8..8) {
            let mut bytes = good();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            // Some bits say when and by whom it was packed, and matter to nobody.
            if let Ok((meta, state)) = read(&bytes) {
                prop_assert_eq!((meta.index, state.as_slice()), (13, b"state".as_slice()));
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}
