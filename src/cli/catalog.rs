//! `catalog nodes|services|datacenters`: what is registered.

use super::client::{Client, Query};
use super::console::{Console, Exit};
use super::table::{pairs, table};
use super::tree::Flags;
use clap::ArgMatches;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

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
            let short = self.id.get(..8).unwrap_or(&self.id);
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

/// `key=value` pairs as the API takes them, `key:value`.
fn node_meta(flags: &ArgMatches) -> Result<Query<'static>, Exit> {
    let pair = |pair: String| match pair.split_once('=') {
        Some((key, value)) => Ok(("node-meta", format!("{key}:{value}"))),
        None => {
            let text = format!("invalid value {pair:?} for flag -node-meta: Missing \"=\" value in argument: {pair}");
            Err(Exit::failed(text))
        }
    };
    flags.all("node-meta").into_iter().map(pair).collect()
}

pub(super) async fn datacenters(flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    no_arguments(flags)?;
    let found: Vec<String> = Client::new(flags, console)?
        .get("/v1/catalog/datacenters", Vec::new())
        .await
        .map_err(|e| Exit::failed(format!("Error listing datacenters: {e}")))?;
    found.iter().try_for_each(|name| console.line(name))
}

pub(super) async fn nodes(flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    no_arguments(flags)?;
    let mut query = node_meta(flags)?;
    for name in ["near", "filter"] {
        if let Some(text) = flags.text(name).filter(|t| !t.is_empty()) {
            query.push((name, text.to_owned()));
        }
    }
    let service = flags.text("service").filter(|s| !s.is_empty());
    let path = service.map_or("/v1/catalog/nodes".to_owned(), |s| format!("/v1/catalog/service/{s}"));
    let nodes: Vec<Node> = Client::new(flags, console)?
        .get(&path, query)
        .await
        .map_err(|e| Exit::failed(format!("Error listing nodes: {e}")))?;
    // A node with several instances of a service is one node.
    let mut seen = BTreeSet::new();
    let nodes: Vec<Node> = nodes.into_iter().filter(|n| seen.insert(n.node.clone())).collect();
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
    let mut client = Client::new(flags, console)?;
    let meta = node_meta(flags)?;
    let failed = |e| Exit::failed(format!("Error listing services: {e}"));
    let mut services: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    match flags.text("node").filter(|n| !n.is_empty()) {
        Some(node) => {
            let path = format!("/v1/catalog/node/{node}");
            let found: Option<NodeServices> = client.get(&path, meta).await.map_err(failed)?;
            for service in found.into_iter().flat_map(|f| f.services.into_values()) {
                services.entry(service.service).or_default().extend(service.tags.into_iter().flatten());
            }
        }
        None => {
            let found: BTreeMap<String, Option<Vec<String>>> =
                client.get("/v1/catalog/services", meta).await.map_err(failed)?;
            services.extend(found.into_iter().map(|(name, tags)| (name, tags.into_iter().flatten().collect())));
        }
    }
    if services.is_empty() {
        return Err(Exit::new(0, "No services match the given query - try expanding your search."));
    }
    if !flags.on("tags") {
        return services.keys().try_for_each(|name| console.line(name));
    }
    let rows: Vec<[String; 2]> =
        services.into_iter().map(|(name, tags)| [name, tags.into_iter().collect::<Vec<_>>().join(",")]).collect();
    console.print(&pairs(&rows))
}
