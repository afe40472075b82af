//! The log of a running server over HTTP, as it is written.

use crate::common::Server;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Longer than any line may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A reader of the log whose answer has begun.
struct Listener {
    stream: BufReader<TcpStream>,
    /// In lower case.
    head: String,
}

impl Listener {
    fn new(to: SocketAddr, query: &str) -> Option<Listener> {
        let mut tcp = TcpStream::connect(to).expect("a connection");
        tcp.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let request = format!("GET /v1/agent/monitor{query} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
        tcp.write_all(request.as_bytes()).ok()?;
        let mut stream = BufReader::new(tcp);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        // A connection that is one too many is told so with a 429.
        head.starts_with("HTTP/1.1 200").then_some(())?;
        Some(Listener { stream, head: head.to_ascii_lowercase() })
    }

    /// The next piece of the body; `None` at its end.
    fn piece(&mut self) -> Option<String> {
        let mut size = String::new();
        self.stream.read_line(&mut size).expect("a size");
        let size = usize::from_str_radix(size.trim(), 16).expect("hexadecimal digits");
        let mut piece = vec![0; size + 2];
        self.stream.read_exact(&mut piece).expect("a piece");
        assert!(piece.ends_with(b"\r\n"));
        piece.truncate(size);
        (size > 0).then(|| String::from_utf8(piece).expect("UTF-8"))
    }

    /// Pieces up to one with this in it.
    fn until(&mut self, part: &str) -> String {
        loop {
            let piece = self.piece().expect("the log goes on");
            if piece.contains(part) {
                return piece;
            }
        }
    }
}

#[test]
fn lines_come_while_they_are_written_and_end_with_the_server() {
    let mut server = Server::dev();
    let mut text = Listener::new(server.http_addr(), "").expect("an answer");
    let mut json = Listener::new(server.http_addr(), "?logjson&loglevel=Warn").expect("an answer");
    for listener in [&text, &json] {
        assert!(listener.head.starts_with("http/1.1 200 ok\r\n"), "{}", listener.head);
        assert!(listener.head.contains("transfer-encoding: chunked\r\n"), "{}", listener.head);
        assert!(!listener.head.contains("content-type") && !listener.head.contains("content-encoding"));
    }
    server.put("/v1/agent/reload", "").ok();
    let line = text.until("reloading the configuration");
    let (time, rest) = line.split_once(' ').expect("a time");
    assert!(time.len() == 24 && time.ends_with('Z'), "{line}");
    assert_eq!(rest, "[INFO]  node: reloading the configuration\n");
    server.put("/v1/agent/service/deregister/unknown", "");
    let line = json.piece().expect("the log goes on");
    let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!((&line["@level"], &line["service"]), (&"warn".into(), &"unknown".into()), "{line}");
    assert!(server.sigterm().success());
    while text.piece().is_some() {}
    while json.piece().is_some() {}
}

#[test]
fn an_unknown_level_is_refused() {
    let server = Server::dev();
    for level in ["bogus", "off", "warning"] {
        let reply = server.get(&format!("/v1/agent/monitor?loglevel={level}"));
        assert_eq!((reply.status, reply.text()), (400, format!("Bad request: Unknown log level: {level}")));
    }
}

#[test]
fn a_reader_that_goes_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = dir.path().join("limits.json");
    std::fs::write(&config, r#"{"limits": {"http_max_conns_per_client": 1}}"#).expect("a config file");
    let server = Server::dev_with(&[&format!("-config-file={}", config.display())]);
    let first = Listener::new(server.http_addr(), "").expect("an answer");
    assert!(Listener::new(server.http_addr(), "").is_none(), "there is only one place");
    drop(first);
    let start = Instant::now();
    while Listener::new(server.http_addr(), "").is_none() {
        assert!(start.elapsed() < PATIENCE, "the place of the first reader is not free");
        std::thread::yield_now();
    }
}
