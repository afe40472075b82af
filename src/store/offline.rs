//! The checkpoint of a server that is stopped: what it says of itself, and giving it to another cluster. Owns no rows:
//! what the state is does not change here.

use super::checkpoint::{CACHE, Position};
use super::tables::{self, META_CLUSTER, META_POSITION, STATE_FILE};
use super::{Checkpoint, Medium, StoreError};

/// What a checkpoint says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The cluster that it belongs to; all zero: none yet.
    pub cluster: [u8; 16],
    /// Up to where it holds the log; `None` in a new file.
    pub position: Option<Position>,
}

impl Checkpoint {
    /// What the checkpoint says of itself; `None` if there is none.
    ///
    /// # Errors
    /// The file cannot be read, is in use, is damaged, or has a newer format.
    pub fn inspect(medium: &Medium) -> Result<Option<Stored>, StoreError> {
        if !Checkpoint::exists(medium) {
            return Ok(None);
        }
        let file = medium.describe(STATE_FILE);
        let database = tables::open(medium, STATE_FILE, CACHE)?;
        let cluster = tables::read_meta(&database, &file, META_CLUSTER)?.unwrap_or_else(|| vec![0; 16]);
        let cluster = cluster.try_into().map_err(|_| StoreError::corrupt(&file, "bad cluster row"))?;
        let position = tables::read_meta(&database, &file, META_POSITION)?;
        let decode = |bytes: Vec<u8>| Position::decode(&bytes).ok_or(StoreError::corrupt(&file, "bad position row"));
        Ok(Some(Stored { cluster, position: position.map(decode).transpose()? }))
    }

    /// Gives the checkpoint, if there is one, durably to `cluster`.
    ///
    /// # Errors
    /// As [`Checkpoint::inspect`], or it cannot be written.
    pub fn give_to(medium: &Medium, cluster: [u8; 16]) -> Result<(), StoreError> {
        if !Checkpoint::exists(medium) {
            return Ok(());
        }
        let database = tables::open(medium, STATE_FILE, CACHE)?;
        tables::write_meta(&database, &medium.describe(STATE_FILE), META_CLUSTER, &cluster)
    }
}
