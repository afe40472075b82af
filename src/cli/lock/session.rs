//! The session that holds a lock: created, renewed in the background, destroyed at the end.

use crate::cli::client::{Client, ClientError};
use crate::model::duration::parse_duration;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The time to live that is asked for.
const TTL: Duration = Duration::from_secs(15);
/// The pause after a renewal that failed.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Wanted<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    behavior: &'a str,
    name: &'a str,
    #[serde(rename = "TTL")]
    ttl: &'a str,
}

#[derive(Deserialize)]
struct Created {
    #[serde(rename = "ID")]
    id: String,
}

#[derive(Deserialize)]
struct Renewed {
    #[serde(rename = "TTL")]
    ttl: String,
}

/// A session that is kept alive until it is closed.
pub(super) struct Session {
    client: Client,
    id: String,
    renewal: JoinHandle<()>,
}

impl Session {
    /// Creates it; `behavior` says what becomes of its keys when it ends, and is empty for releasing them.
    pub(super) async fn create(client: &Client, name: &str, behavior: &str) -> Result<Session, ClientError> {
        let wanted = Wanted { behavior, name, ttl: "15s" };
        let created: Created = client.put("/v1/session/create").json(&wanted)?.fetch().await?;
        let renewal = tokio::spawn(renew(client.clone(), created.id.clone()));
        Ok(Session { client: client.clone(), id: created.id, renewal })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Destroys it. When that fails, its time to live ends it.
    pub(super) async fn close(self) {
        self.renewal.abort();
        let _ = self.client.put(format!("/v1/session/destroy/{}", self.id)).done().await;
    }
}

/// Renews at half the time to live; ends when the session is gone or nothing succeeded for that long.
async fn renew(client: Client, id: String) {
    let (mut ttl, mut pause, mut renewed_at) = (TTL, TTL / 2, Instant::now());
    while renewed_at.elapsed() <= ttl {
        tokio::time::sleep(pause).await;
        let Ok(reply) = client.put(format!("/v1/session/renew/{id}")).send().await else {
            pause = RETRY;
            continue;
        };
        match reply.code {
            200 => {}
            404 => return,
            _ => {
                pause = RETRY;
                continue;
            }
        }
        // The servers may have set another time to live.
        if let Ok(renewed) = reply.json::<Vec<Renewed>>().await
            && let Some(ns) = renewed.first().and_then(|r| parse_duration(&r.ttl).ok())
        {
            ttl = Duration::from_nanos(u64::try_from(ns).unwrap_or(0)).max(RETRY);
        }
        (pause, renewed_at) = (ttl / 2, Instant::now());
    }
}
