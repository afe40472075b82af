//! Commands about the servers: what they send and print.

use super::{failed, ok};
use crate::cli::canned::{Canned, lictor};

const COORDINATES: &str = r#"[{"Node":"a","Segment":"","Coord":{"Vec":[0,0],"Error":1,"Adjustment":0,"Height":0.001}},
{"Node":"b","Segment":"","Coord":{"Vec":[0.003,0.004],"Error":1,"Adjustment":0,"Height":0.002}}]"#;

#[tokio::test]
async fn round_trip_times() {
    let (outcome, sent) = Canned::ask(&[(200, COORDINATES)], &["rtt", "a", "b"]).await;
    assert_eq!(sent, ["GET /v1/coordinate/nodes"]);
    assert_eq!(outcome, ok("Estimated a <-> b rtt: 8.000 ms (using LAN coordinates)\n"));
    let own = r#"{"Config":{"NodeName":"b","Datacenter":"dc1"}}"#;
    let (outcome, _) = Canned::ask(&[(200, own), (200, COORDINATES)], &["rtt", "a"]).await;
    assert_eq!(outcome, ok("Estimated a <-> b rtt: 8.000 ms (using LAN coordinates)\n"));
    let (outcome, _) = Canned::ask(&[(200, COORDINATES)], &["rtt", "a", "zz"]).await;
    assert_eq!(outcome, failed("Could not find a coordinate for node \"zz\"\n"));
    let wan = format!(
        r#"[{{"Datacenter":"dc1","AreaID":"wan","Coordinates":{COORDINATES}}},{{"Datacenter":"dc2","AreaID":"wan","Coordinates":null}}]"#
    );
    let (outcome, sent) = Canned::ask(&[(200, &wan)], &["rtt", "-wan", "a.dc1", "b.dc1"]).await;
    assert_eq!(sent, ["GET /v1/coordinate/datacenters"]);
    assert_eq!(outcome, ok("Estimated a.dc1 <-> b.dc1 rtt: 8.000 ms (using WAN coordinates)\n"));
}

#[tokio::test]
async fn peers() {
    let body = r#"{"Servers":[{"ID":"1","Node":"s1","Address":"1.1.1.1:8300","Leader":true,"Voter":true,"ProtocolVersion":"3"},
        {"ID":"2","Node":"(unknown)","Address":"1.1.1.2:8300","Leader":false,"Voter":false,"ProtocolVersion":""}],"Index":1}"#;
    let (outcome, sent) = Canned::ask(&[(200, body)], &["operator", "raft", "list-peers", "-stale"]).await;
    assert_eq!(sent, ["GET /v1/operator/raft/configuration?stale="]);
    assert_eq!(
        outcome,
        ok("Node       ID  Address       State     Voter  RaftProtocol\n\
            s1         1   1.1.1.1:8300  leader    true   3\n\
            (unknown)  2   1.1.1.2:8300  follower  false  <=1\n")
    );
    let args = ["operator", "raft", "remove-peer", "-address=1.1.1.2:8300"];
    let (outcome, sent) = Canned::ask(&[(200, "")], &args).await;
    assert_eq!(sent, ["DELETE /v1/operator/raft/peer?address=1.1.1.2%3A8300"]);
    assert_eq!(outcome, ok("Removed peer with address \"1.1.1.2:8300\"\n"));
}

const AUTOPILOT: &str = r#"{"CleanupDeadServers":true,"LastContactThreshold":"200ms","MaxTrailingLogs":250,"MinQuorum":0,
"ServerStabilizationTime":"10s","RedundancyZoneTag":"","DisableUpgradeMigration":false,"UpgradeVersionTag":"","CreateIndex":4,"ModifyIndex":7}"#;

#[tokio::test]
async fn autopilot() {
    let (outcome, _) = Canned::ask(&[(200, AUTOPILOT)], &["operator", "autopilot", "get-config"]).await;
    assert!(outcome.out.starts_with("CleanupDeadServers = true\nLastContactThreshold = 200ms\n"), "{}", outcome.out);
    let set = ["operator", "autopilot", "set-config", "-min-quorum=3", "-server-stabilization-time=90s"];
    let (outcome, sent) = Canned::ask(&[(200, AUTOPILOT), (200, "true")], &set).await;
    let body = r#"{"CleanupDeadServers":true,"LastContactThreshold":"200ms","MaxTrailingLogs":250,"MinQuorum":3,"ServerStabilizationTime":"1m30s","RedundancyZoneTag":"","DisableUpgradeMigration":false,"UpgradeVersionTag":"","CreateIndex":4,"ModifyIndex":7}"#;
    assert_eq!(sent[1], format!("PUT /v1/operator/autopilot/configuration?cas=7 {body}\n"));
    assert_eq!(outcome, ok("Configuration updated!\n"));
    let (outcome, _) = Canned::ask(&[(200, AUTOPILOT), (200, "false")], &set).await;
    assert_eq!(outcome.code, 1);
    assert!(outcome.out.starts_with("Configuration could not be atomically updated"), "{outcome:?}");
    let bad = lictor(&["operator", "autopilot", "set-config", "-min-quorum=x"], "", &[]).await;
    assert_eq!(
        bad,
        failed("invalid value \"x\" for flag -min-quorum: strconv.ParseUint: parsing \"x\": invalid syntax\n")
    );
}

#[tokio::test]
async fn a_snapshot_that_is_damaged_is_not_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("a.snap");
    let file = file.to_str().expect("UTF-8");
    let (outcome, sent) = Canned::ask(&[(200, "this is no archive")], &["snapshot", "save", "-stale", file]).await;
    assert_eq!(sent, ["GET /v1/snapshot?stale="]);
    let why = "Error verifying snapshot file: failed to decompress snapshot: gzip: invalid header\n";
    assert_eq!(outcome, failed(why));
    assert_eq!(dir.path().read_dir().expect("readable").count(), 0);
    std::fs::write(file, "x").expect("written");
    let outcome = lictor(&["snapshot", "inspect", file], "", &[]).await;
    assert_eq!(outcome, failed("Error verifying snapshot: failed to decompress snapshot: unexpected EOF\n"));
}
