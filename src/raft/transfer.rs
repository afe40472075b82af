//! The bytes of a snapshot on their way: read and compressed on a blocking thread, a few pieces ahead of the network;
//! unpacked on a blocking thread into a file that has no name. A server in memory has nothing that blocks, and does both
//! in place.

use crate::store::Image;
use bytes::Bytes;
use flate2::Compression;
use flate2::bufread::DeflateEncoder;
use flate2::write::DeflateDecoder;
use futures::stream::{self, BoxStream, StreamExt};
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::PathBuf;
use tokio::sync::mpsc;

/// Bytes of a piece.
const PIECE: usize = 256 << 10;
/// Pieces that wait for the network, or for the disk.
const AHEAD: usize = 4;

/// The compressed pieces of a snapshot. It ends early if the snapshot cannot be read; the receiver notices by the
/// checks of its format.
pub(super) fn chunks(image: Image, in_place: bool) -> BoxStream<'static, Bytes> {
    if in_place {
        let mut pieces = Vec::new();
        report(compress(image, |piece| {
            pieces.push(piece);
            true
        }));
        return stream::iter(pieces).boxed();
    }
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || report(compress(image, |piece| sender.blocking_send(piece).is_ok())));
    stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver))).boxed()
}

fn report(read: io::Result<()>) {
    if let Err(error) = read {
        tracing::warn!(%error, "cannot read the snapshot for another server");
    }
}

/// Hands the pieces to `to`, until that returns false.
fn compress(image: Image, mut to: impl FnMut(Bytes) -> bool) -> io::Result<()> {
    let mut packed = DeflateEncoder::new(BufReader::with_capacity(PIECE, image.into_reader()?), Compression::fast());
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        packed.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
        // Nobody takes it any more: the other server has gone, or has caught up otherwise.
        if piece.is_empty() || !to(piece.into()) {
            return Ok(());
        }
    }
}

/// Where the pieces of an arriving snapshot go.
pub(super) enum Arrival {
    /// Unpacked as they come.
    Memory(DeflateDecoder<Vec<u8>>),
    /// Unpacked on a thread of their own.
    File { pieces: mpsc::Sender<Bytes>, done: tokio::task::JoinHandle<io::Result<Image>> },
}

impl Arrival {
    /// Begins in `directory`, or in memory.
    pub(super) fn begin(directory: Option<PathBuf>) -> Arrival {
        let Some(directory) = directory else { return Arrival::Memory(DeflateDecoder::new(Vec::new())) };
        let (pieces, receiver) = mpsc::channel(AHEAD);
        let done = tokio::task::spawn_blocking(move || {
            let mut file = unpack(tempfile::tempfile_in(directory)?, receiver)?;
            file.rewind()?;
            Ok(Image::File(file))
        });
        Arrival::File { pieces, done }
    }

    /// Takes a piece; waits while the disk is behind.
    ///
    /// # Errors
    /// It could not be unpacked or written.
    pub(super) async fn push(&mut self, piece: Bytes) -> io::Result<()> {
        match self {
            Arrival::Memory(unpacked) => unpacked.write_all(&piece),
            Arrival::File { pieces, done } => match pieces.send(piece).await {
                Ok(()) => Ok(()),
                // The writer stopped early, which it does with an error only.
                Err(_) => Err(finished(done).await.err().unwrap_or_else(|| io::Error::other("it has ended"))),
            },
        }
    }

    /// All pieces are there.
    ///
    /// # Errors
    /// They could not be unpacked or written.
    pub(super) async fn end(self) -> io::Result<Image> {
        match self {
            Arrival::Memory(unpacked) => Ok(Image::Bytes(unpacked.finish()?.into())),
            Arrival::File { pieces, mut done } => {
                drop(pieces);
                finished(&mut done).await
            }
        }
    }
}

async fn finished(done: &mut tokio::task::JoinHandle<io::Result<Image>>) -> io::Result<Image> {
    done.await.map_err(io::Error::other)?
}

fn unpack<W: Write>(to: W, mut pieces: mpsc::Receiver<Bytes>) -> io::Result<W> {
    let mut unpacked = DeflateDecoder::new(to);
    while let Some(piece) = pieces.blocking_recv() {
        unpacked.write_all(&piece)?;
    }
    unpacked.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn through(directory: Option<PathBuf>) {
        let sent: Vec<u8> = (0..3_000_000u32).flat_map(|n| (n % 251).to_le_bytes()).collect();
        let mut pieces = chunks(Image::Bytes(sent.clone().into()), directory.is_none());
        let mut arrival = Arrival::begin(directory);
        let mut packed = 0;
        while let Some(piece) = pieces.next().await {
            packed += piece.len();
            arrival.push(piece).await.expect("takes it");
        }
        let mut received = Vec::new();
        let mut reader = arrival.end().await.expect("is whole").into_reader().expect("can be read");
        reader.read_to_end(&mut received).expect("can be read");
        assert!(sent == received);
        assert!(packed < sent.len() / 4, "{packed}");
    }

    #[tokio::test]
    async fn arrives_as_it_was_sent() {
        through(None).await;
        through(Some(tempfile::tempdir().expect("a directory").path().to_owned())).await;
    }

    #[tokio::test]
    async fn garbage_is_refused() {
        let mut arrival = Arrival::begin(None);
        let _ = arrival.push(Bytes::from_static(&[0xff; 100])).await;
        arrival.end().await.expect_err("is not compressed");
    }
}
