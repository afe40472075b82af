//! Network coordinates. One per node and segment; those of nodes that are not in the catalog are left out.

use super::writer::Writer;
use crate::command::{Outcome, Reply, UpdateCoordinates};
use crate::model::Coordinate;

impl Writer<'_> {
    pub(super) fn update_coordinates(&mut self, command: &UpdateCoordinates) -> Reply {
        let mut moved = 0;
        for wanted in &command.coordinates {
            let Some(node) = self.state.node(&wanted.node) else { continue };
            let wanted = Coordinate { node: node.record.name.clone(), ..wanted.clone() };
            let key = (wanted.node.clone(), wanted.segment.clone());
            if self.state.coordinates.get(&key).is_none_or(|known| **known != wanted) {
                self.store_coordinate(wanted);
                moved += 1;
            }
        }
        Ok(Outcome::CoordinatesUpdated(moved))
    }
}
