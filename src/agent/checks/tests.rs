//! Probes against servers of the test, and the words in which they report.

use super::probe::Probe;
use crate::agent::Settings;
use crate::model::{CheckDefinition, Health};
use bytes::Bytes;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

const SECOND: i64 = 1_000_000_000;
/// Nothing listens there: it takes a privilege, and no service has it.
const CLOSED: &str = "127.0.0.1:1";

async fn run(set: impl FnOnce(&mut CheckDefinition)) -> (Health, String) {
    let mut definition =
        CheckDefinition { id: "c".into(), interval: SECOND, timeout: 20 * SECOND, ..CheckDefinition::default() };
    set(&mut definition);
    let probe = Probe::of(definition.kind().expect("a kind"), &definition, &Settings::default());
    let report = probe.run().await;
    (report.health, report.output.to_string())
}

async fn script(command: &str) -> (Health, String) {
    run(|c| c.args = ["/bin/sh", "-c", command].map(String::from).into()).await
}

fn passing(output: impl Into<String>) -> (Health, String) {
    (Health::Passing, output.into())
}

fn critical(output: impl Into<String>) -> (Health, String) {
    (Health::Critical, output.into())
}

/// Answers every connection with `serve`.
async fn server<F: Future<Output = ()> + Send + 'static>(serve: fn(TcpStream) -> F) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

#[tokio::test]
async fn commands_are_judged_by_their_exit_code() {
    assert_eq!(script("echo hi; echo err >&2").await, passing("hi\nerr\n"));
    assert_eq!(script("exit 1").await, (Health::Warning, String::new()));
    assert_eq!(script("echo no; exit 2").await, critical("no\n"));
    assert_eq!(script("kill -9 $$").await, critical(""));
    assert_eq!(script("sleep 600 & echo in the background").await, passing("in the background\n"));
    assert_eq!(run(|c| c.args = vec!["/nope".into()]).await, critical("fork/exec /nope: no such file or directory"));
    let missing = critical("exec: \"nopecmd\": executable file not found in $PATH");
    assert_eq!(run(|c| c.args = vec!["nopecmd".into()]).await, missing);
}

#[tokio::test]
async fn long_outputs_are_cut_at_their_beginning() {
    let (health, output) = script("yes | head -c 6000").await;
    assert_eq!(health, Health::Passing);
    assert!(output.starts_with("Captured 4096 of 6000 bytes\n...\ny\n"), "{output}");
    let small = run(|c| {
        c.args = ["/bin/sh", "-c", "echo abcdefghijkl"].map(String::from).into();
        c.output_max_size = 5;
    });
    assert_eq!(small.await, passing("Captured 5 of 13 bytes\n...\nijkl\n"));
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_killed_with_its_children() {
    let started = Instant::now();
    let slow = run(|c| {
        // The child in the background holds a pipe of its own open while it lives.
        c.args = ["/bin/sh", "-c", "echo begun; sleep 600 & sleep 600"].map(String::from).into();
        c.timeout = SECOND / 5;
    });
    assert_eq!(slow.await, critical("Timed out (200ms) running check\n\nbegun\n"));
    assert!(started.elapsed() < Duration::from_secs(60));
}

async fn http(mut stream: TcpStream) {
    let mut request = vec![0; 4096];
    let mut size = 0;
    while !request[..size].windows(4).any(|w| w == b"\r\n\r\n") {
        match stream.read(&mut request[size..]).await {
            Ok(read @ 1..) => size += read,
            _ => return,
        }
    }
    let request = String::from_utf8_lossy(&request[..size]).into_owned();
    let big = "x".repeat(6000);
    let (head, body) = match request.split(' ').nth(1) {
        Some("/ok") => ("200 OK", "hello\n"),
        Some("/warn") => ("429 Too Many Requests", ""),
        Some("/none") => ("204 No Content", ""),
        Some("/big") => ("200 OK", big.as_str()),
        Some("/own") => ("200 Fine Thanks", ""),
        Some("/redirect") => ("302 Found\r\nLocation: ok", ""),
        Some("/loop") => ("302 Found\r\nLocation: /loop", ""),
        Some("/echo") => ("200 OK", request.as_str()),
        _ => ("404 Not Found", "gone"),
    };
    let answer = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let _ = stream.write_all(answer.as_bytes()).await;
}

#[tokio::test]
async fn http_is_judged_by_its_status() {
    let at = server(http).await;
    let get = |path: &str| {
        let url = format!("http://{at}{path}");
        async move { run(|c| c.http = url).await }
    };
    assert_eq!(get("/ok").await, passing(format!("HTTP GET http://{at}/ok: 200 OK Output: hello\n")));
    let warning = format!("HTTP GET http://{at}/warn: 429 Too Many Requests Output: ");
    assert_eq!(get("/warn").await, (Health::Warning, warning));
    assert_eq!(get("/none").await, passing(format!("HTTP GET http://{at}/none: 204 No Content Output: ")));
    assert_eq!(get("/own").await, passing(format!("HTTP GET http://{at}/own: 200 Fine Thanks Output: ")));
    assert_eq!(get("/x").await, critical(format!("HTTP GET http://{at}/x: 404 Not Found Output: gone")));
    assert_eq!(get("/redirect").await, passing(format!("HTTP GET http://{at}/redirect: 200 OK Output: hello\n")));
    assert_eq!(get("/loop").await, critical(format!("Get \"http://{at}/loop\": stopped after 10 redirects")));
    assert_eq!(get("/big").await.1.len(), format!("HTTP GET http://{at}/big: 200 OK Output: ").len() + 4096);
    let brackets = format!("http://[127.0.0.1]:{}/ok", at.port());
    assert_eq!(run(|c| c.http = brackets).await.0, Health::Passing);
    let stay = run(|c| (c.http, c.disable_redirects) = (format!("http://{at}/redirect"), true));
    assert_eq!(stay.await, critical(format!("HTTP GET http://{at}/redirect: 302 Found Output: ")));
}

#[tokio::test]
async fn http_sends_what_was_asked_for() {
    let at = server(http).await;
    let (_, output) = run(|c| {
        c.http = format!("http://u:p@{at}/echo?a=b");
        (c.method, c.body) = ("POST".into(), "bb".into());
        c.header = [("X-A".to_owned(), vec!["1".into(), "2".into()]), ("Host".to_owned(), vec!["foo".into()])].into();
    })
    .await;
    assert!(output.contains("404") && output.starts_with("HTTP POST "), "{output}");
    let (_, output) = run(|c| {
        c.http = format!("http://u:p@{at}/echo");
        c.header = [("X-A".to_owned(), vec!["1".into(), "2".into()]), ("Host".to_owned(), vec!["foo".into()])].into();
    })
    .await;
    for part in [
        "Host: foo\r\n",
        "X-A: 1\r\n",
        "X-A: 2\r\n",
        "User-Agent: Consul Health Check\r\n",
        "Accept: text/plain, text/*, */*\r\n",
        "Authorization: Basic dTpw\r\n",
        "Connection: close\r\n",
    ] {
        assert!(output.contains(part), "{part:?} is not in {output}");
    }
}

#[tokio::test]
async fn http_failures_have_the_words_of_go() {
    let at = server(|_| async {}).await;
    for (url, reason) in [
        (format!("http://{CLOSED}/x"), format!("dial tcp {CLOSED}: connect: connection refused")),
        ("nonsense".to_owned(), "unsupported protocol scheme \"\"".to_owned()),
        ("ftp://x/".to_owned(), "unsupported protocol scheme \"ftp\"".to_owned()),
    ] {
        assert_eq!(run(|c| c.http = url.clone()).await, critical(format!("Get {url:?}: {reason}")));
    }
    assert_eq!(run(|c| c.http = format!("http://{at}/")).await.0, Health::Critical);
    let plain = server(|mut stream| async move {
        // Whatever is asked: an answer that is not TLS, and no end before the client has gone.
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    })
    .await;
    let wrong = format!("Get \"https://{plain}/\": tls: first record does not look like a TLS handshake");
    assert_eq!(run(|c| c.http = format!("https://{plain}/")).await, critical(wrong));
}

#[tokio::test]
async fn connections_and_datagrams() {
    let at = server(|_| async {}).await;
    assert_eq!(run(|c| c.tcp = at.to_string()).await, passing(format!("TCP connect {at}: Success")));
    let refused = critical(format!("dial tcp {CLOSED}: connect: connection refused"));
    assert_eq!(run(|c| c.tcp = CLOSED.into()).await, refused);
    let no_port = critical("dial tcp: address 127.0.0.1: missing port in address");
    assert_eq!(run(|c| c.tcp = "127.0.0.1".into()).await, no_port);
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    let silent = run(|c| (c.udp, c.timeout) = (at.to_string(), SECOND / 5));
    assert_eq!(silent.await, passing(format!("UDP connect {at}: Success")));
    let (health, output) = run(|c| c.udp = CLOSED.into()).await;
    assert!(health == Health::Critical && output.ends_with("read: connection refused"), "{output}");
}

/// A gRPC health service: the whole server serves, `down` does not, and others are not known.
async fn grpc(stream: TcpStream) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        tokio::spawn(async move {
            let mut body = request.into_body();
            let mut message = Vec::new();
            while let Some(Ok(data)) = body.data().await {
                message.extend_from_slice(&data);
            }
            let head = http::Response::builder().header("content-type", "application/grpc");
            let status = match message.get(7..) {
                None | Some(b"") => 1,
                Some(b"down") => 2,
                Some(_) => {
                    let head = head.header("grpc-status", "5").header("grpc-message", "unknown%20service");
                    let _ = respond.send_response(head.body(()).unwrap(), true);
                    return;
                }
            };
            let mut out = respond.send_response(head.body(()).unwrap(), false).unwrap();
            out.send_data(Bytes::from(vec![0, 0, 0, 0, 2, 8, status]), false).unwrap();
            let trailers = http::HeaderMap::from_iter([(
                http::HeaderName::from_static("grpc-status"),
                http::HeaderValue::from_static("0"),
            )]);
            out.send_trailers(trailers).unwrap();
        });
    }
}

#[tokio::test]
async fn grpc_health_services_are_asked() {
    let at = server(grpc).await;
    assert_eq!(run(|c| c.grpc = at.to_string()).await, passing(format!("gRPC check {at}: success")));
    let down = critical("gRPC application didn't report service healthy");
    assert_eq!(run(|c| c.grpc = format!("{at}/down")).await, down);
    let unknown = critical("rpc error: code = NotFound desc = unknown service");
    assert_eq!(run(|c| c.grpc = format!("{at}/other")).await, unknown);
    let refused = format!(
        "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing dial tcp \
         {CLOSED}: connect: connection refused\""
    );
    assert_eq!(run(|c| c.grpc = CLOSED.into()).await, critical(refused));
    let plain = server(|_| async {}).await;
    let (health, output) = run(|c| c.grpc = plain.to_string()).await;
    assert!(health == Health::Critical && output.starts_with("rpc error: code = Unavailable desc = "), "{output}");
}

#[tokio::test]
async fn pings_of_http_2_are_answered() {
    let at = server(grpc).await;
    let ping = |address: String| run(|c| (c.h2ping, c.h2ping_use_tls) = (address, Some(false)));
    assert_eq!(ping(at.to_string()).await, passing("HTTP2 ping was successful"));
    let refused = format!("Failed to dial to {CLOSED}: dial tcp {CLOSED}: connect: connection refused");
    assert_eq!(ping(CLOSED.into()).await, critical(refused));
    let plain = server(|_| async {}).await;
    let (health, output) = ping(plain.to_string()).await;
    assert!(health == Health::Critical && output.starts_with("HTTP2 ping failed: "), "{output}");
}

#[tokio::test]
async fn a_container_that_is_not_there_is_critical() {
    let check = run(|c| {
        (c.args, c.docker_container_id) = (vec!["true".into()], "no-such-container".into());
        c.timeout = 5 * SECOND;
    });
    let (health, output) = check.await;
    assert!(health == Health::Critical, "{output}");
}
