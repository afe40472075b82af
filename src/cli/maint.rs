//! `maint`: takes the node or a service out of service, and back.

use super::client::Client;
use super::console::{Console, Exit};
use super::event::node_name;
use super::flags::{self, Flags};
use clap::{ArgMatches, Command};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Check {
    #[serde(rename = "CheckID")]
    check_id: String,
    #[serde(rename = "ServiceID", default)]
    service_id: String,
    #[serde(rename = "Notes", default)]
    notes: String,
}

pub(super) fn command() -> Command {
    flags::command("maint", "Controls the maintenance mode of the node or a service", "[options]")
        .args(flags::client_flags())
        .args([
            flags::switch("enable", "Begins maintenance."),
            flags::switch("disable", "Ends maintenance."),
            flags::value("reason", "Why, with -enable."),
            flags::value("service", "Id of the service; the whole node by default."),
        ])
}

pub(super) async fn run(flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    let (enable, disable) = (flags.on("enable"), flags.on("disable"));
    let text = |flag: &str| flags.text(flag).unwrap_or_default();
    let (reason, service) = (text("reason"), text("service"));
    if enable && disable {
        return Err(Exit::failed("Only one of -enable or -disable may be provided"));
    }
    if !enable && !reason.is_empty() {
        return Err(Exit::failed("Reason may only be provided with -enable"));
    }
    if !enable && !disable && !service.is_empty() {
        return Err(Exit::failed("Service requires either -enable or -disable"));
    }
    let client = Client::new(flags, console)?;
    if !enable && !disable {
        return list(&client, console).await;
    }
    let (path, what) = if service.is_empty() {
        ("/v1/agent/maintenance".to_owned(), "node")
    } else {
        (format!("/v1/agent/service/maintenance/{service}"), "service")
    };
    let (doing, done) = if enable { ("enabling", "enabled") } else { ("disabling", "disabled") };
    let request = client.put(path).query("enable", enable.to_string());
    let request = if enable { request.query("reason", reason) } else { request };
    request.done().await.map_err(|e| Exit::failed(format!("Error {doing} {what} maintenance: {e}")))?;
    match service {
        "" => console.line(&format!("Node maintenance is now {done}")),
        id => console.line(&format!("Service maintenance is now {done} for {id:?}")),
    }
}

/// What is under maintenance, by the checks that say so.
async fn list(client: &Client, console: &mut Console<'_>) -> Result<(), Exit> {
    let name = node_name(client).await;
    let name = name.map_err(|e| Exit::failed(format!("Error querying Consul agent: {e}")))?;
    let checks: BTreeMap<String, Check> =
        client.get("/v1/agent/checks").fetch().await.map_err(|e| Exit::failed(format!("Error getting checks: {e}")))?;
    for check in checks.into_values() {
        if check.check_id == "_node_maintenance" {
            console.print(&format!("Node:\n  Name:   {name}\n  Reason: {}\n\n", check.notes))?;
        } else if check.check_id.starts_with("_service_maintenance:") {
            console.print(&format!("Service:\n  ID:     {}\n  Reason: {}\n\n", check.service_id, check.notes))?;
        }
    }
    Ok(())
}
