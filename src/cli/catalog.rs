//! `catalog nodes|services|datacenters`: what is registered.

use super::client::{Client, Request};
use super::console::{Console, Exit};
use super::flags::{self, Flags};
use super::table::{pairs, table};
use clap::{ArgMatches, Command};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Its commands, their flags and help.
pub(super) fn command() -> Command {
    flags::group("catalog", "Lists nodes, services and datacenters")
        .subcommand(
            flags::command("datacenters", "Lists all known datacenters", "[options]").args(flags::server_flags()),
        )
        .subcommand(
            flags::command("nodes", "Lists all nodes in a datacenter", "[options]").args(flags::server_flags()).args([
                flags::switch("detailed", "Shows whole ids, addresses and metadata."),
                flags::value("filter", "Expression that nodes must match."),
                flags::value("near", "Node to sort by round trip time from; `_agent` for this agent's."),
                flags::many("node-meta", "Metadata that nodes must have, as `key=value`. May be repeated."),
                flags::value("service", "Lists only nodes with this service."),
            ]),
        )
        .subcommand(
            flags::command("services", "Lists all services in a datacenter", "[options]")
                .args(flags::server_flags())
                .arg(flags::namespace())
                .args([
                    flags::value("node", "Lists only services of this node, a name or an id."),
                    flags::many(
                        "node-meta",
                        "Metadata that nodes of the services must have, as `key=value`. May be repeated.",
                    ),
                    flags::switch("tags", "Shows the tags of each service."),
                ]),
        )
}

type Texts = BTreeMap<String, String>;

/// A node, or an instance of a service with its node's fields, which have other names for metadata.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    #[serde(rename = "ID", default)]
    id: String,
    node: String,
    address: String,
    #[serde(default)]
    datacenter: String,
    tagged_addresses: Option<Texts>,
    #[serde(alias = "NodeMeta")]
    meta: Option<Texts>,
}

impl Node {
    fn row(&self, detailed: bool) -> Vec<String> {
        if !detailed {
            let short = self.id.split('-').next().unwrap_or_default();
            return [short, &self.address, &self.datacenter].iter().fold(vec![self.node.clone()], |mut row, cell| {
                row.push((*cell).to_owned());
                row
            });
        }
        let list = |map: &Option<Texts>| {
            let items: Vec<String> = map.iter().flatten().map(|(k, v)| format!("{k}={v}")).collect();
            items.join(", ")
        };
        let (addresses, meta) = (list(&self.tagged_addresses), list(&self.meta));
        vec![self.node.clone(), self.id.clone(), self.address.clone(), self.datacenter.clone(), addresses, meta]
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NodeServices {
    #[serde(default)]
    services: BTreeMap<String, NodeService>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NodeService {
    service: String,
    tags: Option<Vec<String>>,
}

fn no_arguments(flags: &ArgMatches) -> Result<(), Exit> {
    match flags.arguments().len() {
        0 => Ok(()),
        n => Err(Exit::failed(format!("Too many arguments (expected 0, got {n})"))),
    }
}

/// Adds what nodes must have: `key=value` pairs, which the API takes as `key:value`.
fn node_meta(flags: &ArgMatches, request: Request) -> Result<Request, Exit> {
    let pairs = flags.pairs("node-meta")?;
    Ok(pairs.into_iter().fold(request, |request, (key, value)| request.query("node-meta", format!("{key}:{value}"))))
}

pub(super) async fn datacenters(flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    no_arguments(flags)?;
    let found: Vec<String> = Client::new(flags, console)?
        .get("/v1/catalog/datacenters")
        .fetch()
        .await
        .map_err(|e| Exit::failed(format!("Error listing datacenters: {e}")))?;
    found.iter().try_for_each(|name| console.line(name))
}

pub(super) async fn nodes(flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    no_arguments(flags)?;
    let client = Client::new(flags, console)?;
    let filter = match flags.text("filter").filter(|f| !f.is_empty()) {
        Some(argument) => {
            let data = console.data(argument).map_err(|e| {
                let reason = e.message.trim_start_matches("Error! ").to_owned();
                Exit::failed(format!("Could not process filter argument: {reason}"))
            })?;
            String::from_utf8_lossy(&data).into_owned()
        }
        None => String::new(),
    };
    let (path, what) = match flags.text("service").filter(|s| !s.is_empty()) {
        Some(service) => (format!("/v1/catalog/service/{service}"), "nodes for service"),
        None => ("/v1/catalog/nodes".to_owned(), "nodes"),
    };
    let near = flags.text("near").unwrap_or_default();
    let request = client.get(path).query_if("near", near).query_if("filter", &filter);
    let nodes: Vec<Node> =
        node_meta(flags, request)?.fetch().await.map_err(|e| Exit::failed(format!("Error listing {what}: {e}")))?;
    if nodes.is_empty() {
        return Err(Exit::new(0, "No nodes match the given query - try expanding your search."));
    }
    let detailed = flags.on("detailed");
    let header = ["Node", "ID", "Address", "DC", "TaggedAddresses", "Meta"];
    let header = if detailed { &header[..] } else { &header[..4] };
    let mut rows = vec![header.iter().map(ToString::to_string).collect()];
    rows.extend(nodes.iter().map(|n| n.row(detailed)));
    console.print(&table(&rows))
}

pub(super) async fn services(flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    no_arguments(flags)?;
    let client = Client::new(flags, console)?;
    let failed = |e| Exit::failed(format!("Error listing services: {e}"));
    let failed_for_node = |e| Exit::failed(format!("Error listing services for node: {e}"));
    let mut services: BTreeMap<String, Vec<String>> = BTreeMap::new();
    match flags.text("node").filter(|n| !n.is_empty()) {
        Some(node) => {
            let path = format!("/v1/catalog/node/{node}");
            let found: Option<NodeServices> =
                node_meta(flags, client.get(path))?.fetch().await.map_err(failed_for_node)?;
            for service in found.into_iter().flat_map(|f| f.services.into_values()) {
                services.entry(service.service).or_default().extend(service.tags.into_iter().flatten());
            }
        }
        None => {
            let found: BTreeMap<String, Option<Vec<String>>> =
                node_meta(flags, client.get("/v1/catalog/services"))?.fetch().await.map_err(failed)?;
            services.extend(found.into_iter().map(|(name, tags)| (name, tags.into_iter().flatten().collect())));
        }
    }
    if services.is_empty() {
        return Err(Exit::new(0, "No services match the given query - try expanding your search."));
    }
    if !flags.on("tags") {
        return services.keys().try_for_each(|name| console.line(name));
    }
    let row = |(name, mut tags): (String, Vec<String>)| {
        tags.sort();
        [name, tags.join(",")]
    };
    let rows: Vec<[String; 2]> = services.into_iter().map(row).collect();
    console.print(&pairs(&rows))
}
