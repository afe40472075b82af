//! What becomes of a server whose cluster was recovered without it: it is told so by those who know, writes that down,
//! and stops. What it has is out of date; it must not serve it, nor go on with others that are out of date, too.
//!
//! Whoever asks a server of the recovered cluster anything is told ([`refusal`]); a server that cannot reach anybody of
//! its own cluster looks among the servers that gossip knows ([`Handle::hear_superseded`] is called from there).
//!
//! A server that has been following a leader for a while is part of a majority that works. It does not stop: then it was
//! the recovery that was a mistake, and must not end what works.

use super::handle::{Handle, Inner};
use super::link::Link;
use super::members::Probed;
use super::status::Status;
use std::sync::Weak;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

/// How long a leader must be known for it to be no accident of servers that come back together.
const ESTABLISHED: Duration = if cfg!(test) { Duration::from_millis(500) } else { Duration::from_secs(10) };
/// How often an operator is told of a recovery that was a mistake.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Why a question from the cluster `asker` is refused, if this server's cluster is what became of it.
pub(super) fn refusal(link: &Link, asker: &[u8]) -> Option<String> {
    let asker = Uuid::from_slice(asker).ok()?;
    let own = link.cluster.get()?;
    link.former().contains(&asker).then(|| of(asker, *own))
}

/// What a server of the cluster `former` is told.
fn of(former: Uuid, now: Uuid) -> String {
    format!("cluster {former} had lost its majority and was recovered as cluster {now}, without this server")
}

impl Probed {
    /// Why a server of `cluster` must stop, if this one is of what became of that cluster.
    pub fn supersedes(&self, cluster: Uuid) -> Option<String> {
        let now = self.cluster.filter(|_| self.former.contains(&cluster))?;
        Some(format!("{} (says {} at {})", of(cluster, now), self.node.name, self.node.address))
    }
}

/// Resolves when this server has had a leader for [`ESTABLISHED`]. That one is known is not enough: it is
/// known for a while after it was last heard of.
async fn established(inner: Weak<Inner>, mut status: watch::Receiver<Status>) {
    loop {
        if status.wait_for(|s| s.leader.is_some()).await.is_err() {
            return std::future::pending().await;
        }
        let lost = status.wait_for(|s| s.leader.is_none());
        let is_lost = tokio::time::timeout(ESTABLISHED, lost).await.is_ok();
        let staleness = inner.upgrade().and_then(|inner| Handle::of(inner).standing().staleness_ms);
        if !is_lost && staleness.is_some_and(|ms| u128::from(ms) < ESTABLISHED.as_millis() / 2) {
            return;
        }
    }
}

/// Stops this server when it is told. Works until then, or until the last handle is dropped.
pub(super) async fn run(
    inner: Weak<Inner>,
    mut told: watch::Receiver<Option<String>>,
    status: watch::Receiver<Status>,
) {
    let mut established = std::pin::pin!(established(inner.clone(), status));
    let (mut is_established, mut warned) = (false, None::<Instant>);
    loop {
        tokio::select! {
            // Who is told at the same moment has not been established for long.
            biased;
            // The sender lives in `inner`.
            changed = told.changed() => if changed.is_err() { return },
            () = &mut established, if !is_established => {
                is_established = true;
                continue;
            }
        }
        let Some(why) = told.borrow_and_update().clone() else { continue };
        if !is_established {
            if let Some(inner) = inner.upgrade() {
                Handle::of(inner).end_superseded(&why).await;
            }
            return;
        }
        if warned.is_none_or(|at| at.elapsed() > WARN_EVERY) {
            warned = Some(Instant::now());
            tracing::error!(
                %why,
                "another server says that it replaces this cluster, which has its majority and goes on: stop that server, \
                and start it again without its data; until then, do not restart others"
            );
        }
    }
}

/// What the operator can do about it.
pub(super) fn advice(why: &str) -> String {
    format!(
        "{why}: what this server has is out of date. Keep its data directory elsewhere or remove it, and start the server \
        again: it will join as a new one"
    )
}

impl Handle {
    /// Somebody says that the cluster of this server was recovered without it. It stops, now and at every start, unless
    /// it is part of a majority that works.
    pub fn hear_superseded(&self, why: String) {
        self.link().superseded.send_replace(Some(why));
    }

    async fn end_superseded(&self, why: &str) {
        let parts = &self.inner().parts;
        // Nothing is acknowledged any more, nor is anybody voted for.
        let (saved, _) = tokio::join!(parts.log.save_superseded(why), parts.raft.shutdown());
        if let Err(error) = saved {
            // It will be told again.
            tracing::warn!(%error, "cannot write down that this server is superseded");
        }
        parts.fatal.report(advice(why));
    }

    /// Clusters that were recovered as the present one.
    pub(super) fn former(&self) -> &[Uuid] {
        self.link().former()
    }
}
