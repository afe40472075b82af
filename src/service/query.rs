//! Prepared queries: stored, and asked.

use super::core::unexpected;
use super::{Core, Error, Written};
use crate::command::{Command, DeleteQuery, Outcome, Rejection, SetQuery};
use crate::machine::{State, no_query};
use crate::model::query::BadQuery;
use crate::model::{Health, Instance, PreparedQuery, QueryId, ServiceKey, ServiceQuery, Text, names};
use std::sync::Arc;

impl Core {
    /// Stores a new prepared query and returns its id.
    ///
    /// # Errors
    /// It is not valid, or its name is taken.
    pub async fn create_query(&self, query: PreparedQuery) -> Result<Written<QueryId>, Error> {
        let id = self.clock().uuid();
        let written = self.set_query(PreparedQuery { id, ..query }, false).await?;
        Ok(written.map(|()| id))
    }

    /// Replaces a prepared query.
    ///
    /// # Errors
    /// It is not valid, not there, or its name is taken.
    pub async fn update_query(&self, query: PreparedQuery) -> Result<Written<()>, Error> {
        self.set_query(query, true).await
    }

    async fn set_query(&self, query: PreparedQuery, update: bool) -> Result<Written<()>, Error> {
        if let Err(BadQuery(reason)) = query.check() {
            // What is not there is told before what is wrong with it.
            let absent = update && self.local().state.query(&query.id).is_none();
            let refused = if absent { no_query(&query.id) } else { format!("Invalid prepared query: {reason}") };
            return Err(Rejection::Refused(refused).into());
        }
        names::optional_name("Name", &query.name)?;
        stored(self.propose(None, Command::SetQuery(Box::new(SetQuery { query, update }))).await?)
    }

    /// Deletes a prepared query.
    ///
    /// # Errors
    /// There is none with this id.
    pub async fn delete_query(&self, id: QueryId) -> Result<Written<()>, Error> {
        stored(self.propose(None, Command::DeleteQuery(DeleteQuery { id })).await?)
    }
}

/// The outcome of a command that has nothing to say.
pub(super) fn stored(written: Written<Outcome>) -> Result<Written<()>, Error> {
    match written.value {
        Outcome::Stored => Ok(written.map(|_| ())),
        other => Err(unexpected(&other)),
    }
}

/// The instances that a prepared query finds in this datacenter, in order of node and id. A query for the mesh finds
/// none, because there is no mesh.
pub fn query_instances<'a>(state: &'a State, query: &ServiceQuery) -> Vec<&'a Arc<Instance>> {
    if query.connect {
        return Vec::new();
    }
    let found = state.service(&ServiceKey::of(&query.service)).into_iter().flat_map(|s| s.instances.iter());
    found.filter(|instance| is_usable(state, instance, query) && is_wanted(state, instance, query)).collect()
}

/// Orders by round trip time from a node, what runs on it first; nodes without a coordinate come last, and equal ones
/// stay as they are. False if the name says nothing.
pub fn near_first(state: &State, instances: &mut [&Arc<Instance>], node: &str) -> bool {
    let distance = |instance: &Instance| match instance.node.eq_ignore_ascii_case(node) {
        true => -1.0,
        false => state.distance_s(node, &instance.node).unwrap_or(f64::INFINITY),
    };
    if !node.is_empty() {
        instances.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
    }
    !node.is_empty()
}

/// Critical instances are never usable; those with a warning are unless the query says otherwise.
fn is_usable(state: &State, instance: &Instance, query: &ServiceQuery) -> bool {
    let ignored = query.ignore_check_ids.as_deref().unwrap_or_default();
    let node = state.node(&instance.node).filter(|_| !instance.node.is_empty());
    let checks = node.iter().flat_map(|n| n.record.checks.iter()).chain(instance.checks.iter());
    let counted = checks.filter(|check| !ignored.contains(&check.id));
    let worst = if query.only_passing { Health::Passing } else { Health::Warning };
    instance.is_serving() && counted.map(|check| check.health).max().unwrap_or(Health::Passing) <= worst
}

fn is_wanted(state: &State, instance: &Instance, query: &ServiceQuery) -> bool {
    let tags = query.tags.as_deref().unwrap_or_default();
    let wanted_tag = |tag: &Text| match tag.strip_prefix('!') {
        Some(unwanted) => !instance.has_tag(unwanted),
        None => instance.has_tag(tag),
    };
    let has_all = |wanted: &Option<crate::model::query::Pairs>, meta: &[(Text, Text)]| {
        wanted.as_deref().unwrap_or_default().iter().all(|pair| meta.contains(pair))
    };
    let node = state.node(&instance.node).filter(|_| !instance.node.is_empty());
    let node_meta = node.and_then(|n| n.record.meta.as_deref()).unwrap_or_default();
    tags.iter().all(wanted_tag) && has_all(&query.node_meta, node_meta) && has_all(&query.service_meta, &instance.meta)
}
