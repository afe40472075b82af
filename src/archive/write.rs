//! Writing an archive.

use super::{META, Meta, STATE, SUMS, hex};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::io::{self, Write};

/// Bytes of a tar block.
const BLOCK: usize = 512;

/// Writes an archive. `state` writes the same bytes each time it is called, which is twice: the length and the checksum
/// stand before the state. `time_s` is the files' time, seconds since the epoch; `meta.size` is filled in.
///
/// # Errors
/// Of `out` or of `state`, or `state` was not the same both times.
pub fn write<W: Write>(
    out: W,
    mut meta: Meta,
    time_s: u64,
    mut state: impl FnMut(&mut dyn Write) -> io::Result<()>,
) -> io::Result<W> {
    let mut tally = Tally { sum: Sha256::new(), bytes: 0, out: io::sink() };
    state(&mut tally)?;
    let (state_sum, state_bytes) = (tally.sum.finalize(), tally.bytes);
    meta.size = state_bytes;
    let mut meta = serde_json::to_vec(&meta).map_err(io::Error::other)?;
    // As Go's encoder ends a document.
    meta.push(b'\n');
    let sums = format!("{}  {META}\n{}  {STATE}\n", hex(&Sha256::digest(&meta)), hex(&state_sum));

    let mut out = GzEncoder::new(out, Compression::fast());
    header(&mut out, META, meta.len() as u64, time_s)?;
    out.write_all(&meta)?;
    pad(&mut out, meta.len() as u64)?;
    header(&mut out, STATE, state_bytes, time_s)?;
    let mut second = Tally { sum: Sha256::new(), bytes: 0, out: &mut out };
    state(&mut second)?;
    if second.bytes != state_bytes || second.sum.finalize() != state_sum {
        return Err(io::Error::other("the state changed while it was written"));
    }
    pad(&mut out, state_bytes)?;
    header(&mut out, SUMS, sums.len() as u64, time_s)?;
    out.write_all(sums.as_bytes())?;
    pad(&mut out, sums.len() as u64)?;
    out.write_all(&[0; 2 * BLOCK])?;
    out.finish()
}

fn header(out: &mut impl Write, name: &str, bytes: u64, time_s: u64) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_path(name)?;
    header.set_size(bytes);
    header.set_mode(0o600);
    header.set_mtime(time_s);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    out.write_all(header.as_bytes())
}

/// Fills up the last block of a file.
fn pad(out: &mut impl Write, bytes: u64) -> io::Result<()> {
    let over = (bytes % BLOCK as u64) as usize;
    if over == 0 { Ok(()) } else { out.write_all(&[0; BLOCK][over..]) }
}

/// Counts and sums what is written through it.
struct Tally<W> {
    sum: Sha256,
    bytes: u64,
    out: W,
}

impl<W: Write> Write for Tally<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.sum.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
