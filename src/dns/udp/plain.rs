//! One datagram at a time, by what every system has.

use super::{Datagrams, QUERY_BYTES_MAX, Reply};
use crate::dns::recursor::SendReply;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

/// One message and its sender.
#[derive(Debug)]
pub(super) struct Single {
    buffer: Box<[u8; QUERY_BYTES_MAX]>,
    bytes: usize,
    from: Option<SocketAddr>,
}

impl Datagrams for Single {
    fn new(_: &UdpSocket) -> io::Result<Single> {
        Ok(Single { buffer: Box::new([0; QUERY_BYTES_MAX]), bytes: 0, from: None })
    }

    fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        let (bytes, from) = socket.recv_from(&mut self.buffer[..])?;
        self.bytes = bytes;
        self.from = Some(from);
        Ok(1)
    }

    fn message(&self, _: usize) -> &[u8] {
        &self.buffer[..self.bytes]
    }

    fn sender(&self, socket: &Arc<UdpSocket>, _: usize) -> SendReply {
        let (socket, to) = (socket.clone(), self.from);
        Box::new(move |bytes| {
            if let Some(to) = to {
                let _ = socket.send_to(bytes, to);
            }
        })
    }

    fn send(&mut self, socket: &UdpSocket, replies: &[Reply], bytes: &[u8]) {
        for (_, range) in replies {
            if let Some(to) = self.from {
                let _ = socket.send_to(&bytes[range.clone()], to);
            }
        }
    }
}
