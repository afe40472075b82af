//! `near=`: lists in order of the estimated round trip time from a node.

use crate::http::call::Call;
use crate::http::scope::Scope;
use crate::machine::State;
use crate::model::Text;
use std::cmp::Ordering;

/// The node that a list is ordered from.
#[derive(Clone, Debug)]
pub(super) struct Near {
    node: Option<Text>,
}

impl Near {
    /// The parameter of a query; `_agent` is the node of the client's agent.
    pub(super) fn of(call: &Call) -> Near {
        let node = match call.query.get("near") {
            None | Some("") => None,
            Some("_agent") => Some(call.own_node().into()),
            Some(name) => Some(name.into()),
        };
        Near { node }
    }

    /// No order but that of the list.
    pub(super) fn nowhere() -> Near {
        Near { node: None }
    }

    /// What the ordered answer depends on.
    pub(super) fn scope(&self, scope: Scope) -> Scope {
        if self.node.is_some() { Scope::Near(Box::new(scope)) } else { scope }
    }

    /// Orders a list: nodes that have no coordinate come last, and equal ones stay as they are. Without a known
    /// coordinate to start from nothing moves.
    pub(super) fn sort<T>(&self, state: &State, items: &mut Vec<T>, node_of: impl Fn(&T) -> &str) {
        let Some(from) = &self.node else { return };
        if state.coordinates_of(from).next().is_none() {
            return;
        }
        let distance = |item: &T| state.distance_s(from, node_of(item)).unwrap_or(f64::INFINITY);
        let mut ranked: Vec<(f64, T)> = items.drain(..).map(|item| (distance(&item), item)).collect();
        ranked.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal));
        items.extend(ranked.into_iter().map(|(_, item)| item));
    }
}
