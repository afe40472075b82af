//! The agent itself: what it shares, and what it shows.

use super::aggregate::{Aggregate, aggregate};
use super::journal::{Change, Journal, Slot, Stored};
use super::local::{CheckView, Local, ServiceView};
use super::server::own_node;
use super::state::Restored;
use super::sync::Progress;
use super::{Catalog, Error, Hooks, Settings};
use crate::clock::Clock;
use crate::model::{Definitions, Instance, NodeRecord};
use crate::service::Facts;
use anyhow::Context;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// A registration waits at most so long for the servers to have it, too.
const SYNC_PATIENCE: Duration = Duration::from_millis(200);

/// How often a node that could not be registered tries again.
const ENTER_RETRY: Duration = Duration::from_millis(200);

/// The agent of this node. Cheap to clone.
#[derive(Clone)]
pub struct Agent {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) catalog: Arc<dyn Catalog>,
    settings: watch::Sender<Arc<Settings>>,
    pub(super) hooks: Hooks,
    pub(super) local: Mutex<Local>,
    pub(super) node: Mutex<Arc<NodeRecord>>,
    journal: Option<Journal>,
    /// There is something to sync.
    pub(super) wake: Notify,
    pub(super) progress: watch::Sender<Progress>,
    /// The revision of what is local.
    pub(super) changed: watch::Sender<u64>,
    /// Somebody has asked the process to leave the cluster.
    leaving: watch::Sender<bool>,
    /// This node is in the catalog.
    registered: AtomicBool,
}

impl Agent {
    /// Registers this server, takes up what was stored and what files define, and starts the checks. [`Agent::run`]
    /// keeps the catalog in step.
    ///
    /// # Errors
    /// The node cannot be registered, the data directory cannot be read, or a definition is wrong.
    pub async fn start(
        catalog: Arc<dyn Catalog>,
        settings: Settings,
        definitions: Definitions,
    ) -> anyhow::Result<Agent> {
        // One of several servers may have to wait for a leader: then that is done by `run`.
        let ready = catalog.is_ready();
        if ready {
            catalog.enter().await.context("cannot register this node in the catalog")?;
        }
        let (journal, rows) = match &settings.data_dir {
            Some(dir) => {
                let opened = Journal::open(dir);
                let (journal, rows) = opened.with_context(|| format!("cannot open {}/agent.journal", dir.display()))?;
                (Some(journal), rows)
            }
            None => (None, Vec::new()),
        };
        let node = Mutex::new(Arc::new(own_node(catalog.facts())));
        let agent = Agent {
            inner: Arc::new(Inner {
                catalog,
                settings: watch::Sender::new(Arc::new(settings)),
                hooks: Hooks::default(),
                local: Mutex::default(),
                node,
                journal,
                wake: Notify::new(),
                progress: watch::Sender::new(Progress::default()),
                changed: watch::Sender::new(0),
                leaving: watch::Sender::new(false),
                registered: ready.into(),
            }),
        };
        let files = agent.prepare(definitions)?;
        let mut changes = Vec::new();
        agent.restore(Restored::of(rows), files, &mut changes)?;
        if let Some(slot) = agent.slot().await {
            slot.store(changes).wait().await.map_err(anyhow::Error::msg)?;
        }
        Ok(agent)
    }

    /// Keeps the catalog in step and removes what has been critical for too long, until the server drains.
    pub async fn run(self) {
        tokio::select! {
            () = self.enter_catalog() => {}
            () = self.inner.catalog.drained() => return self.stop_checks(),
        }
        tokio::join!(self.run_sync(), self.run_reaper());
        self.stop_checks();
    }

    /// Registers this node as soon as there is a leader.
    async fn enter_catalog(&self) {
        while !self.inner.registered.load(Ordering::Relaxed) {
            match self.inner.catalog.enter().await {
                Ok(()) => self.inner.registered.store(true, Ordering::Relaxed),
                Err(crate::service::Error::NoLeader) => {}
                Err(error) => tracing::warn!(%error, "cannot register this node in the catalog, trying again"),
            }
            tokio::time::sleep(ENTER_RETRY).await;
        }
    }

    /// Facts about this process.
    pub fn facts(&self) -> &Facts {
        self.inner.catalog.facts()
    }

    /// Time and randomness.
    pub fn clock(&self) -> &Clock {
        self.inner.catalog.clock()
    }

    /// Resolves when this process begins to stop.
    pub async fn drained(&self) {
        self.inner.catalog.drained().await;
    }

    /// What reload asks for.
    pub fn hooks(&self) -> &Hooks {
        &self.inner.hooks
    }

    /// What the operator decided.
    pub fn settings(&self) -> Arc<Settings> {
        self.inner.settings.borrow().clone()
    }

    /// Changes what the operator decided, but for the data directory. Checks that run keep the size of their output.
    pub fn set(&self, settings: Settings) {
        self.inner.settings.send_modify(|now| {
            *now = Arc::new(Settings { data_dir: now.data_dir.clone(), ..settings });
        });
    }

    /// Asks the process to leave the cluster and end.
    pub fn leave(&self) {
        self.inner.leaving.send_replace(true);
    }

    /// Resolves when somebody asked for it.
    pub async fn left(&self) {
        let mut leaving = self.inner.leaving.subscribe();
        // The sender lives as long as `self`, so this ends by the value only.
        let _ = leaving.wait_for(|leaving| *leaving).await;
    }

    /// This node as the catalog shall show it.
    pub fn node(&self) -> Arc<NodeRecord> {
        self.inner.node.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the node's metadata, in order of key; the catalog shows it after the next sync.
    pub fn set_node_meta<'a>(&self, meta: impl IntoIterator<Item = (&'a str, &'a str)>) {
        let mut pairs = vec![("consul-network-segment".into(), Default::default())];
        pairs.extend(meta.into_iter().map(|(k, v)| (k.into(), v.into())));
        pairs.sort();
        let mut node = self.inner.node.lock().unwrap_or_else(PoisonError::into_inner);
        *node = Arc::new(NodeRecord { meta: Some(pairs.into()), ..(**node).clone() });
        drop(node);
        self.local().unsynced.node = true;
        self.inner.wake.notify_one();
    }

    /// The services, in order of id.
    pub fn services(&self) -> Vec<ServiceView> {
        self.local().services.values().map(|s| s.instance.clone()).collect()
    }

    /// One service.
    pub fn service(&self, id: &str) -> Option<Arc<Instance>> {
        self.local().service(id).map(|s| s.instance.clone())
    }

    /// The checks, in order of id.
    pub fn checks(&self) -> Vec<CheckView> {
        let local = self.local();
        local.checks.values().map(|check| local.view(check)).collect()
    }

    /// One check.
    pub fn check(&self, id: &str) -> Option<CheckView> {
        let local = self.local();
        local.check(id).map(|check| local.view(check))
    }

    /// How many services there are, how many checks that run by themselves, and how many that wait for reports.
    pub fn counts(&self) -> (usize, usize, usize) {
        let local = self.local();
        let ttls = local.checks.values().filter(|c| c.check.kind == "ttl").count();
        (local.services.len(), local.checks.len() - ttls, ttls)
    }

    /// A service with the checks that decide on it.
    pub fn aggregate(&self, id: &str) -> Option<Aggregate> {
        let local = self.local();
        let service = local.service(id)?.instance.clone();
        let ids = local.checks_of("").into_iter().chain(local.checks_of(id));
        let mut checks: Vec<CheckView> =
            ids.filter_map(|id| local.checks.get(&id)).map(|check| local.view(check)).collect();
        checks.sort_by(|a, b| a.check.id.cmp(&b.check.id));
        let status = aggregate(checks.iter());
        Some(Aggregate { service, checks, status })
    }

    /// The same of all services of a name, in order of id.
    pub fn aggregates(&self, name: &str) -> Vec<Aggregate> {
        let ids = self.services().into_iter().filter(|s| s.service.name == name);
        ids.filter_map(|service| self.aggregate(&service.id)).collect()
    }

    /// Changes of anything local: a number that grows.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    pub(super) fn local(&self) -> MutexGuard<'_, Local> {
        // Every function of `Local` leaves it whole, so a panic elsewhere cannot have broken it.
        self.inner.local.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place in the journal's queue, to be taken before the lock.
    pub(super) async fn slot(&self) -> Option<Slot> {
        match &self.inner.journal {
            Some(journal) => Some(journal.slot().await),
            None => None,
        }
    }

    /// The same without waiting, for what may be lost.
    pub(super) fn try_slot(&self) -> Option<Slot> {
        self.inner.journal.as_ref()?.try_slot()
    }

    /// Tells everybody of a change that was just made.
    pub(super) fn announce(&self, revision: u64) {
        self.inner.changed.send_modify(|seen| *seen = revision.max(*seen));
        self.inner.wake.notify_one();
    }

    /// Waits until what was queued is on disk, and a moment for the catalog to show it.
    pub(super) async fn settle(&self, stored: Option<Stored>, revision: u64) -> Result<(), Error> {
        self.announce(revision);
        let stored = async {
            match stored {
                Some(stored) => stored.wait().await.map_err(Error::Storage),
                None => Ok(()),
            }
        };
        tokio::join!(stored, self.shown(revision)).0
    }

    /// Resolves when the catalog shows this revision, when it cannot be reached, or after a moment.
    pub(super) async fn shown(&self, revision: u64) {
        let mut progress = self.inner.progress.subscribe();
        let shown = progress.wait_for(|p| p.failing || p.revision >= revision);
        // Neither the end of the wait nor that of the sender is of any consequence to the caller.
        let _ = tokio::time::timeout(SYNC_PATIENCE, shown).await;
    }

    /// A journal change, if this source is kept there.
    pub(super) fn kept(source: super::Source, change: Change) -> Option<Change> {
        (source == super::Source::Api).then_some(change)
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent").field("settings", &self.settings()).finish_non_exhaustive()
    }
}
