//! The settings of a mesh proxy as clients write them, within a service: both spellings of Consul's names, and what newer
//! clients know beside them.

use crate::http::json::{DecodeError, Object};
use crate::model::definition::{
    ExposeDefinition, ExposedPathDefinition, MeshGatewayDefinition, ProxyDefinition, UpstreamDefinition,
};

/// Go's names of the types, which clients may see in an error.
const GO_TYPE: &str = "struct { DestinationServiceNameSnake string \"json:\\\"destination_service_name\\\"\"; \
                       DestinationServiceIDSnake string \"json:\\\"destination_service_id\\\"\"; \
                       LocalServiceAddressSnake string \"json:\\\"local_service_address\\\"\"; \
                       LocalServicePortSnake int \"json:\\\"local_service_port\\\"\"; *structs.Alias }";
const GO_UPSTREAM: &str = "struct { DestinationTypeSnake string \"json:\\\"destination_type\\\"\"; \
                           DestinationNamespaceSnake string \"json:\\\"destination_namespace\\\"\"; \
                           DestinationNameSnake string \"json:\\\"destination_name\\\"\"; \
                           LocalBindPortSnake int \"json:\\\"local_bind_port\\\"\"; \
                           LocalBindAddressSnake string \"json:\\\"local_bind_address\\\"\"; *structs.Alias }";
const GO_PATH: &str = "struct { LocalPathPortSnake int \"json:\\\"local_path_port\\\"\"; \
                       ListenerPortSnake int \"json:\\\"listener_port\\\"\"; *structs.Alias }";

const PROXY: &[&str] = &[
    "DestinationServiceName",
    "DestinationServiceID",
    "LocalServiceAddress",
    "LocalServicePort",
    "Config",
    "Upstreams",
    "MeshGateway",
    "Expose",
];
const UPSTREAM: &[&str] = &[
    "DestinationType",
    "DestinationNamespace",
    "DestinationName",
    "Datacenter",
    "LocalBindAddress",
    "LocalBindPort",
    "Config",
    "MeshGateway",
];

/// The proxy of a service; nothing set if there is none. Nothing is validated here but types.
pub(super) fn of_service(service: &Object<'_>) -> Result<ProxyDefinition, DecodeError> {
    let body = service.object("Proxy", "ConnectProxyConfig", GO_TYPE)?;
    let decoded = body.map(|body| decode(&body)).transpose();
    decoded.map(Option::unwrap_or_default).map_err(|error| service.outside("Proxy", error))
}

fn text(body: &Object<'_>, name: &str, snake: &str) -> Result<String, DecodeError> {
    let (given, other) = (body.text(name)?, body.text(snake)?);
    Ok(if given.is_empty() { other.to_owned() } else { given.to_owned() })
}

fn integer(body: &Object<'_>, name: &str, snake: &str) -> Result<i64, DecodeError> {
    let (given, other) = (body.integer(name)?, body.integer(snake)?);
    Ok(if given == 0 { other } else { given })
}

fn decode(body: &Object<'_>) -> Result<ProxyDefinition, DecodeError> {
    let upstreams = body.objects("Upstreams", "Upstream", "structs.Upstreams", GO_UPSTREAM)?;
    Ok(ProxyDefinition {
        destination_service_name: text(body, PROXY[0], "destination_service_name")?,
        destination_service_id: text(body, PROXY[1], "destination_service_id")?,
        local_service_address: text(body, PROXY[2], "local_service_address")?,
        local_service_port: integer(body, PROXY[3], "local_service_port")?,
        config: body.map("Config")?,
        upstreams: upstreams.iter().map(upstream).collect::<Result<_, _>>()?,
        mesh_gateway: mesh_gateway(body)?,
        expose: expose(body)?,
        other: body.others(PROXY),
    })
}

fn upstream(body: &Object<'_>) -> Result<UpstreamDefinition, DecodeError> {
    Ok(UpstreamDefinition {
        destination_type: text(body, UPSTREAM[0], "destination_type")?,
        destination_namespace: text(body, UPSTREAM[1], "destination_namespace")?,
        destination_name: text(body, UPSTREAM[2], "destination_name")?,
        datacenter: body.text("Datacenter")?.to_owned(),
        local_bind_address: text(body, UPSTREAM[4], "local_bind_address")?,
        local_bind_port: integer(body, UPSTREAM[5], "local_bind_port")?,
        config: body.map("Config")?,
        mesh_gateway: mesh_gateway(body)?,
        other: body.others(UPSTREAM),
    })
}

fn mesh_gateway(body: &Object<'_>) -> Result<MeshGatewayDefinition, DecodeError> {
    let mut mode = String::new();
    for field in ["mesh_gateway", "MeshGateway"] {
        if let Some(gateway) = body.object(field, "MeshGatewayConfig", "structs.MeshGatewayConfig")? {
            mode = gateway.text_of_type("Mode", "structs.MeshGatewayMode")?.to_owned();
        }
    }
    Ok(MeshGatewayDefinition { mode })
}

fn expose(body: &Object<'_>) -> Result<ExposeDefinition, DecodeError> {
    let Some(expose) = body.object("Expose", "ExposeConfig", "structs.ExposeConfig")? else {
        return Ok(ExposeDefinition::default());
    };
    let paths = expose.objects("Paths", "ExposePath", "[]structs.ExposePath", GO_PATH)?;
    let path = |path: &Object<'_>| {
        Ok(ExposedPathDefinition {
            listener_port: integer(path, "ListenerPort", "listener_port")?,
            path: path.text("Path")?.to_owned(),
            local_path_port: integer(path, "LocalPathPort", "local_path_port")?,
            protocol: path.text("Protocol")?.to_owned(),
            parsed_from_check: path.boolean("ParsedFromCheck")?,
        })
    };
    let paths = paths.iter().map(path).collect::<Result<_, DecodeError>>()?;
    Ok(ExposeDefinition { checks: expose.boolean("Checks")?, paths })
}
