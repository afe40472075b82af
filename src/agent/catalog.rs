//! The catalog as the agent needs it: one node's part of it to look at, and registrations to write. A server has it in
//! its own memory; a client agent asks servers.

use super::register_self;
use crate::clock::Clock;
use crate::command::{CatalogDeregister, CatalogRegister};
use crate::machine::State;
use crate::service::{Consistency, Core, Error, Facts, ReadOptions};
use crate::watch::Topic;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use std::sync::Arc;

/// One write of a node's agent.
#[derive(Clone, Debug)]
pub enum CatalogWrite {
    /// A node, with a service and checks.
    Register(Box<CatalogRegister>),
    /// A service or a check.
    Deregister(CatalogDeregister),
}

/// Where the agent's node is shown to others.
pub trait Catalog: Send + Sync + 'static {
    /// Facts about this process.
    fn facts(&self) -> &Facts;

    /// Time and randomness.
    fn clock(&self) -> &Clock;

    /// Resolves when this process begins to stop.
    fn drained(&self) -> BoxFuture<'static, ()>;

    /// Whether the node can be registered at once, so that nothing is served before that is done.
    fn is_ready(&self) -> bool;

    /// Registers what stands for the process itself; see [`register_self`].
    fn enter(&self) -> BoxFuture<'static, Result<(), Error>>;

    /// A state that holds what was last heard of this node, without asking anybody.
    fn known(&self, node: &str) -> Arc<State>;

    /// A state that holds what is known of this node, as fresh as the leader's lease.
    fn view(&self, node: &str) -> BoxFuture<'static, Result<Arc<State>, Error>>;

    /// Whenever something of this node may have changed; what happens until it is asked again is one change.
    fn changes(&self, node: &str) -> BoxStream<'static, ()>;

    /// Proposes a write.
    fn write(&self, write: CatalogWrite) -> BoxFuture<'static, Result<(), Error>>;

    /// How many writes may be on their way at once.
    fn writes_at_once(&self) -> usize;

    /// How many nodes there are.
    fn nodes(&self) -> usize;

    /// Resolves when servers that could not be reached may be there again.
    fn back(&self) -> BoxFuture<'static, ()>;
}

impl Catalog for Core {
    fn facts(&self) -> &Facts {
        Core::facts(self)
    }

    fn clock(&self) -> &Clock {
        Core::clock(self)
    }

    fn drained(&self) -> BoxFuture<'static, ()> {
        let core = self.clone();
        Box::pin(async move { Core::drained(&core).await })
    }

    fn is_ready(&self) -> bool {
        self.leads_alone()
    }

    fn enter(&self) -> BoxFuture<'static, Result<(), Error>> {
        let core = self.clone();
        Box::pin(async move { register_self(&core).await })
    }

    fn known(&self, _: &str) -> Arc<State> {
        self.local().state
    }

    fn view(&self, _: &str) -> BoxFuture<'static, Result<Arc<State>, Error>> {
        let core = self.clone();
        Box::pin(async move {
            let options = ReadOptions { consistency: Consistency::Lease, ..ReadOptions::default() };
            Ok(Core::view(&core, &options).await?.state)
        })
    }

    fn changes(&self, node: &str) -> BoxStream<'static, ()> {
        let subscription = self.hub().subscribe(Topic::node(node));
        stream::unfold(subscription, |mut subscription| async move {
            subscription.changed().await;
            Some(((), subscription))
        })
        .boxed()
    }

    fn write(&self, write: CatalogWrite) -> BoxFuture<'static, Result<(), Error>> {
        let core = self.clone();
        Box::pin(async move {
            match write {
                CatalogWrite::Register(command) => core.catalog_register(command).await.map(drop),
                CatalogWrite::Deregister(command) => core.catalog_deregister(command).await.map(drop),
            }
        })
    }

    fn writes_at_once(&self) -> usize {
        // All of a round: they share the sync of a log entry.
        256
    }

    fn nodes(&self) -> usize {
        self.local().state.nodes().count()
    }

    fn back(&self) -> BoxFuture<'static, ()> {
        // A server finds a leader by itself, and is soon asked again.
        Box::pin(std::future::pending())
    }
}
