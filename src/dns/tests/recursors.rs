//! Names that are not ours, with recursors on loopback.

use super::fixture::*;
use super::sockets::{PATIENCE, Server, ask_udp};
use crate::dns::options::Options;
use hickory_proto::rr::RecordType::{A, PTR, SRV};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// A recursor that answers every question with this code and, if it is 0, the address 10.7.7.7. With `cut`, it says
/// over UDP that the answer is too long.
async fn recursor(rcode: u8, cut: bool) -> SocketAddr {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let udp = UdpSocket::bind(address).await.unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((bytes, from)) = udp.recv_from(&mut buffer).await {
            let reply = if cut { reply(&buffer[..bytes], rcode, true) } else { reply(&buffer[..bytes], rcode, false) };
            udp.send_to(&reply, from).await.unwrap();
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = tcp.accept().await {
            let bytes = stream.read_u16().await.unwrap();
            let mut message = vec![0; usize::from(bytes)];
            stream.read_exact(&mut message).await.unwrap();
            let reply = reply(&message, rcode, false);
            stream.write_u16(reply.len() as u16).await.unwrap();
            stream.write_all(&reply).await.unwrap();
        }
    });
    address
}

/// The question, and one address.
fn reply(query: &[u8], rcode: u8, cut: bool) -> Vec<u8> {
    let end = 12 + query[12..].iter().position(|b| *b == 0).unwrap() + 5;
    let mut reply = query[..end].to_vec();
    reply[2] |= 0x80 | if cut { 2 } else { 0 };
    reply[3] = 0x80 | rcode;
    reply[6..12].fill(0);
    if rcode == 0 && !cut {
        reply[7] = 1;
        reply.extend_from_slice(b"\xC0\x0C\0\x01\0\x01\0\0\0\x2A\0\x04\x0A\x07\x07\x07");
    }
    reply
}

fn options(recursors: &[SocketAddr]) -> Options {
    Options { recursors: recursors.to_vec(), recursor_timeout: Duration::from_secs(5), ..Options::default() }
}

async fn client(server: &Server) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server.address).await.unwrap();
    socket
}

#[tokio::test]
async fn other_domains_are_relayed_to_the_first_that_answers() {
    let (bad, good) = (recursor(2, false).await, recursor(0, false).await);
    let server = Server::start("127.0.0.1:0", options(&[bad, good]));
    let socket = client(&server).await;
    let found = ask_udp(&socket, &query("www.Example.com.", A, 0)).await;
    assert_eq!((found.rcode, found.flags.as_str()), (0, "rd ra"));
    assert_eq!(found.answers.len(), 1);
    assert!(found.answers[0].contains("10.7.7.7"), "{found:?}");
    let reverse = ask_udp(&socket, &query("9.9.9.9.in-addr.arpa.", PTR, 0)).await;
    assert_eq!(reverse.rcode, 0);
    let own = ask_udp(&socket, &query("web.service.consul.", A, 0)).await;
    assert_eq!((own.rcode, own.flags.as_str(), own.answers.len()), (0, "aa rd ra", 3));
    server.end().await;
}

#[tokio::test]
async fn the_failure_of_all_is_ours() {
    let bad = recursor(5, false).await;
    let server = Server::start("127.0.0.1:0", options(&[bad]));
    let found = ask_udp(&client(&server).await, &query("www.example.com.", A, 1232)).await;
    assert_eq!((found.rcode, found.flags.as_str()), (2, "rd ra"));
    server.end().await;
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_no_failure() {
    let (none, never) = (recursor(3, false).await, recursor(0, false).await);
    let server = Server::start("127.0.0.1:0", options(&[none, never]));
    assert_eq!(ask_udp(&client(&server).await, &query("www.example.com.", A, 0)).await.rcode, 3);
    server.end().await;
}

#[tokio::test]
async fn answers_that_were_cut_are_fetched_over_tcp_for_clients_of_tcp() {
    let upstream = recursor(0, true).await;
    let server = Server::start("127.0.0.1:0", options(&[upstream]));
    let question = query("www.example.com.", A, 0);
    assert_eq!(ask_udp(&client(&server).await, &question).await.flags, "tc rd ra");
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_u16(question.len() as u16).await.unwrap();
    stream.write_all(&question).await.unwrap();
    let bytes = tokio::time::timeout(PATIENCE, stream.read_u16()).await.expect("a reply").unwrap();
    let mut found = vec![0; usize::from(bytes)];
    stream.read_exact(&mut found).await.unwrap();
    assert_eq!(read(&found).answers.len(), 1);
    drop(stream);
    server.end().await;
}

#[tokio::test]
async fn addresses_that_are_names_are_followed() {
    let upstream = recursor(0, false).await;
    let server = Server::start("127.0.0.1:0", options(&[upstream]));
    let socket = client(&server).await;
    let found = ask_udp(&socket, &query("ext.service.consul.", A, 4096)).await;
    let has = |records: &[String], text: &str| records.iter().any(|r| r.contains(text));
    assert!(has(&found.answers, "CNAME www.example.com.") && has(&found.answers, "10.7.7.7"), "{found:?}");
    let found = ask_udp(&socket, &query("ext.service.consul.", SRV, 4096)).await;
    assert!(has(&found.answers, "www.example.com.") && has(&found.additional, "10.7.7.7"), "{found:?}");
    server.end().await;
}
