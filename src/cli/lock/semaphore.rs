//! A semaphore: who wants a place writes `PREFIX/SESSION`, and who has one is listed in `PREFIX/.lock`.

use super::session::Session;
use super::{Attempt, Cleanup, MONITOR_PAUSE, Options, Patience, join, wait_parameter};
use crate::cli::client::{ClientError, Request};
use crate::cli::kv::{Pair, find};
use crate::cli::signals::Shutdown;
use crate::model::go_json::to_json;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The flags of the keys of a semaphore.
const FLAGS: u64 = 0xe0f6_9a2b_aa41_4de0;
const CONFLICT: &str = "Existing key does not match semaphore use";

/// The value of `PREFIX/.lock`.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Holders {
    limit: usize,
    #[serde(default)]
    holders: BTreeMap<String, bool>,
}

pub(super) struct Semaphore {
    options: Options,
    session: Option<Session>,
}

impl Semaphore {
    pub(super) fn new(options: Options) -> Semaphore {
        Semaphore { options, session: None }
    }

    pub(super) async fn acquire(&mut self, shutdown: &mut Shutdown) -> Result<Attempt, String> {
        let session = Session::create(&self.options.client, &self.options.name, "delete").await;
        let session = session.map_err(|e| format!("failed to create session: {e}"))?;
        let held = tokio::select! {
            held = self.wait_for(session.id()) => held,
            _ = shutdown.asked() => Ok(false),
        };
        match held {
            Ok(true) => {
                let monitor = tokio::spawn(monitor(self.options.clone(), session.id().to_owned()));
                self.session = Some(session);
                Ok(Attempt::Held(monitor))
            }
            other => {
                session.close().await;
                other.map(|_| Attempt::GaveUp)
            }
        }
    }

    /// Waits until the session is among the holders; `false` when the time is over.
    async fn wait_for(&self, session: &str) -> Result<bool, String> {
        let contender = self.options.client.put(self.contender(session)).query("flags", FLAGS.to_string());
        match contender.query("acquire", session).accepted().await {
            Ok(true) => {}
            Ok(false) => return Err("failed to make contender entry: <nil>".to_owned()),
            Err(error) => return Err(format!("failed to make contender entry: {error}")),
        }
        let mut patience = Patience::new(self.options.timeout);
        let mut index = 0;
        while let Some(wait) = patience.next() {
            let request = list(&self.options).query("wait", wait_parameter(wait));
            let request = if index == 0 { request } else { request.query("index", index.to_string()) };
            let (pairs, seen) = pairs(request).await.map_err(|e| format!("failed to read prefix: {e}"))?;
            let (mut lock, at) = self.options.holders(&pairs)?;
            let limit = self.options.limit;
            if lock.limit != limit {
                return Err(format!("semaphore limit conflict (lock: {}, local: {limit})", lock.limit));
            }
            if lock.holders.len() >= limit {
                index = seen;
                continue;
            }
            lock.holders.insert(session.to_owned(), true);
            if self.write(&lock, at).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn contender(&self, session: &str) -> String {
        format!("/v1/kv/{}", join(&self.options.prefix, session))
    }

    /// Writes the list of holders, if it is still at `index`.
    async fn write(&self, holders: &Holders, index: u64) -> Result<bool, String> {
        let value = to_json(holders).map_err(|e| format!("lock encoding failed: {e}"))?;
        let request = self.options.client.put(format!("/v1/kv/{}", self.options.lock_key()));
        let request = request.query("cas", index.to_string()).query("flags", FLAGS.to_string()).body(value);
        request.accepted().await.map_err(|e| format!("failed to update lock: {e}"))
    }

    pub(super) async fn release(&mut self) -> Result<(), String> {
        let Some(session) = self.session.take() else { return Err("Semaphore not held".to_owned()) };
        let released = self.leave(session.id()).await;
        session.close().await;
        released
    }

    async fn leave(&self, session: &str) -> Result<(), String> {
        let path = format!("/v1/kv/{}", self.options.lock_key());
        loop {
            let (found, _) = pairs(self.options.client.get(&path)).await.map_err(|e| e.to_string())?;
            let Some(pair) = found.first() else { break };
            let mut lock = decode(pair)?;
            if lock.holders.remove(session).is_none() || self.write(&lock, pair.modify_index).await? {
                break;
            }
        }
        self.options.client.delete(self.contender(session)).done().await.map_err(|e| e.to_string())
    }

    pub(super) async fn clean_up(&self) -> Result<Cleanup, String> {
        let (pairs, _) = pairs(list(&self.options)).await.map_err(|e| format!("failed to read prefix: {e}"))?;
        let (lock, at) = self.options.holders(&pairs)?;
        if at == 0 {
            return Ok(Cleanup::Done);
        }
        if !lock.holders.is_empty() {
            return Ok(Cleanup::InUse);
        }
        let request = self.options.client.delete(format!("/v1/kv/{}", self.options.lock_key()));
        let removed = request.query("cas", at.to_string()).accepted().await;
        let removed = removed.map_err(|e| format!("failed to remove semaphore: {e}"))?;
        Ok(if removed { Cleanup::Done } else { Cleanup::InUse })
    }
}

impl Options {
    /// The holders that are alive, by the keys below the prefix, and the index of their list; 0 when there is none.
    fn holders(&self, pairs: &[Pair]) -> Result<(Holders, u64), String> {
        let key = self.lock_key();
        let Some(pair) = pairs.iter().find(|p| p.key == key) else {
            return Ok((Holders { limit: self.limit, holders: BTreeMap::new() }, 0));
        };
        if pair.flags != FLAGS {
            return Err(CONFLICT.to_owned());
        }
        let mut lock =
            if pair.value.is_none() { Holders { limit: self.limit, holders: BTreeMap::new() } } else { decode(pair)? };
        let alive: BTreeSet<&str> = pairs.iter().map(|p| p.session.as_str()).filter(|s| !s.is_empty()).collect();
        lock.holders.retain(|holder, _| alive.contains(holder.as_str()));
        Ok((lock, pair.modify_index))
    }
}

fn decode(pair: &Pair) -> Result<Holders, String> {
    let value = pair.decoded().map_err(|e| e.message)?;
    serde_json::from_slice(&value).map_err(|e| format!("lock decoding failed: {e}"))
}

fn list(options: &Options) -> Request {
    options.client.get(format!("/v1/kv/{}", options.prefix)).query("recurse", "")
}

async fn pairs(request: Request) -> Result<(Vec<Pair>, u64), ClientError> {
    let (found, index): (Option<Vec<Pair>>, u64) = find(request).await?;
    Ok((found.unwrap_or_default(), index))
}

/// Ends when the session is not among the holders any more, as far as can be seen.
async fn monitor(options: Options, session: String) {
    let (mut index, mut failures) = (0, 0);
    loop {
        let request = list(&options).query("consistent", "");
        match pairs(if index == 0 { request } else { request.query("index", index.to_string()) }).await {
            Ok((found, seen)) => match options.holders(&found) {
                Ok((lock, _)) if lock.holders.contains_key(&session) => (index, failures) = (seen, 0),
                _ => return,
            },
            Err(error) if failures < options.monitor_retries && error.is_retryable() => {
                failures += 1;
                index = 0;
                tokio::time::sleep(MONITOR_PAUSE).await;
            }
            Err(_) => return,
        }
    }
}
