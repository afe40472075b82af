//! Instances, checks and nodes.

use super::field::{at, each, pairs, texts, try_each, uuid_bytes};
use crate::command::CodecError;
use crate::model::{
    Check, Extra, Instance, InstanceKey, Locality, NodeRecord, Override, ServiceKey, TaggedAddress, Text,
};
use crate::proto::internal as pb;
use std::sync::Arc;

impl From<&Check> for pb::Check {
    fn from(check: &Check) -> pb::Check {
        pb::Check {
            id: check.id.to_string(),
            name: check.name.to_string(),
            health: pb::Health::from(check.health).into(),
            notes: check.notes.to_string(),
            output: check.output.to_string(),
            kind: check.kind.to_string(),
            definition: check.definition.as_deref().map(str::to_owned),
            create_revision: check.create_revision,
            modify_revision: check.modify_revision,
            changed_ms: check.changed_ms,
        }
    }
}

impl TryFrom<pb::Check> for Check {
    type Error = CodecError;

    fn try_from(check: pb::Check) -> Result<Check, CodecError> {
        Ok(Check {
            id: check.id.into(),
            name: check.name.into(),
            health: at("Check", "health").health(check.health)?,
            notes: check.notes.into(),
            output: check.output.into(),
            kind: check.kind.into(),
            definition: check.definition.map(String::into_boxed_str),
            create_revision: check.create_revision,
            modify_revision: check.modify_revision,
            changed_ms: check.changed_ms,
        })
    }
}

impl From<&InstanceKey> for pb::InstanceKey {
    fn from(key: &InstanceKey) -> pb::InstanceKey {
        pb::InstanceKey {
            namespace: key.service.namespace.to_string(),
            service: key.service.name.to_string(),
            node: key.node.to_string(),
            id: key.id.to_string(),
        }
    }
}

impl From<pb::InstanceKey> for InstanceKey {
    fn from(key: pb::InstanceKey) -> InstanceKey {
        InstanceKey {
            service: ServiceKey { namespace: key.namespace.into(), name: key.service.into() },
            node: key.node.into(),
            id: key.id.into(),
        }
    }
}

impl From<&Locality> for pb::Locality {
    fn from(locality: &Locality) -> pb::Locality {
        pb::Locality {
            region: locality.region.to_string(),
            zone: locality.zone.to_string(),
            sub_zone: locality.sub_zone.to_string(),
        }
    }
}

impl From<pb::Locality> for Locality {
    fn from(locality: pb::Locality) -> Locality {
        Locality { region: locality.region.into(), zone: locality.zone.into(), sub_zone: locality.sub_zone.into() }
    }
}

impl From<&Override> for pb::Override {
    fn from(word: &Override) -> pb::Override {
        pb::Override {
            drain: word.drain,
            weight: word.weight.map(u32::from),
            reason: word.reason.to_string(),
            author: word.author.to_string(),
            expire_ms: word.expire_ms,
        }
    }
}

impl TryFrom<pb::Override> for Override {
    type Error = CodecError;

    fn try_from(word: pb::Override) -> Result<Override, CodecError> {
        Ok(Override {
            drain: word.drain,
            weight: at("Override", "weight").optional_u16(word.weight)?,
            reason: word.reason.into(),
            author: word.author.into(),
            expire_ms: word.expire_ms,
        })
    }
}

impl From<&TaggedAddress> for pb::TaggedAddress {
    fn from(tagged: &TaggedAddress) -> pb::TaggedAddress {
        pb::TaggedAddress { tag: tagged.tag.to_string(), address: tagged.address.to_string(), port: tagged.port }
    }
}

impl From<pb::TaggedAddress> for TaggedAddress {
    fn from(tagged: pb::TaggedAddress) -> TaggedAddress {
        TaggedAddress { tag: tagged.tag.into(), address: tagged.address.into(), port: tagged.port }
    }
}

impl From<&Extra> for pb::Extra {
    fn from(extra: &Extra) -> pb::Extra {
        let named = |(name, port): &(Text, u16)| pb::NamedPort { name: name.to_string(), port: (*port).into() };
        pb::Extra {
            locality: (extra.locality != Locality::default()).then(|| (&extra.locality).into()),
            named_ports: extra.named_ports.iter().map(named).collect(),
            version: extra.version.to_string(),
            weight: extra.weight.map(u32::from),
            weight_warning: extra.weight_warning.map(u32::from),
            enable_tag_override: extra.enable_tag_override,
            tagged_addresses: each(&extra.tagged_addresses),
            kind: extra.kind.to_string(),
            proxy: extra.proxy.as_deref().map(str::to_owned),
            connect: extra.connect.as_deref().map(str::to_owned),
            overriding: extra.overriding.as_ref().map(pb::Override::from),
        }
    }
}

impl TryFrom<pb::Extra> for Extra {
    type Error = CodecError;

    fn try_from(extra: pb::Extra) -> Result<Extra, CodecError> {
        let named = |p: pb::NamedPort| Ok((p.name.into(), at("NamedPort", "port").u16(p.port)?));
        Ok(Extra {
            locality: extra.locality.map(Locality::from).unwrap_or_default(),
            named_ports: extra.named_ports.into_iter().map(named).collect::<Result<_, CodecError>>()?,
            version: extra.version.into(),
            weight: at("Extra", "weight").optional_u16(extra.weight)?,
            weight_warning: at("Extra", "weight_warning").optional_u16(extra.weight_warning)?,
            enable_tag_override: extra.enable_tag_override,
            tagged_addresses: extra.tagged_addresses.into_iter().map(TaggedAddress::from).collect(),
            kind: extra.kind.into(),
            proxy: extra.proxy.map(String::into_boxed_str),
            connect: extra.connect.map(String::into_boxed_str),
            overriding: extra.overriding.map(Override::try_from).transpose()?,
        })
    }
}

impl From<&Instance> for pb::Instance {
    fn from(instance: &Instance) -> pb::Instance {
        pb::Instance {
            namespace: instance.service.namespace.to_string(),
            service: instance.service.name.to_string(),
            node: instance.node.to_string(),
            id: instance.id.to_string(),
            address: instance.address.to_string(),
            port: instance.port,
            lifecycle: pb::Lifecycle::from(instance.lifecycle).into(),
            tags: instance.tags.iter().map(Text::to_string).collect(),
            meta: pairs(&instance.meta),
            checks: each(&instance.checks),
            session: instance.session.as_ref().map(uuid_bytes),
            extra: instance.extra.as_deref().map(pb::Extra::from),
            create_revision: instance.create_revision,
            modify_revision: instance.modify_revision,
        }
    }
}

impl TryFrom<pb::Instance> for Instance {
    type Error = CodecError;

    fn try_from(instance: pb::Instance) -> Result<Instance, CodecError> {
        let service = ServiceKey { namespace: instance.namespace.into(), name: instance.service.into() };
        Ok(Instance {
            service: Arc::new(service),
            node: instance.node.into(),
            id: instance.id.into(),
            address: instance.address.into(),
            port: instance.port,
            lifecycle: at("Instance", "lifecycle").lifecycle(instance.lifecycle)?,
            tags: instance.tags.into_iter().map(Text::from).collect(),
            meta: texts(instance.meta),
            checks: try_each(instance.checks)?,
            session: at("Instance", "session").optional_uuid(instance.session)?,
            extra: instance.extra.map(Extra::try_from).transpose()?.map(Box::new),
            create_revision: instance.create_revision,
            modify_revision: instance.modify_revision,
        })
    }
}

impl From<&NodeRecord> for pb::NodeRecord {
    fn from(node: &NodeRecord) -> pb::NodeRecord {
        let list = |list: &[(Text, Text)]| pb::Pairs { pairs: pairs(list) };
        pb::NodeRecord {
            name: node.name.to_string(),
            id: node.id.as_ref().map(uuid_bytes),
            address: node.address.to_string(),
            tagged_addresses: node.tagged_addresses.as_deref().map(list),
            meta: node.meta.as_deref().map(list),
            checks: each(&node.checks),
            create_revision: node.create_revision,
            modify_revision: node.modify_revision,
        }
    }
}

impl TryFrom<pb::NodeRecord> for NodeRecord {
    type Error = CodecError;

    fn try_from(node: pb::NodeRecord) -> Result<NodeRecord, CodecError> {
        Ok(NodeRecord {
            name: node.name.into(),
            id: at("NodeRecord", "id").optional_uuid(node.id)?,
            address: node.address.into(),
            tagged_addresses: node.tagged_addresses.map(|list| texts(list.pairs)),
            meta: node.meta.map(|list| texts(list.pairs)),
            checks: try_each(node.checks)?,
            create_revision: node.create_revision,
            modify_revision: node.modify_revision,
        })
    }
}
