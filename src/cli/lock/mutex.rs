//! A lock with one holder: the key `PREFIX/.lock`, acquired by the session.

use super::session::Session;
use super::{Attempt, Cleanup, MONITOR_PAUSE, Options, Patience, wait_parameter};
use crate::cli::client::{ClientError, Request};
use crate::cli::kv::{Pair, find};
use crate::cli::signals::Shutdown;
use std::time::Duration;

/// The flags of a key that is such a lock.
const FLAGS: u64 = 0x2ddc_cbc0_58a5_0c18;
/// The pause while the servers hold back a lock that was lost.
const DELAY: Duration = Duration::from_secs(5);
const CONFLICT: &str = "Existing key does not match lock use";

pub(super) struct Mutex {
    options: Options,
    key: String,
    session: Option<Session>,
}

impl Mutex {
    pub(super) fn new(options: Options) -> Mutex {
        let key = options.lock_key();
        Mutex { options, key, session: None }
    }

    pub(super) async fn acquire(&mut self, shutdown: &mut Shutdown) -> Result<Attempt, String> {
        let session = Session::create(&self.options.client, &self.options.name, "").await;
        let session = session.map_err(|e| format!("failed to create session: {e}"))?;
        let held = tokio::select! {
            held = self.wait_for(session.id()) => held,
            _ = shutdown.asked() => Ok(false),
        };
        match held {
            Ok(true) => {
                let (options, key) = (self.options.clone(), self.key.clone());
                let monitor = tokio::spawn(monitor(options, key, session.id().to_owned()));
                self.session = Some(session);
                Ok(Attempt::Held(monitor))
            }
            other => {
                session.close().await;
                other.map(|_| Attempt::GaveUp)
            }
        }
    }

    /// Waits until the session holds the lock; `false` when the time is over.
    async fn wait_for(&self, session: &str) -> Result<bool, String> {
        let mut patience = Patience::new(self.options.timeout);
        let mut index = 0;
        while let Some(wait) = patience.next() {
            let (pair, seen) = self.read(wait, index).await.map_err(|e| format!("failed to read lock: {e}"))?;
            match pair {
                Some(pair) if pair.flags != FLAGS => return Err(CONFLICT.to_owned()),
                Some(pair) if pair.session == session => return Ok(true),
                Some(pair) if !pair.session.is_empty() => {
                    index = seen;
                    continue;
                }
                _ => {}
            }
            let acquired = self.write().query("acquire", session).accepted().await;
            if acquired.map_err(|e| format!("failed to acquire lock: {e}"))? {
                return Ok(true);
            }
            // Either another was faster, or its holder was lost and the servers wait before they give it away.
            let (pair, seen) = self.read(wait, 0).await.map_err(|e| e.to_string())?;
            index = match pair {
                Some(pair) if !pair.session.is_empty() => seen,
                _ => {
                    tokio::time::sleep(DELAY).await;
                    0
                }
            };
        }
        Ok(false)
    }

    async fn read(&self, wait: Duration, index: u64) -> Result<(Option<Pair>, u64), ClientError> {
        let request = self.options.client.get(format!("/v1/kv/{}", self.key)).query("wait", wait_parameter(wait));
        one(if index == 0 { request } else { request.query("index", index.to_string()) }).await
    }

    fn write(&self) -> Request {
        self.options.client.put(format!("/v1/kv/{}", self.key)).query("flags", FLAGS.to_string())
    }

    pub(super) async fn release(&mut self) -> Result<(), String> {
        let Some(session) = self.session.take() else { return Err("Lock not held".to_owned()) };
        let released = self.write().query("release", session.id()).accepted().await;
        session.close().await;
        released.map(drop).map_err(|e| format!("failed to release lock: {e}"))
    }

    pub(super) async fn clean_up(&self) -> Result<Cleanup, String> {
        let client = &self.options.client;
        let path = format!("/v1/kv/{}", self.key);
        let (pair, _) = one(client.get(&path)).await.map_err(|e| format!("failed to read lock: {e}"))?;
        match pair {
            None => Ok(Cleanup::Done),
            Some(pair) if pair.flags != FLAGS => Err(CONFLICT.to_owned()),
            Some(pair) if !pair.session.is_empty() => Ok(Cleanup::InUse),
            Some(pair) => {
                let removed = client.delete(&path).query("cas", pair.modify_index.to_string()).accepted().await;
                let removed = removed.map_err(|e| format!("failed to remove lock: {e}"))?;
                Ok(if removed { Cleanup::Done } else { Cleanup::InUse })
            }
        }
    }
}

/// The key that a request reads, and the index of the answer.
async fn one(request: Request) -> Result<(Option<Pair>, u64), ClientError> {
    let (found, index): (Option<Vec<Pair>>, u64) = find(request).await?;
    Ok((found.unwrap_or_default().into_iter().next(), index))
}

/// Ends when the session does not hold the lock any more, as far as can be seen.
async fn monitor(options: Options, key: String, session: String) {
    let (mut index, mut failures) = (0, 0);
    loop {
        let request = options.client.get(format!("/v1/kv/{key}")).query("consistent", "");
        match one(if index == 0 { request } else { request.query("index", index.to_string()) }).await {
            Ok((Some(pair), seen)) if pair.session == session => (index, failures) = (seen, 0),
            Ok(_) => return,
            Err(error) if failures < options.monitor_retries && error.is_retryable() => {
                failures += 1;
                index = 0;
                tokio::time::sleep(MONITOR_PAUSE).await;
            }
            Err(_) => return,
        }
    }
}
