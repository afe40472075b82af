//! `kv get`: one key, or those with a prefix.

use super::{Pair, at_most_one, find, without_slash};
use crate::cli::client::Client;
use crate::cli::console::{Console, Exit};
use crate::cli::flags::Flags;
use crate::cli::table::pairs;
use clap::ArgMatches;

pub(crate) async fn get(flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    let arguments = flags.arguments();
    at_most_one(&arguments, "")?;
    let given = arguments.first().map_or("", String::as_str);
    let key = without_slash(given);
    let (keys, recurse) = (flags.on("keys"), flags.on("recurse"));
    if key.is_empty() && !keys && !recurse {
        return Err(Exit::failed("Error! Missing KEY argument"));
    }
    let client = Client::new(flags, console)?;
    let failed = |e| Exit::failed(format!("Error querying Consul agent: {e}"));
    let request = client.get(format!("/v1/kv/{key}")).stale();
    if keys {
        let request = request.query("keys", "").query("separator", flags.text("separator").unwrap_or_default());
        let found: Option<Vec<String>> = find(request).await.map_err(failed)?.0;
        return found.into_iter().flatten().try_for_each(|key| console.line(&key));
    }
    let request = if recurse { request.query("recurse", "") } else { request };
    let found: Option<Vec<Pair>> = find(request).await.map_err(failed)?.0;
    let found = found.unwrap_or_default();
    if recurse {
        return found.iter().enumerate().try_for_each(|(index, pair)| listed(pair, index, flags, console));
    }
    let Some(pair) = found.first() else {
        return Err(Exit::failed(format!("Error! No key exists at: {key}")));
    };
    if flags.on("detailed") {
        return detailed(pair, flags, console);
    }
    console.bytes(&value(pair, flags)?)?;
    console.print("\n")
}

fn listed(pair: &Pair, index: usize, flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    if flags.on("detailed") {
        if index > 0 {
            console.print("\n")?;
        }
        return detailed(pair, flags, console);
    }
    console.print(&format!("{}:", pair.key))?;
    console.bytes(&value(pair, flags)?)?;
    console.print("\n")
}

fn value(pair: &Pair, flags: &ArgMatches) -> Result<Vec<u8>, Exit> {
    if flags.on("base64") { Ok(pair.encoded().as_bytes().to_vec()) } else { pair.decoded() }
}

fn detailed(pair: &Pair, flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    let session = if pair.session.is_empty() { "-" } else { &pair.session };
    let rows = [
        ("CreateIndex", pair.create_index.to_string()),
        ("Flags", pair.flags.to_string()),
        ("Key", pair.key.clone()),
        ("LockIndex", pair.lock_index.to_string()),
        ("ModifyIndex", pair.modify_index.to_string()),
        ("Session", session.to_owned()),
    ];
    console.print(&pairs(&rows.map(|(name, value)| [name.to_owned(), value])))?;
    // The value may be any bytes, so it does not go through the table.
    let value = value(pair, flags)?;
    console.print(if value.is_empty() { "Value" } else { "Value            " })?;
    console.bytes(&value)?;
    console.print("\n")
}
