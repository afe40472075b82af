//! Reads: how fresh, and how long to wait for a change (Consul's blocking queries).

use super::cache::{Entry, Known, Ready};
use super::error::Error;
use super::gateway::Gateway;
use super::reply::{Answer, X_CONSUL_CONSISTENCY, X_CONSUL_INDEX, X_CONSUL_KNOWNLEADER, X_CONSUL_LASTCONTACT};
use super::scope::Scope;
use super::target::Query;
use crate::machine::State;
use crate::service::{Consistency, ReadOptions, View};
use http::{HeaderMap, HeaderValue};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How fresh a read is, and whether its answer says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mode {
    pub(super) consistency: Consistency,
    pub(super) max_staleness_ms: Option<u64>,
    /// The KV endpoints do not say it.
    pub(super) announced: bool,
}

impl Mode {
    pub(super) fn options(self) -> ReadOptions {
        ReadOptions { consistency: self.consistency, max_staleness_ms: self.max_staleness_ms, ..ReadOptions::default() }
    }

    fn word(self) -> HeaderValue {
        HeaderValue::from_static(match self.consistency {
            Consistency::Linearizable => "consistent",
            Consistency::Lease => "leader",
            Consistency::Local => "stale",
        })
    }

    /// Adds what a read tells of itself. The answer is of a leader until [`Mode::correct`] says otherwise.
    pub(super) fn announce(self, headers: &mut HeaderMap, index: u64) {
        headers.insert(X_CONSUL_INDEX, HeaderValue::from(index));
        headers.insert(X_CONSUL_KNOWNLEADER, HeaderValue::from_static("true"));
        headers.insert(X_CONSUL_LASTCONTACT, HeaderValue::from_static("0"));
        if self.announced {
            headers.insert(X_CONSUL_CONSISTENCY, self.word());
        }
    }

    /// Replaces what is different on a server that does not lead.
    pub(super) fn correct(headers: &mut HeaderMap, view: &View) {
        if !view.leader_known {
            headers.insert(X_CONSUL_KNOWNLEADER, HeaderValue::from_static("false"));
        }
        if view.staleness_ms > 0 {
            headers.insert(X_CONSUL_LASTCONTACT, HeaderValue::from(view.staleness_ms));
        }
    }
}

/// What a read asks for besides its content.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    pub(super) mode: Mode,
    /// Answer when the index is above this; 0: at once.
    index: u64,
    wait: Duration,
}

impl Read {
    /// Takes the common parameters of reads out of a query. `announced`: see [`Mode`].
    pub(super) fn parse(query: &Query, announced: bool) -> Result<Read, Error> {
        let (stale, consistent) = (query.has("stale"), query.has("consistent"));
        if stale && consistent {
            return Err(Error::bad_request("Cannot specify ?stale with ?consistent, conflicting semantics."));
        }
        if query.has("cached") && consistent {
            return Err(Error::bad_request("Cannot specify ?cached with ?consistent, conflicting semantics."));
        }
        let consistency = match (stale, consistent) {
            (true, _) => Consistency::Local,
            (_, true) => Consistency::Linearizable,
            _ => Consistency::Lease,
        };
        let max_staleness_ms = match query.get("max_stale").filter(|text| !text.is_empty()) {
            Some(text) => {
                let bad = |_| Error::bad_request(format!("Invalid max_stale value {text:?}"));
                let ns = super::json::parse_duration(text).map_err(bad)?;
                (stale && ns > 0).then_some(ns as u64 / 1_000_000)
            }
            None => None,
        };
        let wait = match query.get("wait").filter(|text| !text.is_empty()) {
            Some(text) => super::json::parse_duration(text).map_err(|_| Error::bad_request("Invalid wait time"))?,
            None => 0,
        };
        let index = match query.get("index").filter(|text| !text.is_empty()) {
            Some(text) => text.parse().map_err(|_| Error::bad_request("Invalid index"))?,
            None => 0,
        };
        let wait = u64::try_from(wait).map_or(Duration::ZERO, Duration::from_nanos);
        Ok(Read { mode: Mode { consistency, max_staleness_ms, announced }, index, wait })
    }

    /// When to stop waiting: as asked or the default, up to a sixteenth more so that clients do not come in step, and
    /// never more than `max`.
    fn deadline(&self, (default, max): (Duration, Duration), random: [u8; 16]) -> Instant {
        let wait = if self.wait.is_zero() { default } else { self.wait.min(max) };
        let share = u32::from(random[0]);
        let jitter = wait / 16 * share / 255;
        Instant::now() + (wait + jitter).min(max)
    }
}

/// A question whose answer depends on the state alone.
pub(super) struct Question<F> {
    pub(super) scope: Scope,
    /// Equal for equal questions.
    pub(super) content: String,
    pub(super) answer: F,
}

impl<F: Fn(&State) -> Result<Answer, Error>> Question<F> {
    /// Answers when the read says so. `target` is the request line, under which an answer that does not wait is kept.
    pub(super) async fn ask(self, gateway: &Gateway, read: Read, target: &str) -> Result<Answer, Error> {
        if read.index == 0 {
            let view = gateway.core.view(&read.mode.options()).await?;
            let known = self.known(gateway, &view.state)?;
            let mut headers = known.answer.headers.clone();
            read.mode.announce(&mut headers, known.index);
            let ready = Ready { mode: read.mode, headers, known };
            let answer = present(&ready, &view);
            gateway.cache.insert(target, Entry::Ready(Arc::new(ready)));
            return Ok(answer);
        }
        let (known, view) = self.wait(gateway, read).await?;
        let mut answer = known.answer.clone();
        read.mode.announce(&mut answer.headers, known.index);
        Mode::correct(&mut answer.headers, &view);
        Ok(answer)
    }

    fn known(&self, gateway: &Gateway, state: &State) -> Result<Arc<Known>, Error> {
        if let Some(known) = gateway.cache.known(&self.content, state) {
            return Ok(known);
        }
        let known = Arc::new(Known::new(self.scope.clone(), state, (self.answer)(state)?));
        gateway.cache.insert(&self.content, Entry::Known(known.clone()));
        Ok(known)
    }

    fn index(&self, gateway: &Gateway, state: &State) -> Result<u64, Error> {
        Ok(match self.scope {
            // Costs a walk, which those who wait for the same prefix share.
            Scope::Prefix(_) => self.known(gateway, state)?.index,
            _ => self.scope.index(state),
        })
    }

    async fn wait(&self, gateway: &Gateway, read: Read) -> Result<(Arc<Known>, View), Error> {
        let times = (gateway.options.wait_default, gateway.options.wait_max);
        let deadline = read.deadline(times, gateway.core.clock().random());
        let hub = gateway.core.hub();
        // Subscribed before the state is looked at, so that no change is missed.
        let mut changes = hub.subscribe(self.scope.topic());
        let mut others = self.scope.other_topic().map(|topic| hub.subscribe(topic));
        loop {
            let view = gateway.core.view(&read.mode.options()).await?;
            let over = Instant::now() >= deadline || gateway.draining.is_cancelled();
            if over || self.index(gateway, &view.state)? > read.index {
                return Ok((self.known(gateway, &view.state)?, view));
            }
            // The snapshot must not be kept alive for minutes.
            drop(view);
            tokio::select! {
                () = changes.changed() => {}
                () = other_change(&mut others) => {}
                () = tokio::time::sleep_until(deadline) => {}
                () = gateway.draining.cancelled() => {}
            }
        }
    }
}

async fn other_change(others: &mut Option<crate::watch::Subscription>) {
    match others {
        Some(others) => others.changed().await,
        None => std::future::pending().await,
    }
}

/// A known answer as this server says it now.
pub(super) fn present(ready: &Ready, view: &View) -> Answer {
    let mut headers = ready.headers.clone();
    Mode::correct(&mut headers, view);
    Answer { status: ready.known.answer.status, headers, body: ready.known.answer.body.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Read, Error> {
        Read::parse(&Query::parse(query)?, true)
    }

    #[test]
    fn waits_are_bounded() {
        let now = Instant::now();
        for (query, least, most) in [("index=1", 300, 319), ("index=1&wait=0s", 300, 319), ("wait=20m", 600, 600)] {
            let read = read(query).unwrap();
            for random in [[0; 16], [255; 16]] {
                let wait =
                    (read.deadline((Duration::from_secs(300), Duration::from_secs(600)), random) - now).as_secs();
                assert!((least..=most).contains(&wait), "{query}: {wait}");
            }
        }
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        for query in ["index=18446744073709551616", "index=-1", "index=1.5", "wait=99999999999h", "wait=5"] {
            assert!(read(query).is_err(), "{query}");
        }
        assert!(read("index=18446744073709551615&wait=-5s").is_ok());
    }
}
