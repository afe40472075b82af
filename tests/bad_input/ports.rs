//! Bytes that are of another protocol, or of none, on each TCP port.

use crate::common::{Random, Server};
use crate::{assert_dns_lives, assert_grpc_lives, assert_http_lives, run, talk};

/// Beginnings of other protocols, and rubbish.
fn nonsense() -> Vec<Vec<u8>> {
    let mut random = Random::new(42);
    let mut all: Vec<Vec<u8>> = [
        &b""[..],
        b"\0",
        b"\r\n\r\n\r\n",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        b"GET / HTTP/1.0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"EHLO example.com\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        // The start of a TLS handshake.
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x12\x34\x56\x78",
        // HTTP/2: the preface alone, cut off, with a frame that lies about its length, with unknown and bad frames.
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nS",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x00\x00\x00\x00\x00\x01",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x01\xee\0\0\0\0\0x",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x05\x04\0\0\0\0\0\0\x04\x7f\xff\xff",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x04\x01\x05\0\0\0\x01\xff\xff\xff\xff",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x04\x08\0\0\0\0\0\0\0\0\0",
    ]
    .map(Into::into)
    .into();
    for length in [1, 9, 100, 5_000, 300_000] {
        all.push((0..length).map(|_| random.next() as u8).collect());
        all.push(vec![b'A'; length]);
    }
    all
}

#[test]
fn other_protocols_on_the_grpc_port() {
    let server = Server::dev();
    for bytes in nonsense() {
        talk(server.grpc_addr(), &bytes);
        run(assert_grpc_lives(&server));
    }
}

#[test]
fn other_protocols_on_the_http_port() {
    let server = Server::dev();
    for bytes in nonsense() {
        let answer = talk(server.http_addr(), &bytes);
        let refused = answer.is_empty() || answer.starts_with(b"HTTP/1.1 4") || bytes.starts_with(b"GET / HTTP/1.0");
        assert!(refused, "{:?}", String::from_utf8_lossy(&answer));
        assert_http_lives(&server);
    }
}

#[test]
fn other_protocols_on_the_dns_port() {
    let server = Server::dev();
    for bytes in nonsense() {
        let answer = talk(server.dns_addr(), &bytes);
        assert!(answer.is_empty() || answer.get(4).is_some_and(|flags| flags & 0x80 != 0), "{answer:?}");
        assert_dns_lives(&server);
    }
}

#[test]
fn many_connections_that_say_nothing_hold_nobody_up() {
    let server = Server::dev();
    let open = |addr| std::net::TcpStream::connect(addr).expect("connect");
    let all: Vec<_> =
        [server.grpc_addr(), server.dns_addr()].into_iter().flat_map(|a| (0..150).map(move |_| open(a))).collect();
    let http: Vec<_> = (0..150).map(|_| open(server.http_addr())).collect();
    run(assert_grpc_lives(&server));
    assert_http_lives(&server);
    assert_dns_lives(&server);
    drop((all, http));
    run(assert_grpc_lives(&server));
}
