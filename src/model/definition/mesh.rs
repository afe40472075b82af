//! What the mesh asks of a service, in Consul's words: proxies stand for somebody, gateways for nobody, and a sidecar is
//! the agent's to name. All that is wrong is said at once, as there.

use super::{ProxyDefinition, Refused, ServiceDefinition};
use std::collections::BTreeSet;

const GATEWAYS: [&str; 3] = ["mesh-gateway", "terminating-gateway", "ingress-gateway"];

impl ServiceDefinition {
    /// Whether the fields of the mesh go together.
    ///
    /// # Errors
    /// All that is wrong, as a list.
    pub fn validate_mesh(&self) -> Result<(), Refused> {
        let proxy = self.proxy_definition()?;
        let mut faults = Vec::new();
        match self.kind.as_str() {
            "connect-proxy" => self.proxy_faults(&proxy, &mut faults),
            kind if GATEWAYS.contains(&kind) => self.gateway_faults(kind, &proxy, &mut faults),
            _ => {}
        }
        if let Some(sidecar) = &self.sidecar {
            if !sidecar.id.is_empty() {
                faults.push("A SidecarService cannot specify an ID as this is managed by the agent".to_owned());
            }
            if sidecar.sidecar.is_some() {
                faults.push("A SidecarService cannot have a nested SidecarService".to_owned());
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(Refused::because(list(&faults))) }
    }

    fn proxy_faults(&self, proxy: &ProxyDefinition, faults: &mut Vec<String>) {
        if proxy.destination_service_name.trim().is_empty() {
            faults.push("Proxy.DestinationServiceName must be non-empty for Connect proxy services".to_owned());
        }
        if self.port == 0 {
            faults.push("Port must be set for a Connect proxy".to_owned());
        }
        if self.is_native() {
            faults.push("A Proxy cannot also be Connect Native, only typical services".to_owned());
        }
        upstream_faults(proxy, faults);
        path_faults(proxy, faults);
    }

    fn gateway_faults(&self, kind: &str, proxy: &ProxyDefinition, faults: &mut Vec<String>) {
        if self.port == 0 && kind != "ingress-gateway" {
            faults.push(format!("Port must be non-zero for a {kind}"));
        }
        if self.sidecar.is_some() {
            faults.push(format!("A {kind} cannot have a sidecar service defined"));
        }
        for (field, given) in [
            ("DestinationServiceName", !proxy.destination_service_name.is_empty()),
            ("DestinationServiceID", !proxy.destination_service_id.is_empty()),
            ("LocalServiceAddress", !proxy.local_service_address.is_empty()),
            ("LocalServicePort", proxy.local_service_port != 0),
            ("Upstreams", !proxy.upstreams.is_empty()),
        ] {
            if given {
                faults.push(format!("The Proxy.{field} configuration is invalid for a {kind}"));
            }
        }
    }
}

/// Each has a destination and a place to listen at, and shares neither.
fn upstream_faults(proxy: &ProxyDefinition, faults: &mut Vec<String>) {
    let (mut destinations, mut places) = (BTreeSet::new(), BTreeSet::new());
    for upstream in &proxy.upstreams {
        let kind = if upstream.destination_type.is_empty() { "service" } else { &upstream.destination_type };
        let (name, namespace, datacenter) =
            (&upstream.destination_name, &upstream.destination_namespace, &upstream.datacenter);
        let address = match upstream.local_bind_address.as_str() {
            "" => "127.0.0.1",
            address => address,
        };
        let place = match upstream.local_bind_port {
            port if address.contains(':') => format!("[{address}]:{port}"),
            port => format!("{address}:{port}"),
        };
        let fault = if !matches!(kind, "service" | "prepared_query") {
            format!("unknown upstream destination type: {kind:?}")
        } else if name.is_empty() {
            "upstream destination name cannot be empty".to_owned()
        } else if upstream.local_bind_port == 0 {
            "upstream local bind port cannot be zero".to_owned()
        } else if !destinations.insert((kind, name, namespace, datacenter)) {
            format!(
                "upstreams cannot contain duplicates of [type={kind:?}, name={name:?}, namespace={namespace:?}, \
                 datacenter={datacenter:?}]"
            )
        } else if !places.insert(place.clone()) {
            format!("upstreams cannot contain duplicates by local bind address and port; {place:?} is specified twice")
        } else {
            continue;
        };
        faults.push(fault);
    }
}

fn path_faults(proxy: &ProxyDefinition, faults: &mut Vec<String>) {
    let (mut paths, mut ports) = (BTreeSet::new(), BTreeSet::new());
    for exposed in &proxy.expose.paths {
        if exposed.path.is_empty() {
            faults.push("expose.paths: empty path exposed".to_owned());
        }
        if !paths.insert(&exposed.path) {
            faults.push("expose.paths: duplicate paths exposed".to_owned());
        }
        if !ports.insert(exposed.listener_port) {
            faults.push("expose.paths: duplicate listener ports exposed".to_owned());
        }
        if !(1..=65535).contains(&exposed.listener_port) {
            faults.push(format!("expose.paths: invalid listener port: {}", exposed.listener_port));
        }
        let protocol = exposed.protocol.to_ascii_lowercase();
        if !matches!(protocol.as_str(), "" | "http" | "http2") {
            let path = &exposed.path;
            faults.push(format!("protocol '{protocol}' not supported for path: {path}, must be in: [http http2]"));
        }
    }
}

/// Several errors in the form of the Go library that Consul uses for them.
fn list(faults: &[String]) -> String {
    let lines: String = faults.iter().map(|fault| format!("\t* {fault}\n")).collect();
    let word = if faults.len() == 1 { "error" } else { "errors" };
    format!("{} {word} occurred:\n{lines}\n", faults.len())
}
