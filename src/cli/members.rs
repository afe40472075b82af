//! `members`: who is in the cluster.

use super::client::Client;
use super::console::{Console, Exit};
use super::flags::{self, Flags};
use super::table::table;
use clap::{ArgMatches, Command};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Its flags and help.
pub(super) fn command() -> Command {
    flags::command("members", "Lists the members of a cluster", "[options]").args(flags::client_flags()).args([
        flags::switch("detailed", "Shows the tags of each member."),
        flags::switch("wan", "Shows the members of the pool between datacenters."),
        flags::value("status", "Regular expression that the status must match.").default_value(".*"),
        flags::value("segment", "Network segment; there is only the default one.").default_value("_all"),
    ])
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Member {
    name: String,
    addr: String,
    port: u16,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    status: u8,
    protocol_cur: u8,
}

impl Member {
    fn status(&self) -> &'static str {
        match self.status {
            0 => "none",
            1 => "alive",
            2 => "leaving",
            3 => "left",
            4 => "failed",
            _ => "unknown",
        }
    }

    fn tag(&self, name: &str) -> &str {
        self.tags.get(name).map_or("", String::as_str)
    }

    fn is_server(&self) -> bool {
        self.tag("role") == "consul"
    }

    /// Servers are in all segments; of clients, no name means the default one.
    fn segment(&self) -> &str {
        match self.tag("segment") {
            "" if self.is_server() => "<all>",
            "" => "<default>",
            named => named,
        }
    }

    fn address(&self) -> String {
        // As Go joins host and port: an IPv6 address in brackets.
        if self.addr.contains(':') {
            format!("[{}]:{}", self.addr, self.port)
        } else {
            format!("{}:{}", self.addr, self.port)
        }
    }

    fn row(&self) -> Vec<String> {
        let build = self.tag("build").split(':').next().unwrap_or_default();
        let kind = match self.tag("role") {
            "consul" => "server",
            "node" => "client",
            _ => "unknown",
        };
        let cells = [
            &self.name,
            &self.address(),
            self.status(),
            kind,
            or_unknown(build),
            &self.protocol_cur.to_string(),
            self.tag("dc"),
            self.segment(),
        ];
        cells.map(str::to_owned).to_vec()
    }

    fn detailed(&self) -> Vec<String> {
        let mut tags = self.tags.clone();
        tags.insert("segment".to_owned(), self.segment().to_owned());
        let tags: Vec<String> = tags.iter().map(|(k, v)| format!("{k}={v}")).collect();
        vec![self.name.clone(), self.address(), self.status().to_owned(), tags.join(",")]
    }
}

fn or_unknown(text: &str) -> &str {
    if text.is_empty() { "unknown" } else { text }
}

/// A regular expression; the error is one line.
pub(super) fn pattern_of(text: &str) -> Result<regex::Regex, String> {
    regex::Regex::new(text).map_err(|e| {
        let text = e.to_string();
        let reason = text.lines().last().unwrap_or(&text).trim_start_matches("error: ").to_owned();
        format!("error parsing regexp: {reason}")
    })
}

pub(super) async fn run(flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    let pattern = flags.text("status").unwrap_or(".*");
    let status = pattern_of(pattern).map_err(|e| Exit::failed(format!("Failed to compile status regexp: {e}")))?;
    let client = Client::new(flags, console)?;
    let request = client.get("/v1/agent/members").query("segment", flags.text("segment").unwrap_or("_all"));
    let request = if flags.on("wan") { request.query("wan", "1") } else { request };
    let members: Vec<Member> =
        request.fetch().await.map_err(|e| Exit::failed(format!("Error retrieving members: {e}")))?;
    let mut members: Vec<Member> = members.into_iter().filter(|m| status.is_match(m.status())).collect();
    if members.is_empty() {
        return Err(Exit::new(2, ""));
    }
    members.sort_by(|a, b| (a.segment(), &a.name).cmp(&(b.segment(), &b.name)));
    let detailed = flags.on("detailed");
    let header = match detailed {
        true => &["Node", "Address", "Status", "Tags"][..],
        false => &["Node", "Address", "Status", "Type", "Build", "Protocol", "DC", "Segment"],
    };
    let mut rows = vec![header.iter().map(ToString::to_string).collect()];
    rows.extend(members.iter().map(|m| if detailed { m.detailed() } else { m.row() }));
    console.print(&table(&rows))
}
