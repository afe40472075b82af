//! The health of a service from the view of its node, as `agent/health/service` tells load balancers.

use super::local::{CheckView, ServiceView};
use super::maintenance::{NODE_MAINTENANCE, SERVICE_MAINTENANCE};
use crate::model::Health;

/// A service, the checks that decide on it, and what they say together.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// The service.
    pub service: ServiceView,
    /// The node's and its own, in order of id.
    pub checks: Vec<CheckView>,
    /// `passing`, `warning`, `critical` or `maintenance`.
    pub status: &'static str,
}

/// What checks say together: the worst; a maintenance mode is worse than all.
pub fn aggregate<'a>(checks: impl Iterator<Item = &'a CheckView>) -> &'static str {
    let mut worst = Health::Passing;
    for view in checks {
        if view.check.id == NODE_MAINTENANCE || view.check.id.starts_with(SERVICE_MAINTENANCE) {
            return "maintenance";
        }
        worst = worst.max(view.check.health);
    }
    worst.as_str()
}
