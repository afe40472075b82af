//! Prepared queries: stored, found by name, gone with their sessions. Which instances one finds is a read, and not the
//! business of this module.

use super::change::What;
use super::state::State;
use super::table::Keyed;
use super::writer::Writer;
use crate::command::{DeleteQuery, Outcome, Rejection, Reply, SetQuery};
use crate::model::{PreparedQuery, QueryId, Text, fold};
use std::cmp::Ordering;
use std::sync::Arc;
use uuid::Uuid;

/// Why a name or id leads to no query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryMiss {
    /// There is none.
    NotFound,
    /// It is a template, which answers to names only.
    TemplateById,
}

impl Keyed for PreparedQuery {
    type Lookup = QueryId;
    fn compare(&self, other: &Self) -> Ordering {
        self.id.cmp(&other.id)
    }
    fn compare_key(&self, key: &QueryId) -> Ordering {
        self.id.cmp(key)
    }
}

/// Consul's words for an id of no query.
pub fn no_query(id: &QueryId) -> String {
    format!("Cannot modify non-existent prepared query: '{id}'")
}

/// Where a query is found by name; `None`: by id only.
pub(super) fn name_key(query: &PreparedQuery) -> Option<(bool, Text)> {
    let named = query.is_template() || !query.name.is_empty();
    named.then(|| (query.is_template(), fold(&query.name)))
}

impl State {
    /// A prepared query by its id.
    pub fn query(&self, id: &QueryId) -> Option<&Arc<PreparedQuery>> {
        self.queries.get(id)
    }

    /// All prepared queries in order of id.
    pub fn queries(&self) -> impl Iterator<Item = &Arc<PreparedQuery>> {
        self.queries.iter()
    }

    /// The query that an id, a name or the prefix of a template leads to, in this order; a template is filled in.
    ///
    /// # Errors
    /// [`QueryMiss`] if there is none.
    pub fn resolve_query(&self, id_or_name: &str) -> Result<PreparedQuery, QueryMiss> {
        let by_id = Uuid::try_parse(id_or_name).ok().filter(|_| id_or_name.len() == 36);
        if let Some(query) = by_id.and_then(|id| self.query(&id)) {
            return if query.is_template() { Err(QueryMiss::TemplateById) } else { Ok((**query).clone()) };
        }
        let folded = fold(id_or_name);
        let named = |key: &(bool, Text)| self.query_names.get(key).and_then(|id| self.query(id));
        if let Some(query) = named(&(false, folded.clone())).filter(|_| !folded.is_empty()) {
            return Ok((**query).clone());
        }
        let ends = (0..=folded.len()).rev().filter(|end| folded.is_char_boundary(*end));
        let template = ends.filter_map(|end| named(&(true, folded[..end].into()))).next();
        template.map(|template| template.render(id_or_name)).ok_or(QueryMiss::NotFound)
    }

    pub(super) fn index_query(&mut self, query: &PreparedQuery) {
        if let Some(key) = name_key(query) {
            self.query_names.insert(key, query.id);
        }
        if let Some(session) = query.session {
            self.hold(session, |h| {
                h.queries.insert(query.id);
            });
        }
    }

    pub(super) fn unindex_query(&mut self, query: &PreparedQuery) {
        if let Some(key) = name_key(query)
            && self.query_names.get(&key) == Some(&query.id)
        {
            self.query_names.remove(&key);
        }
        if let Some(session) = query.session {
            self.hold(session, |h| {
                h.queries.remove(&query.id);
            });
        }
    }
}

impl Writer<'_> {
    pub(super) fn set_query(&mut self, command: &SetQuery) -> Reply {
        let revision = self.revision();
        let mut query = command.query.clone();
        (query.create_revision, query.modify_revision) = (revision, revision);
        let before = self.state.query(&query.id).cloned();
        if before.is_none() && command.update {
            return Err(Rejection::Refused(no_query(&query.id)));
        }
        self.may_name_query(&query)?;
        query.check_template().map_err(|bad| Rejection::Refused(format!("failed compiling template: {bad}")))?;
        if let Some(session) = &query.session
            && self.state.session(session).is_none()
        {
            return Err(Rejection::Refused(format!("invalid session \"{session}\"")));
        }
        match before {
            Some(before) if before.same_definition(&query) => {}
            Some(before) => {
                query.create_revision = before.create_revision;
                self.store_query(query);
            }
            None => self.store_query(query),
        }
        Ok(Outcome::Stored)
    }

    /// A name belongs to one query or template, and is no id of another.
    fn may_name_query(&self, query: &PreparedQuery) -> Result<(), Rejection> {
        let Some((template, folded)) = name_key(query) else { return Ok(()) };
        let name = &query.name;
        let taken =
            |template| self.state.query_names.get(&(template, folded.clone())).is_some_and(|id| *id != query.id);
        if taken(template) || (!folded.is_empty() && taken(!template)) {
            return Err(Rejection::Refused(format!("name '{name}' aliases an existing query name")));
        }
        match Uuid::try_parse(name) {
            Ok(id) if name.len() == 36 && self.state.query(&id).is_some() => {
                Err(Rejection::Refused(format!("name '{name}' aliases an existing query ID")))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn delete_query(&mut self, command: &DeleteQuery) -> Reply {
        if self.remove_query(&command.id) {
            Ok(Outcome::Stored)
        } else {
            Err(Rejection::Refused(no_query(&command.id)))
        }
    }

    /// Stores a prepared query.
    pub(super) fn store_query(&mut self, query: PreparedQuery) {
        let query = Arc::new(query);
        self.state.meta.queries_revision = self.revision();
        let before = self.state.queries.insert(query.clone());
        if let Some(before) = &before {
            self.state.unindex_query(before);
        }
        self.state.index_query(&query);
        self.changed(What::Query { before, after: Some(query) });
    }

    /// Removes a prepared query, if it is there.
    pub(super) fn remove_query(&mut self, id: &QueryId) -> bool {
        let Some(before) = self.state.queries.remove(id) else { return false };
        self.state.meta.queries_revision = self.revision();
        self.state.unindex_query(&before);
        self.changed(What::Query { before: Some(before), after: None });
        true
    }
}
