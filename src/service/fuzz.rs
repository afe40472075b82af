//! What fuzzing asks of the state in a snapshot: any bytes are restored or refused in words, and what was restored can
//! be saved and restored again.
//!
//! Must never: be part of the program.

use super::snapshot::{MAGIC, export, split};
use crate::command::{Command, Record, Restore};
use crate::machine::{self, State};
use bytes::Bytes;
use uuid::Uuid;

/// The state of an archive, without what it begins with.
pub(crate) fn state(bytes: &[u8]) {
    let Some(once) = restore(&[&MAGIC, bytes].concat()) else { return };
    let again = restore(&once).unwrap_or_else(|| panic!("what was saved is refused"));
    assert_eq!(again, once);
}

/// Restores a state into an empty one and saves that.
fn restore(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut parts = Vec::new();
    let collect = &mut |part: Bytes| {
        parts.push(part);
        Ok(())
    };
    split(&mut &bytes[..], collect).ok()?;
    let mut state = State::new();
    let count = parts.len() as u32;
    for (part, rows) in (0..).zip(parts) {
        let command = Command::Restore(Restore { id: Uuid::from_u128(7), part, parts: count, rows });
        let record = Record { time_ms: 1, request_id: None, command };
        machine::apply(&mut state, u64::from(part) + 1, 1, &record).reply.ok()?;
    }
    let mut saved = Vec::new();
    export(&state, &mut saved).unwrap_or_else(|e| panic!("{e}"));
    Some(saved)
}
