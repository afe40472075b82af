//! Tells the catalog where this node is in the space of round trip times, as long as there is somebody to be far from.

use crate::agent::Catalog;
use crate::client::Remote;
use crate::clock::Clock;
use crate::gossip::{Gossip, Status};
use crate::model::Coordinate;
use crate::service::{Core, Error};
use std::time::Duration;
use tokio::time::Instant;
use tracing::debug;

/// How often this node looks where it is, in small clusters.
const EVERY: Duration = Duration::from_secs(15);
/// In large ones, all nodes together look this often in a second.
const RATE: u64 = 64;
/// What the servers were told is told again after this time: the catalog may have lost the node meanwhile.
const AGAIN_AFTER: Duration = Duration::from_secs(300);

/// The catalog, as far as it knows places.
pub(super) trait Places: Send {
    /// Where the catalog has this node, as far as is known here.
    fn shown(&self, node: &str) -> Option<Coordinate>;

    /// Tells it.
    fn tell(&mut self, own: Coordinate) -> impl Future<Output = Result<(), Error>> + Send;

    /// Time and randomness.
    fn clock(&self) -> &Clock;

    /// Resolves when this process begins to stop.
    fn drained(&self) -> impl Future<Output = ()> + Send;
}

impl Places for Core {
    fn shown(&self, node: &str) -> Option<Coordinate> {
        self.local().state.coordinates_of(node).next().map(|shown| Coordinate::clone(shown))
    }

    async fn tell(&mut self, own: Coordinate) -> Result<(), Error> {
        self.update_coordinates(vec![own]).await.map(drop)
    }

    fn clock(&self) -> &Clock {
        Core::clock(self)
    }

    async fn drained(&self) {
        Core::drained(self).await;
    }
}

/// The catalog of the servers, and what it was told last.
pub(super) struct Told {
    catalog: Remote,
    last: Option<(Coordinate, Instant)>,
}

impl Told {
    /// Nothing yet.
    pub(super) fn nothing(catalog: Remote) -> Told {
        Told { catalog, last: None }
    }
}

impl Places for Told {
    fn shown(&self, _: &str) -> Option<Coordinate> {
        let (told, at) = self.last.as_ref()?;
        (at.elapsed() < AGAIN_AFTER).then(|| told.clone())
    }

    async fn tell(&mut self, own: Coordinate) -> Result<(), Error> {
        self.catalog.place(own.clone()).await?;
        self.last = Some((own, Instant::now()));
        Ok(())
    }

    fn clock(&self) -> &Clock {
        Catalog::clock(&self.catalog)
    }

    async fn drained(&self) {
        Catalog::drained(&self.catalog).await;
    }
}

/// Runs until this process stops.
pub(super) async fn run(gossip: Gossip, mut catalog: impl Places) {
    loop {
        let pause = pause(gossip.members().count(Status::Alive), catalog.clock());
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = catalog.drained() => return,
        }
        if gossip.members().count(Status::Alive) < 2 {
            continue;
        }
        let Some((own, _)) = gossip.places().await else { return };
        if catalog.shown(&own.node).is_none_or(|shown| moved(&shown, &own))
            && let Err(error) = catalog.tell(own).await
        {
            debug!(%error, "the catalog cannot be told where this node is");
        }
    }
}

/// Longer for many members, and a random part of that less, so that nodes do not come in step.
fn pause(members: usize, clock: &Clock) -> Duration {
    let all = EVERY.max(Duration::from_secs(members as u64 / RATE));
    let [a, ..] = clock.random();
    all - all / 1024 * u32::from(a)
}

/// Whether it is worth an entry of the log.
fn moved(before: &Coordinate, now: &Coordinate) -> bool {
    let far = before.vec.iter().zip(&now.vec).map(|(a, b)| (a - b).abs()).sum::<f64>();
    far + (before.height - now.height).abs() + (before.adjustment - now.adjustment).abs() > 0.000_05
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_members_speak_more_rarely() {
        let clock = Clock::manual(0, 1);
        for (members, most) in [(1, 15), (960, 15), (6_400, 100)] {
            let (pause, most) = (pause(members, &clock), Duration::from_secs(most));
            assert!(pause <= most && pause > most / 2, "{pause:?}");
        }
    }

    #[test]
    fn a_place_that_hardly_moves_is_not_told() {
        let before = Coordinate::origin("a".into());
        let mut now = before.clone();
        now.vec[3] += 0.000_01;
        assert!(!moved(&before, &now));
        now.height += 0.001;
        assert!(moved(&before, &now));
    }
}
