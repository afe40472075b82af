//! A server for names that are not ours: one address for every A question, and no such name for every other.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};

/// Serves until the test ends.
pub(crate) struct Recursor {
    pub(crate) address: SocketAddr,
}

impl Recursor {
    pub(crate) fn start(answer: IpAddr) -> Recursor {
        let (udp, tcp) = pair();
        let address = udp.local_addr().expect("its address");
        let IpAddr::V4(answer) = answer else { panic!("an IPv4 address") };
        std::thread::spawn(move || serve_udp(&udp, answer));
        std::thread::spawn(move || {
            for connection in tcp.incoming().flatten() {
                // One that breaks off is the server's to deal with.
                let _ = serve_tcp(connection, answer);
            }
        });
        Recursor { address }
    }
}

/// One port for both transports.
fn pair() -> (UdpSocket, TcpListener) {
    let free = || {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
        let tcp = TcpListener::bind(udp.local_addr().ok()?).ok()?;
        Some((udp, tcp))
    };
    (0..10).find_map(|_| free()).expect("a port that is free for both")
}

fn serve_udp(socket: &UdpSocket, address: Ipv4Addr) {
    let mut buffer = [0; 4096];
    while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
        if let Some(reply) = reply(&buffer[..length], address) {
            let _ = socket.send_to(&reply, peer);
        }
    }
}

fn serve_tcp(mut connection: TcpStream, address: Ipv4Addr) -> std::io::Result<()> {
    let mut length = [0; 2];
    connection.read_exact(&mut length)?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    connection.read_exact(&mut message)?;
    let reply = reply(&message, address).unwrap_or_default();
    connection.write_all(&[&(reply.len() as u16).to_be_bytes()[..], &reply].concat())
}

fn reply(query: &[u8], address: Ipv4Addr) -> Option<Vec<u8>> {
    let mut end = 12;
    while *query.get(end)? != 0 {
        end += usize::from(query[end]) + 1;
    }
    let question = query.get(12..end + 5)?;
    let is_address = query.get(end + 1..end + 3)? == [0, 1];
    let mut reply = query[..2].to_vec();
    reply.extend([0x85, if is_address { 0x80 } else { 0x83 }, 0, 1, 0, u8::from(is_address), 0, 0, 0, 0]);
    reply.extend(question);
    if is_address {
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 77, 0, 4]);
        reply.extend(address.octets());
    }
    Some(reply)
}
