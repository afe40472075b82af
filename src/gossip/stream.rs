//! Streams between members: frames of a length and a sealed packet. A connection carries requests of one kind and their
//! answers, for some seconds at most.

use super::keyring::Keyring;
use crate::clock::Clock;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Bytes of a frame, at most: all that is known of 65,536 members.
pub(super) const FRAME_BYTES_MAX: u32 = 32 << 20;
/// Time for a whole conversation.
pub(super) const STREAM_TIME: Duration = Duration::from_secs(10);
/// Time to reach somebody.
const DIAL_TIME: Duration = Duration::from_secs(5);

/// Writes one frame.
pub(super) async fn write_frame(stream: &mut TcpStream, packet: &[u8]) -> io::Result<()> {
    let length = u32::try_from(packet.len()).ok().filter(|n| *n <= FRAME_BYTES_MAX);
    let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the message is too long"))?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(packet).await?;
    stream.flush().await
}

/// Reads one frame; `None` at the end. Memory grows with what has come, not with what was announced.
pub(super) async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_be_bytes(length);
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the announced message is too long"));
    }
    let mut packet = Vec::new();
    stream.take(length.into()).read_to_end(&mut packet).await?;
    if packet.len() != length as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(packet))
}

/// Opens a frame's packet: its kind and the rest.
pub(super) fn open(keyring: &Keyring, mut packet: Vec<u8>) -> io::Result<Vec<u8>> {
    let range = keyring.open(&mut packet).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
    packet.truncate(range.end);
    Ok(packet.split_off(range.start))
}

async fn dial(to: SocketAddr) -> io::Result<TcpStream> {
    let connected = timeout(DIAL_TIME, TcpStream::connect(to)).await;
    let stream = connected.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "i/o timeout"))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends a packet that is sealed already, and waits for no answer.
pub(super) async fn send(to: SocketAddr, sealed: &[u8]) -> io::Result<()> {
    let work = async {
        let mut stream = dial(to).await?;
        write_frame(&mut stream, sealed).await?;
        stream.shutdown().await
    };
    timeout(STREAM_TIME, work).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// Sends a message and returns the answer's body, which must be of the kind that is expected.
pub(super) async fn ask(
    keyring: &Keyring,
    clock: &Clock,
    to: SocketAddr,
    message: &[u8],
    expected: u8,
) -> io::Result<Vec<u8>> {
    let work = async {
        let mut stream = dial(to).await?;
        write_frame(&mut stream, &keyring.seal(message, clock.random())).await?;
        let refused = || io::Error::new(io::ErrorKind::ConnectionAborted, "EOF");
        let answer = read_frame(&mut stream).await?.ok_or_else(refused)?;
        let mut answer = open(keyring, answer)?;
        if answer.first() != Some(&expected) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "unexpected answer"));
        }
        Ok(answer.split_off(1))
    };
    timeout(STREAM_TIME, work).await.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "i/o timeout"))?
}
