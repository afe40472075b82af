//! The loop: ask, wait for a change, hand it over.

use super::document::Document;
use crate::cli::child::{program, start};
use crate::cli::client::{Client, ClientError};
use crate::cli::console::{Console, Exit};
use crate::cli::event::node_name;
use crate::cli::flags::{self, Flags};
use crate::cli::signals::Shutdown;
use crate::config::{Params, Watch, WatchTarget, parse_bool};
use crate::model::go_json::{to_json, to_json_indented};
use clap::{ArgMatches, Command};
use serde_json::{Map, Value};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// The first pause after a failed request; the n-th in a row is n² times as long.
const RETRY: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_secs(180);

pub(in crate::cli) fn command() -> Command {
    flags::command("watch", "Watches for changes", "[options] [child...]").args(flags::server_flags()).args([
        flags::value("type", "What to watch: key, keyprefix, services, nodes, service, checks or event."),
        flags::value("key", "Key to watch, for `key`."),
        flags::value("prefix", "Prefix of the keys to watch, for `keyprefix`."),
        flags::value("service", "Service to watch, for `service`; also for `checks`."),
        flags::many("tag", "Tag that instances must have, for `service`. May be repeated."),
        flags::value("passingonly", "`true` leaves out instances whose checks do not pass, for `service`."),
        flags::value("state", "State of the checks to watch, for `checks`."),
        flags::value("name", "Name of the event, for `event`."),
        flags::switch("shell", "Runs the child through the shell of SHELL, or /bin/sh; true by default.")
            .default_value("true"),
    ])
}

pub(in crate::cli) async fn run(
    flags: &ArgMatches,
    usage: &(dyn Fn() -> String + Sync),
    console: &mut Console<'_>,
) -> Result<(), Exit> {
    if flags.text("type").is_none_or(str::is_empty) {
        return Err(Exit::failed(format!("Watch type must be specified\n\n{}", usage().trim_end())));
    }
    // Signals count from here on, so that none falls between two requests.
    let mut shutdown = Shutdown::new().map_err(|e| Exit::failed(format!("Error watching for signals: {e}")))?;
    let client = Client::new(flags, console)?;
    let watch = parse(parameters(flags)?).map_err(Exit::failed)?;
    follow(&watch, &client, flags, &mut shutdown, console).await
}

/// The flags that were given, as the parameters of a watch.
fn parameters(flags: &ArgMatches) -> Result<Map<String, Value>, Exit> {
    let mut params = Map::new();
    for name in ["type", "key", "prefix", "service", "state", "name"] {
        if let Some(text) = flags.text(name).filter(|t| !t.is_empty()) {
            params.insert(name.to_owned(), Value::from(text));
        }
    }
    if !flags.all("tag").is_empty() {
        params.insert("tag".to_owned(), Value::from(flags.all("tag")));
    }
    if flags.on("stale") {
        params.insert("stale".to_owned(), Value::Bool(true));
    }
    if let Some(text) = flags.text("passingonly").filter(|t| !t.is_empty()) {
        let on = parse_bool(text).ok_or_else(|| {
            let why = format!("strconv.ParseBool: parsing {text:?}: invalid syntax");
            Exit::failed(format!("Failed to parse passingonly flag: {why}"))
        })?;
        params.insert("passingonly".to_owned(), Value::Bool(on));
    }
    Ok(params)
}

/// Checks parameters; the error is the first thing that is wrong, in Consul's words.
pub(super) fn parse(params: Map<String, Value>) -> Result<Watch, String> {
    let mut params = Params::new(params);
    let type_name = params.text("type")?;
    if type_name.starts_with("connect_") || type_name.starts_with("agent_") {
        return Err(format!("Type {type_name} is not supported in the CLI tool"));
    }
    let watch = Watch::take(&type_name, &mut params)?;
    params.end().map(|()| watch)
}

async fn follow(
    watch: &Watch,
    client: &Client,
    flags: &ArgMatches,
    shutdown: &mut Shutdown,
    console: &mut Console<'_>,
) -> Result<(), Exit> {
    let querying = |e: ClientError| Exit::failed(format!("Error querying Consul agent: {e}"));
    node_name(client).await.map_err(querying)?;
    let child = flags.arguments();
    let (mut index, mut failures) = (0, 0);
    let mut seen: Option<Document> = None;
    loop {
        // Being told to stop is no failure.
        let asked = tokio::select! {
            asked = ask(watch, client, index) => asked,
            _ = shutdown.asked() => return Ok(()),
        };
        let (found, answered) = match asked {
            Ok(found) => found,
            Err(error) => {
                failures += 1;
                let pause = RETRY.saturating_mul(failures * failures).min(RETRY_MAX);
                console.warn(&format!(
                    "[ERROR] watch: Watch errored: error={:?} retry={}s",
                    error.to_string(),
                    pause.as_secs()
                ));
                index = 0;
                tokio::select! {
                    () = tokio::time::sleep(pause) => continue,
                    _ = shutdown.asked() => return Ok(()),
                }
            }
        };
        failures = 0;
        let unchanged = index == answered && seen.is_some();
        index = answered;
        if unchanged || seen.as_ref() == Some(&found) {
            continue;
        }
        if child.is_empty() {
            let json = to_json_indented(&found, "    ");
            console.bytes(&json.map_err(|e| Exit::failed(format!("Error encoding output: {e}")))?)?;
            return console.print("\n");
        }
        handle(&found, answered, &child, flags.on("shell"), shutdown, console).await?;
        seen = Some(found);
    }
}

/// One request; waits for a change after `index`.
async fn ask(watch: &Watch, client: &Client, index: u64) -> Result<(Document, u64), ClientError> {
    let (path, query) = watch.request();
    let request = query.into_iter().fold(client.get(path), |request, (name, value)| request.query(name, value));
    let request = if index == 0 { request } else { request.query("index", index.to_string()) };
    let reply = request.send().await?;
    let answered = reply.index;
    let absent = reply.code == 404 && matches!(watch.target, WatchTarget::Key(_) | WatchTarget::KeyPrefix(_));
    if reply.code != 200 && !absent {
        return Err(reply.into_error().await);
    }
    let body = reply.bytes().await?;
    let found = Document::read(&watch.target, if absent { None } else { Some(&body) })?;
    Ok((found.only_after(index), answered))
}

/// Runs the child with the document on its standard input, to its end.
async fn handle(
    found: &Document,
    index: u64,
    child: &[String],
    shell: bool,
    shutdown: &mut Shutdown,
    console: &mut Console<'_>,
) -> Result<(), Exit> {
    let mut input = to_json(found).map_err(|e| Exit::failed(format!("Error encoding output: {e}")))?;
    input.push(b'\n');
    console.flush()?;
    let mut command = program(child, shell, console);
    command.env("CONSUL_INDEX", index.to_string());
    let failed = |doing: &str, e: String| Exit::failed(format!("Error {doing} handler: {e}"));
    let mut running = start(&mut command, Stdio::piped()).map_err(|e| failed("starting", e))?;
    if let Some(mut pipe) = running.input() {
        // A child that does not read its input is fine.
        let _ = pipe.write_all(&input).await;
    }
    tokio::select! {
        ended = running.ended() => ended.map_err(|e| failed("executing", e)),
        signal = shutdown.asked() => {
            // The child gets it too, and ends in its own time.
            let _ = running.signal(signal);
            Err(Exit::new(0, ""))
        }
    }
}
