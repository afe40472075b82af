//! Requests of the catalog's write path.

use super::mask::update_mask;
use super::{Within, count, instance, required};
use crate::command;
use crate::model::names::Invalid;
use crate::model::{Instance, InstanceKey, limits};
use crate::proto::v1 as pb;
use std::collections::HashMap;

/// 1-500 whole instances, none of them twice.
pub(in crate::grpc) fn instances(instances: &[pb::Instance]) -> Result<Vec<Instance>, Invalid> {
    count("instances", instances.len(), 1, limits::BATCH_MAX)?;
    let mut out = Vec::with_capacity(instances.len());
    let mut seen = HashMap::with_capacity(instances.len());
    for (index, i) in instances.iter().enumerate() {
        let i = instance::instance(i, true).within_item("instances", index)?;
        if let Some(first) = seen.insert(folded(&i.key()), index) {
            return Err(Invalid::new(
                format!("instances[{index}].key"),
                format!("is the same as instances[{first}].key"),
            ));
        }
        out.push(i);
    }
    Ok(out)
}

/// The form of a key that is compared.
pub(in crate::grpc) fn folded(key: &InstanceKey) -> InstanceKey {
    InstanceKey { service: key.service.folded(), node: crate::model::fold(&key.node), id: crate::model::fold(&key.id) }
}

/// 1-500 identities.
pub(in crate::grpc) fn keys(keys: &[pb::InstanceKey]) -> Result<Vec<InstanceKey>, Invalid> {
    count("keys", keys.len(), 1, limits::BATCH_MAX)?;
    keys.iter().enumerate().map(|(index, key)| instance::key(key).within_item("keys", index)).collect()
}

/// A required identity in the field `key`.
pub(in crate::grpc) fn key(key: Option<&pb::InstanceKey>) -> Result<InstanceKey, Invalid> {
    instance::key(required("key", key)?).within("key")
}

/// See [`command::Update`].
pub(in crate::grpc) fn update(r: &pb::UpdateInstanceRequest) -> Result<command::Update, Invalid> {
    let mask = update_mask(r.update_mask.as_ref())?;
    let address_required = mask & command::Field::Address as u32 != 0;
    let wanted = required("instance", r.instance.as_ref())?;
    let instance = instance::instance(wanted, address_required).within("instance")?;
    Ok(command::Update { instance, mask, expected_revision: r.expected_revision })
}

/// See [`command::Deregister`].
pub(in crate::grpc) fn deregister(r: &pb::DeregisterInstancesRequest) -> Result<command::Deregister, Invalid> {
    let keys = keys(&r.keys)?;
    if r.expected_revision.is_some() && keys.len() != 1 {
        return Err(Invalid::new("expected_revision", "is allowed with one key only"));
    }
    Ok(command::Deregister { keys, expected_revision: r.expected_revision, session: None })
}

/// See [`command::Report`].
pub(in crate::grpc) fn report(
    key: Option<&pb::InstanceKey>,
    checks: &[pb::Check],
    lifecycle: i32,
) -> Result<command::Report, Invalid> {
    let key = self::key(key)?;
    Ok(command::Report {
        key,
        checks: instance::checks(checks)?,
        lifecycle: instance::lifecycle(lifecycle)?,
        session: None,
    })
}

/// See [`command::SetOverride`].
pub(in crate::grpc) fn set_override(r: &pb::SetOverrideRequest) -> Result<command::SetOverride, Invalid> {
    let key = key(r.key.as_ref())?;
    let overriding = r.r#override.as_ref().map(instance::overriding).transpose().within("override")?;
    Ok(command::SetOverride { key, overriding })
}
