//! HAProxy resolves the servers of a backend by DNS SRV, sends requests there, and follows the health of the instances.

use super::common::Server;
use super::program::{Program, find};
use super::register;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Times are short so that the test is: HAProxy asks again every `timeout resolve`.
fn config(server: &Server, folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "
global
  stats socket {folder}/stats mode 600 level admin
resolvers lictor
  nameserver dns {dns}
  accepted_payload_size 8192
  resolve_retries 3
  timeout resolve 100ms
  timeout retry 1s
  hold valid 100ms
  hold obsolete 0
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
frontend in
  bind {folder}/in
  default_backend web
backend web
  server-template web 3 _web._tcp.service.consul resolvers lictor init-addr none
",
        dns = server.dns_addr()
    )
}

/// The ports of the servers that HAProxy sends requests to, sorted.
fn servers(folder: &Path) -> Option<Vec<u16>> {
    let mut socket = UnixStream::connect(folder.join("stats")).ok()?;
    socket.write_all(b"show servers state web\n").ok()?;
    let mut text = String::new();
    socket.read_to_string(&mut text).ok()?;
    let mut lines = text.lines().skip_while(|line| !line.starts_with('#'));
    let names: Vec<&str> = lines.next()?.trim_start_matches("# ").split(' ').collect();
    let at = |name: &str| names.iter().position(|n| *n == name);
    let (port, state) = (at("srv_port")?, at("srv_op_state")?);
    let mut ports: Vec<u16> = lines
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            // 2: running.
            (fields.get(state) == Some(&"2")).then(|| fields.get(port)?.parse().ok()).flatten()
        })
        .collect();
    ports.sort_unstable();
    Some(ports)
}

/// An HTTP server that answers every request with its own port.
fn backend() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().expect("the same stream")).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|text| !text.is_empty())) {}
            let body = port.to_string();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all((head + &body).as_bytes());
        }
    });
    port
}

/// Which backend answers a request through HAProxy.
fn answered_by(folder: &Path) -> Option<u16> {
    let mut socket = UnixStream::connect(folder.join("in")).ok()?;
    socket.write_all(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    socket.read_to_string(&mut text).ok()?;
    text.rsplit("\r\n").next()?.parse().ok()
}

#[test]
fn haproxy_resolves_its_backends_and_follows_their_health() {
    let Some(program) = find("haproxy") else { return };
    let server = Server::dev();
    let mut ports = [backend(), backend()];
    ports.sort_unstable();
    register(&server, "web", ports[0], &[], "passing");
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join("haproxy.cfg");
    std::fs::write(&file, config(&server, folder.path())).expect("written");
    let args = ["-db".to_owned(), "-f".to_owned(), file.display().to_string()];
    let mut haproxy = Program::start(&program, &args, folder.path());
    let mut until = |wanted: &[u16]| {
        haproxy.until(&format!("servers {wanted:?}"), || servers(folder.path()).filter(|found| found == wanted));
    };
    until(&ports[..1]);
    assert_eq!(answered_by(folder.path()), Some(ports[0]));
    register(&server, "web", ports[1], &[], "passing");
    until(&ports);
    register(&server, "web", ports[0], &[], "critical");
    until(&ports[1..]);
    assert_eq!(answered_by(folder.path()), Some(ports[1]));
    register(&server, "web", ports[0], &[], "passing");
    until(&ports);
}
