//! What a command prints: parts, each behind a header of eight bytes that says from which output and how long.

use super::DockerError;
use crate::outgoing::Answer;
use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio_util::task::AbortOnDropHandle;

/// Bytes of the header before each part.
const HEADER: usize = 8;

/// The output of a command while it runs; dropping it closes the connection.
#[derive(Debug)]
pub struct Output {
    body: Incoming,
    parts: Parts,
    _connection: AbortOnDropHandle<()>,
}

impl Output {
    pub(super) fn new(answer: Answer) -> Output {
        Output { body: answer.response.into_body(), parts: Parts::default(), _connection: answer.connection }
    }

    /// The next bytes that were printed, as they come; `None` when the command has ended.
    ///
    /// # Errors
    /// The connection broke, or what came has no headers.
    pub async fn next(&mut self) -> Result<Option<Bytes>, DockerError> {
        loop {
            if let Some(part) = self.parts.take()? {
                return Ok(Some(part));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.parts.rest = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Err(DockerError::Answer(error.to_string())),
                None => return Ok(None),
            }
        }
    }
}

/// Takes the headers out of a stream. Keeps no more than one header and what was given last.
#[derive(Debug, Default)]
struct Parts {
    /// The header that is being read.
    header: [u8; HEADER],
    filled: usize,
    /// Bytes that are still to come of the present part.
    left: usize,
    /// What was not looked at yet.
    rest: Bytes,
}

impl Parts {
    /// The next bytes of a part, if any are here.
    fn take(&mut self) -> Result<Option<Bytes>, DockerError> {
        while self.rest.has_remaining() {
            if self.left > 0 {
                let part = self.rest.split_to(self.left.min(self.rest.len()));
                self.left -= part.len();
                return Ok(Some(part));
            }
            let more = (HEADER - self.filled).min(self.rest.len());
            self.rest.copy_to_slice(&mut self.header[self.filled..self.filled + more]);
            self.filled += more;
            if self.filled == HEADER {
                let [output, zeros @ .., a, b, c, d] = self.header;
                if output > 3 || zeros != [0; 3] {
                    return Err(DockerError::Answer("output without headers".to_owned()));
                }
                (self.filled, self.left) = (0, u32::from_be_bytes([a, b, c, d]) as usize);
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(stream: &[u8], cut: usize) -> Result<Vec<u8>, DockerError> {
        let (mut parts, mut read) = (Parts::default(), Vec::new());
        for piece in stream.chunks(cut) {
            parts.rest = Bytes::copy_from_slice(piece);
            while let Some(part) = parts.take()? {
                read.extend_from_slice(&part);
            }
        }
        Ok(read)
    }

    proptest! {
        #[test]
        fn parts_come_out_however_they_arrive(
            parts in proptest::collection::vec((0u8..3, proptest::collection::vec(any::<u8>(), 0..20)), 0..6),
            cut in 1usize..30,
        ) {
            let mut stream = Vec::new();
            for (output, text) in &parts {
                stream.extend_from_slice(&[*output, 0, 0, 0, 0, 0, 0, text.len() as u8]);
                stream.extend_from_slice(text);
            }
            let whole: Vec<u8> = parts.into_iter().flat_map(|(_, text)| text).collect();
            prop_assert_eq!(read(&stream, cut).unwrap(), whole);
        }

        #[test]
        fn no_stream_is_a_panic(stream in proptest::collection::vec(any::<u8>(), 0..64), cut in 1usize..30) {
            let _ = read(&stream, cut);
        }
    }

    #[test]
    fn a_stream_without_headers_is_refused() {
        assert_eq!(
            read(b"plain text", 3).unwrap_err().to_string(),
            "unexpected answer of Docker: output without headers"
        );
    }
}
