//! Rows one after the other in bytes: what a restore carries and what a snapshot for people holds. Each is table
//! (1 byte), length of the key (u32 big endian), key, length of the value, value.

use super::{KV, LOCK_DELAYS, LoadError, Loader, REQUESTS, RESTORE, RowOp, Rows, TOMBSTONES, encode_meta};
use crate::command::codec::encode_kv;
use crate::machine::change::What;
use crate::machine::state::State;
use thiserror::Error;

/// Bytes that are no rows.
#[derive(Debug, Error)]
pub enum FrameError {
    /// A row is cut short.
    #[error("a row is cut short")]
    Cut,
    /// A row cannot be loaded.
    #[error("{0}")]
    Load(#[from] LoadError),
}

/// Appends a row.
pub fn write(table: u8, key: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.push(table);
    for part in [key, value] {
        out.extend_from_slice(&(part.len() as u32).to_be_bytes());
        out.extend_from_slice(part);
    }
}

/// Hands every row of these bytes on.
///
/// # Errors
/// The bytes end within a row, or the first error of `row`.
pub fn read(
    mut bytes: &[u8],
    mut row: impl FnMut(u8, &[u8], &[u8]) -> Result<(), LoadError>,
) -> Result<(), FrameError> {
    while let Some((&table, rest)) = bytes.split_first() {
        let (key, rest) = part(rest)?;
        let (value, rest) = part(rest)?;
        row(table, key, value)?;
        bytes = rest;
    }
    Ok(())
}

fn part(bytes: &[u8]) -> Result<(&[u8], &[u8]), FrameError> {
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or(FrameError::Cut)?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or(FrameError::Cut)
}

/// Whether a row can be loaded, and may be part of a snapshot.
///
/// # Errors
/// [`LoadError`] says what is wrong with it.
pub fn check(table: u8, key: &[u8], value: &[u8]) -> Result<(), LoadError> {
    if matches!(table, REQUESTS | TOMBSTONES | RESTORE | LOCK_DELAYS | super::HISTORY) {
        return Err(LoadError { table, key: key.to_vec(), reason: "the table is not part of a snapshot".to_owned() });
    }
    Loader::new().push(table, key, value)
}

/// All rows of a state that a snapshot holds, one part of the state after the other: without answers to retries, the
/// memory of deleted keys and of locks that were just lost, which belong to the log and not to the data.
pub fn export(state: &State, mut row: impl FnMut(u8, &[u8], &[u8]) -> std::io::Result<()>) -> std::io::Result<()> {
    for entry in state.kv.iter() {
        row(KV, &entry.key, &encode_kv(entry))?;
    }
    let mut put = |what: What| -> std::io::Result<()> {
        let mut rows = Rows::default();
        rows.add(&what);
        for RowOp { table, key, value } in rows.ops {
            if let Some(value) = value {
                row(table, &key, &value)?;
            }
        }
        Ok(())
    };
    for session in state.sessions.iter() {
        put(What::Session { before: None, after: Some(session.clone()) })?;
    }
    for node in state.nodes.iter() {
        put(What::Node { before: None, after: Some(node.record.clone()) })?;
    }
    for instance in state.services.iter().flat_map(|s| s.instances.iter()) {
        put(What::Instance { before: None, after: Some(instance.clone()) })?;
    }
    for lock in state.locks.iter() {
        put(What::Lock { before: None, after: Some(lock.clone()) })?;
    }
    for query in state.queries.iter() {
        put(What::Query { before: None, after: Some(query.clone()) })?;
    }
    for coordinate in state.coordinates.iter() {
        put(What::Coordinate { before: None, after: Some(coordinate.clone()) })?;
    }
    if let Some(autopilot) = &state.autopilot {
        put(What::Autopilot(autopilot.clone()))?;
    }
    row(super::META, &[], &encode_meta(&state.meta))
}
