//! For tests: an HTTP server that records requests and gives prepared answers, and a way to run a command against it.

use super::{Console, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How a command ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Outcome {
    pub(crate) fn new(code: i32, out: &str, err: &str) -> Outcome {
        Outcome { code, out: out.to_owned(), err: err.to_owned() }
    }
}

/// Runs `lictor` with these arguments, standard input and environment.
pub(crate) async fn lictor(args: &[&str], input: &str, env: &[(&str, &str)]) -> Outcome {
    named("lictor", args, input, env).await
}

/// Runs the command line as a program of another name.
pub(crate) async fn named(program: &str, args: &[&str], input: &str, env: &[(&str, &str)]) -> Outcome {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    let mut console = Console {
        out: &mut out,
        err: &mut err,
        input: &mut input.as_bytes(),
        env: &|name| env.iter().find(|(n, _)| *n == name).map(|(_, v)| v.to_string()),
    };
    let code = run(program, &args, &mut console).await;
    Outcome { code, out: String::from_utf8_lossy(&out).into_owned(), err: String::from_utf8_lossy(&err).into_owned() }
}

/// A server that answers requests in order, each with a status and a body; then it closes its listener.
pub(crate) struct Canned {
    pub(crate) address: String,
    requests: JoinHandle<Vec<String>>,
}

impl Canned {
    pub(crate) async fn new(replies: &[(u16, &str)]) -> Canned {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let replies: Vec<(u16, String)> = replies.iter().map(|(code, body)| (*code, body.to_string())).collect();
        Canned { address, requests: tokio::spawn(answer(listener, replies)) }
    }

    /// Runs a command against the server, and returns how it ended and what it sent: method, path and query, the token
    /// if any, and the body.
    pub(crate) async fn ask(replies: &[(u16, &str)], args: &[&str]) -> (Outcome, Vec<String>) {
        let server = Canned::new(replies).await;
        let outcome = lictor(args, "", &[("CONSUL_HTTP_ADDR", &server.address)]).await;
        (outcome, server.requests().await)
    }

    /// What the server got, once all its answers were given.
    pub(crate) async fn requests(self) -> Vec<String> {
        self.requests.await.expect("the server ran")
    }
}

async fn answer(listener: TcpListener, replies: Vec<(u16, String)>) -> Vec<String> {
    let mut requests = Vec::new();
    let mut replies = replies.into_iter().peekable();
    while replies.peek().is_some() {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        // One connection may carry several requests.
        while replies.peek().is_some()
            && let Some(request) = request(&mut stream).await
        {
            requests.push(request);
            let Some((code, body)) = replies.next() else { break };
            let reply = format!("HTTP/1.1 {code} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            stream.write_all(reply.as_bytes()).await.expect("answered");
        }
    }
    requests
}

async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.expect("readable") == 0 {
            return None;
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let header =
        |name: &str| text.lines().find_map(|l| l.to_lowercase().strip_prefix(&format!("{name}: ")).map(str::to_owned));
    let length: usize = header("content-length").map_or(0, |v| v.parse().expect("a number"));
    while bytes.len() < head + 4 + length {
        stream.read_buf(&mut bytes).await.expect("readable");
    }
    let line = text.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1");
    let token = header("x-consul-token").map(|t| format!(" token={t}")).unwrap_or_default();
    let body = String::from_utf8_lossy(&bytes[head + 4..]).into_owned();
    Some(format!("{line}{token}{}", if body.is_empty() { body } else { format!(" {body}") }))
}
