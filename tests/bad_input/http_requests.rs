//! HTTP requests that are broken, or hold what is not allowed.

use crate::common::Server;
use crate::{assert_http_lives, talk};

/// Method, target, body; status and a part of the answer that says what is wrong.
type Case<'a> = (&'a str, &'a str, &'a [u8], u16, &'a str);

#[track_caller]
fn check(server: &Server, cases: &[Case<'_>]) {
    for (method, target, body, status, says) in cases {
        let shown = format!("{method} {target:.120} {:.120}", String::from_utf8_lossy(body));
        let answer = server.request(method, target, &[], body);
        assert_eq!(answer.status, *status, "{shown}: {}", answer.text());
        assert!(answer.text().contains(says), "{shown}: {}", answer.text());
        assert_http_lives(server);
    }
}

#[test]
fn targets_and_parameters() {
    let server = Server::dev();
    let key = format!("/v1/kv/{}", "k".repeat(1025));
    check(
        &server,
        &[
            ("GET", "/v1/kv/%", b"", 400, ""),
            ("GET", "/v1/kv/%zz", b"", 400, ""),
            ("GET", "/v1/kv/%1", b"", 400, ""),
            ("GET", "/v1/kv/a%00b", b"", 400, ""),
            ("GET", "/v1/kv/a?x=%zz", b"", 400, "%zz"),
            ("GET", "/v1/kv/a?%", b"", 400, "%"),
            ("GET", "/v1/kv/a?index=x", b"", 400, "index"),
            ("GET", "/v1/kv/a?index=-1", b"", 400, "index"),
            ("GET", "/v1/kv/a?index=18446744073709551616", b"", 400, "index"),
            ("GET", "/v1/kv/a?index=1e3", b"", 400, "index"),
            ("GET", "/v1/kv/a?wait=x", b"", 400, "wait"),
            ("GET", "/v1/kv/a?wait=5", b"", 400, "wait"),
            ("GET", "/v1/kv/a?index=1&wait=99999999999h", b"", 400, "wait"),
            ("GET", "/v1/kv/a?index=1&wait=1s1", b"", 400, "wait"),
            ("GET", "/v1/health/service/x?max_stale=soon&stale", b"", 400, "max_stale"),
            ("GET", "/v1/health/service/x?stale&consistent", b"", 400, "consistent"),
            ("GET", "/v1/health/service/x?ns=other", b"", 400, "ns"),
            ("GET", "/v1/health/service/x?dc=elsewhere", b"", 500, "datacenter"),
            ("GET", "/v1/health/service/", b"", 400, "Missing service name"),
            ("GET", "/v1/health/service/x?passing=maybe", b"", 400, "passing"),
            ("GET", "/v1/health/service/x?filter=Port+%3D%3D", b"", 500, ""),
            ("PUT", "/v1/kv/", b"x", 400, "Missing key name"),
            ("PUT", &key, b"x", 400, "key"),
            ("PUT", "/v1/kv/a?cas=x", b"x", 500, "\"x\""),
            ("PUT", "/v1/kv/a?cas=18446744073709551616", b"x", 500, "out of range"),
            ("PUT", "/v1/kv/a?flags=-1", b"x", 500, "\"-1\""),
            ("PUT", "/v1/kv/a?cas=1&acquire=x", b"x", 400, "Conflicting flags"),
            ("PUT", "/v1/kv/a?acquire=nonsense", b"x", 500, "UUID"),
            ("PUT", "/v1/kv/a?acquire=", b"x", 500, "missing session"),
            ("DELETE", "/v1/kv/a?cas=&recurse", b"", 400, "Conflicting flags"),
            ("DELETE", "/v1/kv/", b"", 400, "Missing key name"),
            ("PATCH", "/v1/kv/a", b"", 405, "PATCH"),
            ("POST", "/v1/catalog/register", b"{}", 405, "POST"),
            ("GET", "/v1/nonsense", b"", 404, ""),
            ("GET", "/../../etc/passwd", b"", 301, ""),
        ],
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn bodies() {
    let server = Server::dev();
    let large = vec![b'x'; 512 * 1024 + 1];
    let huge = vec![b'x'; 20 << 20];
    let deep = [vec![b'['; 400_000], vec![b']'; 100]].concat();
    let deep_objects = "{\"a\":".repeat(80_000);
    let long = format!("{{\"Name\":\"{}\"}}", "n".repeat(256));
    let (register, catalog) = ("/v1/agent/service/register", "/v1/catalog/register");
    check(
        &server,
        &[
            ("PUT", "/v1/kv/a", &large, 413, "524288"),
            ("PUT", catalog, &large, 413, "524288"),
            ("PUT", catalog, b"", 400, "decode failed"),
            ("PUT", catalog, b"{\"Node\":", 400, "decode failed"),
            ("PUT", catalog, b"{\"Node\":\"a", 400, "decode failed"),
            ("PUT", catalog, b"{\"Node\":\"\\ud800", 400, "decode failed"),
            ("PUT", catalog, b"{\"Node\":\"\\x\"}", 400, "decode failed"),
            ("PUT", catalog, b"{\"Node\":\"a\0b\"}", 400, "decode failed"),
            ("PUT", catalog, b"\xff\xfe{\0}\0", 400, "decode failed"),
            ("PUT", catalog, b"[]", 400, "array"),
            ("PUT", catalog, b"3", 400, "number"),
            ("PUT", catalog, b"nul", 400, "decode failed"),
            ("PUT", catalog, &deep, 400, "depth"),
            ("PUT", catalog, deep_objects.as_bytes(), 400, "depth"),
            ("PUT", catalog, b"{\"Node\":5}", 400, "Node"),
            ("PUT", catalog, b"{\"Node\":{}}", 400, "Node"),
            ("PUT", catalog, b"{\"Node\":\"n\",\"Address\":[]}", 400, "Address"),
            ("PUT", catalog, b"{\"Node\":\"n\",\"Address\":\"a\",\"NodeMeta\":{\"k\":1}}", 400, "NodeMeta"),
            ("PUT", catalog, b"{\"Node\":\"n\",\"Address\":\"a\",\"Service\":7}", 400, "Service"),
            (
                "PUT",
                catalog,
                b"{\"Node\":\"n\",\"Address\":\"a\",\"Service\":{\"Service\":\"s\",\"Port\":\"80\"}}",
                400,
                "Port",
            ),
            (
                "PUT",
                catalog,
                b"{\"Node\":\"n\",\"Address\":\"a\",\"Service\":{\"Service\":\"s\",\"Port\":1e400}}",
                400,
                "Port",
            ),
            (
                "PUT",
                catalog,
                b"{\"Node\":\"n\",\"Address\":\"a\",\"Service\":{\"Service\":\"s\",\"Port\":99999999999999999999}}",
                400,
                "Port",
            ),
            ("PUT", catalog, b"{\"Node\":\"n\",\"Address\":\"a\",\"Check\":{\"Status\":5}}", 400, "Status"),
            ("PUT", catalog, b"{\"ID\":\"not-a-uuid\",\"Node\":\"n\",\"Address\":\"a\"}", 500, "node ID"),
            ("PUT", register, b"{}", 400, "Missing service name"),
            ("PUT", register, b"{\"Name\":\"\"}", 400, "Missing service name"),
            ("PUT", register, long.as_bytes(), 400, "Service.Service"),
            ("PUT", register, b"{\"Name\":\"a\\u0000b\"}", 400, "Service.Service"),
            ("PUT", register, b"{\"Name\":\"s\",\"Tags\":\"t\"}", 400, "Tags"),
            ("PUT", register, b"{\"Name\":\"s\",\"Tags\":[1]}", 400, "Tags"),
            ("PUT", register, b"{\"Name\":\"s\",\"Port\":1.5}", 400, "Port"),
            ("PUT", register, b"{\"Name\":\"s\",\"Weights\":{\"Passing\":-1}}", 400, "Weights"),
            ("PUT", register, b"{\"Name\":\"s\",\"Meta\":{\"a b\":\"x\"}}", 400, "Meta"),
            ("PUT", register, b"{\"Name\":\"s\",\"EnableTagOverride\":\"yes\"}", 400, "EnableTagOverride"),
            ("PUT", register, b"{\"Name\":\"s\",\"TaggedAddresses\":{\"lan\":5}}", 400, "TaggedAddresses"),
        ],
    );
    // More than is read: the server may close before it was all sent.
    let answer = crate::common::http::request(server.http_addr(), "PUT", "/v1/kv/a", &[], &huge);
    assert!(answer.is_err() || answer.is_ok_and(|a| a.status == 413));
    assert_http_lives(&server);
    assert_eq!(
        server.get("/v1/catalog/services").ok().json().as_object().map(|s| s.len()),
        Some(1),
        "nothing was stored"
    );
    assert_eq!(server.get("/v1/kv/a").status, 404, "nothing was stored");
}

/// Requests that two servers could read in two ways. The second request hidden in each must never take effect as part of
/// a body, and what is ambiguous must be refused or end the connection.
#[test]
fn requests_that_hide_another() {
    let server = Server::dev();
    let hidden = "PUT /v1/kv/smuggled HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx";
    let post = "PUT /v1/kv/front HTTP/1.1\r\nHost: x\r\n";
    let length = hidden.len() + 5;
    for (what, bytes) in [
        (
            "both lengths",
            format!("{post}Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
        ),
        (
            "both, the other way",
            format!("{post}Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n\r\n0\r\n\r\n{hidden}"),
        ),
        ("two lengths", format!("{post}Content-Length: 1\r\nContent-Length: {length}\r\n\r\nx{hidden}")),
        ("a list of lengths", format!("{post}Content-Length: 1, {length}\r\n\r\nx{hidden}")),
        ("a length with a sign", format!("{post}Content-Length: +1\r\n\r\nx{hidden}")),
        ("a negative length", format!("{post}Content-Length: -1\r\n\r\nx{hidden}")),
        ("a length in hex", format!("{post}Content-Length: 0x1\r\n\r\nx{hidden}")),
        ("a length too large", format!("{post}Content-Length: 18446744073709551617\r\n\r\nx{hidden}")),
        ("an empty length", format!("{post}Content-Length:\r\n\r\nx{hidden}")),
        ("an encoding that is none", format!("{post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{hidden}")),
        ("chunked is not last", format!("{post}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}")),
        ("a space before the colon", format!("{post}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{hidden}")),
        ("a folded header", format!("{post}X: y\r\n Content-Length: 1\r\n\tz\r\n\r\nx{hidden}")),
        ("a chunk size too large", format!("{post}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nx{hidden}")),
        ("a chunk size with a sign", format!("{post}Transfer-Encoding: chunked\r\n\r\n-1\r\nx{hidden}")),
        ("a chunk without an end", format!("{post}Transfer-Encoding: chunked\r\n\r\n1\r\nxy{hidden}")),
        ("a NUL in a header", format!("{post}X: a\0b\r\nContent-Length: 0\r\n\r\n{hidden}")),
        ("a carriage return in a header", format!("{post}X: a\rContent-Length: 0\r\n\r\n{hidden}")),
        ("a header without a name", format!("{post}: x\r\nContent-Length: 0\r\n\r\n{hidden}")),
        ("a header without a colon", format!("{post}nonsense\r\nContent-Length: 0\r\n\r\n{hidden}")),
        (
            "a version that is none",
            format!("PUT /v1/kv/front HTTP/1.9\r\nHost: x\r\nContent-Length: 0\r\n\r\n{hidden}"),
        ),
        ("a method that is none", format!("P@T /v1/kv/front HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n{hidden}")),
        (
            "a space in the target",
            format!("PUT /v1/kv/fr ont HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n{hidden}"),
        ),
    ] {
        let answer = talk(server.http_addr(), bytes.as_bytes());
        let answer = String::from_utf8_lossy(&answer);
        let answers = answer.matches("HTTP/1.1 ").count();
        assert!(answers <= 1, "{what}: went on behind an ambiguous request: {answer}");
        assert_eq!(server.get("/v1/kv/smuggled").status, 404, "{what}: the hidden request was done: {answer}");
        assert_http_lives(&server);
    }
}

#[test]
fn heads_that_are_too_large() {
    let server = Server::dev();
    let many: String = (0..200).map(|n| format!("X-{n}: x\r\n")).collect();
    for (what, bytes) in [
        ("a target of 1 MiB", format!("GET /v1/kv/{} HTTP/1.1\r\nHost: x\r\n\r\n", "k".repeat(1 << 20))),
        ("a header of 1 MiB", format!("GET /v1/kv/a HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(1 << 20))),
        ("200 headers", format!("GET /v1/kv/a HTTP/1.1\r\nHost: x\r\n{many}\r\n")),
        ("a method without an end", "A".repeat(1 << 20)),
        ("a head without an end", format!("GET / HTTP/1.1\r\n{}", "X: y\r\n".repeat(200_000))),
    ] {
        let answer = talk(server.http_addr(), bytes.as_bytes());
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{what}: {}", String::from_utf8_lossy(&answer));
        assert_http_lives(&server);
    }
}
