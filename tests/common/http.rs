//! A small HTTP/1.1 client: one connection per request, the whole answer.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than any blocking query of the tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// In order, names as sent.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The first header of that name, whatever its case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// `X-Consul-Index`.
    pub(crate) fn index(&self) -> u64 {
        let value = self.header("X-Consul-Index").expect("X-Consul-Index");
        value.parse().unwrap_or_else(|_| panic!("X-Consul-Index: {value}"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; panics with the body if it is none.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {} {}", self.status, self.text()))
    }

    /// The answer itself if it is 200; panics with it if not.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{}", self.text());
        self
    }
}

/// One request. `path` is sent as it is (encode it yourself).
pub(crate) fn request(
    addr: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Response> {
    exchange(addr, method, path, headers, body, PATIENCE)
}

/// One request that is given up after `limit`: to connect, and without a word.
pub(crate) fn request_within(
    addr: SocketAddr,
    method: &str,
    path: &str,
    body: &[u8],
    limit: Duration,
) -> Result<Response> {
    exchange(addr, method, path, &[], body, limit)
}

fn exchange(
    addr: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    limit: Duration,
) -> Result<Response> {
    let mut tcp = TcpStream::connect_timeout(&addr, limit)?;
    tcp.set_read_timeout(Some(limit))?;
    tcp.set_write_timeout(Some(limit))?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || matches!(method, "PUT" | "POST") {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    let sent = tcp.write_all(head.as_bytes()).and_then(|()| tcp.write_all(body));
    let mut answer = Vec::new();
    // A server may refuse a body before it has read all of it: its answer counts more than our failed write.
    match (tcp.read_to_end(&mut answer), sent) {
        (Ok(_), _) if !answer.is_empty() => parse(&answer, method == "HEAD"),
        (Err(e), Ok(())) | (_, Err(e)) => Err(e),
        (Ok(_), Ok(())) => Err(invalid("no answer")),
    }
}

fn parse(answer: &[u8], head_only: bool) -> Result<Response> {
    let split = answer.windows(4).position(|w| w == b"\r\n\r\n").ok_or_else(|| invalid("no end of the head"))?;
    let head = std::str::from_utf8(&answer[..split]).map_err(|_| invalid("head is not UTF-8"))?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|l| l.split(' ').nth(1)?.parse().ok()).ok_or_else(|| invalid("status line"))?;
    let headers = lines
        .map(|l| l.split_once(':').map(|(n, v)| (n.to_owned(), v.trim().to_owned())))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| invalid("header line"))?;
    let mut response = Response { status, headers, body: Vec::new() };
    let rest = &answer[split + 4..];
    if head_only || status == 204 || status == 304 {
        return Ok(response);
    }
    response.body = if response.header("Transfer-Encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
        unchunk(rest)?
    } else if let Some(length) = response.header("Content-Length") {
        let length: usize = length.parse().map_err(|_| invalid("Content-Length"))?;
        rest.get(..length).ok_or_else(|| invalid("body is cut off"))?.to_vec()
    } else {
        rest.to_vec()
    };
    Ok(response)
}

fn unchunk(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|w| w == b"\r\n").ok_or_else(|| invalid("chunk size"))?;
        let size = std::str::from_utf8(&rest[..end]).ok().and_then(|s| s.split(';').next()).unwrap_or_default();
        let size = usize::from_str_radix(size.trim(), 16).map_err(|_| invalid("chunk size"))?;
        if size == 0 {
            return Ok(body);
        }
        let chunk = rest.get(end + 2..end + 2 + size).ok_or_else(|| invalid("chunk is cut off"))?;
        body.extend_from_slice(chunk);
        rest = rest.get(end + 4 + size..).ok_or_else(|| invalid("chunk without an end"))?;
    }
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("bad answer: {what}"))
}
