//! `kv export` and `kv import`: keys as JSON, in Consul's form.

use super::{Pair, at_most_one, decode, without_slash};
use crate::cli::client::{Client, Query};
use crate::cli::console::{Console, Exit};
use crate::cli::tree::Flags;
use bytes::Bytes;
use clap::ArgMatches;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::ser::{PrettyFormatter, Serializer};

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
    let mut client = Client::new(flags, console)?;
    let found: Option<Vec<Pair>> = client
        .find(&format!("/v1/kv/{prefix}"), vec![("recurse", String::new())])
        .await
        .map_err(|e| Exit::failed(format!("Error querying Consul agent: {e}")))?;
    let entries: Vec<Entry> = found
        .into_iter()
        .flatten()
        .map(|p| Entry { key: p.key, flags: p.flags, value: p.value.unwrap_or_default() })
        .collect();
    let mut json = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut json, PrettyFormatter::with_indent(b"\t"));
    entries.serialize(&mut serializer).map_err(|e| Exit::failed(format!("Error exporting KV data: {e}")))?;
    console.bytes(&json)?;
    console.print("\n")
}

pub(crate) async fn import(flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    let arguments = flags.arguments();
    at_most_one(&arguments, "Error! ")?;
    let Some(argument) = arguments.first().filter(|a| !a.is_empty()) else {
        return Err(Exit::failed("Error! Missing DATA argument"));
    };
    let data = console.data(argument)?;
    let entries: Vec<Entry> =
        serde_json::from_slice(&data).map_err(|e| Exit::failed(format!("Cannot unmarshal data: {e}")))?;
    let mut client = Client::new(flags, console)?;
    for entry in entries {
        let key = &entry.key;
        let value = decode(&entry.value)
            .map_err(|e| Exit::failed(format!("Error base 64 decoding value for key {key}: {e}")))?;
        let mut query: Query<'_> = Vec::new();
        if entry.flags != 0 {
            query.push(("flags", entry.flags.to_string()));
        }
        let failed = |e: String| Exit::failed(format!("Error! Failed writing data for key {key}: {e}"));
        let path = format!("/v1/kv/{}", without_slash(key));
        let done = client.write(Method::PUT, &path, query, Bytes::from(value)).await;
        if !done.map_err(|e| failed(e.to_string()))? {
            return Err(failed("the agent refused it".to_owned()));
        }
        console.line(&format!("Imported: {key}"))?;
    }
    Ok(())
}
