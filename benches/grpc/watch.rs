//! Fan-out: many streams follow one service, one instance of it changes, each stream tells when it saw that.

use crate::client::{Call, Link};
use crate::dialect::{Dialect, Event};
use anyhow::{Result, anyhow};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// All streams must stand, and all must see a change, within this.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Seen {
    ready: usize,
    changes: Vec<Instant>,
    failure: Option<String>,
}

/// Open streams; they close when this drops.
pub(crate) struct Watchers {
    streams: usize,
    seen: Rc<RefCell<Seen>>,
    progress: Rc<Notify>,
    _tasks: JoinSet<()>,
}

impl Watchers {
    /// Opens `streams` watches of `service` on `connections` connections and waits until all of them stand.
    pub(crate) async fn open(
        addr: SocketAddr,
        dialect: Dialect,
        service: &str,
        streams: usize,
        connections: usize,
    ) -> Result<Self> {
        let (call, keep_open) = dialect.watch(service);
        let seen = Rc::new(RefCell::new(Seen::default()));
        let progress = Rc::new(Notify::new());
        let mut tasks = JoinSet::new();
        let mut links: Vec<Link> = Vec::new();
        for number in 0..streams {
            if links.len() < connections {
                links.push(Link::connect(addr).await?);
            }
            let link = links[number % links.len()].clone();
            let (seen, progress) = (seen.clone(), progress.clone());
            let call = call.clone();
            tasks.spawn_local(async move {
                if let Err(e) = follow(link, call, keep_open, dialect, &seen, &progress, streams).await {
                    seen.borrow_mut().failure.get_or_insert(format!("{e:#}"));
                    progress.notify_one();
                }
            });
        }
        let watchers = Watchers { streams, seen, progress, _tasks: tasks };
        watchers.wait(|s| s.ready).await?;
        Ok(watchers)
    }

    /// Waits until every stream saw one change; the delays since `start`, sorted.
    pub(crate) async fn delays(&self, start: Instant) -> Result<Vec<Duration>> {
        self.wait(|s| s.changes.len()).await?;
        let mut seen: Vec<Instant> = self.seen.borrow_mut().changes.drain(..).collect();
        seen.sort();
        Ok(seen.into_iter().map(|at| at.saturating_duration_since(start)).collect())
    }

    async fn wait(&self, count: impl Fn(&Seen) -> usize) -> Result<()> {
        let all = async {
            loop {
                {
                    let seen = self.seen.borrow();
                    if let Some(failure) = &seen.failure {
                        return Err(anyhow!("watch stream: {failure}"));
                    }
                    if count(&seen) >= self.streams {
                        return Ok(());
                    }
                }
                self.progress.notified().await;
            }
        };
        tokio::time::timeout(PATIENCE, all).await.map_err(|_| {
            anyhow!("only {} of {} streams within {PATIENCE:?}", count(&self.seen.borrow()), self.streams)
        })?
    }
}

async fn follow(
    mut link: Link,
    call: Call,
    keep_open: bool,
    dialect: Dialect,
    seen: &RefCell<Seen>,
    progress: &Notify,
    streams: usize,
) -> Result<()> {
    let mut stream = link.stream(&call, keep_open).await?;
    loop {
        let message = stream.next().await?;
        let now = Instant::now();
        let mut seen = seen.borrow_mut();
        match dialect.event(&message) {
            Event::Ready => seen.ready += 1,
            Event::Change => seen.changes.push(now),
            Event::Other => continue,
        }
        if seen.ready >= streams || seen.changes.len() >= streams {
            progress.notify_one();
        }
    }
}
