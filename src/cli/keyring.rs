//! `keyring`: the keys of gossip encryption, on all nodes.

use super::client::Client;
use super::console::{Console, Exit};
use super::flags::{self, Flags};
use clap::{ArgMatches, Command};
use serde::Deserialize;
use std::collections::BTreeMap;

const PATH: &str = "/v1/operator/keyring";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Ring {
    #[serde(rename = "WAN")]
    wan: bool,
    datacenter: String,
    #[serde(default)]
    segment: String,
    #[serde(default)]
    keys: BTreeMap<String, usize>,
    #[serde(default)]
    primary_keys: BTreeMap<String, usize>,
    num_nodes: usize,
}

impl Ring {
    fn block(&self, keys: &BTreeMap<String, usize>) -> String {
        let pool = match (self.wan, self.segment.as_str()) {
            (true, _) => "WAN".to_owned(),
            (false, "") => format!("{} (LAN)", self.datacenter),
            (false, segment) => format!("{} (LAN) [{segment}]", self.datacenter),
        };
        let lines: String = keys.iter().map(|(key, n)| format!("  {key} [{n}/{}]\n", self.num_nodes)).collect();
        format!("\n{pool}:\n{lines}")
    }
}

pub(super) fn command() -> Command {
    flags::command("keyring", "Shows and changes the keys of gossip encryption", "[options]")
        .args(flags::client_flags())
        .args([
            flags::switch("list", "Shows the keys of all nodes."),
            flags::switch("list-primary", "Shows the keys that nodes encrypt with."),
            flags::value("install", "Makes all nodes accept a key."),
            flags::value("use", "Makes all nodes encrypt with a key that is installed."),
            flags::value("remove", "Makes all nodes forget a key that is not used."),
            flags::integer("relay-factor", "Accepted; nodes are asked directly.").default_value("0"),
            flags::switch("local-only", "With -list: only this node."),
        ])
}

pub(super) async fn run(
    flags: &ArgMatches,
    usage: &(dyn Fn() -> String + Sync),
    console: &mut Console<'_>,
) -> Result<(), Exit> {
    let (list, primary) = (flags.on("list"), flags.on("list-primary"));
    let changes = ["install", "use", "remove"].map(|name| flags.text(name).filter(|key| !key.is_empty()));
    let asked = usize::from(list) + usize::from(primary) + changes.iter().flatten().count();
    if asked != 1 {
        let text = match asked {
            0 => usage(),
            _ => "Only a single action is allowed".to_owned(),
        };
        return Err(Exit::failed(text.trim_end()));
    }
    let factor = flags.get_one::<i64>("relay-factor").copied().unwrap_or(0);
    if !(0..=5).contains(&factor) {
        return Err(Exit::failed("Error parsing relay factor: Relay factor must be in range: [0, 5]"));
    }
    let client = Client::new(flags, console)?;
    if list || primary {
        console.line(match list {
            true => "==> Gathering installed encryption keys...",
            false => "==> Gathering installed primary encryption keys...",
        })?;
        let request = client.get(PATH).query("relay-factor", factor.to_string());
        let request = if flags.on("local-only") { request.query("local-only", "true") } else { request };
        let rings: Vec<Ring> = request.fetch().await.map_err(|e| Exit::failed(format!("error: {e}")))?;
        let text: String = rings.iter().map(|r| r.block(if list { &r.keys } else { &r.primary_keys })).collect();
        return console.print(&text);
    }
    if flags.on("local-only") {
        return Err(Exit::failed("local-only can only be set for list requests"));
    }
    let [install, used, remove] = changes;
    let (words, request, key) = match (install, used, remove) {
        (Some(key), _, _) => ("Installing new gossip encryption key...", client.post(PATH), key),
        (_, Some(key), _) => ("Changing primary gossip encryption key...", client.put(PATH), key),
        (_, _, key) => ("Removing gossip encryption key...", client.delete(PATH), key.unwrap_or_default()),
    };
    console.line(&format!("==> {words}"))?;
    let body = serde_json::json!({ "Key": key }).to_string();
    let request = request.query("relay-factor", factor.to_string()).body(body);
    request.done().await.map_err(|e| Exit::failed(format!("error: {e}")))
}
