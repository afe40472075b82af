//! Instances, their keys, checks and overrides.

use super::time::{timestamp, timestamp_ms};
use super::{Within, count, known, required, small, text};
use crate::machine::State;
use crate::model::names::{self, Invalid};
use crate::model::{
    Check, DEFAULT_NAMESPACE, Extra, Health, Instance, InstanceKey, Lifecycle, Locality, Override, ServiceKey, Text,
    limits,
};
use crate::proto::v1 as pb;
use crate::service::AGENTLESS;

/// Why an operator did something.
const REASON_BYTES_MAX: usize = 512;

/// A namespace; empty means the default one.
pub(in crate::grpc) fn namespace(value: &str) -> Result<Text, Invalid> {
    names::optional_name("namespace", value)?;
    Ok(if value.is_empty() { Text::const_new(DEFAULT_NAMESPACE) } else { value.into() })
}

/// An instance's identity.
pub(in crate::grpc) fn key(key: &pb::InstanceKey) -> Result<InstanceKey, Invalid> {
    let namespace = namespace(&key.namespace)?;
    names::name("service", &key.service)?;
    names::name("instance_id", &key.instance_id)?;
    names::optional_name("node", &key.node)?;
    Ok(InstanceKey {
        service: ServiceKey { namespace, name: key.service.as_str().into() },
        node: key.node.as_str().into(),
        id: key.instance_id.as_str().into(),
    })
}

/// Where something is.
pub(in crate::grpc) fn locality(locality: Option<&pb::Locality>) -> Result<Locality, Invalid> {
    let Some(locality) = locality else { return Ok(Locality::default()) };
    names::optional_name("region", &locality.region)?;
    names::optional_name("zone", &locality.zone)?;
    names::optional_name("sub_zone", &locality.sub_zone)?;
    Ok(Locality {
        region: locality.region.as_str().into(),
        zone: locality.zone.as_str().into(),
        sub_zone: locality.sub_zone.as_str().into(),
    })
}

/// What an instance says of itself.
pub(in crate::grpc) fn lifecycle(number: i32) -> Result<Option<Lifecycle>, Invalid> {
    Ok(match known::<pb::Lifecycle>("lifecycle", number)? {
        pb::Lifecycle::Unspecified => None,
        pb::Lifecycle::Starting => Some(Lifecycle::Starting),
        pb::Lifecycle::Serving => Some(Lifecycle::Serving),
        pb::Lifecycle::Draining => Some(Lifecycle::Draining),
    })
}

/// An instance as a client wants it; fields that are output only are ignored. `address_required`: not in an update
/// that leaves the address alone.
pub(in crate::grpc) fn instance(i: &pb::Instance, address_required: bool) -> Result<Instance, Invalid> {
    let key = key(&required("key", i.key.clone())?).within("key")?;
    if address_required {
        names::name("address", &i.address)?;
    } else {
        names::optional_name("address", &i.address)?;
    }
    if key.node.eq_ignore_ascii_case(AGENTLESS) {
        return Err(Invalid::new("key.node", format!("{AGENTLESS:?} is reserved for instances without a node")));
    }
    let port = small("port", i.port)?;
    let mut instance = Instance::new(key, i.address.as_str().into(), i32::from(port));
    count("tags", i.tags.len(), 0, limits::TAGS_MAX)?;
    for (index, tag) in i.tags.iter().enumerate() {
        names::name("tags", tag).map_err(|e| Invalid::new(format!("tags[{index}]"), e.reason))?;
    }
    instance.tags = i.tags.iter().map(|t| t.as_str().into()).collect();
    names::pairs("metadata", limits::META_PAIRS_MAX, i.metadata.iter().map(|(k, v)| (k.as_str(), v.as_str())))?;
    instance.meta = i.metadata.iter().map(|(k, v)| (k.as_str().into(), v.as_str().into())).collect();
    instance.lifecycle = lifecycle(i.lifecycle)?.unwrap_or_default();
    let extra = extra(i)?;
    instance.extra = (extra != Extra::default()).then(|| Box::new(extra));
    Ok(instance)
}

fn extra(i: &pb::Instance) -> Result<Extra, Invalid> {
    count("named_ports", i.named_ports.len(), 0, limits::NAMED_PORTS_MAX)?;
    let mut named_ports = Vec::with_capacity(i.named_ports.len());
    for (name, port) in &i.named_ports {
        names::name("named_ports", name)?;
        named_ports.push((Text::from(name.as_str()), small("named_ports", *port)?));
    }
    names::optional_name("version", &i.version)?;
    Ok(Extra {
        locality: locality(i.locality.as_ref()).within("locality")?,
        named_ports: named_ports.into(),
        version: i.version.as_str().into(),
        weight: i.weight.map(|w| small("weight", w)).transpose()?,
        ..Extra::default()
    })
}

/// Checks that a client reports.
pub(in crate::grpc) fn checks(checks: &[pb::Check]) -> Result<Vec<Check>, Invalid> {
    count("checks", checks.len(), 0, limits::CHECKS_MAX)?;
    let mut out: Vec<Check> = Vec::with_capacity(checks.len());
    for (index, check) in checks.iter().enumerate() {
        let check = self::check(check).within_item("checks", index)?;
        if out.iter().any(|c| c.id.eq_ignore_ascii_case(&check.id)) {
            return Err(Invalid::new(format!("checks[{index}].check_id"), "comes twice"));
        }
        out.push(check);
    }
    Ok(out)
}

fn check(check: &pb::Check) -> Result<Check, Invalid> {
    names::name("check_id", &check.check_id)?;
    let health = match known::<pb::HealthState>("state", check.state)? {
        pb::HealthState::Unspecified => return Err(Invalid::new("state", "is required")),
        pb::HealthState::Passing => Health::Passing,
        pb::HealthState::Warning => Health::Warning,
        pb::HealthState::Critical => Health::Critical,
    };
    Ok(Check {
        id: check.check_id.as_str().into(),
        name: check.check_id.as_str().into(),
        health,
        output: names::cut(&check.output, limits::CHECK_OUTPUT_BYTES_MAX).into(),
        ..Check::default()
    })
}

/// An operator's word.
pub(in crate::grpc) fn overriding(word: &pb::Override) -> Result<Override, Invalid> {
    text("reason", &word.reason, REASON_BYTES_MAX)?;
    names::optional_name("author", &word.author)?;
    Ok(Override {
        drain: word.drain,
        weight: word.weight.map(|w| small("weight", w)).transpose()?,
        reason: word.reason.as_str().into(),
        author: word.author.as_str().into(),
        expire_ms: timestamp_ms("expire_time", word.expire_time)?,
    })
}

/// The wire form of an identity.
pub(in crate::grpc) fn key_out(i: &Instance) -> pb::InstanceKey {
    pb::InstanceKey {
        namespace: i.service.namespace.to_string(),
        service: i.service.name.to_string(),
        instance_id: i.id.to_string(),
        node: i.node.to_string(),
    }
}

/// The wire form of an override.
pub(in crate::grpc) fn overriding_out(word: &Override) -> pb::Override {
    pb::Override {
        drain: word.drain,
        weight: word.weight.map(u32::from),
        reason: word.reason.to_string(),
        author: word.author.to_string(),
        expire_time: word.expire_ms.map(timestamp),
    }
}

/// The wire form of a health.
pub(in crate::grpc) fn health_out(health: Health) -> pb::HealthState {
    match health {
        Health::Passing => pb::HealthState::Passing,
        Health::Warning => pb::HealthState::Warning,
        Health::Critical => pb::HealthState::Critical,
    }
}

fn lifecycle_out(lifecycle: Lifecycle) -> pb::Lifecycle {
    match lifecycle {
        Lifecycle::Starting => pb::Lifecycle::Starting,
        Lifecycle::Serving => pb::Lifecycle::Serving,
        Lifecycle::Draining => pb::Lifecycle::Draining,
    }
}

fn check_out(check: &Check) -> pb::Check {
    pb::Check {
        check_id: check.id.to_string(),
        state: health_out(check.health).into(),
        output: check.output.to_string(),
        update_time: Some(timestamp(check.changed_ms)),
    }
}

fn locality_out(locality: &Locality) -> Option<pb::Locality> {
    (*locality != Locality::default()).then(|| pb::Locality {
        region: locality.region.to_string(),
        zone: locality.zone.to_string(),
        sub_zone: locality.sub_zone.to_string(),
    })
}

/// What of an instance depends on its node.
#[derive(Clone, Copy)]
pub(in crate::grpc) struct Shown<'a> {
    /// Worst of its checks and the node's.
    pub(in crate::grpc) health: Health,
    /// The node's address; used when the instance has none of its own, as Consul allows.
    pub(in crate::grpc) node_address: &'a str,
}

impl<'a> Shown<'a> {
    /// As this state has it.
    pub(in crate::grpc) fn of(state: &'a State, instance: &Instance) -> Shown<'a> {
        let node = if instance.node.is_empty() { None } else { state.node(&instance.node) };
        Shown {
            health: node.map_or(Health::Passing, |n| n.record.health()).max(instance.own_health()),
            node_address: node.map_or("", |n| n.record.address.as_str()),
        }
    }
}

/// The wire form of an instance; `full`: with metadata and checks.
pub(in crate::grpc) fn instance_out(i: &Instance, shown: Shown<'_>, full: bool) -> pb::Instance {
    let nothing = Extra::default();
    let extra = i.extra.as_deref().unwrap_or(&nothing);
    let address = if i.address.is_empty() { shown.node_address } else { i.address.as_str() };
    pb::Instance {
        key: Some(key_out(i)),
        address: address.to_owned(),
        // Consul accepts any number; what is no port is shown as none.
        port: u16::try_from(i.port).map_or(0, u32::from),
        named_ports: extra.named_ports.iter().map(|(k, p)| (k.to_string(), u32::from(*p))).collect(),
        locality: locality_out(&extra.locality),
        weight: extra.weight.map(u32::from),
        tags: i.tags.iter().map(|t| t.to_string()).collect(),
        metadata: if full {
            i.meta.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
        } else {
            Default::default()
        },
        version: extra.version.to_string(),
        lifecycle: lifecycle_out(i.lifecycle).into(),
        checks: if full { i.checks.iter().map(check_out).collect() } else { Vec::new() },
        health: health_out(shown.health).into(),
        r#override: extra.overriding.as_ref().map(overriding_out),
        session_id: i.session.map(|s| s.to_string()).unwrap_or_default(),
        create_revision: i.create_revision,
        modify_revision: i.revision(),
    }
}

/// The whole instance as this state shows it.
pub(in crate::grpc) fn instance_full(state: &State, i: &Instance) -> pb::Instance {
    instance_out(i, Shown::of(state, i), true)
}
