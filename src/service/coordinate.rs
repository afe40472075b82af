//! Network coordinates.

use super::core::unexpected;
use super::{Core, Error, Written};
use crate::command::{Command, Outcome, UpdateCoordinates};
use crate::model::Coordinate;
use crate::model::limits::COORDINATES_MAX;

impl Core {
    /// Moves nodes; unknown ones are left out. Returns how many were moved.
    ///
    /// # Errors
    /// [`Error::Invalid`] for too many at once or numbers that are not finite; those of a write.
    pub async fn update_coordinates(&self, coordinates: Vec<Coordinate>) -> Result<Written<u32>, Error> {
        if coordinates.len() > COORDINATES_MAX {
            let reason = format!("has {} entries, at most {COORDINATES_MAX} are allowed", coordinates.len());
            return Err(Error::invalid("coordinates", reason));
        }
        if !coordinates.iter().all(Coordinate::is_finite) {
            return Err(Error::invalid("coordinates", "must have finite numbers"));
        }
        let update = Command::UpdateCoordinates(UpdateCoordinates { coordinates });
        let written = self.propose(None, update).await?;
        match written.value {
            Outcome::CoordinatesUpdated(moved) => Ok(Written { revision: written.revision, value: moved }),
            other => Err(unexpected(&other)),
        }
    }
}
