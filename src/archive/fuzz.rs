//! What fuzzing asks of archives: any bytes are read or refused in words, and nothing that is damaged is believed.
//!
//! Must never: be part of the program.

use super::{ArchiveError, Limits, META, Meta, STATE, SUMS, hex, read, write};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::io::Write;

const LIMITS: Limits = Limits { state_bytes_max: 1 << 20 };

fn unpack(bytes: &[u8]) -> Result<(Meta, Vec<u8>), ArchiveError> {
    let mut found = Vec::new();
    let collect = |state: &mut dyn std::io::Read| {
        state.read_to_end(&mut found).map(drop).map_err(|e| ArchiveError::state_data(&e))
    };
    let meta = read(bytes, LIMITS, collect)?;
    Ok((meta, found))
}

/// An archive as it came.
pub(crate) fn packed(bytes: &[u8]) {
    if let Err(error) = unpack(bytes) {
        assert!(!error.to_string().is_empty());
    }
    let skipped = read(bytes, LIMITS, |_| Ok(())).map_err(|e| e.to_string());
    assert_eq!(skipped, unpack(bytes).map(|(meta, _)| meta).map_err(|e| e.to_string()), "what is skipped is checked");
}

/// What is in the compression: it has no checksum that must be guessed.
pub(crate) fn unpacked(bytes: &[u8]) {
    packed(&gzip(bytes));
}

/// The description up to the first zero, and the state behind it, in an archive that is whole but for them.
pub(crate) fn content(bytes: &[u8]) {
    let (meta, state) = match bytes.iter().position(|byte| *byte == 0) {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, &[][..]),
    };
    let sums = format!("{}  {META}\n{}  {STATE}\n", hex(&Sha256::digest(meta)), hex(&Sha256::digest(state)));
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in [(META, meta), (STATE, state), (SUMS, sums.as_bytes())] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name, content).unwrap_or_else(|e| panic!("{e}"));
    }
    let Ok((meta, found)) = unpack(&gzip(&tar.into_inner().unwrap_or_else(|e| panic!("{e}")))) else { return };
    assert_eq!(found, state);
    let ours = Meta { size: state.len() as u64, ..meta };
    let written = write(Vec::new(), ours.clone(), 7, |out| out.write_all(state)).unwrap_or_else(|e| panic!("{e}"));
    let (meta, found) = unpack(&written).unwrap_or_else(|e| panic!("what was written is refused: {e}"));
    assert_eq!((meta, &found[..]), (ours, state));
}

/// Compressed, but not small.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::none());
    out.write_all(bytes).and_then(|()| out.finish()).unwrap_or_else(|e| panic!("{e}"))
}
