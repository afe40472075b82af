//! The real sockets, on loopback.

use super::fixture::*;
use crate::clock::Clock;
use crate::dns::options::{LiveOptions, Options};
use crate::dns::server::Bound;
use crate::machine::State;
use hickory_proto::rr::RecordType::{A, SRV};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Long enough for any machine; a test that waits for it fails.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A running server of a service `web` with 40 instances.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<io::Result<()>>,
}

impl Server {
    pub(super) fn start(address: &str, options: Options) -> Server {
        let mut state = State::new();
        crowd(&mut state, "web", 40);
        let outside = instance("ext", "m00001", "ext", "www.example.com", 443);
        apply(&mut state, catalog(node("m00001", "10.0.0.1"), Some(outside), Vec::new()));
        let state = Arc::new(state);
        let bound = Bound::bind(&[address.parse().unwrap()]).unwrap();
        let address = bound.addresses()[0];
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(async move {
            let stopped = async move { drop(stopped.await) };
            bound
                .run(&identity(), LiveOptions::new(options), Clock::manual(0, 1), move || state.clone(), None, stopped)
                .await
        });
        Server { address, stop, ended }
    }

    pub(super) async fn end(self) {
        drop(self.stop);
        tokio::time::timeout(PATIENCE, self.ended).await.expect("ends in time").unwrap().unwrap();
        // The port is free again for both.
        drop(Bound::bind(&[self.address]).unwrap());
    }
}

pub(super) async fn ask_udp(socket: &UdpSocket, query: &[u8]) -> Reply {
    socket.send(query).await.unwrap();
    let mut buffer = vec![0; 65_535];
    let bytes = tokio::time::timeout(PATIENCE, socket.recv(&mut buffer)).await.expect("a reply").unwrap();
    read(&buffer[..bytes])
}

#[tokio::test]
async fn udp_answers_many_clients_and_survives_nonsense() {
    let server = Server::start("127.0.0.1:0", Options::default());
    for client in 0..20u16 {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(server.address).await.unwrap();
        for nonsense in [&b""[..], &[0; 11], &[0xFF; 3000]] {
            socket.send(nonsense).await.unwrap();
        }
        let reply = ask_udp(&socket, &query("web.service.consul.", A, 1232 + client)).await;
        assert_eq!((reply.rcode, reply.answers.len()), (0, 40));
    }
    server.end().await;
}

#[tokio::test]
async fn udp_replies_come_from_the_address_that_was_asked() {
    let server = Server::start("0.0.0.0:0", Options::default());
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    // A connected socket takes replies from this address only; the route back would choose 127.0.0.1.
    socket.connect(("127.0.0.2", server.address.port())).await.unwrap();
    assert_eq!(ask_udp(&socket, &query("web.service.consul.", A, 4096)).await.answers.len(), 40);
    server.end().await;
}

#[tokio::test]
async fn tcp_answers_queries_that_come_in_one_piece_or_in_many() {
    let server = Server::start("127.0.0.1:0", Options::default());
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut pipeline = Vec::new();
    for kind in [A, SRV, A, SRV] {
        let message = query("web.service.consul.", kind, 0);
        pipeline.extend_from_slice(&(message.len() as u16).to_be_bytes());
        pipeline.extend_from_slice(&message);
    }
    stream.write_all(&pipeline).await.unwrap();
    for byte in &pipeline {
        stream.write_all(&[*byte]).await.unwrap();
    }
    for at in 0..8 {
        let bytes = tokio::time::timeout(PATIENCE, stream.read_u16()).await.expect("a reply").unwrap();
        let mut reply = vec![0; bytes.into()];
        stream.read_exact(&mut reply).await.unwrap();
        let reply = read(&reply);
        assert_eq!((reply.answers.len(), reply.additional.len()), (40, 40 * (at % 2)));
    }
    server.end().await;
    // The open connection did not hold the server up, and is closed.
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn tcp_closes_idle_and_surplus_connections_and_nonsense() {
    let options = Options { tcp_idle: Duration::from_millis(1), tcp_connections_max: 1, ..Options::default() };
    let server = Server::start("127.0.0.1:0", options);
    let closed = async |stream: &mut TcpStream| {
        tokio::time::timeout(PATIENCE, stream.read(&mut [0; 1])).await.expect("closed in time").unwrap_or(0) == 0
    };
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    assert!(closed(&mut idle).await);
    server.end().await;

    let server = Server::start("127.0.0.1:0", Options { tcp_connections_max: 1, ..Options::default() });
    let mut first = TcpStream::connect(server.address).await.unwrap();
    let mut second = TcpStream::connect(server.address).await.unwrap();
    assert!(closed(&mut second).await, "above the limit");
    first.write_all(&[0, 3, 1, 2, 3]).await.unwrap();
    assert!(closed(&mut first).await, "no query");
    server.end().await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error() {
    let taken = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let error = Bound::bind(&[address]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[tokio::test]
async fn a_domain_that_is_no_name_is_an_error() {
    let bound = Bound::bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
    let identity = crate::dns::zone::Identity { domain: "a..b".into(), ..identity() };
    let state = Arc::new(State::new());
    let ended = bound
        .run(
            &identity,
            LiveOptions::new(Options::default()),
            Clock::manual(0, 1),
            move || state.clone(),
            None,
            std::future::pending(),
        )
        .await;
    assert_eq!(ended.unwrap_err().to_string(), "domain: \"a..b\" is no domain name");
}
