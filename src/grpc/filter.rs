//! Filter expressions of the read path: the fields of instances, services and sessions that they may name.
//!
//! Owns: the names and values of the fields. Must never: know the grammar, which is the model's.

use crate::model::filter::{Field, Fields, Filter, Kind, Path, Test, Value};
use crate::model::names::Invalid;
use crate::model::{Health, Instance, Session};
use crate::proto::v1 as pb;
use std::sync::Arc;

const INSTANCE: &[Field] = &[
    Field::new("Service", Kind::Text),
    Field::new("ID", Kind::Text),
    Field::new("Node", Kind::Text),
    Field::new("Address", Kind::Text),
    Field::new("Port", Kind::Int),
    Field::new("Tags", Kind::Texts),
    Field::new("Meta", Kind::Map(&Kind::Text)),
    Field::new("Version", Kind::Text),
    Field::new("Weight", Kind::Int),
    Field::new("Zone", Kind::Text),
    Field::new("Region", Kind::Text),
    Field::new("Lifecycle", Kind::Text),
    Field::new("Health", Kind::Text),
];
const SERVICE: &[Field] =
    &[Field::new("Service", Kind::Text), Field::new("Total", Kind::Int), Field::new("Passing", Kind::Int)];
const SESSION: &[Field] =
    &[Field::new("ID", Kind::Text), Field::new("TTL", Kind::Int), Field::new("Labels", Kind::Map(&Kind::Text))];

fn parse(text: &str, fields: &'static [Field]) -> Result<Option<Arc<Filter>>, Invalid> {
    if text.is_empty() {
        return Ok(None);
    }
    Filter::parse(text, fields).map(|f| Some(Arc::new(f))).map_err(|e| Invalid::new("filter", e.to_string()))
}

/// A filter over instances.
#[derive(Clone, Debug)]
pub(super) struct InstanceFilter(Option<Arc<Filter>>);

impl InstanceFilter {
    /// Empty: admits all.
    pub(super) fn parse(text: &str) -> Result<InstanceFilter, Invalid> {
        parse(text, INSTANCE).map(InstanceFilter)
    }

    /// Whether it lets this instance through.
    pub(super) fn admits(&self, instance: &Instance, health: Health) -> bool {
        self.0.as_ref().is_none_or(|f| f.matches(&Seen { instance, health }))
    }
}

struct Seen<'a> {
    instance: &'a Instance,
    health: Health,
}

impl Fields for Seen<'_> {
    fn visit(&self, path: Path<'_>, test: Test<'_>) -> bool {
        let Some((name, rest)) = path.next() else { return test(Value::Absent) };
        let i = self.instance;
        let extra = i.extra.as_deref();
        match name {
            "Service" => test(Value::Text(&i.service.name)),
            "ID" => test(Value::Text(&i.id)),
            "Node" => test(Value::Text(&i.node)),
            "Address" => test(Value::Text(&i.address)),
            "Port" => test(Value::Int(i.port.into())),
            "Tags" => test(Value::Items(&|| i.tags.iter())),
            "Meta" => rest.text_map(|| i.meta.iter().map(|(k, _)| k), |key| i.meta(key), test),
            "Version" => test(Value::Text(extra.map_or("", |e| &e.version))),
            "Weight" => test(Value::Int(i.weight().into())),
            "Zone" => test(Value::Text(extra.map_or("", |e| &e.locality.zone))),
            "Region" => test(Value::Text(extra.map_or("", |e| &e.locality.region))),
            "Lifecycle" => test(Value::Text(i.lifecycle.as_str())),
            "Health" => test(Value::Text(self.health.as_str())),
            _ => test(Value::Absent),
        }
    }
}

/// A filter over services.
pub(super) struct ServiceFilter(Option<Arc<Filter>>);

impl ServiceFilter {
    /// Empty: admits all.
    pub(super) fn parse(text: &str) -> Result<ServiceFilter, Invalid> {
        parse(text, SERVICE).map(ServiceFilter)
    }

    /// Whether it lets this service through.
    pub(super) fn admits(&self, service: &pb::ServiceState) -> bool {
        self.0.as_ref().is_none_or(|f| f.matches(service))
    }
}

impl Fields for pb::ServiceState {
    fn visit(&self, path: Path<'_>, test: Test<'_>) -> bool {
        match path.next() {
            Some(("Service", _)) => test(Value::Text(&self.service)),
            Some(("Total", _)) => test(Value::Int(self.total.into())),
            Some(("Passing", _)) => test(Value::Int(self.passing.into())),
            _ => test(Value::Absent),
        }
    }
}

/// A filter over sessions.
pub(super) struct SessionFilter(Option<Arc<Filter>>);

impl SessionFilter {
    /// Empty: admits all.
    pub(super) fn parse(text: &str) -> Result<SessionFilter, Invalid> {
        parse(text, SESSION).map(SessionFilter)
    }

    /// Whether it lets this session through.
    pub(super) fn admits(&self, session: &Session) -> bool {
        self.0.as_ref().is_none_or(|f| f.matches(&SeenSession { session, id: session.id.to_string() }))
    }
}

struct SeenSession<'a> {
    session: &'a Session,
    id: String,
}

impl Fields for SeenSession<'_> {
    fn visit(&self, path: Path<'_>, test: Test<'_>) -> bool {
        let labels = &self.session.labels;
        match path.next() {
            Some(("ID", _)) => test(Value::Text(&self.id)),
            Some(("TTL", _)) => test(Value::Int(i64::try_from(self.session.ttl_ms).unwrap_or(i64::MAX))),
            Some(("Labels", rest)) => {
                let get = |key: &str| labels.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
                rest.text_map(|| labels.iter().map(|(k, _)| k), get, test)
            }
            _ => test(Value::Absent),
        }
    }
}
