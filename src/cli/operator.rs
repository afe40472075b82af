//! `operator raft` and `operator autopilot`: the servers' own cluster.

use super::client::Client;
use super::console::{Console, Exit};
use super::flags::{self, Flags};
use super::table::table;
use crate::config::parse_bool;
use crate::model::duration::{format_duration, parse_duration};
use clap::{ArgMatches, Command};
use serde::{Deserialize, Serialize};

const AUTOPILOT: &str = "/v1/operator/autopilot/configuration";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Peers {
    servers: Vec<Peer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Peer {
    #[serde(rename = "ID")]
    id: String,
    node: String,
    address: String,
    leader: bool,
    voter: bool,
    #[serde(default)]
    protocol_version: String,
}

/// The settings of autopilot, in the order that they are sent in.
#[derive(Default, Deserialize, Serialize)]
#[serde(default, rename_all = "PascalCase")]
struct Autopilot {
    cleanup_dead_servers: bool,
    last_contact_threshold: String,
    max_trailing_logs: u64,
    min_quorum: u64,
    server_stabilization_time: String,
    redundancy_zone_tag: String,
    disable_upgrade_migration: bool,
    upgrade_version_tag: String,
    create_index: u64,
    modify_index: u64,
}

pub(super) fn command() -> Command {
    let raft = flags::group("raft", "Shows and changes which servers vote")
        .subcommand(flags::command("list-peers", "Shows the servers", "[options]").args(flags::server_flags()))
        .subcommand(super::recover::command())
        .subcommand(
            flags::command("remove-peer", "Removes a server that is gone", "[options]")
                .args(flags::server_flags())
                .args([
                    flags::value("address", "Address of the server, host:port."),
                    flags::value("id", "Id of the server."),
                ]),
        )
        .subcommand(
            flags::command("transfer-leader", "Lets another server lead", "[options]")
                .args(flags::server_flags())
                .args([flags::value("id", "Id of that server; by default the one that has most of the log.")]),
        );
    let autopilot = flags::group("autopilot", "Shows and changes how servers are looked after")
        .subcommand(flags::command("get-config", "Shows the settings", "[options]").args(flags::server_flags()))
        .subcommand(
            flags::command("set-config", "Changes settings; those not given stay", "[options]")
                .args(flags::server_flags())
                .args([
                    flags::value("cleanup-dead-servers", "`true`: dead servers are removed when new ones join."),
                    flags::value("disable-upgrade-migration", "`true` or `false`; without effect here."),
                    flags::value(
                        "last-contact-threshold",
                        "How long a healthy server may be without the leader, as `200ms`.",
                    ),
                    flags::value("max-trailing-logs", "How many entries a healthy server may be behind."),
                    flags::value("min-quorum", "How many servers are left at least."),
                    flags::value("redundancy-zone-tag", "Metadata that names a server's zone; without effect here."),
                    flags::value(
                        "server-stabilization-time",
                        "How long a new server is watched before it votes, as `10s`.",
                    ),
                    flags::value("upgrade-version-tag", "Metadata that names a server's version; without effect here."),
                ]),
        );
    flags::group("operator", "Provides tools for the operators of a cluster").subcommand(autopilot).subcommand(raft)
}

fn client(flags: &ArgMatches, console: &Console<'_>) -> Result<Client, Exit> {
    Client::or(flags, console, "Error initializing client")
}

pub(super) async fn list_peers(flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    let request = client(flags, console)?.get("/v1/operator/raft/configuration").stale();
    let peers: Peers = request
        .fetch()
        .await
        .map_err(|e| Exit::failed(format!("Error getting peers: Failed to retrieve raft configuration: {e}")))?;
    let header = ["Node", "ID", "Address", "State", "Voter", "RaftProtocol"].map(str::to_owned).to_vec();
    let rows = peers.servers.into_iter().map(|peer| {
        let state = if peer.leader { "leader" } else { "follower" }.to_owned();
        let protocol = if peer.protocol_version.is_empty() { "<=1".to_owned() } else { peer.protocol_version };
        vec![peer.node, peer.id, peer.address, state, peer.voter.to_string(), protocol]
    });
    let rows: Vec<Vec<String>> = std::iter::once(header).chain(rows).collect();
    console.print(&table(&rows))
}

pub(super) async fn remove_peer(flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    let given = |flag: &str| flags.text(flag).filter(|v| !v.is_empty()).map(str::to_owned);
    let client = client(flags, console)?;
    let (name, value) = match (given("address"), given("id")) {
        (Some(address), None) => ("address", address),
        (None, Some(id)) => ("id", id),
        (None, None) => {
            return Err(Exit::failed("Error removing peer: an address or id is required for the peer to remove"));
        }
        (Some(_), Some(_)) => return Err(Exit::failed("Error removing peer: cannot give both an address and id")),
    };
    let request = client.delete("/v1/operator/raft/peer").query(name, value.as_str());
    request.done().await.map_err(|e| Exit::failed(format!("Error removing peer: {e}")))?;
    console.line(&format!("Removed peer with {name} {value:?}"))
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Transferred {
    success: bool,
}

pub(super) async fn transfer_leader(flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    let request = client(flags, console)?.put("/v1/operator/raft/transfer-leader");
    let request = match flags.text("id").filter(|id| !id.is_empty()) {
        Some(id) => request.query("id", id),
        None => request,
    };
    let done: Transferred =
        request.fetch().await.map_err(|e| Exit::failed(format!("Error transferring leadership: {e}")))?;
    match done.success {
        true => console.line("Success"),
        false => Err(Exit::failed("Error transferring leadership: no other server took over")),
    }
}

async fn settings(client: &Client, stale: bool) -> Result<Autopilot, Exit> {
    let request = client.get(AUTOPILOT);
    let request = if stale { request.stale() } else { request };
    request.fetch().await.map_err(|e| Exit::failed(format!("Error querying Autopilot configuration: {e}")))
}

pub(super) async fn get_config(flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    let config = settings(&client(flags, console)?, true).await?;
    let rows = [
        ("CleanupDeadServers", config.cleanup_dead_servers.to_string()),
        ("LastContactThreshold", config.last_contact_threshold),
        ("MaxTrailingLogs", config.max_trailing_logs.to_string()),
        ("MinQuorum", config.min_quorum.to_string()),
        ("ServerStabilizationTime", config.server_stabilization_time),
        ("RedundancyZoneTag", format!("{:?}", config.redundancy_zone_tag)),
        ("DisableUpgradeMigration", config.disable_upgrade_migration.to_string()),
        ("UpgradeVersionTag", format!("{:?}", config.upgrade_version_tag)),
    ];
    rows.iter().try_for_each(|(name, value)| console.line(&format!("{name} = {value}")))
}

pub(super) async fn set_config(flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    let changes = Changes::read(flags)?;
    let client = client(flags, console)?;
    let mut config = settings(&client, false).await?;
    changes.apply(&mut config);
    let failed = |e| Exit::failed(format!("Error setting Autopilot configuration: {e}"));
    let request = client.put(AUTOPILOT).query("cas", config.modify_index.to_string());
    if !request.json(&config).map_err(failed)?.accepted().await.map_err(failed)? {
        console.line("Configuration could not be atomically updated, please try again")?;
        return Err(Exit::new(1, ""));
    }
    console.line("Configuration updated!")
}

/// The settings that were given.
struct Changes {
    cleanup_dead_servers: Option<bool>,
    last_contact_threshold: Option<String>,
    max_trailing_logs: Option<u64>,
    min_quorum: Option<u64>,
    server_stabilization_time: Option<String>,
    redundancy_zone_tag: Option<String>,
    disable_upgrade_migration: Option<bool>,
    upgrade_version_tag: Option<String>,
}

impl Changes {
    fn read(flags: &ArgMatches) -> Result<Changes, Exit> {
        let text = |name: &str| flags.given(name).then(|| flags.text(name).unwrap_or_default().to_owned());
        fn parsed<T>(
            name: &str,
            text: Option<String>,
            parse: impl Fn(&str) -> Result<T, &'static str>,
        ) -> Result<Option<T>, Exit> {
            let Some(text) = text else { return Ok(None) };
            // What Go calls the function that read it.
            let why = |function: &str| match function {
                "" => format!("time: invalid duration {text:?}"),
                _ => format!("strconv.{function}: parsing {text:?}: invalid syntax"),
            };
            let invalid = |e| Exit::failed(format!("invalid value {text:?} for flag -{name}: {}", why(e)));
            parse(&text).map(Some).map_err(invalid)
        }
        let switch = |name: &str| parsed(name, text(name), |t| parse_bool(t).ok_or("ParseBool"));
        let number = |name: &str| parsed(name, text(name), |t| t.parse().map_err(|_| "ParseUint"));
        let duration =
            |name: &str| parsed(name, text(name), |t| parse_duration(t).map(format_duration).map_err(|_| ""));
        Ok(Changes {
            cleanup_dead_servers: switch("cleanup-dead-servers")?,
            last_contact_threshold: duration("last-contact-threshold")?,
            max_trailing_logs: number("max-trailing-logs")?,
            min_quorum: number("min-quorum")?,
            server_stabilization_time: duration("server-stabilization-time")?,
            redundancy_zone_tag: text("redundancy-zone-tag"),
            disable_upgrade_migration: switch("disable-upgrade-migration")?,
            upgrade_version_tag: text("upgrade-version-tag"),
        })
    }

    fn apply(self, config: &mut Autopilot) {
        fn merge<T>(change: Option<T>, setting: &mut T) {
            if let Some(change) = change {
                *setting = change;
            }
        }
        merge(self.cleanup_dead_servers, &mut config.cleanup_dead_servers);
        merge(self.last_contact_threshold, &mut config.last_contact_threshold);
        merge(self.max_trailing_logs, &mut config.max_trailing_logs);
        merge(self.min_quorum, &mut config.min_quorum);
        merge(self.server_stabilization_time, &mut config.server_stabilization_time);
        merge(self.redundancy_zone_tag, &mut config.redundancy_zone_tag);
        merge(self.disable_upgrade_migration, &mut config.disable_upgrade_migration);
        merge(self.upgrade_version_tag, &mut config.upgrade_version_tag);
    }
}
