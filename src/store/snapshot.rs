//! The snapshot format: the whole state as one stream of bytes. Owns writing and checking it; what a row means is not
//! its business.
//!
//! Layout: 8 bytes of magic, then frames: kind (1 byte), length (u32 little endian), crc32c (u32 little endian), payload.
//! The first frame is a `SnapshotHeader`, then frames of rows in the order of their keys, then a `SnapshotTrailer`, then
//! the end. Each crc continues from the crc of the frame before it, so that a lost, doubled or moved frame is noticed.

use super::checkpoint::{Position, Rows, View};
use super::tables;
use crate::proto::internal::{SnapshotHeader, SnapshotTrailer};
use bytes::Bytes;
use prost::Message;
use std::io::{self, Read};

const MAGIC: [u8; 8] = *b"LICTSNAP";
const FRAME_HEAD: usize = 9;
const KIND_HEADER: u8 = 1;
const KIND_ROWS: u8 = 2;
const KIND_TRAILER: u8 = 3;
/// A frame of rows is closed when it has this many bytes.
const FRAME_TARGET: usize = 256 << 10;
/// No frame is longer: far above the largest row, far below what would exhaust memory.
const FRAME_LIMIT: u32 = 64 << 20;

/// Why a snapshot cannot be read. It was not loaded, not even in part.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It does not start as a snapshot does.
    #[error("this is not a lictor snapshot")]
    NotASnapshot,
    /// A newer version made it.
    #[error("snapshot format {found} is newer than {supported}, the newest this version reads; run a newer version")]
    NewerFormat {
        /// Its format.
        found: u32,
        /// The newest format that this version reads.
        supported: u32,
    },
    /// Its bytes are damaged.
    #[error("the snapshot is damaged: {0}; take another one")]
    Damaged(&'static str),
    /// It could not be read.
    #[error("cannot read the snapshot: {0}")]
    Io(#[from] io::Error),
}

/// A snapshot to be read: from a checkpoint, a file, or memory.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one at a time, and it moves a few times")]
pub enum Image {
    /// A checkpoint of this server, encoded while it is read.
    View(Box<View>),
    /// A file that holds the encoded form.
    File(std::fs::File),
    /// The encoded form in memory.
    Bytes(Bytes),
}

impl Image {
    /// The encoded form. Reading blocks on the disk.
    ///
    /// # Errors
    /// The checkpoint cannot be read.
    pub fn into_reader(self) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Image::View(view) => Box::new(Export::new(*view)?),
            Image::File(file) => Box::new(io::BufReader::new(file)),
            Image::Bytes(bytes) => Box::new(io::Cursor::new(bytes)),
        })
    }
}

/// Encodes a checkpoint while it is read.
struct Export {
    rows: Option<Rows>,
    /// Encoded, not yet read.
    buffer: Vec<u8>,
    taken: usize,
    crc: u32,
    totals: SnapshotTrailer,
    /// Keeps the transaction open while `rows` is read.
    _view: View,
}

impl Export {
    fn new(view: View) -> io::Result<Export> {
        let Position { index, applied, membership } = view.position().clone();
        let cluster = view.cluster().to_vec().into();
        let header = SnapshotHeader {
            format: tables::FORMAT,
            cluster,
            index,
            applied: applied.into(),
            membership: membership.into(),
            history_floor: view.floor(),
        };
        let rows = view.rows().map_err(io::Error::other)?;
        let totals = SnapshotTrailer::default();
        let mut export = Export { rows, buffer: MAGIC.to_vec(), taken: 0, crc: 0, totals, _view: view };
        export.frame(KIND_HEADER, &header.encode_to_vec());
        Ok(export)
    }

    fn frame(&mut self, kind: u8, payload: &[u8]) {
        let length = (payload.len() as u32).to_le_bytes();
        self.crc = frame_crc(self.crc, kind, length, payload);
        self.buffer.push(kind);
        self.buffer.extend_from_slice(&length);
        self.buffer.extend_from_slice(&self.crc.to_le_bytes());
        self.buffer.extend_from_slice(payload);
    }

    /// Encodes the next frame of rows, or the trailer; leaves the buffer empty at the end.
    fn refill(&mut self) -> io::Result<()> {
        self.buffer.clear();
        self.taken = 0;
        let Some(mut rows) = self.rows.take() else { return Ok(()) };
        let mut payload = Vec::with_capacity(FRAME_TARGET + 4096);
        for row in rows.by_ref() {
            let (key, value) = row.map_err(io::Error::other)?;
            let (key, value) = (key.value(), value.value());
            self.totals.rows += 1;
            self.totals.bytes += (key.len() + value.len()) as u64;
            for part in [key, value] {
                payload.extend_from_slice(&(part.len() as u32).to_le_bytes());
                payload.extend_from_slice(part);
            }
            if payload.len() >= FRAME_TARGET {
                break;
            }
        }
        if payload.is_empty() {
            self.frame(KIND_TRAILER, &self.totals.encode_to_vec());
        } else {
            self.frame(KIND_ROWS, &payload);
            self.rows = Some(rows);
        }
        Ok(())
    }
}

impl Read for Export {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.buffer.len() {
            self.refill()?;
        }
        let ready = &self.buffer[self.taken..];
        let n = ready.len().min(out.len());
        out[..n].copy_from_slice(&ready[..n]);
        self.taken += n;
        Ok(n)
    }
}

/// Reads and checks a snapshot. Nothing it hands out may be used before [`Reader::next_rows`] has returned `None`.
pub(super) struct Reader<R> {
    input: R,
    crc: u32,
    seen: SnapshotTrailer,
    last_key: Vec<u8>,
}

impl<R: Read> Reader<R> {
    /// Reads the header.
    pub(super) fn open(mut input: R) -> Result<(Reader<R>, SnapshotHeader), SnapshotError> {
        let mut magic = [0; MAGIC.len()];
        input.read_exact(&mut magic).map_err(cut_short)?;
        if magic != MAGIC {
            return Err(SnapshotError::NotASnapshot);
        }
        let mut reader = Reader { input, crc: 0, seen: SnapshotTrailer::default(), last_key: Vec::new() };
        let (kind, payload) = reader.frame()?;
        if kind != KIND_HEADER {
            return Err(SnapshotError::Damaged("it does not start with a header"));
        }
        let header = SnapshotHeader::decode(payload.as_slice()).map_err(|_| SnapshotError::Damaged("bad header"))?;
        if header.format > tables::FORMAT {
            return Err(SnapshotError::NewerFormat { found: header.format, supported: tables::FORMAT });
        }
        if header.cluster.len() != 16 {
            return Err(SnapshotError::Damaged("the cluster id is not 16 bytes"));
        }
        Ok((reader, header))
    }

    /// Hands the rows of the next frame to `row`; `None` when the snapshot ended as it must.
    pub(super) fn next_rows<E: From<SnapshotError>>(
        &mut self,
        mut row: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<Option<()>, E> {
        let (kind, payload) = self.frame()?;
        match kind {
            KIND_ROWS => {
                let mut rest = payload.as_slice();
                while !rest.is_empty() {
                    let (key, value) = (take_part(&mut rest)?, take_part(&mut rest)?);
                    if self.seen.rows > 0 && key <= self.last_key.as_slice() {
                        return Err(SnapshotError::Damaged("rows are out of order").into());
                    }
                    self.last_key.clear();
                    self.last_key.extend_from_slice(key);
                    self.seen.rows += 1;
                    self.seen.bytes += (key.len() + value.len()) as u64;
                    row(key, value)?;
                }
                Ok(Some(()))
            }
            KIND_TRAILER => {
                let trailer = SnapshotTrailer::decode(payload.as_slice());
                if trailer.ok().as_ref() != Some(&self.seen) {
                    return Err(SnapshotError::Damaged("rows are missing").into());
                }
                let mut more = [0];
                match self.input.read(&mut more).map_err(SnapshotError::Io)? {
                    0 => Ok(None),
                    _ => Err(SnapshotError::Damaged("bytes follow its end").into()),
                }
            }
            _ => Err(SnapshotError::Damaged("unknown frame").into()),
        }
    }

    fn frame(&mut self) -> Result<(u8, Vec<u8>), SnapshotError> {
        let mut head = [0; FRAME_HEAD];
        self.input.read_exact(&mut head).map_err(cut_short)?;
        let [kind, l0, l1, l2, l3, c0, c1, c2, c3] = head;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        if length > FRAME_LIMIT {
            return Err(SnapshotError::Damaged("a frame is too long"));
        }
        // Grows with what is really there: a damaged length must not reserve memory.
        let mut payload = Vec::new();
        let read = self.input.by_ref().take(length.into()).read_to_end(&mut payload)?;
        if read != length as usize {
            return Err(SnapshotError::Damaged("it is cut short"));
        }
        let crc = frame_crc(self.crc, kind, length.to_le_bytes(), &payload);
        if crc != u32::from_le_bytes([c0, c1, c2, c3]) {
            return Err(SnapshotError::Damaged("wrong checksum"));
        }
        self.crc = crc;
        Ok((kind, payload))
    }
}

fn frame_crc(before: u32, kind: u8, length: [u8; 4], payload: &[u8]) -> u32 {
    let crc = crc32c::crc32c_append(before, &[kind]);
    crc32c::crc32c_append(crc32c::crc32c_append(crc, &length), payload)
}

fn take_part<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], SnapshotError> {
    const BAD: SnapshotError = SnapshotError::Damaged("a row is cut short");
    let (length, after) = rest.split_first_chunk::<4>().ok_or(BAD)?;
    let (part, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or(BAD)?;
    *rest = after;
    Ok(part)
}

fn cut_short(e: io::Error) -> SnapshotError {
    match e.kind() {
        io::ErrorKind::UnexpectedEof => SnapshotError::Damaged("it is cut short"),
        _ => SnapshotError::Io(e),
    }
}
