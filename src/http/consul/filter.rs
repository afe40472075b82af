//! What `filter=` can select in Consul's documents.

use super::mesh_filter::{CONNECT, PROXY};
use super::shapes::{Addresses, HealthCheck, Node, NodeService};
use crate::http::call::Call;
use crate::http::error::Error;
use crate::model::filter::{Field, Fields, Filter, Kind, Path, Test, Value};
use crate::model::{TaggedAddress, Text};

const TEXT_MAP: Kind = Kind::Map(&Kind::Text);
const ADDRESS: &[Field] = &[Field::new("Address", Kind::Text), Field::new("Port", Kind::Int)];
pub(super) const ADDRESSES: Kind = Kind::Map(&Kind::Struct(ADDRESS));
pub(super) const WEIGHTS: Kind = Kind::Struct(&[Field::new("Passing", Kind::Int), Field::new("Warning", Kind::Int)]);

/// Of catalog/nodes.
pub(super) const NODE: &[Field] = &[
    Field::new("ID", Kind::Text),
    Field::new("Node", Kind::Text),
    Field::new("Address", Kind::Text),
    Field::new("Datacenter", Kind::Text),
    Field::new("TaggedAddresses", TEXT_MAP),
    Field::new("Meta", TEXT_MAP),
];

/// Of the services in catalog/node and agent/services.
pub(super) const SERVICE: &[Field] = &[
    Field::new("Kind", Kind::Text),
    Field::new("ID", Kind::Text),
    Field::new("Service", Kind::Text),
    Field::new("Tags", Kind::Texts),
    Field::new("Address", Kind::Text),
    Field::new("TaggedAddresses", ADDRESSES),
    Field::new("Meta", TEXT_MAP),
    Field::new("Port", Kind::Int),
    Field::new("Weights", WEIGHTS),
    Field::new("EnableTagOverride", Kind::Bool),
    Field::new("Proxy", PROXY),
    Field::new("Connect", CONNECT),
];

/// Of checks.
pub(super) const CHECK: &[Field] = &[
    Field::new("Node", Kind::Text),
    Field::new("CheckID", Kind::Text),
    Field::new("Name", Kind::Text),
    Field::new("Status", Kind::Text),
    Field::new("Notes", Kind::Text),
    Field::new("Output", Kind::Text),
    Field::new("ServiceID", Kind::Text),
    Field::new("ServiceName", Kind::Text),
    Field::new("ServiceTags", Kind::Texts),
    Field::new("Type", Kind::Text),
];

/// Of health/service.
pub(super) const ENTRY: &[Field] = &[
    Field::new("Node", Kind::Struct(NODE)),
    Field::new("Service", Kind::Struct(SERVICE)),
    Field::new("Checks", Kind::Structs(CHECK)),
];

/// Of catalog/service.
pub(super) const CATALOG_SERVICE: &[Field] = &[
    Field::new("ID", Kind::Text),
    Field::new("Node", Kind::Text),
    Field::new("Address", Kind::Text),
    Field::new("Datacenter", Kind::Text),
    Field::new("TaggedAddresses", TEXT_MAP),
    Field::new("NodeMeta", TEXT_MAP),
    Field::new("ServiceKind", Kind::Text),
    Field::new("ServiceID", Kind::Text),
    Field::new("ServiceName", Kind::Text),
    Field::new("ServiceTags", Kind::Texts),
    Field::new("ServiceAddress", Kind::Text),
    Field::new("ServiceTaggedAddresses", ADDRESSES),
    Field::new("ServiceWeights", WEIGHTS),
    Field::new("ServiceMeta", TEXT_MAP),
    Field::new("ServicePort", Kind::Int),
    Field::new("ServiceEnableTagOverride", Kind::Bool),
    Field::new("ServiceProxy", PROXY),
    Field::new("ServiceConnect", CONNECT),
];

/// Of internal/ui/nodes.
pub(super) const UI_NODE: &[Field] = &[
    Field::new("ID", Kind::Text),
    Field::new("Node", Kind::Text),
    Field::new("Address", Kind::Text),
    Field::new("TaggedAddresses", TEXT_MAP),
    Field::new("Meta", TEXT_MAP),
    Field::new("Services", Kind::Structs(SERVICE)),
    Field::new("Checks", Kind::Structs(CHECK)),
];

/// The filter of a query; without one, everything passes.
pub(super) fn of<C>(call: &Call<C>, fields: &'static [Field]) -> Result<Filter, Error> {
    Filter::parse(call.query.get("filter").unwrap_or_default(), fields)
        .map_err(|error| Error::server(format!("Failed to create boolean expression evaluator: {error}")))
}

/// A map of texts in order of key.
pub(super) fn pairs(pairs: &[(Text, Text)], rest: Path<'_>, test: Test<'_>) -> bool {
    let get = |key: &str| pairs.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str());
    rest.text_map(|| pairs.iter().map(|(key, _)| key), get, test)
}

/// The addresses of a service by tag.
pub(super) fn addresses(list: Option<&Addresses<'_>>, rest: Path<'_>, test: Test<'_>) -> bool {
    let list = list.map(|list| list.0).unwrap_or_default();
    rest.struct_map(|| list.iter().map(|a| &a.tag), |tag| list.iter().find(|a| a.tag == tag), test)
}

impl Fields for TaggedAddress {
    fn visit(&self, path: Path<'_>, test: Test<'_>) -> bool {
        test(match path.next() {
            Some(("Address", _)) => Value::Text(&self.address),
            Some(("Port", _)) => Value::Int(self.port.into()),
            _ => Value::Absent,
        })
    }
}

impl Fields for Node<'_> {
    fn visit(&self, path: Path<'_>, test: Test<'_>) -> bool {
        match path.next() {
            Some(("ID", _)) => self.id.with(|id| test(Value::Text(id))),
            Some(("Node", _)) => test(Value::Text(self.node)),
            Some(("Address", _)) => test(Value::Text(self.address)),
            Some(("Datacenter", _)) => test(Value::Text(self.datacenter)),
            Some(("TaggedAddresses", rest)) => {
                pairs(self.tagged_addresses.as_ref().map(|p| p.0).unwrap_or_default(), rest, test)
            }
            Some(("Meta", rest)) => pairs(self.meta.as_ref().map(|p| p.0).unwrap_or_default(), rest, test),
            _ => test(Value::Absent),
        }
    }
}

impl Fields for NodeService<'_> {
    fn visit(&self, path: Path<'_>, test: Test<'_>) -> bool {
        match path.next() {
            Some(("Kind", _)) => test(Value::Text(self.kind)),
            Some(("ID", _)) => test(Value::Text(&self.id)),
            Some(("Service", _)) => test(Value::Text(self.service)),
            Some(("Tags", _)) => test(Value::Items(&|| self.tags.list.iter())),
            Some(("Address", _)) => test(Value::Text(self.address)),
            Some(("TaggedAddresses", rest)) => addresses(self.tagged_addresses.as_ref(), rest, test),
            Some(("Meta", rest)) => pairs(self.meta.as_ref().map(|p| p.0).unwrap_or_default(), rest, test),
            Some(("Port", _)) => test(Value::Int(self.port.into())),
            Some(("Weights", rest)) => self.weights.visit(rest, test),
            Some(("EnableTagOverride", _)) => test(Value::Bool(self.enable_tag_override)),
            Some(("Proxy", rest)) => self.proxy.visit(rest, test),
            Some(("Connect", rest)) => self.connect.visit(rest, test),
            _ => test(Value::Absent),
        }
    }
}

impl Fields for super::shapes::Weights {
    fn visit(&self, path: Path<'_>, test: Test<'_>) -> bool {
        test(match path.next() {
            Some(("Passing", _)) => Value::Int(self.passing.into()),
            Some(("Warning", _)) => Value::Int(self.warning.into()),
            _ => Value::Absent,
        })
    }
}

impl Fields for HealthCheck<'_> {
    fn visit(&self, path: Path<'_>, test: Test<'_>) -> bool {
        match path.next() {
            Some(("Node", _)) => test(Value::Text(self.node)),
            Some(("CheckID", _)) => test(Value::Text(self.check_id)),
            Some(("Name", _)) => test(Value::Text(self.name)),
            Some(("Status", _)) => test(Value::Text(self.status)),
            Some(("Notes", _)) => test(Value::Text(self.notes)),
            Some(("Output", _)) => test(Value::Text(&self.output)),
            Some(("ServiceID", _)) => test(Value::Text(&self.service_id)),
            Some(("ServiceName", _)) => test(Value::Text(self.service_name)),
            Some(("ServiceTags", _)) => test(Value::Items(&|| self.service_tags.list.iter())),
            Some(("Type", _)) => test(Value::Text(self.kind)),
            _ => test(Value::Absent),
        }
    }
}
