//! /v1/operator: the servers and autopilot's configuration. Their health and the keyring are elsewhere.

use crate::http::call::Call;
use crate::http::error::Error;
use crate::http::json::{Object, format_duration};
use crate::http::reply::Answer;
use crate::model::{Autopilot, Text, names};
use crate::service::PeerName;
use http::{Method, StatusCode};

#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration {
    servers: Vec<Server>,
    index: u64,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct Server {
    #[serde(rename = "ID")]
    id: String,
    node: String,
    address: String,
    leader: bool,
    protocol_version: &'static str,
    voter: bool,
}

/// GET operator/raft/configuration
pub(super) async fn raft_configuration(call: Call) -> Result<Answer, Error> {
    call.quiet_read()?;
    let server = |peer: crate::service::Peer| Server {
        id: peer.id,
        node: peer.name,
        address: peer.address,
        leader: peer.leader,
        protocol_version: "3",
        voter: peer.voter,
    };
    let servers = call.core.peers().into_iter().map(server).collect();
    Answer::json(&Configuration { servers, index: 0 }, call.layout())
}

/// DELETE operator/raft/peer
pub(super) async fn raft_peer(call: Call) -> Result<Answer, Error> {
    let name = match (call.query.get("id"), call.query.get("address")) {
        (Some(_), Some(_)) => return Err(Error::bad_request("Bad request: Must specify only one of ?id or ?address")),
        (Some(id), None) => PeerName::Id(id.to_owned()),
        (None, Some(address)) => PeerName::Address(address.to_owned()),
        (None, None) => {
            return Err(Error::bad_request(
                "Bad request: Must specify either ?id with the server's ID or ?address with IP:port of peer to remove",
            ));
        }
    };
    call.check_place()?;
    call.core.remove_peer(&name).await?;
    Ok(Answer::empty(StatusCode::OK))
}

#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct AutopilotShape<'a> {
    cleanup_dead_servers: bool,
    last_contact_threshold: String,
    max_trailing_logs: u64,
    min_quorum: u64,
    server_stabilization_time: String,
    redundancy_zone_tag: &'a str,
    disable_upgrade_migration: bool,
    upgrade_version_tag: &'a str,
    create_index: u64,
    modify_index: u64,
}

/// /v1/operator/autopilot/configuration
pub(super) async fn autopilot_configuration(call: Call) -> Result<Answer, Error> {
    if call.method == Method::PUT {
        return set_autopilot(call).await;
    }
    let read = call.quiet_read()?;
    let view = call.core.view(&read.mode.options()).await?;
    let autopilot = view.state.autopilot().map_or_else(Autopilot::default, |a| (**a).clone());
    let shape = AutopilotShape {
        cleanup_dead_servers: autopilot.cleanup_dead_servers,
        last_contact_threshold: format_duration(autopilot.last_contact_threshold_ns),
        max_trailing_logs: autopilot.max_trailing_logs,
        min_quorum: autopilot.min_quorum,
        server_stabilization_time: format_duration(autopilot.server_stabilization_time_ns),
        redundancy_zone_tag: &autopilot.redundancy_zone_tag,
        disable_upgrade_migration: autopilot.disable_upgrade_migration,
        upgrade_version_tag: &autopilot.upgrade_version_tag,
        create_index: autopilot.create_revision,
        modify_index: autopilot.modify_revision,
    };
    Answer::json(&shape, call.layout())
}

async fn set_autopilot(mut call: Call) -> Result<Answer, Error> {
    call.check_place()?;
    let text = call.text().await?;
    let unreadable = |e| Error::bad_request(format!("Bad request: Error parsing autopilot config: {e}"));
    let autopilot = Object::parse(&text, "AutopilotConfiguration", "api.AutopilotConfiguration")
        .and_then(|body| {
            Ok(Autopilot {
                cleanup_dead_servers: body.boolean("CleanupDeadServers")?,
                last_contact_threshold_ns: body.duration("LastContactThreshold")?,
                max_trailing_logs: body.unsigned("MaxTrailingLogs")?,
                min_quorum: body.unsigned("MinQuorum")?,
                server_stabilization_time_ns: body.duration("ServerStabilizationTime")?,
                redundancy_zone_tag: body.text("RedundancyZoneTag")?.into(),
                disable_upgrade_migration: body.boolean("DisableUpgradeMigration")?,
                upgrade_version_tag: body.text("UpgradeVersionTag")?.into(),
                ..Autopilot::default()
            })
        })
        .map_err(unreadable)?;
    let tags: [(&'static str, &Text); 2] =
        [("RedundancyZoneTag", &autopilot.redundancy_zone_tag), ("UpgradeVersionTag", &autopilot.upgrade_version_tag)];
    for (field, tag) in tags {
        names::optional_name(field, tag).map_err(crate::service::Error::from)?;
    }
    let expected_revision = match call.query.get("cas").filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| {
            let reason = format!("strconv.ParseUint: parsing {text:?}: invalid syntax");
            Error::bad_request(format!("Bad request: Error parsing cas value: {reason}"))
        })?),
    };
    let done = call.core.set_autopilot(autopilot, expected_revision).await?.value;
    Answer::json(&done, call.layout())
}

#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct Transferred {
    success: bool,
}

/// PUT operator/raft/transfer-leader
pub(super) async fn transfer_leader(call: Call) -> Result<Answer, Error> {
    call.check_place()?;
    call.core.transfer_leader(call.query.get("id").filter(|id| !id.is_empty())).await?;
    Answer::json(&Transferred { success: true }, call.layout())
}
