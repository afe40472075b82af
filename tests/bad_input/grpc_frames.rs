//! gRPC calls that are no good below the level of messages: frames, encodings, headers.

use crate::common::Server;
use crate::common::grpc::Clients;
use crate::{assert_grpc_lives, run};
use bytes::Bytes;
use h2::client::{self, SendRequest};
use http::{HeaderMap, Method, Request};
use lictor::proto::v1::{GetRequest, PutRequest};
use prost::Message;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tonic::Code;
use tonic::codec::CompressionEncoding::Gzip;

const PUT: &str = "/lictor.v1.KvService/Put";
const RESOLVE: &str = "/lictor.v1.DiscoveryService/Resolve";
const WATCH: &str = "/lictor.v1.DiscoveryService/Watch";
const ATTACH: &str = "/lictor.v1.SessionService/Attach";

/// What a call ended with.
#[derive(Debug)]
struct End {
    http: u16,
    code: Option<Code>,
    message: String,
}

async fn connect(addr: SocketAddr) -> SendRequest<Bytes> {
    let (client, connection) = client::handshake(TcpStream::connect(addr).await.expect("connect")).await.expect("h2");
    tokio::spawn(connection);
    client.ready().await.expect("a connection")
}

fn request(path: &str) -> http::request::Builder {
    let uri = format!("http://lictor{path}");
    Request::builder().method(Method::POST).uri(uri).header("te", "trailers").header("content-type", "application/grpc")
}

/// Makes one call with these bytes for a body; `Err` if the stream or the connection was ended by force.
async fn call(server: &Server, request: http::request::Builder, body: &[u8]) -> Result<End, h2::Error> {
    let mut client = connect(server.grpc_addr()).await;
    let (answer, mut sending) = client.send_request(request.body(()).expect("a request"), false)?;
    // The server may refuse before it has taken everything.
    let _ = sending.send_data(Bytes::copy_from_slice(body), true);
    let mut answer = answer.await?;
    let http = answer.status().as_u16();
    while let Some(data) = answer.body_mut().data().await {
        answer.body_mut().flow_control().release_capacity(data?.len())?;
    }
    let trailers = answer.body_mut().trailers().await?.unwrap_or_default();
    let text = |name: &str| -> Option<String> {
        let find = |map: &HeaderMap| map.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        find(&trailers).or_else(|| find(answer.headers()))
    };
    let code = text("grpc-status").map(|c| Code::from_bytes(c.as_bytes()));
    Ok(End { http, code, message: text("grpc-message").unwrap_or_default() })
}

/// A frame with this length and flag in front.
fn frame(flag: u8, length: u32, content: &[u8]) -> Vec<u8> {
    [&[flag][..], &length.to_be_bytes(), content].concat()
}

fn whole(content: &[u8]) -> Vec<u8> {
    frame(0, content.len() as u32, content)
}

/// Protobuf that does not fit is INTERNAL, as gRPC says, with words that tell what was being read.
#[test]
fn bytes_that_are_no_message() {
    let server = Server::dev();
    // Field 1 is a text, field 2 bytes, field 6 a message, field 8 a number.
    let cases: &[(&str, &str, &[u8], &str)] = &[
        ("a number where a text is", PUT, b"\x08\x05", "request_id"),
        ("a number where bytes are", PUT, b"\x10\x01", "key"),
        ("bytes where a number is", PUT, b"\x12\x01k\x42\x01x", "flags"),
        ("a text where a message is", PUT, b"\x12\x01k\x32\x02\xff\xff", "ttl"),
        ("a text that is no UTF-8", PUT, b"\x0a\x02\xc3\x28", "request_id"),
        ("a surrogate", PUT, b"\x0a\x03\xed\xa0\x80", "request_id"),
        ("a text cut off", PUT, b"\x0a\x7fshort", "request_id"),
        ("a length of 2^63", PUT, b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "key"),
        ("a number without an end", PUT, b"\x40\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", ""),
        ("field 0", PUT, b"\x00\x01", ""),
        ("a wire type that is none", PUT, b"\x0f", ""),
        ("the end of a group that is none", PUT, b"\x0c", ""),
        ("a group without an end", PUT, b"\xa3\x06", ""),
        ("a key without a value", PUT, b"\x12", ""),
        ("a service that is no UTF-8", RESOLVE, b"\x0a\x04\x12\x02\xc3\x28", ""),
        ("a number where a selector is", RESOLVE, b"\x08\x05", "selector"),
        ("a number where a selector is", WATCH, b"\x08\x05", "selector"),
        ("a number where an operation is", ATTACH, b"\x10\x05", ""),
    ];
    run(async {
        for (what, path, content, field) in cases {
            let end = call(&server, request(path), &whole(content)).await.unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_eq!((end.http, end.code), (200, Some(Code::Internal)), "{what}: {end:?}");
            assert!(end.message.contains(field) && !end.message.is_empty(), "{what}: {end:?}");
            assert_grpc_lives(&server).await;
        }
    });
}

/// Nested without end: prost stops at its own depth.
#[test]
fn groups_nested_without_end() {
    let server = Server::dev();
    run(async {
        for depth in [50, 200, 100_000] {
            let content = [[0xa3, 6].repeat(depth), [0xa4, 6].repeat(depth)].concat();
            let good = PutRequest { key: "deep".into(), ..Default::default() }.encode_to_vec();
            let end = call(&server, request(PUT), &whole(&[content, good].concat())).await.expect("an answer");
            assert!(matches!(end.code, Some(Code::Internal | Code::Ok)), "{depth}: {end:?}");
            assert_grpc_lives(&server).await;
        }
    });
}

#[test]
fn frames_that_lie() {
    let server = Server::dev();
    let good = PutRequest { key: "framed".into(), ..Default::default() }.encode_to_vec();
    let length = good.len() as u32;
    let cases: &[(&str, &str, Vec<u8>, Code)] = &[
        ("no message", PUT, Vec::new(), Code::Internal),
        ("half a header", PUT, vec![0, 0, 0], Code::Internal),
        ("a header alone", PUT, frame(0, length, b""), Code::Internal),
        ("a message cut off", PUT, frame(0, length, &good[..3]), Code::Internal),
        ("a message cut off", RESOLVE, frame(0, length, &good[..3]), Code::Internal),
        ("a message cut off", WATCH, frame(0, length, &good[..3]), Code::Internal),
        ("4 GiB announced", PUT, frame(0, u32::MAX, &good), Code::OutOfRange),
        ("4 GiB announced", RESOLVE, frame(0, u32::MAX, &good), Code::OutOfRange),
        ("4 GiB announced", ATTACH, frame(0, u32::MAX, &good), Code::OutOfRange),
        ("a flag that is none", PUT, frame(7, length, &good), Code::Internal),
        ("compressed without an encoding", PUT, frame(1, length, &good), Code::Internal),
    ];
    run(async {
        for (what, path, body, code) in cases {
            let end = call(&server, request(path), body).await.unwrap_or_else(|e| panic!("{what} {path}: {e}"));
            assert_eq!((end.http, end.code), (200, Some(*code)), "{what} {path}: {end:?}");
            assert!(!end.message.is_empty(), "{what}: {end:?}");
            assert_grpc_lives(&server).await;
        }
        let gzip =
            |content: &[u8]| (request(PUT).header("grpc-encoding", "gzip"), frame(1, content.len() as u32, content));
        for content in [&b""[..], b"\x1f\x8b", b"not gzip at all", b"\x1f\x8b\x08\0\0\0\0\0\0\xff\xff\xff"] {
            let (request, body) = gzip(content);
            let end = call(&server, request, &body).await.expect("an answer");
            assert_eq!(end.code, Some(Code::Internal), "{content:?}: {end:?}");
            assert_grpc_lives(&server).await;
        }
        let end = call(&server, request(PUT).header("grpc-encoding", "brotli"), &frame(1, length, &good)).await;
        assert_eq!(end.as_ref().ok().and_then(|e| e.code), Some(Code::Unimplemented), "{end:?}");
        assert_grpc_lives(&server).await;
    });
}

/// Messages beyond the limit, plain and as a bomb of gzip.
#[test]
fn messages_that_are_too_large() {
    let server = Server::dev();
    run(async {
        for bytes in [9 << 20, 64 << 20] {
            let request = || PutRequest { key: "k".into(), value: vec![0; bytes].into(), ..Default::default() };
            let plain = Clients::connect(server.grpc_addr()).await.kv.put(request()).await.expect_err("too large");
            let limits = [Code::OutOfRange, Code::ResourceExhausted];
            assert!(limits.contains(&plain.code()) && plain.message().contains("8388608"), "{bytes}: {plain:?}");
            assert_grpc_lives(&server).await;
            let kv = Clients::connect(server.grpc_addr()).await.kv;
            let bomb = kv.send_compressed(Gzip).put(request()).await.expect_err("too large");
            assert!(limits.contains(&bomb.code()) && bomb.message().contains("8388608"), "{bytes}: {bomb:?}");
            assert_grpc_lives(&server).await;
        }
    });
}

#[test]
fn calls_of_nothing_and_odd_headers() {
    let server = Server::dev();
    let body = whole(&GetRequest { key: "k".into(), ..Default::default() }.encode_to_vec());
    run(async {
        for path in [
            "/lictor.v1.KvService/Nonsense",
            "/lictor.v1.DiscoveryService/Nonsense",
            "/lictor.v1.DiscoveryService/",
            "/lictor.v1.DiscoveryService",
            "/lictor.v1.NoService/Get",
            "/lictor.v2.KvService/Get",
            "/",
            "/%00/%ff",
            "//lictor.v1.KvService/Get",
            "/lictor.v1.KvService/Get/",
        ] {
            let end = call(&server, request(path), &body).await.unwrap_or_else(|e| panic!("{path}: {e}"));
            assert_eq!(end.code, Some(Code::Unimplemented), "{path}: {end:?}");
            assert_grpc_lives(&server).await;
        }
        let get = "/lictor.v1.KvService/Get";
        // A time limit that cannot be read is none.
        for timeout in ["", "1", "S", "-1S", "999999999S", "1x", "99999999H", "\u{e4}"] {
            let request = request(get).header("grpc-timeout", timeout);
            let end = call(&server, request, &body).await.unwrap_or_else(|e| panic!("{timeout:?}: {e}"));
            assert_eq!(end.code, Some(Code::Ok), "{timeout:?}: {end:?}");
        }
        let odd = Request::builder().method(Method::POST).uri(format!("http://lictor{get}"));
        for (what, request) in [
            ("another content type", odd.header("content-type", "application/json")),
            ("no content type", Request::builder().method(Method::POST).uri(format!("http://lictor{get}"))),
            ("GET", request(get).method(Method::GET)),
            ("DELETE", request(get).method(Method::DELETE)),
            ("64 KiB of a header", request(get).header("x-large", "x".repeat(64 * 1024))),
            ("2000 headers", (0..2000).fold(request(get), |r, n| r.header(format!("x-{n}"), "x"))),
            ("an odd binary header", request(get).header("x-bin", "%%%not base64")),
        ] {
            // Answered, refused by the status of HTTP/2, or the stream is reset: any will do, but the server goes on.
            match call(&server, request, &body).await {
                Ok(end) => assert!(end.code.is_some() || end.http >= 400, "{what}: {end:?}"),
                Err(error) => assert!(error.is_reset() || error.is_go_away() || error.is_io(), "{what}: {error}"),
            }
            assert_grpc_lives(&server).await;
        }
    });
}

/// Streams that are opened and reset by the hundred (CVE-2023-44487), and ones that never end.
#[test]
fn streams_that_are_reset_at_once() {
    let server = Server::dev();
    run(async {
        let mut client = connect(server.grpc_addr()).await;
        let mut open = Vec::new();
        for number in 0..2000 {
            let Ok(ready) = client.ready().await else { break };
            client = ready;
            let sent = client.send_request(request(WATCH).body(()).expect("a request"), false);
            let Ok((answer, mut sending)) = sent else { break };
            match number % 10 {
                0 => open.push((answer, sending)),
                _ => sending.send_reset(h2::Reason::CANCEL),
            }
        }
        assert_grpc_lives(&server).await;
        drop(open);
        assert_grpc_lives(&server).await;
    });
}
