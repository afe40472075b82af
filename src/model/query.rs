//! Prepared queries: a question for a service that is stored under a name, and templates for many such names.
//! Owns the values and the rules that need no state; how a template is read is in [`template`].

pub mod template;

use super::duration::parse_duration;
use super::limits::META_PAIRS_MAX;
use super::{SessionId, Text};
use std::fmt;
use uuid::Uuid;

/// Identity of a prepared query.
pub type QueryId = Uuid;

/// Pairs of texts in order of key.
pub type Pairs = Box<[(Text, Text)]>;

/// A stored question for a service. Consul's `PreparedQueryDefinition`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreparedQuery {
    /// Identity.
    pub id: QueryId,
    /// Name, unique without case among all queries; may be empty for one that is bound to a session and for a template.
    pub name: Text,
    /// The query goes with this session.
    pub session: Option<SessionId>,
    /// Token that it is executed with; stored and shown, of no effect while there is no access control.
    pub token: Text,
    /// Whether it stands for all names with a prefix.
    pub template: QueryTemplate,
    /// What is asked.
    pub service: ServiceQuery,
    /// Time to live of DNS answers as a Go duration; empty: that of the service.
    pub dns_ttl: Text,
    /// Revision of its creation.
    pub create_revision: u64,
    /// Revision of its last change.
    pub modify_revision: u64,
}

/// Makes a query a template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryTemplate {
    /// Empty: no template. Else `name_prefix_match`, the only kind.
    pub kind: Text,
    /// Run over the name that is asked for; its groups are `${match(N)}`.
    pub regexp: Text,
    /// Tags that come out empty are left out.
    pub remove_empty_tags: bool,
}

/// What a prepared query asks. `None` of a list means that the client left it out, which is shown differently.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceQuery {
    /// The service.
    pub service: Text,
    /// If nothing is found: how many of the nearest other datacenters to ask.
    pub nearest_n: u32,
    /// And then these.
    pub datacenters: Option<Box<[Text]>>,
    /// Leave out instances with a warning too.
    pub only_passing: bool,
    /// Checks that do not count.
    pub ignore_check_ids: Option<Box<[Text]>>,
    /// Sort by distance from this node; `_agent` and `_ip` are those of the asking side.
    pub near: Text,
    /// All must be there, those with a `!` in front must not. Without case.
    pub tags: Option<Box<[Text]>>,
    /// Metadata that the node must have.
    pub node_meta: Option<Pairs>,
    /// Metadata that the instance must have.
    pub service_meta: Option<Pairs>,
    /// Ask for the instances that speak for the service in a mesh.
    pub connect: bool,
}

/// Why a prepared query cannot be stored, in Consul's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadQuery(pub String);

impl fmt::Display for BadQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Shown instead of a token; stored by nobody who means it.
const REDACTED_TOKEN: &str = "<hidden>";

/// Consul's rules for metadata of nodes.
fn check_meta(pairs: &[(Text, Text)]) -> Result<(), BadQuery> {
    if pairs.len() > META_PAIRS_MAX {
        return Err(BadQuery(format!("Node metadata cannot contain more than {META_PAIRS_MAX} key/value pairs")));
    }
    for (key, value) in pairs {
        let reason = if key.is_empty() {
            "Key cannot be blank"
        } else if !key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')) {
            "Key contains invalid characters"
        } else if key.len() > 128 {
            "Key is too long (limit: 128 characters)"
        } else if value.len() > 512 {
            "Value is too long (limit: 512 characters)"
        } else {
            continue;
        };
        return Err(BadQuery(format!("Couldn't load metadata pair ('{key}', '{value}'): {reason}")));
    }
    Ok(())
}

impl PreparedQuery {
    /// Checks what needs no state.
    ///
    /// # Errors
    /// [`BadQuery`] in Consul's words.
    pub fn check(&self) -> Result<(), BadQuery> {
        let bad = |reason: String| Err(BadQuery(reason));
        if self.name.is_empty() && !self.is_template() && self.session.is_none() {
            return bad("Must be bound to a session".to_owned());
        }
        if self.token == REDACTED_TOKEN {
            return bad(format!(
                "Bad Token '{REDACTED_TOKEN}', it looks like a query definition with a redacted token was submitted"
            ));
        }
        if self.service.service.is_empty() {
            return bad("Must provide a Service name to query".to_owned());
        }
        check_meta(self.service.node_meta.as_deref().unwrap_or_default())?;
        if self.dns_ttl.is_empty() {
            return Ok(());
        }
        match parse_duration(&self.dns_ttl) {
            Ok(ttl) if ttl < 0 => bad(format!("DNS TTL '{ttl}', must be >=0")),
            Ok(_) => Ok(()),
            Err(error) => bad(format!("Bad DNS TTL '{}': {error}", self.dns_ttl)),
        }
    }

    /// Time to live of DNS answers in whole seconds, if the query has its own.
    pub fn dns_ttl_s(&self) -> Option<u32> {
        let ttl = parse_duration(&self.dns_ttl).ok().filter(|_| !self.dns_ttl.is_empty())?;
        u32::try_from(ttl / 1_000_000_000).ok()
    }

    /// Whether it stands for all names with a prefix.
    pub fn is_template(&self) -> bool {
        !self.template.kind.is_empty()
    }

    /// Whether the other one asks the same under the same name.
    pub fn same_definition(&self, other: &PreparedQuery) -> bool {
        let (create_revision, modify_revision) = (self.create_revision, self.modify_revision);
        *self == PreparedQuery { create_revision, modify_revision, ..other.clone() }
    }

    /// All texts that a template fills in, with their places.
    fn texts_mut(&mut self) -> Vec<(String, &mut Text)> {
        let service = &mut self.service;
        let mut texts = vec![("Service.Service".to_owned(), &mut service.service)];
        let lists = [
            ("Service.Failover.Datacenters", &mut service.datacenters),
            ("Service.IgnoreCheckIDs", &mut service.ignore_check_ids),
            ("Service.Tags", &mut service.tags),
        ];
        for (place, list) in lists {
            let items = list.iter_mut().flat_map(|list| list.iter_mut()).enumerate();
            texts.extend(items.map(|(at, text)| (format!("{place}[{at}]"), text)));
        }
        for (place, pairs) in
            [("Service.NodeMeta", &mut service.node_meta), ("Service.ServiceMeta", &mut service.service_meta)]
        {
            let pairs = pairs.iter_mut().flat_map(|pairs| pairs.iter_mut());
            texts.extend(pairs.map(|(key, text)| (format!("{place}[{key}]"), text)));
        }
        texts.push(("Service.Near".to_owned(), &mut service.near));
        texts
    }
}
