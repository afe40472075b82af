//! `info`: what an agent counts and knows of itself.

use super::client::Client;
use super::console::{Console, Exit};
use super::flags;
use clap::{ArgMatches, Command};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Own {
    stats: Option<BTreeMap<String, BTreeMap<String, Value>>>,
}

pub(super) fn command() -> Command {
    flags::command("info", "Provides debugging information for operators", "[options]").args(flags::client_flags())
}

pub(super) async fn run(flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    let request = Client::new(flags, console)?.get("/v1/agent/self");
    let own: Own = request.fetch().await.map_err(|e| Exit::failed(format!("Error querying agent: {e}")))?;
    let Some(stats) = own.stats else {
        return Err(Exit::failed("Agent response did not contain 'Stats' key"));
    };
    for (section, values) in stats {
        console.line(&format!("{section}:"))?;
        for (name, value) in values {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            console.line(&format!("\t{name} = {value}"))?;
        }
    }
    Ok(())
}
