//! What is run with a result.

use super::client;
use crate::config::WatchHandler;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use std::process::Stdio;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tracing::{debug, error};

/// Bytes of each of a program's outputs that are logged.
const OUTPUT_BYTES_MAX: usize = 4096;

/// Runs a handler to its end; what goes wrong is logged.
pub(super) async fn run(handler: &WatchHandler, index: u64, document: &Value) {
    let text = format!("{document}\n");
    let ended = match handler {
        WatchHandler::Program(args) => match args.split_first() {
            Some((program, args)) => {
                let mut command = Command::new(program);
                command.args(args);
                program_run(command, index, &text).await
            }
            None => Err("the handler names no program".to_owned()),
        },
        WatchHandler::Shell(line) => {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", line]);
            program_run(command, index, &text).await
        }
        WatchHandler::Http { url, method, headers, timeout } => {
            let sent = client::send(url, method, header_map(headers, index), Bytes::from(text));
            match tokio::time::timeout(*timeout, sent).await {
                Ok(Ok(status)) if status.is_success() => Ok(format!("HTTP {status}")),
                Ok(Ok(status)) => Err(format!("{method} {url}: HTTP {status}")),
                Ok(Err(reason)) => Err(format!("{method} {url}: {reason}")),
                Err(_) => Err(format!("{method} {url}: no answer within {timeout:?}")),
            }
        }
    };
    match ended {
        Ok(output) => debug!(?handler, %output, "a watch handler has run"),
        Err(reason) => error!(?handler, %reason, "a watch handler failed"),
    }
}

fn header_map(headers: &std::collections::BTreeMap<String, Vec<String>>, index: u64) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, values) in headers {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { continue };
        for value in values.iter().filter_map(|v| HeaderValue::from_str(v).ok()) {
            map.append(name.clone(), value);
        }
    }
    map.insert("x-consul-index", HeaderValue::from(index));
    map.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    map
}

/// The beginning of the output, or why it failed.
async fn program_run(mut command: Command, index: u64, input: &str) -> Result<String, String> {
    command.env("CONSUL_INDEX", index.to_string()).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| format!("cannot start: {e}"))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A program may end without reading.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let (_, out, err, status) = tokio::join!(write, beginning(stdout), beginning(stderr), child.wait());
    let status = status.map_err(|e| e.to_string())?;
    let output = String::from_utf8_lossy(&[out, err].concat()).into_owned();
    if status.success() { Ok(output) } else { Err(format!("{status}: {output}")) }
}

/// The beginning of a stream; the rest is read and dropped, so that the program does not wait for us.
async fn beginning(stream: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = Vec::new();
    if let Some(mut stream) = stream {
        // A stream that breaks has ended.
        let _ = (&mut stream).take(OUTPUT_BYTES_MAX as u64).read_to_end(&mut kept).await;
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shell(line: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", line]);
        command
    }

    #[tokio::test]
    async fn programs_get_the_document_and_the_index() {
        let input = format!("{}\n", json!({"a": 1}));
        let output = program_run(shell("cat; echo $CONSUL_INDEX"), 7, &input).await;
        assert_eq!(output.as_deref(), Ok("{\"a\":1}\n7\n"));
        let long = "x".repeat(1 << 20);
        assert_eq!(program_run(shell("true"), 7, &long).await.as_deref(), Ok(""));
        assert_eq!(program_run(shell("cat"), 7, &long).await.map(|o| o.len()), Ok(OUTPUT_BYTES_MAX));
    }

    #[tokio::test]
    async fn failures_are_told() {
        let error = program_run(shell("echo why >&2; exit 3"), 7, "").await.expect_err("failed");
        assert!(error.contains("3") && error.contains("why"), "{error}");
        assert!(program_run(Command::new("/no/such/program"), 7, "").await.is_err());
    }

    #[tokio::test]
    async fn urls_get_a_request() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let url = format!("http://{}/hook?x", listener.local_addr().expect("bound"));
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = Vec::new();
            while !request.ends_with(b"{}\n") {
                let mut buffer = [0; 1024];
                let read = stream.read(&mut buffer).await.expect("a request");
                request.extend_from_slice(&buffer[..read]);
            }
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.expect("answered");
            String::from_utf8_lossy(&request).to_ascii_lowercase()
        });
        let headers = [("X-A".to_owned(), vec!["b".to_owned()])].into();
        let sent = client::send(&url, "POST", header_map(&headers, 9), Bytes::from_static(b"{}\n")).await;
        assert_eq!(sent.map(|s| s.as_u16()), Ok(204));
        let request = server.await.expect("served");
        for part in ["post /hook?x http/1.1", "x-consul-index: 9", "x-a: b", "content-type: application/json"] {
            assert!(request.contains(part), "{request}");
        }
    }
}
