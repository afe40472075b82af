//! Against an engine of a few lines.

use super::{DockerError, Engine};
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

const EXECS: &[(&str, &str, &str)] = &[
    ("POST /containers/web%2D1/exec ", r#"{"AttachStdout":true,"AttachStderr":true,"Cmd":["ls","-l"]}"#, "201 Created"),
    ("POST /exec/e1/start ", r#"{"Detach":false,"Tty":false}"#, "200 OK"),
    ("GET /exec/e1/json ", "", "200 OK"),
];

/// Answers one request on each connection, in this order, and returns what was asked.
async fn engine(listener: UnixListener, answers: Vec<Vec<u8>>) -> Vec<String> {
    let mut asked = Vec::new();
    for answer in answers {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
        loop {
            let read = stream.read(&mut part).await.unwrap();
            bytes.extend_from_slice(&part[..read]);
            let text = String::from_utf8_lossy(&bytes);
            let length =
                text.split("content-length: ").nth(1).and_then(|t| t.lines().next()?.parse().ok()).unwrap_or(0);
            if text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.len() >= length) {
                break;
            }
        }
        asked.push(String::from_utf8(bytes).unwrap());
        stream.write_all(&answer).await.unwrap();
    }
    asked
}

fn listen(dir: &Path) -> (UnixListener, Engine) {
    let path = dir.join("engine.sock");
    let listener = UnixListener::bind(&path).unwrap();
    (listener, Engine::at(&format!("unix://{}", path.display())).unwrap())
}

#[tokio::test]
async fn a_command_runs_in_a_container() {
    let dir = tempfile::tempdir().unwrap();
    let (listener, docker) = listen(dir.path());
    let bodies: [&[u8]; 3] = [
        b"{\"Id\":\"e1\"}",
        b"\x01\0\0\0\0\0\0\x03out\x02\0\0\0\0\0\0\x04err\n",
        b"{\"ID\":\"e1\",\"Running\":false,\"ExitCode\":3,\"Pid\":0}",
    ];
    let answers = EXECS.iter().zip(bodies).map(|((_, _, status), body)| {
        // The output has no length: it ends with the connection.
        let length = if body[0] == 1 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        [format!("HTTP/1.1 {status}\r\n{length}\r\n").as_bytes(), body].concat()
    });
    let served = tokio::spawn(engine(listener, answers.collect()));
    let exec = docker.create_exec("web-1", &["ls".to_owned(), "-l".to_owned()]).await.unwrap();
    let mut output = docker.start_exec(&exec).await.unwrap();
    let mut printed = Vec::new();
    while let Some(part) = output.next().await.unwrap() {
        printed.extend_from_slice(&part);
    }
    assert_eq!(printed, b"outerr\n");
    assert_eq!(docker.exec_exit_code(&exec).await.unwrap(), Some(3));
    for (asked, (line, body, _)) in served.await.unwrap().iter().zip(EXECS) {
        assert!(asked.starts_with(line) && asked.ends_with(&format!("\r\n\r\n{body}")), "{asked}");
    }
}

#[tokio::test]
async fn what_an_engine_refuses_is_told_in_its_words() {
    let dir = tempfile::tempdir().unwrap();
    let (listener, docker) = listen(dir.path());
    let answers = ["{\"message\":\"No such container: x\"}\n", "plain\n", "{\"message\":1}", ""]
        .map(|body| format!("HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes());
    let served = tokio::spawn(engine(listener, answers.to_vec()));
    for message in ["No such container: x", "plain", "{\"message\":1}", ""] {
        let refused = docker.create_exec("x", &[]).await.unwrap_err();
        assert_eq!(refused.to_string(), format!("status 404: {message}"));
    }
    served.await.unwrap();
    // Whoever listened is gone.
    let gone = docker.exec_exit_code("e1").await.unwrap_err();
    assert!(matches!(gone, DockerError::Unreachable { .. }), "{gone}");
}

#[tokio::test]
async fn answers_that_are_none_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let (listener, docker) = listen(dir.path());
    let answers =
        ["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "nonsense\r\n\r\n", ""].map(|a| a.as_bytes().to_vec());
    let served = tokio::spawn(engine(listener, answers.to_vec()));
    assert!(matches!(docker.exec_exit_code("e1").await, Err(DockerError::Answer(_))));
    assert!(matches!(docker.exec_exit_code("e1").await, Err(DockerError::Unreachable { .. })));
    assert!(matches!(docker.exec_exit_code("e1").await, Err(DockerError::Unreachable { .. })));
    served.await.unwrap();
}
