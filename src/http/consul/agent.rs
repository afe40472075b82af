//! GETs of /v1/agent: this server and the members.

use super::coordinate::Coord;
use super::filter;
use super::member::{self, MEMBER, Member};
use crate::gossip::Status;
use crate::http::call::Call;
use crate::http::error::Error;
use crate::http::gateway::Gateway;
use crate::http::reply::Answer;
use crate::model::Coordinate;
use crate::service::Core;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// GET agent/members. Filters are of later versions of Consul.
pub(super) async fn members(call: Call<()>) -> Result<Answer, Error> {
    match call.query.get("segment") {
        None | Some("" | "_all") => {}
        Some(_) => return Err(Error::server("Network segments are not supported in this version of Consul")),
    }
    let filter = filter::of(&call, MEMBER)?;
    let wan = call.query.get("wan").is_some_and(|value| !value.is_empty());
    let mut members = if wan { member::wan(&call.gateway) } else { member::lan(&call.gateway) };
    members.retain(|member| filter.matches(member));
    Answer::json(&members, call.layout())
}

/// GET agent/self
pub(super) async fn own(call: Call<()>) -> Result<Answer, Error> {
    #[derive(serde::Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Config<'a> {
        datacenter: &'a str,
        node_name: &'a str,
        #[serde(rename = "NodeID")]
        node_id: uuid::Uuid,
        revision: &'static str,
        server: bool,
        version: &'static str,
    }
    #[derive(serde::Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Own<'a> {
        config: Config<'a>,
        debug_config: BTreeMap<&'static str, serde_json::Value>,
        coord: Coord,
        member: Option<Member>,
        stats: BTreeMap<&'static str, BTreeMap<&'static str, String>>,
        meta: BTreeMap<&'a str, &'a str>,
        /// Which proxies of the mesh can be configured: none.
        #[serde(rename = "xDS")]
        xds: Proxies,
    }
    #[derive(Default, serde::Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Proxies {
        supported_proxies: BTreeMap<&'static str, Vec<&'static str>>,
    }
    let gateway = &*call.gateway;
    let facts = gateway.facts();
    let node = gateway.options.agent.node();
    let meta = node.meta.as_deref().unwrap_or_default().iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let (place, health_score) = match gateway.gossip() {
        Some(gossip) => (gossip.places().await.map(|(own, _)| own), gossip.health_score().await),
        None => (None, 0),
    };
    let place = place.unwrap_or_else(|| Coordinate::origin(facts.node_name.as_str().into()));
    let own = Own {
        config: Config {
            datacenter: &facts.datacenter,
            node_name: &facts.node_name,
            node_id: facts.node_id,
            revision: "",
            server: gateway.core().is_some(),
            version: facts.version,
        },
        debug_config: debug_config(gateway),
        coord: Coord::of(&place),
        member: member::own(gateway),
        stats: stats(gateway, health_score),
        meta,
        xds: Proxies::default(),
    };
    Answer::json(&own, call.layout())
}

/// What of the configuration is worth showing, under Consul's names.
fn debug_config(gateway: &Gateway) -> BTreeMap<&'static str, serde_json::Value> {
    let facts = gateway.facts();
    let address = facts.advertise.to_string();
    let tcp = |port| format!("tcp://{}", SocketAddr::new(facts.advertise, port));
    let limits = gateway.options.limits.get();
    BTreeMap::from([
        ("AdvertiseAddrLAN", address.clone().into()),
        ("AdvertiseAddrWAN", address.into()),
        ("DNSDomain", format!("{}.", facts.domain).into()),
        ("Datacenter", facts.datacenter.clone().into()),
        ("DevMode", facts.dev.into()),
        // There are no profiles to be had.
        ("EnableDebug", false.into()),
        ("HTTPMaxConnsPerClient", limits.conns_per_client_max.into()),
        ("KVMaxValueSize", limits.value_bytes_max.into()),
        ("NodeID", facts.node_id.to_string().into()),
        ("NodeName", facts.node_name.clone().into()),
        ("PrimaryDatacenter", facts.datacenter.clone().into()),
        ("RPCAdvertiseAddr", tcp(facts.server_port).into()),
        ("SerfAdvertiseAddrLAN", tcp(facts.serf_lan_port).into()),
        ("SerfAdvertiseAddrWAN", tcp(facts.serf_wan_port).into()),
        ("SerfPortLAN", facts.serf_lan_port.into()),
        ("SerfPortWAN", facts.serf_wan_port.into()),
        ("ServerMode", gateway.core().is_some().into()),
        ("ServerPort", facts.server_port.into()),
        ("TxnMaxReqLen", limits.txn_bytes_max.into()),
        ("Version", facts.version.into()),
    ])
}

fn stats(gateway: &Gateway, health_score: u32) -> BTreeMap<&'static str, BTreeMap<&'static str, String>> {
    let facts = gateway.facts();
    let (services, monitors, ttls) = gateway.options.agent.counts();
    let mut stats = BTreeMap::from([
        (
            "agent",
            BTreeMap::from([
                ("check_monitors", monitors.to_string()),
                ("check_ttls", ttls.to_string()),
                ("checks", (monitors + ttls).to_string()),
                ("services", services.to_string()),
            ]),
        ),
        ("build", BTreeMap::from([("prerelease", String::new()), ("version", facts.version.to_owned())])),
    ]);
    stats.insert("serf_lan", serf_lan(gateway, health_score));
    let Some(status) = gateway.core().map(Core::raft_status) else {
        let known = gateway.known_servers().to_string();
        stats.insert(
            "consul",
            [("acl", "disabled".into()), ("known_servers", known), ("server", "false".into())].into(),
        );
        return stats;
    };
    let leads = status.leads();
    let leader = status.leader.as_ref().map(|(_, node)| super::status::address(gateway, &node.address));
    let state = if leads { "Leader" } else { "Follower" };
    stats.extend([
        (
            "consul",
            BTreeMap::from([
                ("acl", "disabled".to_owned()),
                ("known_datacenters", "1".to_owned()),
                ("leader", leads.to_string()),
                ("leader_addr", leader.unwrap_or_default()),
                ("server", "true".to_owned()),
            ]),
        ),
        (
            "raft",
            BTreeMap::from([
                ("applied_index", status.applied.to_string()),
                ("commit_index", status.committed.to_string()),
                ("last_log_index", status.last_log.to_string()),
                ("last_snapshot_index", status.snapshot.to_string()),
                ("num_peers", status.members.len().saturating_sub(1).to_string()),
                ("protocol_version", "3".to_owned()),
                ("state", state.to_owned()),
                ("term", status.term.to_string()),
            ]),
        ),
    ]);
    stats
}

fn serf_lan(gateway: &Gateway, health_score: u32) -> BTreeMap<&'static str, String> {
    let Some(gossip) = gateway.gossip() else { return BTreeMap::new() };
    let members = gossip.members();
    BTreeMap::from([
        ("encrypted", gossip.encrypts().to_string()),
        ("failed", members.count(Status::Failed).to_string()),
        ("health_score", health_score.to_string()),
        ("left", members.count(Status::Left).to_string()),
        ("members", members.iter().len().to_string()),
    ])
}
