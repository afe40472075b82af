//! `kv export` and `kv import`: keys as JSON, in Consul's form.

use super::{Pair, at_most_one, decode, find, without_slash};
use crate::cli::client::Client;
use crate::cli::console::{Console, Exit};
use crate::cli::flags::Flags;
use crate::model::go_json::to_json_indented;
use clap::ArgMatches;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize)]
struct Entry {
    key: String,
    #[serde(default)]
    flags: u64,
    /// In base 64.
    #[serde(default)]
    value: String,
}

pub(crate) async fn export(flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    let arguments = flags.arguments();
    at_most_one(&arguments, "")?;
    let prefix = without_slash(arguments.first().map_or("", String::as_str));
    let client = Client::new(flags, console)?;
    let request = client.get(format!("/v1/kv/{prefix}")).stale().query("recurse", "");
    let (found, _): (Option<Vec<Pair>>, u64) =
        find(request).await.map_err(|e| Exit::failed(format!("Error querying Consul agent: {e}")))?;
    let entries: Vec<Entry> = found
        .into_iter()
        .flatten()
        .map(|p| Entry { key: p.key, flags: p.flags, value: p.value.unwrap_or_default() })
        .collect();
    let json = to_json_indented(&entries, "\t").map_err(|e| Exit::failed(format!("Error exporting KV data: {e}")))?;
    console.bytes(&json)?;
    console.print("\n")
}

pub(crate) async fn import(flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    let arguments = flags.arguments();
    at_most_one(&arguments, "Error! ")?;
    let data = match arguments.first().map(String::as_str) {
        None => return Err(Exit::failed("Error! Missing DATA argument")),
        Some("") => return Err(Exit::failed("Error! Empty DATA argument")),
        Some(argument) => console.data(argument)?,
    };
    let client = Client::new(flags, console)?;
    let entries: Option<Vec<Entry>> =
        serde_json::from_slice(&data).map_err(|e| Exit::failed(format!("Cannot unmarshal data: {e}")))?;
    for entry in entries.into_iter().flatten() {
        let key = &entry.key;
        let value = decode(&entry.value)
            .map_err(|e| Exit::failed(format!("Error base 64 decoding value for key {key}: {e}")))?;
        let failed = |e: String| Exit::failed(format!("Error! Failed writing data for key {key}: {e}"));
        if key.starts_with('/') {
            return Err(failed(format!("Invalid key. Key must not begin with a '/': {key}")));
        }
        let flags = if entry.flags == 0 { String::new() } else { entry.flags.to_string() };
        let done = client.put(format!("/v1/kv/{key}")).query_if("flags", &flags).body(value).accepted().await;
        if !done.map_err(|e| failed(e.to_string()))? {
            return Err(failed("the agent refused it".to_owned()));
        }
        console.line(&format!("Imported: {key}"))?;
    }
    Ok(())
}
