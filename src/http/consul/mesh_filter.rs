//! What `filter=` can select in the mesh settings of a service. They are stored as JSON, so that each test reads it:
//! only whoever asks for them pays.

use super::mesh_shapes::{Connect, Proxy};
use crate::model::definition::{ExposeDefinition, ExposedPathDefinition, UpstreamDefinition};
use crate::model::filter::{Field, Fields, Kind, Path, Test, Value};

const GATEWAY: Kind = Kind::Struct(&[Field::new("Mode", Kind::Text)]);

const UPSTREAM: &[Field] = &[
    Field::new("DestinationType", Kind::Text),
    Field::new("DestinationNamespace", Kind::Text),
    Field::new("DestinationName", Kind::Text),
    Field::new("Datacenter", Kind::Text),
    Field::new("LocalBindAddress", Kind::Text),
    Field::new("LocalBindPort", Kind::Int),
    Field::new("MeshGateway", GATEWAY),
];

const PATH: &[Field] = &[
    Field::new("ListenerPort", Kind::Int),
    Field::new("Path", Kind::Text),
    Field::new("LocalPathPort", Kind::Int),
    Field::new("Protocol", Kind::Text),
    Field::new("ParsedFromCheck", Kind::Bool),
];

const EXPOSE: &[Field] = &[Field::new("Checks", Kind::Bool), Field::new("Paths", Kind::Structs(PATH))];

/// Of `Proxy`.
pub(super) const PROXY: Kind = Kind::Struct(&[
    Field::new("DestinationServiceName", Kind::Text),
    Field::new("DestinationServiceID", Kind::Text),
    Field::new("LocalServiceAddress", Kind::Text),
    Field::new("LocalServicePort", Kind::Int),
    Field::new("Upstreams", Kind::Structs(UPSTREAM)),
    Field::new("MeshGateway", GATEWAY),
    Field::new("Expose", Kind::Struct(EXPOSE)),
]);

/// Of `Connect`.
pub(super) const CONNECT: Kind = Kind::Struct(&[Field::new("Native", Kind::Bool)]);

impl Fields for Connect<'_> {
    fn visit(&self, path: Path<'_>, test: Test<'_>) -> bool {
        match path.next() {
            Some(("Native", _)) => test(Value::Bool(self.is_native())),
            _ => test(Value::Absent),
        }
    }
}

impl Fields for Proxy<'_> {
    fn visit(&self, path: Path<'_>, test: Test<'_>) -> bool {
        let proxy = self.definition();
        match path.next() {
            Some(("DestinationServiceName", _)) => test(Value::Text(&proxy.destination_service_name)),
            Some(("DestinationServiceID", _)) => test(Value::Text(&proxy.destination_service_id)),
            Some(("LocalServiceAddress", _)) => test(Value::Text(&proxy.local_service_address)),
            Some(("LocalServicePort", _)) => test(Value::Int(proxy.local_service_port)),
            Some(("Upstreams", rest)) => rest.structs(|| proxy.upstreams.iter(), test),
            Some(("MeshGateway", _)) => test(Value::Text(&proxy.mesh_gateway.mode)),
            Some(("Expose", rest)) => proxy.expose.visit(rest, test),
            _ => test(Value::Absent),
        }
    }
}

impl Fields for UpstreamDefinition {
    fn visit(&self, path: Path<'_>, test: Test<'_>) -> bool {
        test(match path.next() {
            Some(("DestinationType", _)) => Value::Text(&self.destination_type),
            Some(("DestinationNamespace", _)) => Value::Text(&self.destination_namespace),
            Some(("DestinationName", _)) => Value::Text(&self.destination_name),
            Some(("Datacenter", _)) => Value::Text(&self.datacenter),
            Some(("LocalBindAddress", _)) => Value::Text(&self.local_bind_address),
            Some(("LocalBindPort", _)) => Value::Int(self.local_bind_port),
            Some(("MeshGateway", _)) => Value::Text(&self.mesh_gateway.mode),
            _ => Value::Absent,
        })
    }
}

impl Fields for ExposeDefinition {
    fn visit(&self, path: Path<'_>, test: Test<'_>) -> bool {
        match path.next() {
            Some(("Checks", _)) => test(Value::Bool(self.checks)),
            Some(("Paths", rest)) => rest.structs(|| self.paths.iter(), test),
            _ => test(Value::Absent),
        }
    }
}

impl Fields for ExposedPathDefinition {
    fn visit(&self, path: Path<'_>, test: Test<'_>) -> bool {
        test(match path.next() {
            Some(("ListenerPort", _)) => Value::Int(self.listener_port),
            Some(("Path", _)) => Value::Text(&self.path),
            Some(("LocalPathPort", _)) => Value::Int(self.local_path_port),
            Some(("Protocol", _)) => Value::Text(&self.protocol),
            Some(("ParsedFromCheck", _)) => Value::Bool(self.parsed_from_check),
            _ => Value::Absent,
        })
    }
}
