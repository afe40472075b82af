//! `event`: fires a user event.

use super::client::{Client, ClientError};
use super::console::{Console, Exit};
use super::flags::{self, Flags};
use super::members::pattern_of;
use clap::{ArgMatches, Command};
use serde::Deserialize;

#[derive(Deserialize)]
struct Fired {
    #[serde(rename = "ID")]
    id: String,
}

#[derive(Deserialize)]
struct Own {
    #[serde(rename = "Config")]
    config: OwnConfig,
}

#[derive(Deserialize)]
struct OwnConfig {
    #[serde(rename = "NodeName")]
    node_name: String,
}

/// The name of the agent's node. Commands that act ask for it first, as Consul's do, to see that there is an agent.
pub(super) async fn node_name(client: &Client) -> Result<String, ClientError> {
    Ok(client.get("/v1/agent/self").fetch::<Own>().await?.config.node_name)
}

pub(super) fn command() -> Command {
    flags::command("event", "Fires a user event", "[options] [payload]").args(flags::client_flags()).args([
        flags::value("name", "Name of the event."),
        flags::value("node", "Regular expression that the names of receiving nodes must match."),
        flags::value("service", "Regular expression that a service of receiving nodes must match."),
        flags::value("tag", "Regular expression that a tag of that service must match."),
    ])
}

pub(super) async fn run(
    flags: &ArgMatches,
    usage: &(dyn Fn() -> String + Sync),
    console: &mut Console<'_>,
) -> Result<(), Exit> {
    let text = |flag: &str| flags.text(flag).unwrap_or_default();
    let with_usage = |text: &str| Exit::failed(format!("{text}\n\n{}", usage().trim_end()));
    if text("name").is_empty() {
        return Err(with_usage("Event name must be specified"));
    }
    for filter in ["node", "service", "tag"] {
        if let Err(error) = pattern_of(text(filter)) {
            return Err(Exit::failed(format!("Failed to compile {filter} filter regexp: {error}")));
        }
    }
    if !text("tag").is_empty() && text("service").is_empty() {
        return Err(Exit::failed("Cannot provide tag filter without service filter."));
    }
    let arguments = flags.arguments();
    if arguments.len() > 1 {
        return Err(with_usage("Too many command line arguments."));
    }
    let client = Client::new(flags, console)?;
    node_name(&client).await.map_err(|e| Exit::failed(format!("Error querying Consul agent: {e}")))?;
    let mut request = client.put(format!("/v1/event/fire/{}", text("name")));
    for filter in ["node", "service", "tag"] {
        request = request.query_if(filter, text(filter));
    }
    if let Some(payload) = arguments.into_iter().next() {
        request = request.body(payload);
    }
    let fired: Fired = request.fetch().await.map_err(|e| Exit::failed(format!("Error firing event: {e}")))?;
    console.line(&format!("Event ID: {}", fired.id))
}
