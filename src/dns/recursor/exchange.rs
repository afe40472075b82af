//! One question to one recursor.

use super::message::answers;
use crate::dns::responder::Transport;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// The most bytes of a reply.
const REPLY_BYTES_MAX: usize = 65_535;

/// Sends `message` under this id and waits for its reply. Over UDP at first; a reply that was cut is asked for again
/// over TCP, unless the client came over UDP, has been told so, and will ask again itself.
pub(super) async fn ask(
    server: SocketAddr,
    message: &[u8],
    id: u16,
    client: Transport,
    patience: Duration,
) -> io::Result<Vec<u8>> {
    let mut message = message.to_vec();
    if let Some(first) = message.first_chunk_mut::<2>() {
        *first = id.to_be_bytes();
    }
    let reply = timeout(patience, over_udp(server, &message)).await??;
    let is_cut = reply.get(2).is_some_and(|flags| flags & 2 != 0);
    if is_cut && client == Transport::Tcp {
        return timeout(patience, over_tcp(server, &message)).await?;
    }
    Ok(reply)
}

async fn over_udp(server: SocketAddr, message: &[u8]) -> io::Result<Vec<u8>> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // A socket of its own has a port that cannot be guessed, and only the server is heard.
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(message).await?;
    let mut buffer = vec![0; REPLY_BYTES_MAX];
    loop {
        let bytes = socket.recv(&mut buffer).await?;
        if answers(&buffer[..bytes], message) {
            buffer.truncate(bytes);
            buffer.shrink_to_fit();
            return Ok(buffer);
        }
    }
}

async fn over_tcp(server: SocketAddr, message: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(message);
    stream.write_all(&framed).await?;
    let bytes = usize::from(stream.read_u16().await?);
    let mut reply = vec![0; bytes];
    stream.read_exact(&mut reply).await?;
    if answers(&reply, message) {
        Ok(reply)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "the reply is to another question"))
    }
}
