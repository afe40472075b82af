//! GETs of /v1/agent: this server and the members. Missing: the members that only gossip knows.

use crate::http::call::Call;
use crate::http::error::Error;
use crate::http::gateway::Gateway;
use crate::http::reply::Answer;
use crate::service::Core;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A member of the cluster, as serf describes it.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct Member {
    name: String,
    addr: String,
    port: u16,
    tags: BTreeMap<&'static str, String>,
    status: u8,
    protocol_min: u8,
    protocol_max: u8,
    protocol_cur: u8,
    delegate_min: u8,
    delegate_max: u8,
    delegate_cur: u8,
}

/// Which gossip pool.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pool {
    Lan,
    Wan,
}

/// GET agent/members
pub(super) async fn members(call: Call<()>) -> Result<Answer, Error> {
    match call.query.get("segment") {
        None | Some("" | "_all") => {}
        Some(_) => return Err(Error::server("Network segments are not supported in this version of Consul")),
    }
    call.refuse_filter()?;
    let wan = call.query.get("wan").is_some_and(|value| !value.is_empty());
    Answer::json(&list(&call.gateway, if wan { Pool::Wan } else { Pool::Lan }), call.layout())
}

fn list(gateway: &Gateway, pool: Pool) -> Vec<Member> {
    let facts = gateway.facts();
    let Some(status) = gateway.core().map(Core::raft_status) else {
        return vec![member(gateway, pool, &facts.node_name, facts.advertise, facts.server_port, 1)];
    };
    let servers = status.members.len().max(1);
    let mut members = vec![member(gateway, pool, &facts.node_name, facts.advertise, facts.server_port, servers)];
    for server in status.members.iter().filter(|server| server.id != status.id) {
        if let Ok(address) = server.node.address.parse::<std::net::SocketAddr>() {
            members.push(member(gateway, pool, &server.node.name, address.ip(), address.port(), servers));
        }
    }
    members
}

fn member(gateway: &Gateway, pool: Pool, name: &str, address: IpAddr, port: u16, servers: usize) -> Member {
    let facts = gateway.facts();
    let id = if name == facts.node_name {
        Some(facts.node_id)
    } else {
        gateway.core().and_then(|core| core.local().state.node(name).and_then(|node| node.record.id))
    };
    let mut tags = BTreeMap::from([
        ("acls", "0".to_owned()),
        ("build", format!("{}:", facts.version)),
        ("dc", facts.datacenter.clone()),
        ("ft_fs", "1".to_owned()),
        ("id", id.map(|id| id.to_string()).unwrap_or_default()),
        ("port", port.to_string()),
        ("raft_vsn", "3".to_owned()),
        ("role", "consul".to_owned()),
        ("segment", String::new()),
        ("vsn", "2".to_owned()),
        ("vsn_max", "3".to_owned()),
        ("vsn_min", "2".to_owned()),
    ]);
    match servers {
        1 => tags.insert("bootstrap", "1".to_owned()),
        many => tags.insert("expect", many.to_string()),
    };
    if pool == Pool::Lan {
        tags.insert("wan_join_port", facts.serf_wan_port.to_string());
    }
    Member {
        name: if pool == Pool::Wan { format!("{name}.{}", facts.datacenter) } else { name.to_owned() },
        addr: address.to_string(),
        port: if pool == Pool::Wan { facts.serf_wan_port } else { facts.serf_lan_port },
        tags,
        status: 1,
        protocol_min: 1,
        protocol_max: 5,
        protocol_cur: 2,
        delegate_min: 2,
        delegate_max: 5,
        delegate_cur: 4,
    }
}

/// A network coordinate; there are no measurements yet, so it is the one that every node starts with.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct Coordinate {
    vec: [f64; 8],
    error: f64,
    adjustment: f64,
    height: f64,
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
        coord: Coordinate,
        member: Option<Member>,
        stats: BTreeMap<&'static str, BTreeMap<&'static str, String>>,
        meta: BTreeMap<&'a str, &'a str>,
    }
    let gateway = &*call.gateway;
    let facts = gateway.facts();
    let node = gateway.options.agent.node();
    let meta = node.meta.as_deref().unwrap_or_default().iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
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
        coord: Coordinate { vec: [0.0; 8], error: 1.5, adjustment: 0.0, height: 1e-5 },
        member: list(gateway, Pool::Lan).into_iter().next(),
        stats: stats(gateway),
        meta,
    };
    Answer::json(&own, call.layout())
}

/// What of the configuration is worth showing, under Consul's names.
fn debug_config(gateway: &Gateway) -> BTreeMap<&'static str, serde_json::Value> {
    let facts = gateway.facts();
    let address = facts.advertise.to_string();
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
        ("SerfPortLAN", facts.serf_lan_port.into()),
        ("SerfPortWAN", facts.serf_wan_port.into()),
        ("ServerMode", gateway.core().is_some().into()),
        ("ServerPort", facts.server_port.into()),
        ("TxnMaxReqLen", limits.txn_bytes_max.into()),
        ("Version", facts.version.into()),
    ])
}

fn stats(gateway: &Gateway) -> BTreeMap<&'static str, BTreeMap<&'static str, String>> {
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
        ("serf_lan", BTreeMap::from([("members", status.members.len().max(1).to_string())])),
    ]);
    stats
}
