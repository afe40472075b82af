//! Services that have been critical for longer than they wanted to be known.

use super::handle::Agent;
use crate::model::Text;
use std::time::Duration;

/// How often it is looked.
const PERIOD: Duration = Duration::from_secs(30);
/// Shorter times count as this one, as in Consul.
const LEAST_MS: u64 = 60_000;

impl Agent {
    pub(super) async fn run_reaper(&self) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(PERIOD) => {}
                () = self.inner.catalog.drained() => return,
            }
            self.reap().await;
        }
    }

    /// Deregisters the services that have a check which was critical for too long.
    pub(super) async fn reap(&self) {
        for (service, check) in self.overdue(self.inner.catalog.clock().monotonic_ms()) {
            tracing::info!(%service, %check, "a check was critical for too long, its service is deregistered");
            if let Err(error) = self.deregister_service(&service).await {
                tracing::error!(%service, %error, "a service could not be deregistered");
            }
        }
    }

    /// Services and the check that ends each.
    fn overdue(&self, now_ms: u64) -> Vec<(Text, Text)> {
        let local = self.local();
        let overdue = local.checks.values().filter(|own| {
            let wanted = u64::try_from(own.definition.deregister_critical_service_after).unwrap_or_default();
            let after_ms = (wanted / 1_000_000).max(LEAST_MS);
            let since = own.critical_since_ms.filter(|_| wanted > 0 && !own.service_id().is_empty());
            since.is_some_and(|since| now_ms.saturating_sub(since) >= after_ms)
        });
        overdue.map(|own| (own.service_id().clone(), own.check.id.clone())).collect()
    }
}
