//! Bad input of every kind against every port of the real binary: it is refused with the documented code and a message
//! that names the field, or the connection is closed, and after each the server answers a good request.

#[path = "../common/mod.rs"]
mod common;
mod dns_packets;
mod grpc_fields;
mod grpc_frames;
mod grpc_keys;
mod http_requests;
mod ports;

use common::dns::{self, kind};
use common::{Server, grpc::Clients};
use lictor::proto::v1::GetRequest;
use std::future::Future;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// What is waited for must come within this. It decides nothing but how soon a failure shows.
const PATIENCE: Duration = Duration::from_secs(60);

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime
        .expect("runtime")
        .block_on(async { tokio::time::timeout(5 * PATIENCE, test).await.expect("an end in time") })
}

/// A new gRPC connection is served.
async fn assert_grpc_lives(server: &Server) {
    let mut clients = Clients::connect(server.grpc_addr()).await;
    clients.kv.get(GetRequest { key: "k".into(), ..Default::default() }).await.expect("a good request");
}

/// A new HTTP connection is served.
fn assert_http_lives(server: &Server) {
    assert_eq!(server.get("/v1/status/leader").status, 200);
}

/// DNS answers over both transports.
fn assert_dns_lives(server: &Server) {
    let name = "consul.service.consul.";
    let answer = dns::udp(server.dns_addr(), name, kind::A, None).expect("an answer over UDP");
    assert_eq!(answer.rcode, 0, "{answer:?}");
    let answer = dns::tcp(server.dns_addr(), name, kind::A).expect("an answer over TCP");
    assert_eq!(answer.rcode, 0, "{answer:?}");
}

/// Sends bytes, ends the sending side, and reads until the server closes. What came, if anything.
fn talk(addr: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(addr).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    // The server may close before it has read everything.
    let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
            panic!("{addr} neither answered nor closed: {e}")
        }
        _ => answer,
    }
}
