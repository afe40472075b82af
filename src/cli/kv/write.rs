//! `kv put` and `kv delete`: writes, with check-and-set and locks.

use super::{at_most_one, decode, hint, without_slash};
use crate::cli::client::Client;
use crate::cli::console::{Console, Exit};
use crate::cli::flags::Flags;
use clap::ArgMatches;

/// What kind of write a `put` is, which decides its parameter and its words.
enum Write {
    Plain,
    CheckAndSet,
    Acquire,
    Release,
}

pub(crate) async fn put(flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    let arguments = flags.arguments();
    let key = match arguments.len() {
        0 => return Err(Exit::failed("Error! Missing KEY argument")),
        1 | 2 => arguments[0].as_str(),
        n => {
            let hint = hint(&arguments);
            return Err(Exit::failed(format!("Error! Too many arguments (expected 1 or 2, got {n}){hint}")));
        }
    };
    let data = match arguments.get(1) {
        Some(argument) => console.data(argument)?,
        None => Vec::new(),
    };
    let data = if flags.on("base64") { decoded(&data)? } else { data };
    let write = kind(flags)?;
    let client = Client::new(flags, console)?;
    if key.starts_with('/') {
        let text = format!("Error! Failed writing data: Invalid key. Key must not begin with a '/': {key}");
        return Err(Exit::failed(text));
    }
    let number = if flags.number("flags") == 0 { String::new() } else { flags.number("flags").to_string() };
    let request = client.put(format!("/v1/kv/{key}")).query_if("flags", &number).body(data);
    let session = flags.text("session").unwrap_or_default();
    let request = match write {
        Write::Plain => request,
        Write::CheckAndSet => request.query("cas", flags.number("modify-index").to_string()),
        Write::Acquire => request.query("acquire", session),
        Write::Release => request.query("release", session),
    };
    let done = request.accepted().await.map_err(|e| match write {
        Write::CheckAndSet => Exit::failed(format!("Error! Did not write to {key}: {e}")),
        Write::Plain | Write::Acquire | Write::Release => Exit::failed(format!("Error! Failed writing data: {e}")),
    })?;
    match (done, write) {
        (true, Write::Plain | Write::CheckAndSet) => console.line(&format!("Success! Data written to: {key}")),
        (true, Write::Acquire) => console.line(&format!("Success! Lock acquired on: {key}")),
        (true, Write::Release) => console.line(&format!("Success! Lock released on: {key}")),
        (false, Write::CheckAndSet) => Err(Exit::failed(format!("Error! Did not write to {key}: CAS failed"))),
        (false, Write::Plain) => Err(Exit::failed(format!("Error! Did not write to {key}"))),
        (false, Write::Acquire) => Err(Exit::failed("Error! Did not acquire lock")),
        (false, Write::Release) => Err(Exit::failed("Error! Did not release lock")),
    }
}

fn kind(flags: &ArgMatches) -> Result<Write, Exit> {
    let (cas, acquire, release) = (flags.on("cas"), flags.on("acquire"), flags.on("release"));
    if cas && flags.number("modify-index") == 0 {
        return Err(Exit::failed("Must specify -modify-index with -cas!"));
    }
    if (acquire || release) && flags.text("session").is_none_or(str::is_empty) {
        return Err(Exit::failed("Error! Missing -session (required with -acquire and -release)"));
    }
    match (cas, acquire, release) {
        (false, false, false) => Ok(Write::Plain),
        (true, false, false) => Ok(Write::CheckAndSet),
        (false, true, false) => Ok(Write::Acquire),
        (false, false, true) => Ok(Write::Release),
        _ => Err(Exit::failed("Error! Only one of -cas, -acquire and -release can be given")),
    }
}

/// Unlike Consul, data that is not base 64 is not written at all.
fn decoded(data: &[u8]) -> Result<Vec<u8>, Exit> {
    let failed = |e: String| Exit::failed(format!("Error! Cannot base 64 decode data: {e}"));
    let text = std::str::from_utf8(data).map_err(|e| failed(e.to_string()))?;
    // Files and pipes end in a line end, which is not part of the data.
    decode(text.trim_end_matches(['\r', '\n'])).map_err(failed)
}

pub(crate) async fn delete(flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    let arguments = flags.arguments();
    at_most_one(&arguments, "")?;
    let key = without_slash(arguments.first().map_or("", String::as_str));
    let (recurse, cas, index) = (flags.on("recurse"), flags.on("cas"), flags.number("modify-index"));
    let refuse = |text: &str| Err(Exit::failed(text));
    if key.is_empty() && !recurse {
        return refuse("Error! Missing KEY argument");
    }
    match (cas, index) {
        (true, 0) => return refuse("Must specify -modify-index with -cas!"),
        (true, _) if recurse => return refuse("Cannot specify both -cas and -recurse!"),
        (false, 1..) => return refuse("Cannot specify -modify-index without -cas!"),
        _ => {}
    }
    // Consul's words for a failed request differ from those for a refusal.
    let (what, failing) =
        if recurse { ("prefix", "Error! Did not delete prefix") } else { ("key", "Error deleting key") };
    let request = Client::new(flags, console)?.delete(format!("/v1/kv/{key}"));
    let request = match (recurse, cas) {
        (true, _) => request.query("recurse", ""),
        (false, true) => request.query("cas", index.to_string()),
        (false, false) => request,
    };
    let done = request.accepted().await.map_err(|e| Exit::failed(format!("{failing} {key}: {e}")))?;
    match (done, recurse) {
        (true, false) => console.line(&format!("Success! Deleted key: {key}")),
        (true, true) => console.line(&format!("Success! Deleted keys with prefix: {key}")),
        (false, _) if cas => Err(Exit::failed(format!("Error! Did not delete key {key}: CAS failed"))),
        (false, _) => Err(Exit::failed(format!("Error! Did not delete {what} {key}"))),
    }
}
