//! The settings of a mesh proxy, `proxy`, with their JSON: what is kept and shown. They decide nothing here, but for
//! the service that a proxy stands for; what newer clients set beside them is kept as it came.

use super::{Refused, ServiceDefinition};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

fn is_zero(number: &i64) -> bool {
    *number == 0
}

fn is_false(on: &bool) -> bool {
    !on
}

/// `proxy`. Its JSON has Consul's names and order, without what is not set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ProxyDefinition {
    /// `destination_service_name`: the service whose connections it takes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub destination_service_name: String,
    /// `destination_service_id`: the instance of it on this node.
    #[serde(rename = "DestinationServiceID", skip_serializing_if = "String::is_empty")]
    pub destination_service_id: String,
    /// `local_service_address`: where that instance listens.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub local_service_address: String,
    /// `local_service_port`.
    #[serde(skip_serializing_if = "is_zero")]
    pub local_service_port: i64,
    /// `config`, the proxy's own.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub config: Map<String, Value>,
    /// `upstreams`: the services that it makes connections to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub upstreams: Vec<UpstreamDefinition>,
    /// `mesh_gateway`.
    pub mesh_gateway: MeshGatewayDefinition,
    /// `expose`: what is reached without the mesh.
    pub expose: ExposeDefinition,
    /// What this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// One of `upstreams`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct UpstreamDefinition {
    /// `destination_type`: `service` or `prepared_query`; `service` by default.
    pub destination_type: String,
    /// `destination_namespace`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub destination_namespace: String,
    /// `destination_name`.
    pub destination_name: String,
    /// `datacenter`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub datacenter: String,
    /// `local_bind_address`; 127.0.0.1 by default.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub local_bind_address: String,
    /// `local_bind_port`.
    #[serde(skip_serializing_if = "is_zero")]
    pub local_bind_port: i64,
    /// `config`, the proxy's own.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub config: Map<String, Value>,
    /// `mesh_gateway`.
    pub mesh_gateway: MeshGatewayDefinition,
    /// What this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `mesh_gateway`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct MeshGatewayDefinition {
    /// `mode`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
}

/// `expose`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ExposeDefinition {
    /// `checks`: those of the service, to this node.
    #[serde(skip_serializing_if = "is_false")]
    pub checks: bool,
    /// `paths`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<ExposedPathDefinition>,
}

/// One of `paths`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ExposedPathDefinition {
    /// `listener_port`: where the proxy listens.
    #[serde(skip_serializing_if = "is_zero")]
    pub listener_port: i64,
    /// `path`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// `local_path_port`: where the service does.
    #[serde(skip_serializing_if = "is_zero")]
    pub local_path_port: i64,
    /// `protocol`: `http` or `http2`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
    /// `parsed_from_check`.
    pub parsed_from_check: bool,
}

impl ProxyDefinition {
    /// Reads what [`ProxyDefinition::text`] wrote.
    ///
    /// # Errors
    /// JSON of another form, for people.
    pub fn parse(text: &str) -> Result<ProxyDefinition, String> {
        serde_json::from_str(text).map_err(|e| format!("Proxy: {e}"))
    }

    /// Its JSON; `None` if nothing is set.
    pub fn text(&self) -> Option<Box<str>> {
        if *self == ProxyDefinition::default() {
            return None;
        }
        // Texts, numbers and maps with texts as keys: there is nothing that JSON cannot hold.
        serde_json::to_string(self).ok().map(Into::into)
    }

    fn with_upstream_types(mut self) -> ProxyDefinition {
        for upstream in self.upstreams.iter_mut().filter(|upstream| upstream.destination_type.is_empty()) {
            upstream.destination_type = "service".to_owned();
        }
        self
    }
}

impl ServiceDefinition {
    /// Its proxy; nothing set if there is none.
    ///
    /// # Errors
    /// What was stored is of another form.
    pub fn proxy_definition(&self) -> Result<ProxyDefinition, Refused> {
        let proxy = self.proxy.as_deref().map(ProxyDefinition::parse).transpose();
        proxy.map(Option::unwrap_or_default).map_err(Refused::because)
    }

    /// Adds what Consul adds on an agent: the type of upstreams that have none.
    ///
    /// # Errors
    /// As for [`ServiceDefinition::proxy_definition`].
    pub fn add_upstream_types(&mut self) -> Result<(), Refused> {
        if self.proxy.is_some() {
            self.proxy = self.proxy_definition()?.with_upstream_types().text();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_json_has_consuls_order_and_no_defaults() {
        assert_eq!(ProxyDefinition::default().text(), None);
        let upstream = UpstreamDefinition { destination_name: "db".into(), local_bind_port: 1, ..Default::default() };
        let proxy = ProxyDefinition {
            local_service_port: 80,
            destination_service_name: "web".into(),
            upstreams: vec![upstream],
            other: Map::from_iter([("Mode".to_owned(), Value::from("direct"))]),
            ..ProxyDefinition::default()
        };
        let text = concat!(
            r#"{"DestinationServiceName":"web","LocalServicePort":80,"Upstreams":[{"DestinationType":"service","#,
            r#""DestinationName":"db","LocalBindPort":1,"MeshGateway":{}}],"MeshGateway":{},"Expose":{},"Mode":"direct"}"#
        );
        assert_eq!(proxy.with_upstream_types().text().as_deref(), Some(text));
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            texts in proptest::collection::vec(".{0,8}", 8), port in any::<i64>(), on in any::<bool>(),
        ) {
            let text = |at: usize| texts[at].clone();
            let config = Map::from_iter([(text(0), Value::from(text(1)))]);
            let proxy = ProxyDefinition {
                destination_service_name: text(2),
                local_service_port: port,
                config: config.clone(),
                upstreams: vec![UpstreamDefinition { destination_name: text(3), config, ..Default::default() }],
                mesh_gateway: MeshGatewayDefinition { mode: text(4) },
                expose: ExposeDefinition {
                    checks: on,
                    paths: vec![ExposedPathDefinition { path: text(5), listener_port: port, ..Default::default() }],
                },
                ..ProxyDefinition::default()
            };
            let written = proxy.text().expect("something is set");
            prop_assert_eq!(ProxyDefinition::parse(&written), Ok(proxy));
        }

        #[test]
        fn any_text_is_read_or_refused(text in r#"[{}\[\]",:A-Za-z0-9]{0,60}"#) {
            let _ = ProxyDefinition::parse(&text);
        }
    }
}
