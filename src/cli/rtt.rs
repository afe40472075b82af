//! `rtt`: the round trip time between two nodes, from their network coordinates.

use super::client::Client;
use super::console::{Console, Exit};
use super::flags::{self, Flags};
use clap::{ArgMatches, Command};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A point of the model of Vivaldi; all but the exponent's base in seconds.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Coordinate {
    vec: Vec<f64>,
    #[serde(default)]
    adjustment: f64,
    #[serde(default)]
    height: f64,
}

impl Coordinate {
    /// Seconds to another one; 0 when they are not of the same model.
    fn distance(&self, other: &Coordinate) -> f64 {
        if self.vec.len() != other.vec.len() {
            return 0.0;
        }
        let squares: f64 = self.vec.iter().zip(&other.vec).map(|(a, b)| (a - b) * (a - b)).sum();
        let raw = squares.sqrt() + self.height + other.height;
        let adjusted = raw + self.adjustment + other.adjustment;
        if adjusted > 0.0 { adjusted } else { raw }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    node: String,
    #[serde(default)]
    segment: String,
    coord: Coordinate,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Datacenter {
    datacenter: String,
    #[serde(rename = "AreaID", default)]
    area_id: String,
    coordinates: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Own {
    config: OwnConfig,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OwnConfig {
    node_name: String,
    datacenter: String,
}

pub(super) fn command() -> Command {
    flags::command("rtt", "Estimates the round trip time between two nodes", "[options] node1 [node2]")
        .args(flags::client_flags())
        .arg(flags::switch("wan", "Takes the coordinates between datacenters; nodes are then named node.datacenter."))
}

pub(super) async fn run(
    flags: &ArgMatches,
    usage: &(dyn Fn() -> String + Sync),
    console: &mut Console<'_>,
) -> Result<(), Exit> {
    let mut nodes = flags.arguments();
    if !(1..=2).contains(&nodes.len()) {
        let text = format!("One or two node names must be specified\n\n{}", usage().trim_end());
        return Err(Exit::failed(text));
    }
    let wan = flags.on("wan");
    let client = Client::new(flags, console)?;
    if nodes.len() == 1 {
        let own: Own = client
            .get("/v1/agent/self")
            .fetch()
            .await
            .map_err(|e| Exit::failed(format!("Unable to look up agent info: {e}")))?;
        let OwnConfig { node_name, datacenter } = own.config;
        nodes.push(if wan { format!("{node_name}.{datacenter}") } else { node_name });
    }
    let (from, to) = if wan { between(&client, &nodes).await? } else { within(&client, &nodes).await? };
    let missing = |node: &str| Exit::failed(format!("Could not find a coordinate for node {node:?}"));
    let from = from.ok_or_else(|| missing(&nodes[0]))?;
    let to = to.ok_or_else(|| missing(&nodes[1]))?;
    let ms = from.distance(&to) * 1000.0;
    let kind = if wan { "WAN" } else { "LAN" };
    console.line(&format!("Estimated {} <-> {} rtt: {ms:.3} ms (using {kind} coordinates)", nodes[0], nodes[1]))
}

type Found = (Option<Coordinate>, Option<Coordinate>);

fn failed(error: impl std::fmt::Display) -> Exit {
    Exit::failed(format!("Error getting coordinates: {error}"))
}

/// The coordinates of nodes of one datacenter; of several segments, those that both are in.
async fn within(client: &Client, nodes: &[String]) -> Result<Found, Exit> {
    let entries: Vec<Entry> = client.get("/v1/coordinate/nodes").fetch().await.map_err(failed)?;
    let mut sets: [BTreeMap<String, Coordinate>; 2] = Default::default();
    for entry in entries {
        for (node, set) in nodes.iter().zip(&mut sets) {
            if entry.node == *node {
                set.insert(entry.segment.clone(), entry.coord.clone());
            }
        }
    }
    // A node with one segment may be a client; servers are in all.
    let segment = sets.iter().rev().find(|set| set.len() == 1).and_then(|set| set.keys().next().cloned());
    let segment = segment.unwrap_or_default();
    let [mut from, mut to] = sets;
    Ok((from.remove(&segment), to.remove(&segment)))
}

/// The coordinates of servers of datacenters, in an area that both are in.
async fn between(client: &Client, nodes: &[String]) -> Result<Found, Exit> {
    let named: Vec<(&str, &str)> =
        nodes.iter().filter_map(|n| n.split_once('.')).filter(|(_, datacenter)| !datacenter.contains('.')).collect();
    let &[from, to] = &named[..] else {
        return Err(Exit::failed("Node names must be specified as <node name>.<datacenter> with -wan"));
    };
    let datacenters: Vec<Datacenter> = client.get("/v1/coordinate/datacenters").fetch().await.map_err(failed)?;
    let find = |(node, datacenter): (&str, &str), area: &str| {
        let entries = datacenters
            .iter()
            .filter(|d| d.datacenter == datacenter && d.area_id == area)
            .flat_map(|d| d.coordinates.iter().flatten());
        entries.into_iter().find(|e| e.node == node).map(|e| e.coord.clone())
    };
    for area in datacenters.iter().map(|d| d.area_id.as_str()) {
        if let (Some(from), Some(to)) = (find(from, area), find(to, area)) {
            return Ok((Some(from), Some(to)));
        }
    }
    Ok((None, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        let at = |x: f64, adjustment: f64| Coordinate { vec: vec![x, 0.0], adjustment, height: 0.001 };
        assert!((at(0.0, 0.0).distance(&at(0.003, 0.0)) - 0.005).abs() < 1e-9);
        assert!((at(0.0, 0.001).distance(&at(0.003, 0.0)) - 0.006).abs() < 1e-9);
        // An adjustment below nothing is not believed.
        assert!((at(0.0, -1.0).distance(&at(0.003, 0.0)) - 0.005).abs() < 1e-9);
        let other = Coordinate { vec: vec![], adjustment: 0.0, height: 0.0 };
        assert!(at(0.0, 0.0).distance(&other).abs() < 1e-9);
    }
}
