//! A connection whose small writes go out together with what comes after them.
//!
//! h2 hands a large payload over on its own, behind a short head, and copies small ones into its buffer only if the
//! connection cannot write from several places at once. With many small messages on a connection that copy saves one
//! system call per message, so this connection says that it cannot; and so that a large message still needs one call, a
//! small write is held back until it is followed or flushed.
//!
//! A flush lets the others run once before it writes. The streams of a connection are tasks of their own, and a change
//! wakes them all: each would have its message flushed alone before the next one came to add its own. Must never: hold
//! anything across a completed flush.

use lictor_transport::{Io, Peer};
use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Longer writes are not held back: copying them would cost more than it saves.
const SMALL: usize = 4096;
/// Bytes held at most.
const HELD_MAX: usize = 4 * SMALL;

/// See the module.
pub(super) struct Gather<T> {
    io: T,
    held: Vec<u8>,
    /// The others had their turn since the flush was asked for.
    waited: bool,
}

impl<T> Gather<T> {
    /// Nothing is held yet.
    pub(super) fn new(io: T) -> Gather<T> {
        Gather { io, held: Vec::new(), waited: false }
    }
}

impl<T: Io> Io for Gather<T> {
    fn peer(&self) -> Peer {
        self.io.peer()
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Gather<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> Gather<T> {
    /// Writes what is held, and of `more` what goes along; returns how much of `more` did.
    fn release(&mut self, cx: &mut Context<'_>, more: &[u8]) -> Poll<io::Result<usize>> {
        while !self.held.is_empty() {
            let parts = [IoSlice::new(&self.held), IoSlice::new(more)];
            let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, &parts))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            if let Some(of_more) = written.checked_sub(self.held.len()) {
                // An idle connection keeps no buffer.
                self.held = Vec::new();
                self.waited = false;
                return Poll::Ready(Ok(of_more));
            }
            self.held.drain(..written);
        }
        Poll::Ready(Ok(0))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Gather<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.len() <= SMALL && self.held.len() + buf.len() <= HELD_MAX {
            self.held.extend_from_slice(buf);
            return Poll::Ready(Ok(buf.len()));
        }
        match ready!(self.release(cx, buf))? {
            0 => Pin::new(&mut self.io).poll_write(cx, buf),
            written => Poll::Ready(Ok(written)),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.held.is_empty() && !self.waited {
            self.waited = true;
            // At the end of the queue: who wakes itself while it runs comes after those who are ready.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        ready!(self.release(cx, &[]))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.release(cx, &[]))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    proptest! {
        #[test]
        fn every_byte_arrives_in_order(
            writes in vec((0..10_000_usize, any::<bool>()), 1..12), room in 1..20_000_usize,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let (sent, received) = runtime.block_on(async {
                let (ours, mut theirs) = tokio::io::duplex(room);
                let reader = tokio::spawn(async move {
                    let mut all = Vec::new();
                    theirs.read_to_end(&mut all).await.map(|_| all)
                });
                let mut gather = Gather::new(ours);
                let mut sent = Vec::new();
                for (n, (length, flush)) in writes.into_iter().enumerate() {
                    let bytes = vec![n as u8; length];
                    gather.write_all(&bytes).await.expect("writes");
                    sent.extend(bytes);
                    if flush {
                        gather.flush().await.expect("flushes");
                        assert!(gather.held.is_empty());
                    }
                }
                gather.shutdown().await.expect("ends");
                (sent, reader.await.expect("joins").expect("reads"))
            });
            prop_assert_eq!(sent, received);
        }
    }
}
