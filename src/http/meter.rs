//! Counters of the gateway, taken from the registry once: a request must not look them up by name.

use super::route::Route;
use http::StatusCode;
use metrics::{Counter, Histogram};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// The meters of all endpoints.
pub(super) struct Meters {
    by_op: HashMap<&'static str, Arc<Meter>>,
    none: Arc<Meter>,
    repeated: Counter,
}

/// The meters of one endpoint.
pub(super) struct Meter {
    ok: Counter,
    refused: Counter,
    failed: Counter,
    seconds: Histogram,
}

impl Meters {
    pub(super) fn new(routes: &[Route]) -> Meters {
        let count = |op: &'static str, outcome: &'static str| metrics::counter!("lictor_http_requests_total", "op" => op, "outcome" => outcome);
        let meter = |route: &Route| Meter {
            ok: count(route.op, "ok"),
            refused: count(route.op, "refused"),
            failed: count(route.op, "failed"),
            seconds: metrics::histogram!("lictor_http_request_seconds", "op" => route.op),
        };
        Meters {
            by_op: routes.iter().map(|route| (route.op, Arc::new(meter(route)))).collect(),
            none: Arc::new(Meter::none()),
            repeated: metrics::counter!("lictor_http_answers_repeated_total"),
        }
    }

    pub(super) fn of(&self, op: &str) -> Arc<Meter> {
        self.by_op.get(op).unwrap_or(&self.none).clone()
    }

    /// A request line was answered with bytes that were there.
    pub(super) fn repeated(&self) {
        self.repeated.increment(1);
    }
}

impl Meter {
    fn none() -> Meter {
        Meter { ok: Counter::noop(), refused: Counter::noop(), failed: Counter::noop(), seconds: Histogram::noop() }
    }

    /// A request was answered. Long polls count with the time that they waited.
    pub(super) fn record(&self, status: StatusCode, started: Instant) {
        match status.as_u16() {
            0..400 | 404 => self.ok.increment(1),
            400..500 => self.refused.increment(1),
            _ => self.failed.increment(1),
        }
        self.seconds.record(started.elapsed());
    }
}
