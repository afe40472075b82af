//! What sessions of Consul's API depend on, and network coordinates.

use super::field::{at, each, pairs, texts, try_each};
use crate::command::{CodecError, UpdateCoordinates};
use crate::model::{Coordinate, NodeBinding, Text};
use crate::proto::internal as pb;

fn names(list: &[Text]) -> Vec<String> {
    list.iter().map(Text::to_string).collect()
}

fn name_list(list: Vec<String>) -> Box<[Text]> {
    list.into_iter().map(Text::from).collect()
}

impl From<&NodeBinding> for pb::NodeBinding {
    fn from(binding: &NodeBinding) -> pb::NodeBinding {
        pb::NodeBinding {
            node: binding.node.to_string(),
            name: binding.name.to_string(),
            ttl: binding.ttl.to_string(),
            lock_delay_ns: binding.lock_delay_ns,
            node_checks: binding.node_checks.as_deref().map(|list| pb::Names { names: names(list) }),
            service_checks: binding.service_checks.as_deref().map(|list| pb::Pairs { pairs: pairs(list) }),
            checks: names(&binding.checks),
        }
    }
}

impl From<pb::NodeBinding> for NodeBinding {
    fn from(binding: pb::NodeBinding) -> NodeBinding {
        NodeBinding {
            node: binding.node.into(),
            name: binding.name.into(),
            ttl: binding.ttl.into(),
            lock_delay_ns: binding.lock_delay_ns,
            node_checks: binding.node_checks.map(|list| name_list(list.names)),
            service_checks: binding.service_checks.map(|list| texts(list.pairs)),
            checks: name_list(binding.checks),
        }
    }
}

impl From<&Coordinate> for pb::Coordinate {
    fn from(c: &Coordinate) -> pb::Coordinate {
        pb::Coordinate {
            node: c.node.to_string(),
            segment: c.segment.to_string(),
            vec: c.vec.to_vec(),
            error: c.error,
            adjustment: c.adjustment,
            height: c.height,
        }
    }
}

impl TryFrom<pb::Coordinate> for Coordinate {
    type Error = CodecError;

    fn try_from(c: pb::Coordinate) -> Result<Coordinate, CodecError> {
        let place = at("Coordinate", "vec");
        let coordinate = Coordinate {
            node: c.node.into(),
            segment: c.segment.into(),
            vec: c.vec.try_into().map_err(|_| place.error("must have 8 numbers"))?,
            error: c.error,
            adjustment: c.adjustment,
            height: c.height,
        };
        if coordinate.is_finite() { Ok(coordinate) } else { Err(place.error("and the other numbers must be finite")) }
    }
}

impl From<&UpdateCoordinates> for pb::UpdateCoordinates {
    fn from(update: &UpdateCoordinates) -> pb::UpdateCoordinates {
        pb::UpdateCoordinates { coordinates: each(&update.coordinates) }
    }
}

impl TryFrom<pb::UpdateCoordinates> for UpdateCoordinates {
    type Error = CodecError;

    fn try_from(update: pb::UpdateCoordinates) -> Result<UpdateCoordinates, CodecError> {
        Ok(UpdateCoordinates { coordinates: try_each(update.coordinates)? })
    }
}
