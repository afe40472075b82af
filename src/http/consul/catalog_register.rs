//! PUTs of /v1/catalog.

use super::service_body::{ServiceBody, invalid};
use crate::command::{CatalogCheck, CatalogDeregister, CatalogRegister};
use crate::http::call::{Call, check_datacenter};
use crate::http::error::Error;
use crate::http::json::{Layout, Object, encode, format_duration};
use crate::http::reply::Answer;
use crate::model::limits::{CHECK_OUTPUT_BYTES_MAX, CHECKS_MAX, META_PAIRS_MAX};
use crate::model::{Check, Health, Invalid, NodeRecord, Text, names};
use uuid::Uuid;

/// Pairs of texts in order of key.
type Pairs = Box<[(Text, Text)]>;

/// PUT catalog/register
pub(super) async fn register(mut call: Call) -> Result<Answer, Error> {
    call.check_place()?;
    let text = call.text().await?;
    // Without the document and its text in the future.
    let registered = {
        let body = Object::parse(&text, "RegisterRequest", "structs.RegisterRequest")?;
        check_datacenter(&call.gateway, body.text("Datacenter")?)?;
        call.core.catalog_register(Box::new(decode(&body)?))
    };
    drop(text);
    registered.await?;
    Answer::json(&true, call.layout())
}

/// PUT catalog/deregister
pub(super) async fn deregister(mut call: Call) -> Result<Answer, Error> {
    call.check_place()?;
    let text = call.text().await?;
    let body = Object::parse(&text, "", "struct { Address string; *structs.Alias }")?;
    check_datacenter(&call.gateway, body.text("Datacenter")?)?;
    let command = CatalogDeregister {
        node: body.text("Node")?.into(),
        service_id: body.text("ServiceID")?.into(),
        check_id: body.text_of_type("CheckID", "types.CheckID")?.into(),
    };
    if command.node.is_empty() {
        return Err(Error::server("Must provide node"));
    }
    call.core.catalog_deregister(command).await?;
    Answer::json(&true, call.layout())
}

/// All types are checked before any value is, as in Consul.
pub(super) fn decode(body: &Object<'_>) -> Result<CatalogRegister, Error> {
    let id = body.text_of_type("ID", "types.NodeID")?;
    let node: Text = body.text("Node")?.into();
    let address: Text = body.text("Address")?.into();
    let tagged_addresses: Option<Pairs> = body.pairs("TaggedAddresses")?.map(Into::into);
    let meta: Option<Pairs> = body.pairs("NodeMeta")?.map(Into::into);
    let skip_node_update = body.boolean("SkipNodeUpdate")?;
    let service = body.object("Service", "NodeService", "structs.NodeService")?;
    let service = service.map(|service| ServiceBody::decode_kept(&service)).transpose()?;
    let mut checks = Vec::new();
    if let Some(check) = body.object("Check", "HealthCheck", "structs.HealthCheck")? {
        checks.push(CheckBody::decode(&check)?);
    }
    for check in body.objects("Checks", "HealthCheck", "structs.HealthChecks", "structs.HealthCheck")? {
        checks.push(CheckBody::decode(&check)?);
    }
    if node.is_empty() {
        return Err(Error::server("Must provide node"));
    }
    if address.is_empty() && !skip_node_update {
        return Err(Error::server("Must provide address if SkipNodeUpdate is not set"));
    }
    names::name("Node", &node).map_err(invalid)?;
    names::optional_name("Address", &address).map_err(invalid)?;
    for (field, pairs) in [("TaggedAddresses", &tagged_addresses), ("NodeMeta", &meta)] {
        let pairs = pairs.as_deref().unwrap_or_default().iter().map(|(k, v)| (k.as_str(), v.as_str()));
        names::pairs(field, META_PAIRS_MAX, pairs).map_err(invalid)?;
    }
    let service = match service {
        Some(service) if service.0.name.is_empty() && !service.0.id.is_empty() => {
            return Err(Error::server("Must provide service name with ID"));
        }
        Some(service) => {
            service.0.validate_mesh().map_err(|refused| Error::server(refused.0))?;
            Some(service.into_instance()?)
        }
        None => None,
    };
    if checks.len() > CHECKS_MAX {
        let reason = format!("has {} entries, at most {CHECKS_MAX} are allowed", checks.len());
        return Err(invalid(Invalid::new("Checks", reason)));
    }
    let checks = checks.into_iter().map(|check| check.into_check(&node)).collect::<Result<_, _>>()?;
    let record = NodeRecord { name: node, id: node_id(id)?, address, tagged_addresses, meta, ..NodeRecord::default() };
    Ok(CatalogRegister { node: record, skip_node_update, service, checks })
}

pub(super) fn node_id(text: &str) -> Result<Option<Uuid>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    let bad = |why: &str| Error::server(format!("Bad node ID: {why}"));
    if text.len() != 36 {
        return Err(bad("uuid string is wrong length"));
    }
    if [8, 13, 18, 23].iter().any(|at| text.as_bytes()[*at] != b'-') {
        return Err(bad("uuid is improperly formatted"));
    }
    if let Some(other) = text.chars().find(|c| !c.is_ascii_hexdigit() && *c != '-') {
        return Err(bad(&format!("encoding/hex: invalid byte: U+{:04X} {other:?}", u32::from(other))));
    }
    Uuid::try_parse(text).map(Some).map_err(|_| bad("uuid is improperly formatted"))
}

/// A check as clients write it.
pub(super) struct CheckBody {
    pub(super) node: Text,
    service_id: Text,
    status: Text,
    pub(super) check: Check,
}

impl CheckBody {
    pub(super) fn decode(body: &Object<'_>) -> Result<CheckBody, Error> {
        let id = body.text_of_type("CheckID", "types.CheckID")?;
        let name = body.text("Name")?;
        let definition = body.object("Definition", "HealthCheckDefinition", "structs.HealthCheckDefinition")?;
        let definition = definition.map(|d| Definition::decode(&d)).transpose()?.unwrap_or_default();
        let kind = match body.text("Type")? {
            "" => definition.kind(),
            given => given,
        };
        let output = body.text("Output")?;
        Ok(CheckBody {
            node: body.text("Node")?.into(),
            service_id: body.text("ServiceID")?.into(),
            status: body.text("Status")?.into(),
            check: Check {
                id: if id.is_empty() { name.into() } else { id.into() },
                name: name.into(),
                notes: body.text("Notes")?.into(),
                output: names::cut(output, CHECK_OUTPUT_BYTES_MAX).into(),
                kind: kind.into(),
                definition: definition.stored()?,
                ..Check::default()
            },
        })
    }

    pub(super) fn into_check(self, node: &str) -> Result<CatalogCheck, Error> {
        if !self.node.is_empty() && !self.node.eq_ignore_ascii_case(node) {
            return Err(Error::server(format!("check node {:?} does not match node {node:?}", self.node.as_str())));
        }
        names::name("Check.CheckID", &self.check.id).map_err(invalid)?;
        names::optional_name("Check.Name", &self.check.name).map_err(invalid)?;
        names::optional_name("Check.ServiceID", &self.service_id).map_err(invalid)?;
        names::optional_name("Check.Type", &self.check.kind).map_err(invalid)?;
        if self.check.notes.len() > CHECK_OUTPUT_BYTES_MAX {
            let reason = format!("has {} bytes, at most {CHECK_OUTPUT_BYTES_MAX} are allowed", self.check.notes.len());
            return Err(invalid(Invalid::new("Check.Notes", reason)));
        }
        let health = match self.status.as_str() {
            "" => Health::Critical,
            word => Health::parse(word).ok_or_else(|| {
                // Consul stores any word; its clients abort on one that they do not know.
                Error::bad_request(format!("Bad check status {word:?}, must be passing, warning or critical"))
            })?,
        };
        Ok(CatalogCheck { service_id: self.service_id, check: Check { health, ..self.check } })
    }
}

/// How a check is made: shown to clients, not run by us.
#[derive(Default, serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    #[serde(skip_serializing_if = "String::is_empty")]
    interval: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    timeout: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    deregister_critical_service_after: String,
    #[serde(rename = "HTTP", skip_serializing_if = "String::is_empty")]
    http: String,
    #[serde(rename = "TLSSkipVerify", skip_serializing_if = "std::ops::Not::not")]
    tls_skip_verify: bool,
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    header: std::collections::BTreeMap<String, Vec<Text>>,
    #[serde(skip_serializing_if = "String::is_empty")]
    method: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    body: String,
    #[serde(rename = "TCP", skip_serializing_if = "String::is_empty")]
    tcp: String,
}

impl Definition {
    fn decode(body: &Object<'_>) -> Result<Definition, Error> {
        let duration = |field: &str| -> Result<String, Error> {
            Ok(match body.duration(field)? {
                0 => String::new(),
                ns => format_duration(ns),
            })
        };
        Ok(Definition {
            interval: duration("Interval")?,
            timeout: duration("Timeout")?,
            deregister_critical_service_after: duration("DeregisterCriticalServiceAfter")?,
            http: body.text("HTTP")?.to_owned(),
            tls_skip_verify: body.boolean("TLSSkipVerify")?,
            header: body.map_of_texts("Header")?,
            method: body.text("Method")?.to_owned(),
            body: body.text("Body")?.to_owned(),
            tcp: body.text("TCP")?.to_owned(),
        })
    }

    fn kind(&self) -> &'static str {
        match (self.http.is_empty(), self.tcp.is_empty()) {
            // What is never run is of no kind.
            _ if self.interval.is_empty() => "",
            (_, false) => "tcp",
            (false, true) => "http",
            (true, true) => "",
        }
    }

    fn stored(&self) -> Result<Option<Box<str>>, Error> {
        let bytes = encode(self, Layout::Compact).map_err(|e| Error::bad_request(format!("Check.Definition: {e}")))?;
        let text = String::from_utf8(bytes).map_err(|e| Error::bad_request(format!("Check.Definition: {e}")))?;
        Ok((text != "{}").then(|| text.into()))
    }
}
