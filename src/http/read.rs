//! Reads: how fresh, and how long to wait for a change (Consul's blocking queries).

use super::cache::{Entry, Known, Ready};
use super::call::Call;
use super::error::Error;
use super::gateway::Gateway;
use super::reply::{Answer, X_CACHE, X_CONSUL_CONSISTENCY, X_CONSUL_INDEX, X_CONSUL_KNOWNLEADER, X_CONSUL_LASTCONTACT};
use super::scope::Scope;
use super::target::Query;
use crate::machine::State;
use crate::service::{Consistency, Core, ReadOptions, View};
use crate::watch::Subscription;
use futures::future::select_all;
use http::header::AGE;
use http::{HeaderMap, HeaderValue};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How many modes there are that differ in what their answers say.
pub(super) const MODES: usize = 6;

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

    /// Modes whose answers say different things have different numbers, below [`MODES`].
    pub(super) fn number(self) -> usize {
        let consistency = match self.consistency {
            Consistency::Linearizable => 0,
            Consistency::Lease => 1,
            Consistency::Local => 2,
        };
        consistency * 2 + usize::from(self.announced)
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
    /// The answer says whether it was there already.
    cached: bool,
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
        let max_staleness_ms = match query.get("max_stale").filter(|text| !text.is_empty()) {
            Some(text) => {
                let bad = |_| Error::bad_request(format!("Invalid max_stale value {text:?}"));
                let ns = super::json::parse_duration(text).map_err(bad)?;
                (!consistent && ns > 0).then_some(ns as u64 / 1_000_000)
            }
            None => None,
        };
        let consistency = match (stale || max_staleness_ms.is_some(), consistent) {
            (true, _) => Consistency::Local,
            (_, true) => Consistency::Linearizable,
            _ => Consistency::Lease,
        };
        let (index, wait) = waiting(query)?;
        Ok(Read { mode: Mode { consistency, max_staleness_ms, announced }, index, wait, cached: false })
    }

    /// For what is no part of the state: only how long to wait for something else than the index.
    pub(super) fn of_wait(query: &Query) -> Result<Read, Error> {
        let (index, wait) = waiting(query)?;
        let mode = Mode { consistency: Consistency::Local, max_staleness_ms: None, announced: false };
        Ok(Read { mode, index, wait, cached: false })
    }

    /// The index that the client has.
    pub(super) fn index(&self) -> u64 {
        self.index
    }

    /// For the endpoints that know `?cached`. Kept answers are only used while they are true, so the parameter costs no
    /// freshness and there is no age.
    pub(super) fn or_cached(self, query: &Query) -> Read {
        Read { cached: query.has("cached"), ..self }
    }

    /// A known answer, and whether it was there already, as this server says it now.
    fn present(&self, known: &Known, hit: bool, view: &View) -> Answer {
        let mut headers = known.headers(self.mode).clone();
        self.announce_cached(&mut headers, hit);
        Mode::correct(&mut headers, view);
        known.answer.under(headers)
    }

    /// Says what `?cached` asks for: whether the answer was there already.
    fn announce_cached(&self, headers: &mut HeaderMap, hit: bool) {
        if self.cached {
            headers.insert(X_CACHE, HeaderValue::from_static(if hit { "HIT" } else { "MISS" }));
            if hit {
                headers.insert(AGE, HeaderValue::from_static("0"));
            }
        }
    }

    /// When to stop waiting, by the operator's times.
    pub(super) fn deadline(&self, gateway: &Gateway) -> Instant {
        let times = (gateway.options.wait_default, gateway.options.wait_max);
        self.deadline_within(times, gateway.clock().random())
    }

    /// When to stop waiting: as asked or the default, up to a sixteenth more so that clients do not come in step, and
    /// never more than `max`.
    fn deadline_within(&self, (default, max): (Duration, Duration), random: [u8; 16]) -> Instant {
        let wait = if self.wait.is_zero() { default } else { self.wait.min(max) };
        let share = u32::from(random[0]);
        let jitter = wait / 16 * share / 255;
        Instant::now() + (wait + jitter).min(max)
    }
}

/// The index to wait for, and how long.
fn waiting(query: &Query) -> Result<(u64, Duration), Error> {
    let wait = match query.get("wait").filter(|text| !text.is_empty()) {
        Some(text) => super::json::parse_duration(text).map_err(|_| Error::bad_request("Invalid wait time"))?,
        None => 0,
    };
    let index = match query.get("index").filter(|text| !text.is_empty()) {
        Some(text) => text.parse().map_err(|_| Error::bad_request("Invalid index"))?,
        None => 0,
    };
    Ok((index, u64::try_from(wait).map_or(Duration::ZERO, Duration::from_nanos)))
}

/// A question whose answer depends on the state alone.
pub(super) struct Question<'a> {
    pub(super) scope: Scope,
    /// Equal for equal questions.
    pub(super) content: String,
    pub(super) answer: &'a (dyn Fn(&State) -> Result<Answer, Error> + Sync),
}

impl<'a> Question<'a> {
    /// Answers when the read says so. An answer that does not wait is kept under the request line. What else the request
    /// said is dropped before: thousands may wait.
    pub(super) fn ask(self, call: Call, read: Read) -> impl Future<Output = Result<Answer, Error>> + Send + use<'a> {
        let Call { gateway, core, target, .. } = call;
        async move {
            if read.index > 0 {
                drop(target);
                return self.wait(&gateway, &core, read).await;
            }
            let view = core.view(&read.mode.options()).await?;
            let (known, hit) = self.known(&gateway, &core, &view.state).await?;
            let mut headers = known.headers(read.mode).clone();
            read.announce_cached(&mut headers, true);
            let ready = Ready { mode: read.mode, headers, known };
            let mut answer = present(&ready, &view);
            if read.cached && !hit {
                answer.headers.remove(AGE);
                read.announce_cached(&mut answer.headers, false);
            }
            gateway.cache.insert(&target, Entry::Ready(Arc::new(ready)));
            Ok(answer)
        }
    }

    /// The answer in this state, and whether it was there already.
    async fn known(&self, gateway: &Gateway, core: &Core, state: &State) -> Result<(Arc<Known>, bool), Error> {
        if let Some(known) = gateway.cache.known(&self.content, state) {
            return Ok((known, true));
        }
        let turn = if self.scope.is_list() { Some(core.admission().list().await?) } else { None };
        // Whoever had the turn before may have asked the same.
        if turn.is_some()
            && let Some(known) = gateway.cache.known(&self.content, state)
        {
            return Ok((known, true));
        }
        let known = Arc::new(Known::new(self.scope.clone(), state, (self.answer)(state)?));
        gateway.cache.insert(&self.content, Entry::Known(known.clone()));
        Ok((known, false))
    }

    async fn index(&self, gateway: &Gateway, core: &Core, state: &State) -> Result<u64, Error> {
        Ok(match self.scope {
            // Costs a walk, which those who wait for the same prefix share.
            Scope::Prefix(_) => self.known(gateway, core, state).await?.0.index,
            _ => self.scope.index(state),
        })
    }

    /// The answer when its index is above the client's, or at the deadline.
    async fn wait(&self, gateway: &Gateway, core: &Core, read: Read) -> Result<Answer, Error> {
        let deadline = read.deadline(gateway);
        let hub = core.hub();
        // Subscribed before the state is looked at, so that no change is missed.
        let mut topics: Vec<Subscription> = self.scope.topics().into_iter().map(|t| hub.subscribe(t)).collect();
        let mut woken = false;
        loop {
            let view = core.view(&read.mode.options()).await?;
            // Of those who wait for the same the first to wake makes the answer of all.
            let shared = woken.then(|| gateway.cache.known(&self.content, &view.state)).flatten();
            if let Some(known) = shared.filter(|known| known.index > read.index) {
                return Ok(read.present(&known, true, &view));
            }
            let over = Instant::now() >= deadline || gateway.draining.is_cancelled();
            if over || self.index(gateway, core, &view.state).await? > read.index {
                let (known, hit) = self.known(gateway, core, &view.state).await?;
                return Ok(read.present(&known, hit, &view));
            }
            // The snapshot must not be kept alive for minutes.
            drop(view);
            tokio::select! {
                () = any_change(&mut topics, gateway) => {}
                () = tokio::time::sleep_until(deadline) => {}
            }
            woken = true;
        }
    }
}

/// Resolves when one of the topics has changed, or when the server stops: then all of them say so.
async fn any_change(topics: &mut [Subscription], gateway: &Gateway) {
    match topics {
        [] => gateway.draining.cancelled().await,
        [one] => one.changed().await,
        several => {
            select_all(several.iter_mut().map(|topic| Box::pin(topic.changed()))).await;
        }
    }
}

/// A known answer as this server says it now.
pub(super) fn present(ready: &Ready, view: &View) -> Answer {
    let mut headers = ready.headers.clone();
    Mode::correct(&mut headers, view);
    ready.known.answer.under(headers)
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
                let wait = (read.deadline_within((Duration::from_secs(300), Duration::from_secs(600)), random) - now)
                    .as_secs();
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
