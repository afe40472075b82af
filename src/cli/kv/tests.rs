//! The key-value commands: what they send, print and refuse.

use crate::cli::canned::{Canned, Outcome, lictor};

const A: &str = r#"{"LockIndex":0,"Key":"a/b","Flags":0,"Value":"aGVsbG8=","CreateIndex":13,"ModifyIndex":14}"#;
const EMPTY: &str = r#"{"LockIndex":2,"Key":"a/e","Flags":18446744073709551615,"Value":null,"Session":"s","CreateIndex":1,"ModifyIndex":2}"#;

fn ok(out: &str) -> Outcome {
    Outcome::new(0, out, "")
}

fn failed(err: &str) -> Outcome {
    Outcome::new(1, "", err)
}

/// Runs `kv ARGS` against one answer.
async fn kv(reply: (u16, &str), args: &[&str]) -> (Outcome, String) {
    let (outcome, sent) = Canned::ask(&[reply], &[&["kv"], args].concat()).await;
    (outcome, sent.join("\n"))
}

/// Runs `kv ARGS`, which must end before any request.
async fn refused(args: &[&str]) -> String {
    let outcome = lictor(&[&["kv"], args].concat(), "", &[("CONSUL_HTTP_ADDR", "ftp://nobody")]).await;
    assert_eq!((outcome.code, outcome.out.as_str()), (1, ""));
    outcome.err
}

#[tokio::test]
async fn get_one() {
    let one = format!("[{A}]");
    assert_eq!(kv((200, &one), &["get", "a/b"]).await, (ok("hello\n"), "GET /v1/kv/a/b".to_owned()));
    assert_eq!(kv((200, &one), &["get", "-base64", "/a/b"]).await, (ok("aGVsbG8=\n"), "GET /v1/kv/a/b".to_owned()));
    assert_eq!(kv((200, &one), &["get", "sp ü?%"]).await.1, "GET /v1/kv/sp%20%C3%BC%3F%25");
    let detailed = "CreateIndex      13\nFlags            0\nKey              a/b\nLockIndex        0\n\
                    ModifyIndex      14\nSession          -\nValue            hello\n";
    assert_eq!(kv((200, &one), &["get", "-detailed", "a/b"]).await.0, ok(detailed));
    assert_eq!(kv((404, ""), &["get", "zz"]).await.0, failed("Error! No key exists at: zz\n"));
}

#[tokio::test]
async fn get_many() {
    let two = format!("[{A},{EMPTY}]");
    let (outcome, sent) = kv((200, &two), &["get", "-recurse", "-stale", "-datacenter=d", "a"]).await;
    assert_eq!((outcome, sent.as_str()), (ok("a/b:hello\na/e:\n"), "GET /v1/kv/a?dc=d&recurse=&stale="));
    let (outcome, _) = kv((200, &two), &["get", "-recurse", "-detailed"]).await;
    assert!(
        outcome.out.ends_with(
            "Value            hello\n\nCreateIndex      1\nFlags            18446744073709551615\n\
             Key              a/e\nLockIndex        2\nModifyIndex      2\nSession          s\nValue\n"
        ),
        "{}",
        outcome.out
    );
    let (outcome, sent) = kv((200, r#"["a/","b"]"#), &["get", "-keys", "a"]).await;
    assert_eq!((outcome, sent.as_str()), (ok("a/\nb\n"), "GET /v1/kv/a?keys=&separator=%2F"));
    assert_eq!(kv((200, "[]"), &["get", "-keys", "-separator="]).await.1, "GET /v1/kv/?keys=&separator=");
    for flag in ["-recurse", "-keys"] {
        assert_eq!(kv((404, ""), &["get", flag, "zz"]).await.0, ok(""));
    }
}

#[tokio::test]
async fn put() {
    for (args, reply, sent, expected) in [
        (&["a", "v"][..], "true", "PUT /v1/kv/a v", ok("Success! Data written to: a\n")),
        (&["a"], "true", "PUT /v1/kv/a", ok("Success! Data written to: a\n")),
        (&["a", "-1"], "true", "PUT /v1/kv/a -1", ok("Success! Data written to: a\n")),
        (&["-base64", "a", "aGk="], "true", "PUT /v1/kv/a hi", ok("Success! Data written to: a\n")),
        (&["-flags", "42", "a", "v"], "true", "PUT /v1/kv/a?flags=42 v", ok("Success! Data written to: a\n")),
        (
            &["-cas", "-modify-index=3", "a", "v"],
            "false",
            "PUT /v1/kv/a?cas=3 v",
            failed("Error! Did not write to a: CAS failed\n"),
        ),
        (&["-acquire", "-session=s", "a"], "true", "PUT /v1/kv/a?acquire=s", ok("Success! Lock acquired on: a\n")),
        (&["-acquire", "-session=s", "a"], "false", "PUT /v1/kv/a?acquire=s", failed("Error! Did not acquire lock\n")),
        (
            &["-release", "-session=s", "-flags=1", "a"],
            "true",
            "PUT /v1/kv/a?flags=1&release=s",
            ok("Success! Lock released on: a\n"),
        ),
        (&["-release", "-session=s", "a"], "false", "PUT /v1/kv/a?release=s", failed("Error! Did not release lock\n")),
    ] {
        let answer = kv((200, reply), &[&["put"], args].concat()).await;
        assert_eq!(answer, (expected, sent.to_owned()), "{args:?}");
    }
    assert_eq!(
        kv((413, "too large"), &["put", "a", "v"]).await.0,
        failed("Error! Failed writing data: Unexpected response code: 413 (too large)\n")
    );
}

#[tokio::test]
async fn put_from_a_file_and_from_standard_input() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let file = dir.path().join("data");
    std::fs::write(&file, "from file\n").expect("written");
    let at = format!("@{}", file.display());
    assert_eq!(kv((200, "true"), &["put", "a", &at]).await.1, "PUT /v1/kv/a from file\n");
    let server = Canned::new(&[(200, "true")]).await;
    let outcome = lictor(&["kv", "put", "a", "-"], "from input", &[("CONSUL_HTTP_ADDR", &server.address)]).await;
    assert_eq!(outcome, ok("Success! Data written to: a\n"));
    assert_eq!(server.requests().await, ["PUT /v1/kv/a from input"]);
}

#[tokio::test]
async fn delete() {
    for (args, reply, sent, expected) in [
        (&["a"][..], "true", "DELETE /v1/kv/a", ok("Success! Deleted key: a\n")),
        (&["-recurse", "/p/"], "true", "DELETE /v1/kv/p/?recurse=", ok("Success! Deleted keys with prefix: p/\n")),
        (&["-recurse"], "true", "DELETE /v1/kv/?recurse=", ok("Success! Deleted keys with prefix: \n")),
        (
            &["-cas", "-modify-index=1", "a"],
            "false",
            "DELETE /v1/kv/a?cas=1",
            failed("Error! Did not delete key a: CAS failed\n"),
        ),
    ] {
        let answer = kv((200, reply), &[&["delete"], args].concat()).await;
        assert_eq!(answer, (expected, sent.to_owned()), "{args:?}");
    }
}

#[tokio::test]
async fn arguments_that_cannot_be() {
    for (args, expected) in [
        (&["get"][..], "Error! Missing KEY argument"),
        (&["get", "a", "b"], "Too many arguments (expected 1, got 2)"),
        (&["get", "a", "-detailed"], "Too many arguments (expected 1, got 2); flags go before the arguments"),
        (&["put"], "Error! Missing KEY argument"),
        (&["put", "a", "b", "c"], "Error! Too many arguments (expected 1 or 2, got 3)"),
        (&["put", "-cas", "a", "b"], "Must specify -modify-index with -cas!"),
        (&["put", "-cas", "-modify-index=0", "a", "b"], "Must specify -modify-index with -cas!"),
        (&["put", "-acquire", "a"], "Error! Missing -session (required with -acquire and -release)"),
        (
            &["put", "-acquire", "-release", "-session=s", "a"],
            "Error! Only one of -cas, -acquire and -release can be given",
        ),
        (&["put", "a", "@/no/such"], "Error! Failed to read file: open /no/such: no such file or directory"),
        (&["put", "-base64", "a", "bad!"], "Error! Cannot base 64 decode data: illegal base64 data at input byte 3"),
        (&["put", "-flags=x", "a"], "invalid value \"x\" for flag -flags: parse error"),
        (&["put", "-flags"], "flag needs an argument: -flags"),
        (&["delete"], "Error! Missing KEY argument"),
        (&["delete", "a", "b"], "Too many arguments (expected 1, got 2)"),
        (&["delete", "-cas", "a"], "Must specify -modify-index with -cas!"),
        (&["delete", "-cas", "-recurse", "-modify-index=1", "a"], "Cannot specify both -cas and -recurse!"),
        (&["delete", "-modify-index=1", "a"], "Cannot specify -modify-index without -cas!"),
        (&["export", "a", "b"], "Too many arguments (expected 1, got 2)"),
        (&["import"], "Error! Missing DATA argument"),
        (&["import", ""], "Error! Empty DATA argument"),
    ] {
        let err = refused(args).await;
        assert!(err.starts_with(&format!("{expected}\n")), "{args:?}: {err}");
    }
}

#[tokio::test]
async fn export() {
    let (outcome, sent) = kv((200, &format!("[{A},{EMPTY}]")), &["export", "a"]).await;
    assert_eq!(sent, "GET /v1/kv/a?recurse=");
    assert_eq!(
        outcome.out,
        "[\n\t{\n\t\t\"key\": \"a/b\",\n\t\t\"flags\": 0,\n\t\t\"value\": \"aGVsbG8=\"\n\t},\n\t{\n\t\t\"key\": \
         \"a/e\",\n\t\t\"flags\": 18446744073709551615,\n\t\t\"value\": \"\"\n\t}\n]\n"
    );
    assert_eq!(kv((404, ""), &["export", "zz"]).await.0, ok("[]\n"));
}

#[tokio::test]
async fn import_stops_at_the_first_fault() {
    let data =
        r#"[{"key":"i/a","flags":7,"value":"aGk="},{"key":"i/b","flags":0,"value":""},{"key":"i/c","value":"a"}]"#;
    let (outcome, sent) = Canned::ask(&[(200, "true"), (200, "true")], &["kv", "import", data]).await;
    assert_eq!(sent, ["PUT /v1/kv/i/a?flags=7 hi", "PUT /v1/kv/i/b"]);
    assert_eq!(
        outcome,
        Outcome::new(
            1,
            "Imported: i/a\nImported: i/b\n",
            "Error base 64 decoding value for key i/c: illegal base64 data at input byte 0\n"
        )
    );
}
