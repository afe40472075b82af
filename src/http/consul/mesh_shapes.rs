//! The mesh settings of a service in Consul's documents: as stored, with the members that Consul always shows.

use crate::http::json::{Json, Raw, parse};
use crate::model::Instance;
use crate::model::definition::ProxyDefinition;
use serde::ser::{Error, Serialize, SerializeMap, Serializer};
use std::borrow::Cow;

type Members<'a> = Vec<(Cow<'a, str>, Json<'a>)>;

/// Kinds whose settings an agent shows.
const PROXIES: [&str; 4] = ["connect-proxy", "mesh-gateway", "terminating-gateway", "ingress-gateway"];

#[derive(serde::Serialize)]
struct Empty {}

/// The settings of a proxy.
pub(super) struct Proxy<'a> {
    stored: Option<&'a str>,
    /// Of an agent: upstreams show less.
    own: bool,
}

impl<'a> Proxy<'a> {
    /// As the catalog shows it.
    pub(super) fn of(instance: &'a Instance) -> Proxy<'a> {
        Proxy { stored: instance.extra.as_deref().and_then(|e| e.proxy.as_deref()), own: false }
    }

    /// As the agent shows it: nothing of what is no proxy.
    pub(super) fn of_own(instance: &'a Instance) -> Option<Proxy<'a>> {
        let is_proxy = PROXIES.contains(&super::shapes::kind(instance));
        is_proxy.then(|| Proxy { own: true, ..Proxy::of(instance) })
    }

    /// The settings themselves; what cannot be read is not set.
    pub(super) fn definition(&self) -> ProxyDefinition {
        self.stored.and_then(|text| ProxyDefinition::parse(text).ok()).unwrap_or_default()
    }

    /// The service that a proxy takes connections for.
    pub(super) fn destination(&self) -> Option<String> {
        match member(self.stored, "DestinationServiceName")? {
            Json::String(name) if !name.is_empty() => Some(name.into_owned()),
            _ => None,
        }
    }
}

/// A member of a stored object, whatever the case of its name.
fn member<'a>(stored: Option<&'a str>, wanted: &str) -> Option<Json<'a>> {
    match parse(stored?).ok()? {
        Json::Object(members) => {
            members.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
        }
        _ => None,
    }
}

impl Serialize for Proxy<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stored = match self.stored.map(parse).transpose().map_err(S::Error::custom)? {
            Some(Json::Object(members)) => members,
            _ => Vec::new(),
        };
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in &stored {
            match value {
                Json::Array(upstreams) if name == "Upstreams" && !self.own => {
                    let upstreams: Vec<Upstream<'_>> = upstreams.iter().map(Upstream).collect();
                    map.serialize_entry(name.as_ref(), &upstreams)?;
                }
                value => map.serialize_entry(name.as_ref(), value)?,
            }
        }
        for name in ["MeshGateway", "Expose"] {
            if !is_in(&stored, name) {
                map.serialize_entry(name, &Empty {})?;
            }
        }
        map.end()
    }
}

fn is_in(members: &Members<'_>, name: &str) -> bool {
    members.iter().any(|(stored, _)| stored.eq_ignore_ascii_case(name))
}

/// One of the upstreams in the catalog, where the datacenter and the proxy's own settings are always shown.
struct Upstream<'a>(&'a Json<'a>);

impl Serialize for Upstream<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Json::Object(stored) = self.0 else { return self.0.serialize(serializer) };
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in stored {
            // Their places are before what comes with the address, and before the gateway.
            if name == "MeshGateway" && !is_in(stored, "Config") {
                map.serialize_entry("Config", &None::<()>)?;
            }
            map.serialize_entry(name.as_ref(), value)?;
            if name == "DestinationName" && !is_in(stored, "Datacenter") {
                map.serialize_entry("Datacenter", "")?;
            }
        }
        map.end()
    }
}

/// The other mesh settings: as stored, or `{}`.
pub(super) struct Connect<'a>(Option<&'a str>);

impl<'a> Connect<'a> {
    pub(super) fn of(instance: &'a Instance) -> Connect<'a> {
        Connect(instance.extra.as_deref().and_then(|e| e.connect.as_deref()))
    }

    pub(super) fn is_unset(&self) -> bool {
        self.0.is_none()
    }

    /// Whether the service speaks the mesh's protocol itself.
    pub(super) fn is_native(&self) -> bool {
        member(self.0, "Native") == Some(Json::Bool(true))
    }
}

impl Serialize for Connect<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(stored) => Raw(stored).serialize(serializer),
            None => Empty {}.serialize(serializer),
        }
    }
}
