//! Field masks: which fields of an instance a caller reads or writes.

use crate::command::Field;
use crate::model::names::Invalid;
use crate::proto::v1 as pb;
use prost_types::FieldMask;

/// The sum of the [`Field`]s that an update names; at least one.
pub(in crate::grpc) fn update_mask(mask: Option<&FieldMask>) -> Result<u32, Invalid> {
    let paths = mask.map_or(&[][..], |m| &m.paths);
    if paths.is_empty() {
        return Err(Invalid::new("update_mask", "must name at least one field"));
    }
    paths.iter().try_fold(0, |sum, path| Ok(sum | updatable(path)? as u32))
}

fn updatable(path: &str) -> Result<Field, Invalid> {
    Ok(match path {
        "address" => Field::Address,
        "port" => Field::Port,
        "named_ports" => Field::NamedPorts,
        "locality" => Field::Locality,
        "weight" => Field::Weight,
        "tags" => Field::Tags,
        "metadata" => Field::Metadata,
        "version" => Field::Version,
        "lifecycle" => Field::Lifecycle,
        other => {
            let known = "address, port, named_ports, locality, weight, tags, metadata, version, lifecycle";
            return Err(Invalid::new("update_mask", format!("{other:?} cannot be updated; {known} can")));
        }
    })
}

/// The fields of an instance that a reader wants.
pub(in crate::grpc) struct ReadMask(Option<Vec<String>>);

const READABLE: [&str; 20] = [
    "key",
    "key.namespace",
    "key.service",
    "key.instance_id",
    "key.node",
    "address",
    "port",
    "named_ports",
    "locality",
    "weight",
    "tags",
    "metadata",
    "version",
    "lifecycle",
    "checks",
    "health",
    "override",
    "session_id",
    "create_revision",
    "modify_revision",
];

impl ReadMask {
    /// Unset or `*`: all.
    pub(in crate::grpc) fn parse(mask: Option<&FieldMask>) -> Result<ReadMask, Invalid> {
        let Some(mask) = mask else { return Ok(ReadMask(None)) };
        if mask.paths.iter().any(|p| p == "*") {
            return Ok(ReadMask(None));
        }
        if let Some(unknown) = mask.paths.iter().find(|p| !READABLE.contains(&p.as_str())) {
            return Err(Invalid::new("read_mask", format!("{unknown:?} is not a field of Instance or of its key")));
        }
        // Each path once: a request cannot make every instance costly by repeating itself.
        let mut paths = mask.paths.clone();
        paths.sort_unstable();
        paths.dedup();
        Ok(ReadMask(Some(paths)))
    }

    /// The instance with nothing but these fields.
    pub(in crate::grpc) fn apply(&self, i: pb::Instance) -> pb::Instance {
        let Some(paths) = &self.0 else { return i };
        let mut out = pb::Instance::default();
        for path in paths {
            match path.as_str() {
                "key" => out.key.clone_from(&i.key),
                "address" => out.address.clone_from(&i.address),
                "port" => out.port = i.port,
                "named_ports" => out.named_ports.clone_from(&i.named_ports),
                "locality" => out.locality.clone_from(&i.locality),
                "weight" => out.weight = i.weight,
                "tags" => out.tags.clone_from(&i.tags),
                "metadata" => out.metadata.clone_from(&i.metadata),
                "version" => out.version.clone_from(&i.version),
                "lifecycle" => out.lifecycle = i.lifecycle,
                "checks" => out.checks.clone_from(&i.checks),
                "health" => out.health = i.health,
                "override" => out.r#override.clone_from(&i.r#override),
                "session_id" => out.session_id.clone_from(&i.session_id),
                "create_revision" => out.create_revision = i.create_revision,
                "modify_revision" => out.modify_revision = i.modify_revision,
                part => key_part(&mut out, &i, part),
            }
        }
        out
    }
}

fn key_part(out: &mut pb::Instance, i: &pb::Instance, path: &str) {
    let Some(key) = &i.key else { return };
    let to = out.key.get_or_insert_default();
    match path {
        "key.namespace" => to.namespace.clone_from(&key.namespace),
        "key.service" => to.service.clone_from(&key.service),
        "key.instance_id" => to.instance_id.clone_from(&key.instance_id),
        "key.node" => to.node.clone_from(&key.node),
        // `parse` admits no other path.
        _ => {}
    }
}
