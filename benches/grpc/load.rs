//! The closed loop: a fixed number of calls outstanding, each sent when the one before it was answered.

use crate::client::{Call, Link};
use crate::stats::Stats;
use anyhow::Result;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// A run with more failures than this is stopped.
const MAX_ERRORS: u64 = 1000;

/// A run ends at whichever comes first.
#[derive(Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) time: Duration,
    pub(crate) operations: u64,
}

/// How many calls are outstanding, and on how many connections.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) concurrency: usize,
    pub(crate) connections: usize,
}

struct Shared {
    stats: Stats,
    next: u64,
    last: Instant,
    make: Box<dyn FnMut(u64) -> Call>,
}

/// Drives `make(0)`, `make(1)`, ... until the limit, all on the calling thread.
pub(crate) async fn closed_loop(
    addr: SocketAddr,
    shape: Shape,
    limit: Limit,
    make: Box<dyn FnMut(u64) -> Call>,
) -> Result<Stats> {
    let mut links = Vec::new();
    for _ in 0..shape.connections.clamp(1, shape.concurrency.max(1)) {
        links.push(Link::connect(addr).await?);
    }
    let start = Instant::now();
    let shared = Rc::new(RefCell::new(Shared { stats: Stats::new(), next: 0, last: start, make }));
    let mut workers = JoinSet::new();
    for worker in 0..shape.concurrency {
        let link = links[worker % links.len()].clone();
        workers.spawn_local(work(link, shared.clone(), start + limit.time, limit.operations));
    }
    while let Some(joined) = workers.join_next().await {
        joined?;
    }
    let mut shared = shared.borrow_mut();
    let elapsed = shared.last.saturating_duration_since(start);
    let mut stats = std::mem::replace(&mut shared.stats, Stats::new());
    stats.elapsed = elapsed;
    Ok(stats)
}

async fn work(mut link: Link, shared: Rc<RefCell<Shared>>, stop: Instant, operations: u64) {
    loop {
        let call = {
            let mut s = shared.borrow_mut();
            if s.next >= operations || s.stats.errors > MAX_ERRORS || Instant::now() >= stop {
                return;
            }
            let number = s.next;
            s.next += 1;
            (s.make)(number)
        };
        let sent = Instant::now();
        let answer = link.unary(&call).await;
        let now = Instant::now();
        let mut s = shared.borrow_mut();
        s.last = now;
        match answer {
            Ok(message) => s.stats.hit(now - sent, message.len()),
            Err(e) => s.stats.miss(format!("{e:#}")),
        }
    }
}
