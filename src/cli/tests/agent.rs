//! Commands about the agent: what they send and print.

use super::{failed, ok};
use crate::cli::canned::{Canned, Outcome};

const SELF: &str = r#"{"Config":{"NodeName":"n1","Datacenter":"dc1","Version":"1"},"DebugConfig":{"EnableDebug":false},
"Stats":{"raft":{"state":"Leader","term":"2"},"agent":{"check_ttls":"0"}}}"#;

#[tokio::test]
async fn info_is_sorted() {
    let (outcome, sent) = Canned::ask(&[(200, SELF)], &["info"]).await;
    assert_eq!(sent, ["GET /v1/agent/self"]);
    assert_eq!(outcome, ok("agent:\n\tcheck_ttls = 0\nraft:\n\tstate = Leader\n\tterm = 2\n"));
    let (outcome, _) = Canned::ask(&[(200, "{}")], &["info"]).await;
    assert_eq!(outcome, failed("Agent response did not contain 'Stats' key\n"));
}

#[tokio::test]
async fn join_counts_those_that_answered() {
    let (outcome, sent) = Canned::ask(&[(500, "no"), (200, "")], &["join", "-wan", "a:1", "b"]).await;
    assert_eq!(sent, ["PUT /v1/agent/join/a:1?wan=1", "PUT /v1/agent/join/b?wan=1"]);
    let expected = Outcome::new(
        0,
        "Successfully joined cluster by contacting 1 nodes.\n",
        "Error joining address 'a:1': Unexpected response code: 500 (no)\n",
    );
    assert_eq!(outcome, expected);
    let (outcome, _) = Canned::ask(&[(500, "no")], &["join", "a"]).await;
    assert_eq!((outcome.code, outcome.err.ends_with("\nFailed to join any nodes.\n")), (1, true));
}

#[tokio::test]
async fn leave_force_leave_and_reload() {
    for (args, request, printed) in [
        (&["leave"][..], "PUT /v1/agent/leave", "Graceful leave complete\n"),
        (&["force-leave", "n2"], "PUT /v1/agent/force-leave/n2", ""),
        (&["force-leave", "-prune", "n2"], "PUT /v1/agent/force-leave/n2?prune=1", ""),
        (&["reload"], "PUT /v1/agent/reload", "Configuration reload triggered\n"),
    ] {
        let (outcome, sent) = Canned::ask(&[(200, "")], args).await;
        assert_eq!((outcome, sent), (ok(printed), vec![request.to_owned()]));
    }
}

#[tokio::test]
async fn maintenance() {
    for (args, request, printed) in [
        (
            &["-enable", "-reason=a b"][..],
            "PUT /v1/agent/maintenance?enable=true&reason=a%20b",
            "Node maintenance is now enabled\n",
        ),
        (&["-disable"], "PUT /v1/agent/maintenance?enable=false", "Node maintenance is now disabled\n"),
        (
            &["-enable", "-service=w1"],
            "PUT /v1/agent/service/maintenance/w1?enable=true&reason=",
            "Service maintenance is now enabled for \"w1\"\n",
        ),
    ] {
        let (outcome, sent) = Canned::ask(&[(200, "")], &[&["maint"], args].concat()).await;
        assert_eq!((outcome, sent), (ok(printed), vec![request.to_owned()]));
    }
    let checks = r#"{"_node_maintenance":{"CheckID":"_node_maintenance","Notes":"why"},"x":{"CheckID":"x"},
        "_service_maintenance:w1":{"CheckID":"_service_maintenance:w1","ServiceID":"w1","Notes":""}}"#;
    let (outcome, sent) = Canned::ask(&[(200, SELF), (200, checks)], &["maint"]).await;
    assert_eq!(sent, ["GET /v1/agent/self", "GET /v1/agent/checks"]);
    let expected = "Node:\n  Name:   n1\n  Reason: why\n\nService:\n  ID:     w1\n  Reason: \n\n";
    assert_eq!(outcome, ok(expected));
}

#[tokio::test]
async fn events() {
    let args = ["event", "-name=deploy", "-node=^n", "-service=web", "-tag=a", "payload"];
    let (outcome, sent) = Canned::ask(&[(200, SELF), (200, r#"{"ID":"i"}"#)], &args).await;
    assert_eq!(sent, ["GET /v1/agent/self", "PUT /v1/event/fire/deploy?node=%5En&service=web&tag=a payload"]);
    assert_eq!(outcome, ok("Event ID: i\n"));
}

#[tokio::test]
async fn services() {
    let args = [
        "services",
        "register",
        "-name=web",
        "-id=w1",
        "-port=80",
        "-tag=a",
        "-tag=b",
        "-meta=k=v",
        "-tagged-address",
        "lan=[::1]:81",
    ];
    let (outcome, sent) = Canned::ask(&[(200, "")], &args).await;
    let body = r#"{"ID":"w1","Name":"web","Tags":["a","b"],"Port":80,"TaggedAddresses":{"lan":{"Address":"::1","Port":81}},"Meta":{"k":"v"},"Check":null,"Checks":null}"#;
    assert_eq!(sent, [format!("PUT /v1/agent/service/register {body}\n")]);
    assert_eq!(outcome, ok("Registered service: web\n"));
    let (outcome, sent) = Canned::ask(&[(200, "")], &["services", "deregister", "-id=w1"]).await;
    assert_eq!(
        (outcome, sent),
        (ok("Deregistered service: w1\n"), vec!["PUT /v1/agent/service/deregister/w1".to_owned()])
    );
}

#[tokio::test]
async fn the_log_is_printed_until_it_ends() {
    let args = ["monitor", "-log-level=debug", "-log-json"];
    let (outcome, sent) = Canned::ask(&[(200, "a line\nanother\n")], &args).await;
    assert_eq!(sent, ["GET /v1/agent/monitor?logjson=true&loglevel=debug"]);
    assert_eq!(outcome.code, 1);
    assert!(outcome.out.starts_with("a line\nanother\n\nRemote side ended the monitor! "), "{}", outcome.out);
    let (outcome, _) = Canned::ask(&[(400, "Unknown log level")], &["monitor"]).await;
    assert_eq!(outcome, failed("Error starting monitor: Unexpected response code: 400 (Unknown log level)\n"));
}

#[tokio::test]
async fn watch_without_a_child_prints_one_document() {
    let nodes = r#"[{"ID":"","Node":"n<1>","Address":"1.1.1.1","Datacenter":"dc1","TaggedAddresses":null,"Meta":{}}]"#;
    let args = ["watch", "-type=nodes", "-stale", "-datacenter=dc1"];
    let (outcome, sent) = Canned::ask(&[(200, SELF), (200, nodes)], &args).await;
    assert_eq!(sent, ["GET /v1/agent/self?dc=dc1", "GET /v1/catalog/nodes?dc=dc1&stale="]);
    assert!(outcome.out.starts_with("[\n    {\n        \"ID\": \"\",\n        \"Node\": \"n\\u003c1\\u003e\",\n"));
    assert!(outcome.out.ends_with("\"ModifyIndex\": 0\n    }\n]\n"), "{}", outcome.out);
}

#[tokio::test]
async fn debug_refuses_what_it_cannot_capture() {
    let dir = tempfile::tempdir().expect("a directory");
    let output = format!("-output={}", dir.path().display());
    for (args, expected) in [
        (vec!["-capture=bogus"], "target not found: bogus"),
        (vec!["-capture=host", output.as_str()], "output directory already exists: "),
    ] {
        let (outcome, sent) = Canned::ask(&[(200, SELF)], &[&["debug"], &args[..]].concat()).await;
        assert_eq!(sent, ["GET /v1/agent/self"]);
        assert!(outcome.err.starts_with(&format!("==> Capture validation failed: {expected}")), "{outcome:?}");
    }
}

#[tokio::test]
async fn debug_packs_what_does_not_change() {
    let dir = tempfile::tempdir().expect("a directory");
    let output = dir.path().join("capture");
    let flag = format!("-output={}", output.display());
    let args = ["debug", "-capture=host", "-capture=cluster", &flag];
    let (outcome, sent) = Canned::ask(&[(200, SELF), (200, r#"{"CPU":1}"#), (200, "[]")], &args).await;
    assert_eq!(sent[1..], ["GET /v1/agent/host", "GET /v1/agent/members?wan=1"]);
    assert_eq!((outcome.code, outcome.err.as_str()), (0, ""));
    assert!(outcome.out.contains("          Interval: '30s'\n          Duration: '2m0s'\n"), "{}", outcome.out);
    assert!(dir.path().join("capture.tar.gz").is_file() && !output.exists());
}
