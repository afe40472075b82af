//! `services register|deregister`: services of the agent, from flags or definition files.
//!
//! Owns: the two commands and the body of a registration (`body`). Files are read by [`crate::config`], as those of the
//! agent are.

mod body;

use super::client::Client;
use super::console::{Console, Exit};
use super::flags::{self, Flags};
use crate::clock::Clock;
use crate::config::{AgentFlags, Config};
use crate::model::ServiceDefinition;
use crate::model::definition::TaggedAddressDefinition;
use body::Body;
use clap::{ArgMatches, Command};
use std::path::PathBuf;

pub(super) fn command() -> Command {
    let id = flags::value("id", "Id of the service.");
    flags::group("services", "Registers and deregisters services of the agent")
        .subcommand(
            flags::command("deregister", "Deregisters services", "[options] [FILE...]")
                .args(flags::client_flags())
                .args([flags::namespace(), id]),
        )
        .subcommand(
            flags::command("register", "Registers services", "[options] [FILE...]").args(flags::client_flags()).args([
                flags::namespace(),
                flags::value("address", "Address of the service; that of the node by default."),
                flags::value("id", "Id of the service; its name by default."),
                flags::value("kind", "Kind of a mesh proxy."),
                flags::many("meta", "Metadata, as `key=value`. May be repeated."),
                flags::value("name", "Name of the service."),
                flags::integer("port", "Port of the service."),
                flags::many("tag", "Tag of the service. May be repeated."),
                flags::many("tagged-address", "Address for one use, as `lan=host:port`. May be repeated."),
            ]),
        )
}

pub(super) async fn register(flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    let from_flags = from_flags(flags)?;
    let files = flags.arguments();
    let services = match (files.is_empty(), from_flags.name.is_empty()) {
        (true, true) => {
            return Err(Exit::failed("Service registration requires at least one argument or flags."));
        }
        (false, false) => {
            return Err(Exit::failed("Service registration requires arguments or -id, not both."));
        }
        (true, false) => vec![from_flags],
        (false, true) => from_files(&files)?,
    };
    let client = Client::new(flags, console)?;
    for service in services {
        let name = &service.name;
        let failed = |e| Exit::failed(format!("Error registering service {name:?}: {e}"));
        let request = client.put("/v1/agent/service/register").json(&Body::of(&service)).map_err(failed)?;
        request.done().await.map_err(failed)?;
        console.line(&format!("Registered service: {name}"))?;
    }
    Ok(())
}

pub(super) async fn deregister(flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    let id = flags.text("id").unwrap_or_default();
    let files = flags.arguments();
    let ids: Vec<String> = match (files.is_empty(), id.is_empty()) {
        (true, true) => {
            return Err(Exit::failed("Service deregistration requires at least one argument or -id."));
        }
        (false, false) => {
            return Err(Exit::failed("Service deregistration requires arguments or -id, not both."));
        }
        (true, false) => vec![id.to_owned()],
        (false, true) => from_files(&files)?.iter().map(|service| service.own_id().to_string()).collect(),
    };
    let client = Client::new(flags, console)?;
    for id in ids {
        let request = client.put(format!("/v1/agent/service/deregister/{id}"));
        request.done().await.map_err(|e| Exit::failed(format!("Error deregistering service {id:?}: {e}")))?;
        console.line(&format!("Deregistered service: {id}"))?;
    }
    Ok(())
}

fn from_flags(flags: &ArgMatches) -> Result<ServiceDefinition, Exit> {
    let text = |name: &str| flags.text(name).unwrap_or_default().into();
    let address = |(tag, address): (String, String)| {
        let failed = |why: &str| Exit::failed(format!("Invalid Tagged Address: address {address}: {why}"));
        let (host, port) = address.rsplit_once(':').ok_or_else(|| failed("missing port in address"))?;
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().map_err(|_| {
            Exit::failed(format!("Invalid Tagged Address: strconv.Atoi: parsing {port:?}: invalid syntax"))
        })?;
        Ok(TaggedAddressDefinition { tag: tag.into(), address: host.into(), port })
    };
    let meta = flags.pairs("meta")?;
    Ok(ServiceDefinition {
        id: text("id"),
        name: text("name"),
        tags: flags.all("tag").into_iter().map(Into::into).collect(),
        address: text("address"),
        port: flags.integer("port"),
        meta: meta.into_iter().map(|(key, value)| (key.into(), value.into())).collect(),
        tagged_addresses: flags.pairs("tagged-address")?.into_iter().map(address).collect::<Result<_, Exit>>()?,
        kind: text("kind"),
        ..ServiceDefinition::default()
    })
}

/// The services that configuration files define, checked as an agent would.
fn from_files(files: &[String]) -> Result<Vec<ServiceDefinition>, Exit> {
    let mut flags = AgentFlags { dev: true, ..AgentFlags::default() };
    flags.config_paths = files.iter().map(PathBuf::from).collect();
    let config = Config::load(&flags, &Clock::system()).map_err(|e| Exit::failed(format!("Error: {e}")))?;
    Ok(config.definitions.services)
}
