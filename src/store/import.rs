//! Filling memory from a checkpoint, and a new checkpoint from a snapshot.

use super::checkpoint::{CACHE, Loaded, Position};
use super::mirror::History;
use super::snapshot::Reader;
use super::tables::{self, INSTALL_FILE, META_CLUSTER, META_FLOOR, META_POSITION, ROWS, STATE_FILE};
use super::{Image, Medium, SnapshotError, StoreError};
use crate::machine::rows;
use redb::{Database, ReadableDatabase, TableError};
use std::io::Read;

/// Loads the state from a checkpoint, and how much history of changes is in it.
pub(super) fn load(database: &Database, file: &str) -> Result<(Loaded, History), StoreError> {
    let fail = |e: redb::Error| StoreError::io(file, "load the checkpoint", e);
    let position = match tables::read_meta(database, file, META_POSITION)? {
        None => None,
        Some(bytes) => Some(Position::decode(&bytes).ok_or_else(|| StoreError::corrupt(file, "bad position row"))?),
    };
    let mut loader = rows::Loader::new();
    let mut history = History::default();
    let transaction = database.begin_read().map_err(|e| fail(e.into()))?;
    match transaction.open_table(ROWS) {
        Ok(table) => {
            for row in table.range::<&[u8]>(..).map_err(|e| fail(e.into()))? {
                let (key, value) = row.map_err(|e| fail(e.into()))?;
                let (key, value) = (key.value(), value.value());
                let (number, rest) =
                    key.split_first().ok_or_else(|| StoreError::corrupt(file, "a row without a table"))?;
                loader.push(*number, rest, value).map_err(|e| StoreError::corrupt(file, e.to_string()))?;
                history.note(key, value);
            }
        }
        Err(TableError::TableDoesNotExist(_)) => {}
        Err(e) => return Err(fail(e.into())),
    }
    let rows::Loaded { state, history: events } = loader.finish();
    let floor = tables::read_meta(database, file, META_FLOOR)?.unwrap_or_default();
    let floor = floor.try_into().map_or(0, u64::from_le_bytes);
    Ok((Loaded { state, events, floor, position }, history))
}

/// A snapshot that has taken the place of the checkpoint.
pub(super) struct Installed {
    pub(super) database: Database,
    pub(super) loaded: Loaded,
    pub(super) history: History,
}

/// Builds a new checkpoint file from a snapshot, and only when all of it is there and loads, puts it durably in the
/// place of the old one.
pub(super) fn install(medium: &Medium, image: Image, cluster: &[u8; 16]) -> Result<Installed, StoreError> {
    medium.remove(INSTALL_FILE)?;
    let built = build(medium, image, cluster);
    if built.is_err() {
        // The first error is the one to report; what is left over is removed at the next start.
        let _ = medium.remove(INSTALL_FILE);
    }
    let installed = built?;
    medium.replace(INSTALL_FILE, STATE_FILE)?;
    Ok(installed)
}

fn build(medium: &Medium, image: Image, cluster: &[u8; 16]) -> Result<Installed, StoreError> {
    let input = image.into_reader().map_err(SnapshotError::Io)?;
    let (mut reader, header) = Reader::open(input)?;
    if header.cluster != cluster[..] {
        return Err(SnapshotError::Damaged("it belongs to another cluster").into());
    }
    let file = medium.describe(INSTALL_FILE);
    let database = medium.open(INSTALL_FILE, CACHE)?;
    tables::check_format(&database, &file)?;
    tables::write_meta(&database, &file, META_CLUSTER, cluster)?;
    tables::write_meta(&database, &file, META_FLOOR, &header.history_floor.to_le_bytes())?;
    while write_frame(&database, &file, &mut reader)?.is_some() {}
    let position =
        Position { index: header.index, applied: header.applied.to_vec(), membership: header.membership.to_vec() };
    // Durable, and with it all the frames before it.
    tables::write_meta(&database, &file, META_POSITION, &position.encode())?;
    let (loaded, history) = load(&database, &file)?;
    Ok(Installed { database, loaded, history })
}

/// Writes the rows of one frame in one transaction.
fn write_frame<R: Read>(database: &Database, file: &str, reader: &mut Reader<R>) -> Result<Option<()>, StoreError> {
    let fail = |e: redb::Error| StoreError::io(file, "write the snapshot", e);
    let mut transaction = database.begin_write().map_err(|e| fail(e.into()))?;
    transaction.set_durability(redb::Durability::None).map_err(|e| fail(e.into()))?;
    let more = {
        let mut table = transaction.open_table(ROWS).map_err(|e| fail(e.into()))?;
        reader.next_rows(|key, value| -> Result<(), StoreError> {
            table.insert(key, value).map_err(|e| fail(e.into()))?;
            Ok(())
        })?
    };
    transaction.commit().map_err(|e| fail(e.into()))?;
    Ok(more)
}
