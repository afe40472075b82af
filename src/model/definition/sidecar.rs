//! What a sidecar is made of: its own definition, and of its service what that leaves open. Which port it gets is the
//! agent's to say.

use super::{CheckDefinition, ProxyDefinition, Refused, ServiceDefinition};
use crate::model::Text;
use compact_str::format_compact;

/// How often the default check looks whether the proxy listens: 10 s.
const LISTENING_INTERVAL_NS: i64 = 10_000_000_000;

/// The id of the sidecar of a service.
pub fn sidecar_id(service: &str) -> Text {
    format_compact!("{service}-sidecar-proxy")
}

/// A sidecar that needs nothing but a port.
#[derive(Clone, Debug, PartialEq)]
pub struct Sidecar {
    definition: ServiceDefinition,
    /// Id of its service.
    of: Text,
    /// Where the default check looks for it.
    host: String,
}

impl Sidecar {
    /// Its id on this node.
    pub fn id(&self) -> &Text {
        &self.definition.id
    }

    /// The port that it was given by its definition.
    pub fn port(&self) -> Option<i64> {
        Some(self.definition.port).filter(|port| *port >= 1)
    }

    /// The whole of it, at this port.
    pub fn at(self, port: i64) -> ServiceDefinition {
        let Sidecar { mut definition, of, host } = self;
        definition.port = port;
        if definition.own_checks().is_empty() {
            definition.check = None;
            definition.checks = default_checks(&of, &host, port);
        }
        definition
    }
}

impl ServiceDefinition {
    /// Takes the sidecar out of its service, with what it has from there.
    ///
    /// # Errors
    /// What is wrong with the sidecar itself.
    pub fn take_sidecar(&mut self) -> Result<Option<Sidecar>, Refused> {
        let Some(sidecar) = self.sidecar.take() else { return Ok(None) };
        let mut sidecar = *sidecar;
        sidecar.validate_as_sidecar()?;
        let id = self.own_id().clone();
        let or = |own: &mut Text, other: &Text| {
            if own.is_empty() {
                own.clone_from(other);
            }
        };
        sidecar.is_sidecar = true;
        sidecar.id = sidecar_id(&id);
        or(&mut sidecar.name, &sidecar_id(&self.name));
        or(&mut sidecar.kind, &Text::const_new("connect-proxy"));
        or(&mut sidecar.address, &self.address);
        or(&mut sidecar.token, &self.token);
        if sidecar.tags.is_empty() {
            sidecar.tags.clone_from(&self.tags);
        }
        if sidecar.meta.is_empty() {
            sidecar.meta.clone_from(&self.meta);
        }
        let proxy = self.proxied_by(sidecar.proxy_definition()?);
        sidecar.proxy = proxy.text();
        Ok(Some(Sidecar { definition: sidecar, of: id, host: proxy.local_service_address }))
    }

    /// A proxy for this service, unless it was told otherwise.
    fn proxied_by(&self, mut proxy: ProxyDefinition) -> ProxyDefinition {
        if proxy.destination_service_name.is_empty() {
            proxy.destination_service_name = self.name.to_string();
        }
        if proxy.destination_service_id.is_empty() {
            proxy.destination_service_id = self.own_id().to_string();
        }
        if proxy.local_service_address.is_empty() {
            proxy.local_service_address = "127.0.0.1".to_owned();
        }
        if proxy.local_service_port < 1 {
            proxy.local_service_port = self.port;
        }
        proxy
    }

    fn validate_as_sidecar(&self) -> Result<(), Refused> {
        let refuse = |why| Err(Refused::because(format!("Invalid SidecarService: {why}")));
        if let Some(why) = self.weights_fault() {
            return refuse(format!("Invalid Weights: {why}"));
        }
        if let Some(why) = self.meta_fault() {
            return refuse(why);
        }
        self.validate_checks("Invalid check in sidecar_service")
    }
}

/// Whether it listens, and how its service is.
fn default_checks(service: &Text, host: &str, port: i64) -> Vec<CheckDefinition> {
    let listening = CheckDefinition {
        name: "Connect Sidecar Listening".into(),
        tcp: if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") },
        interval: LISTENING_INTERVAL_NS,
        ..CheckDefinition::default()
    };
    let aliasing = CheckDefinition {
        name: format_compact!("Connect Sidecar Aliasing {service}"),
        alias_service: service.clone(),
        ..CheckDefinition::default()
    };
    vec![listening, aliasing]
}
