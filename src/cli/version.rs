//! `version`: which program this is, and which one it stands in for.

use super::console::{Console, Exit};
use super::flags::{self, Flags};
use clap::{ArgMatches, Command};

/// The version of Consul whose behaviour is followed.
const CONSUL: &str = "1.8.7";

/// Its flags and help.
pub(super) fn command() -> Command {
    let format = flags::value("format", "`pretty` or `json`.").default_value("pretty");
    flags::command("version", "Prints the version", "[options]").arg(format)
}

/// What it gets when it is asked for as a flag.
pub(super) fn no_flags() -> ArgMatches {
    command().get_matches_from(["version"])
}

pub(super) fn run(program: &str, flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    let (name, version) = if program == "consul" { ("Consul", CONSUL) } else { ("Lictor", env!("CARGO_PKG_VERSION")) };
    match flags.text("format") {
        Some("pretty") if program == "consul" => console.print(&format!(
            "{name} v{version}\nProtocol 2 spoken by default, understands 2 to 3 \
             (agent will automatically use protocol >2 when speaking to compatible agents)\n\n"
        )),
        Some("pretty") => console.line(&format!("{name} v{version}")),
        Some("json") => console.print(&format!(
            "{{\n   \"Version\": \"{version}\",\n   \"Revision\": \"\",\n   \"Prerelease\": \"\",\n   \"RPC\": {{\n      \
             \"Default\": 2,\n      \"Min\": 2,\n      \"Max\": 3\n   }}\n}}\n"
        )),
        other => Err(Exit::failed(format!("Unknown format: {}", other.unwrap_or_default()))),
    }
}
