//! Gossip of this process: its sockets, keys and tags, whom it joins, and what it tells the other parts.

use super::{infallible, places};
use crate::agent::Agent;
use crate::clock::Clock;
use crate::cluster::{Directory, Presence, Seen};
use crate::config::Config;
use crate::gossip::{self, Gossip, Identity, JoinError, Members, Protection, Sockets, Status, Tuning, resolve};
use crate::service::{Core, Facts, Patience, Reach};
use anyhow::{Context, bail};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

/// How often the members are written down for the next start, if they have changed.
const NOTE_EVERY: Duration = Duration::from_secs(5);
/// The file in the data directory that says who lived.
const NOTE: &str = "serf/members";
/// Members of earlier times that are asked at the start, at most.
const REJOIN_MAX: usize = 64;

/// Binds what gossip needs. In development mode a taken port is replaced by a free one.
pub(super) async fn bind(config: &Config) -> anyhow::Result<Sockets> {
    let at = SocketAddr::new(config.gossip.bind, config.serf_lan_port);
    match Sockets::bind(at).await {
        Err(error) if config.dev => {
            warn!(%error, address = %at, "cannot listen for gossip (ports.serf_lan): taking a free port");
            let free = SocketAddr::new(config.gossip.bind, 0);
            Sockets::bind(free).await.with_context(|| format!("cannot listen for gossip on {free}"))
        }
        bound => bound.with_context(|| format!("cannot listen for gossip on {at} (ports.serf_lan)")),
    }
}

/// What a node says about itself.
fn own_tags(config: &Config, facts: &Facts) -> BTreeMap<String, String> {
    let mut tags: BTreeMap<String, String> = [
        ("acls", "0"),
        ("dc", &config.datacenter),
        ("role", if config.server { "consul" } else { "node" }),
        ("segment", ""),
        ("vsn", "2"),
        ("vsn_max", "3"),
        ("vsn_min", "2"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let mut add = |name: &str, value: String| tags.insert(name.to_owned(), value);
    add("build", format!("{}:", facts.version));
    add("id", facts.node_id.to_string());
    if !config.server {
        return tags;
    }
    add("ft_fs", "1".to_owned());
    add("raft_vsn", "3".to_owned());
    add("port", facts.server_port.to_string());
    add("wan_join_port", facts.serf_wan_port.to_string());
    match config.bootstrap_expect {
        0 => None,
        1 => add("bootstrap", "1".to_owned()),
        expect => add("expect", expect.to_string()),
    };
    tags
}

/// What is known of the last life.
struct Past {
    note: Option<PathBuf>,
    left: bool,
    generation: u64,
    members: Vec<SocketAddr>,
}

/// Starts gossiping, with nobody yet. The sockets are there when it is called first.
pub(super) fn start(
    sockets: Option<Sockets>,
    config: &Config,
    facts: &Facts,
    clock: &Clock,
) -> anyhow::Result<Joining> {
    let sockets = sockets.context("the sockets of gossip are in use")?;
    let file = |name: &str| config.data_dir.as_ref().map(|dir| dir.join(name));
    let identity = Identity {
        name: config.node_name.clone(),
        id: config.node_id,
        address: SocketAddr::new(config.advertise_addr, facts.serf_lan_port),
        tags: own_tags(config, facts),
        datacenter: config.datacenter.clone(),
    };
    let protection = protection(config, file("serf/local.keyring"))?;
    let past = past(file(NOTE));
    let generation = clock.now_ms().max(past.generation + 1);
    let gossip = Gossip::start(sockets, identity, tuning(config), protection, clock.clone(), generation)?;
    Ok(Joining { gossip, past, config: config.gossip.clone(), port: facts.serf_lan_port })
}

fn tuning(config: &Config) -> Tuning {
    let settings = &config.gossip;
    Tuning {
        probe_interval: settings.probe_interval,
        probe_timeout: settings.probe_timeout,
        gossip_interval: settings.gossip_interval,
        gossip_nodes: settings.gossip_nodes,
        suspicion_mult: settings.suspicion_mult,
        retransmit_mult: settings.retransmit_mult,
        reap_after: settings.reconnect_timeout,
        ..Tuning::default()
    }
}

/// The keys of the file win over the configured one, which begins the file.
fn protection(config: &Config, file: Option<PathBuf>) -> anyhow::Result<Protection> {
    let settings = &config.gossip;
    let file = file.filter(|_| settings.keyring_file);
    let kept = match &file {
        Some(path) => gossip::read_keys(path).with_context(|| format!("cannot read the keys in {}", path.display()))?,
        None => None,
    };
    let keys = match (kept, &settings.key) {
        (Some(keys), given) => {
            if given.as_ref().is_some_and(|key| keys.first() != Some(key)) {
                warn!("the key of encrypt is not used: the data directory has a keyring");
            }
            keys
        }
        (None, Some(key)) => {
            if let Some(path) = &file {
                let written = gossip::write_keys(path, std::slice::from_ref(key));
                written.with_context(|| format!("cannot write {}", path.display()))?;
            }
            vec![key.clone()]
        }
        (None, None) => Vec::new(),
    };
    Ok(Protection {
        keys,
        accept_plain: !settings.verify_incoming,
        send_plain: !settings.verify_outgoing,
        file,
        label: String::new(),
    })
}

/// A file that cannot be read costs the knowledge of earlier members only.
fn past(note: Option<PathBuf>) -> Past {
    let text = note.as_ref().and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    let mut past = Past { note, left: false, generation: 0, members: Vec::new() };
    for line in text.lines() {
        match line.split_once(' ') {
            Some(("generation", number)) => past.generation = number.parse().unwrap_or(0),
            Some(("alive", address)) => past.members.extend(address.parse::<SocketAddr>()),
            _ if line == "left" => past.left = true,
            _ => {}
        }
    }
    past
}

/// Gossip that has not joined anybody yet.
pub(super) struct Joining {
    pub(super) gossip: Gossip,
    past: Past,
    config: crate::config::GossipSettings,
    port: u16,
}

impl Joining {
    /// Joins those without whom this process shall not start.
    pub(super) async fn join_at_start(&self) -> anyhow::Result<()> {
        if self.config.start_join.is_empty() {
            return Ok(());
        }
        match join_any(&self.gossip, &self.config.start_join, self.port).await {
            Ok(count) => {
                info!(count, "joined the members that start_join names");
                Ok(())
            }
            Err(error) => bail!("Failed to join any node of start_join: {error}"),
        }
    }

    /// Joins earlier members, then those of retry_join until it succeeds. Returns an error when it has given up.
    pub(super) async fn run(self, agent: Agent) -> anyhow::Result<()> {
        let keep = self.keep_note();
        let join = async {
            if !self.past.left || self.config.rejoin_after_leave {
                self.rejoin().await;
            }
            self.retry().await
        };
        let joined = async {
            match join.await {
                Ok(()) => std::future::pending().await,
                Err(error) => error,
            }
        };
        tokio::select! {
            error = joined => Err(error),
            () = keep => Ok(()),
            () = agent.drained() => Ok(()),
        }
    }

    async fn rejoin(&self) {
        for address in self.past.members.iter().take(REJOIN_MAX) {
            match self.gossip.join(*address).await {
                Ok(()) => {
                    info!(%address, "joined an earlier member again");
                    return;
                }
                Err(error) => debug!(%address, %error, "an earlier member cannot be joined"),
            }
        }
    }

    async fn retry(&self) -> anyhow::Result<()> {
        let mut attempt = 0;
        while !self.config.retry_join.is_empty() {
            match join_any(&self.gossip, &self.config.retry_join, self.port).await {
                Ok(count) => {
                    info!(count, "joined the members that retry_join names");
                    return Ok(());
                }
                Err(error) => warn!(%error, "cannot join any member that retry_join names, trying again"),
            }
            attempt += 1;
            if self.config.retry_max != 0 && attempt >= self.config.retry_max {
                bail!("agent: max join retry exhausted, exiting");
            }
            tokio::time::sleep(self.config.retry_interval).await;
        }
        Ok(())
    }

    /// Writes down who lives, for the next start.
    async fn keep_note(&self) {
        let Some(note) = self.past.note.clone() else { return std::future::pending().await };
        let mut members = self.gossip.subscribe();
        loop {
            let now = members.borrow_and_update().clone();
            let text = note_of(&self.gossip, &now).await;
            write_note(note.clone(), text).await;
            tokio::time::sleep(NOTE_EVERY).await;
            if members.changed().await.is_err() {
                return;
            }
        }
    }
}

async fn note_of(gossip: &Gossip, members: &Members) -> String {
    let own = gossip.identity().id;
    let mut text = format!("generation {}\n", gossip.generation().await);
    for member in members.iter().filter(|m| m.status == Status::Alive && m.id != own) {
        text += &format!("alive {}\n", member.address);
    }
    text
}

async fn write_note(path: PathBuf, text: String) {
    let write = move || -> std::io::Result<()> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let fresh = path.with_extension("new");
        std::fs::write(&fresh, text)?;
        std::fs::rename(&fresh, &path)
    };
    let written = tokio::task::spawn_blocking(write).await.map_err(std::io::Error::other).flatten();
    if let Err(error) = written {
        warn!(%error, "cannot write down the members");
    }
}

/// What the end of the process means for the pool.
pub(super) struct Ending {
    pub(super) leave_on_terminate: bool,
    pub(super) skip_leave_on_interrupt: bool,
    note: Option<PathBuf>,
}

impl Ending {
    pub(super) fn of(config: &Config) -> Ending {
        Ending {
            leave_on_terminate: config.gossip.leave_on_terminate,
            skip_leave_on_interrupt: config.gossip.skip_leave_on_interrupt,
            note: config.data_dir.as_ref().map(|dir| dir.join(NOTE)),
        }
    }
}

/// Tells everybody that this node leaves, and notes that it has.
pub(super) async fn leave(gossip: &Gossip, ending: &Ending) {
    info!("leaving the pool");
    let generation = gossip.generation().await;
    gossip.leave().await;
    if let Some(note) = ending.note.clone() {
        write_note(note, format!("generation {generation}\nleft\n")).await;
    }
}

/// Starts what works for as long as this process gossips.
pub(super) fn run(
    joining: Joining,
    config: &Config,
    (core, agent): (&Core, &Agent),
    tasks: &mut JoinSet<anyhow::Result<()>>,
) {
    let gossip = joining.gossip.clone();
    tasks.spawn(joining.run(agent.clone()));
    tasks.spawn(infallible(core.clone().run_events()));
    if config.gossip.coordinates {
        tasks.spawn(infallible(places::run(gossip.clone(), core.clone())));
    }
    let members = gossip.subscribe();
    let reach: Reach = Arc::new(move |member| {
        let gossip = gossip.clone();
        Box::pin(async move { gossip.reach(&member).await })
    });
    let patience = Patience::forgetting_after(config.gossip.reconnect_timeout);
    tasks.spawn(infallible(core.clone().run_reconcile(members, reach, patience)));
}

/// Joins all of these; it is enough if one succeeds.
async fn join_any(gossip: &Gossip, addresses: &[String], port: u16) -> Result<usize, JoinError> {
    let mut joined = 0;
    let mut failed = None;
    for text in addresses {
        match resolve(text, port).await {
            Ok(found) => {
                for address in found {
                    match gossip.join(address).await {
                        Ok(()) => joined += 1,
                        Err(error) => failed = Some(error),
                    }
                }
            }
            Err(error) => failed = Some(error.into()),
        }
    }
    match failed {
        Some(error) if joined == 0 => Err(error),
        _ => Ok(joined),
    }
}

/// The servers among the members, as the cluster wants to know them.
pub(super) fn directory(gossip: &Gossip) -> (Directory, impl Future<Output = ()> + Send + 'static) {
    let mut members = gossip.subscribe();
    let (tell, directory) = watch::channel(servers(&members.borrow_and_update()));
    let work = async move {
        while members.changed().await.is_ok() {
            let now = servers(&members.borrow_and_update());
            tell.send_if_modified(|seen| {
                let changed = *seen != now;
                *seen = now;
                changed
            });
        }
    };
    (directory, work)
}

fn servers(members: &Members) -> Arc<[Seen]> {
    let servers = members.iter().filter(|member| member.tag("role") == "consul");
    let seen = servers.filter_map(|member| {
        let port = member.tag("port").parse().ok()?;
        Some(Seen {
            name: member.name.clone(),
            id: member.id,
            address: SocketAddr::new(member.address.ip(), port).to_string(),
            presence: match member.status {
                Status::Alive | Status::Leaving => Presence::Alive,
                Status::Failed => Presence::Failed,
                Status::Left => Presence::Left,
            },
        })
    });
    seen.collect()
}
