//! Snapshots for people: the state as an archive, and an archive as the state.

use super::query::stored;
use super::{Core, Error, ReadOptions, View, Written};
use crate::archive::{self, ArchiveError, Configuration, Limits, Meta, Server};
use crate::command::{Command, Rejection, Restore};
use crate::machine::{State, rows};
use bytes::Bytes;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::sync::Arc;
use tokio::sync::mpsc;

/// What the state in an archive starts with: whose it is, and its format.
pub(super) const MAGIC: [u8; 16] = *b"LICTOR STATE v1\n";
/// Bytes of the state in an archive, unpacked.
const STATE_BYTES_MAX: u64 = 1 << 30;
/// A part of a restore is closed when it has this many bytes: a quarter of the largest log entry.
const PART_BYTES: usize = 1 << 20;
/// The largest row: with it a part still fits into a log entry.
const ROW_BYTES_MAX: usize = 2 << 20;

impl Core {
    /// The state as an archive, and the view that it was made from. One is made at a time, in memory.
    ///
    /// # Errors
    /// The read barrier was not passed.
    pub async fn save_snapshot(&self, options: &ReadOptions) -> Result<(Vec<u8>, View), Error> {
        let _turn = self.inner.admission.snapshot().await?;
        let view = self.view(options).await?;
        let (state, now_ms) = (view.state.clone(), self.clock().now_ms());
        let meta = self.meta(&state, view.term, now_ms);
        let write = move || {
            let out = BufWriter::new(Vec::new());
            archive::write(out, meta, now_ms / 1000, |out| export(&state, out))?
                .into_inner()
                .map_err(|e| e.into_error())
        };
        let made = tokio::task::spawn_blocking(write).await.map_err(io::Error::other).and_then(|made| made);
        Ok((made.map_err(|error| Error::Internal(format!("cannot make a snapshot: {error}")))?, view))
    }

    fn meta(&self, state: &State, term: u64, now_ms: u64) -> Meta {
        let index = state.revision();
        let server = |peer: super::Peer| Server { suffrage: u8::from(!peer.voter), id: peer.id, address: peer.address };
        Meta {
            version: 1,
            id: format!("{term}-{index}-{now_ms}"),
            index,
            term,
            peers: Some(String::new()),
            configuration: Configuration { servers: Some(self.peers().into_iter().map(server).collect()) },
            configuration_index: 1,
            size: 0,
        }
    }

    /// Puts the state of an archive in the place of the present one, on all servers and in one revision. The archive
    /// is read twice: nothing is proposed before all of it was found good.
    ///
    /// # Errors
    /// The archive is refused, with what is wrong with it; or a part could not be replicated.
    pub async fn restore_snapshot(&self, archive: std::fs::File) -> Result<Written<()>, Error> {
        let _turn = self.inner.admission.snapshot().await?;
        let counted = tokio::task::spawn_blocking(move || {
            let mut parts = 0;
            each_part(&archive, |_| {
                parts += 1;
                Ok(())
            })
            .map(|()| (archive, parts))
        });
        let (archive, parts) = finished(counted.await)?;
        let (sender, mut receiver) = mpsc::channel(2);
        let reading = tokio::task::spawn_blocking(move || {
            each_part(&archive, |rows| {
                sender.blocking_send(rows).map_err(|_| ArchiveError::State("the restore was given up".to_owned()))
            })
        });
        let id = self.clock().uuid();
        let before = self.local().state;
        let mut last = None;
        let mut part = 0;
        while let Some(rows) = receiver.recv().await {
            match self.propose(None, Command::Restore(Restore { id, part, parts, rows })).await {
                Ok(written) => last = Some(stored(written)?),
                Err(error) => {
                    self.abandon_restore(id).await;
                    return Err(error);
                }
            }
            part += 1;
        }
        finished(reading.await)?;
        let written = last.ok_or_else(|| Error::Internal("the snapshot has no parts".to_owned()))?;
        self.renew_restored(&before, &self.local().state);
        tracing::info!(revision = written.revision, parts, "a snapshot was restored");
        Ok(written)
    }

    /// Nothing of a restore that failed half way is kept.
    async fn abandon_restore(&self, id: uuid::Uuid) {
        let nothing = Restore { id, part: 0, parts: 0, rows: Bytes::new() };
        if let Err(error) = self.propose(None, Command::Restore(nothing)).await {
            tracing::warn!(%error, "the parts of a failed restore are kept until the next one");
        }
    }

    /// A session that a restore brought back has its full time to live.
    fn renew_restored(&self, before: &Arc<State>, after: &Arc<State>) {
        for session in before.sessions().filter(|s| after.session(&s.id).is_none()) {
            self.inner.leases.forget(&session.id);
        }
        for session in after.sessions().filter(|s| before.session(&s.id).is_none()) {
            if let Some(lease_ms) = session.lease_ms() {
                self.inner.leases.track(session.id, lease_ms, session.grace_ms);
            }
        }
        self.inner.leases.wake();
    }
}

fn finished<T>(joined: Result<Result<T, ArchiveError>, tokio::task::JoinError>) -> Result<T, Error> {
    match joined {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(refused)) => Err(Error::Rejected(Rejection::Refused(refused.to_string()))),
        Err(failed) => Err(Error::Internal(format!("cannot read a snapshot: {failed}"))),
    }
}

/// The state as it stands in an archive.
pub(super) fn export(state: &State, out: &mut dyn Write) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    out.write_all(&MAGIC)?;
    let mut frame = Vec::new();
    rows::export(state, |table, key, value| {
        frame.clear();
        rows::write(table, key, value, &mut frame);
        out.write_all(&frame)
    })?;
    out.flush()
}

/// Checks an archive and hands on its rows, whole ones, in parts; at least one.
fn each_part(
    mut file: &std::fs::File,
    mut part: impl FnMut(Bytes) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    file.rewind().map_err(|e| ArchiveError::state_data(&e))?;
    let limits = Limits { state_bytes_max: STATE_BYTES_MAX };
    archive::read(file, limits, |state| split(state, &mut part)).map(drop)
}

/// The rows of a state in parts.
pub(super) fn split(
    state: &mut dyn Read,
    part: &mut impl FnMut(Bytes) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    let mut magic = [0; MAGIC.len()];
    let foreign = || {
        ArchiveError::State(
            "state.bin is not the state of a lictor server: snapshots of other programs cannot be restored".to_owned(),
        )
    };
    state.read_exact(&mut magic).map_err(|_| foreign())?;
    if magic != MAGIC {
        return Err(foreign());
    }
    let mut rows = Vec::new();
    let mut any = false;
    while let Some((table, key, value)) = row(state)? {
        rows::check(table, &key, &value).map_err(|error| ArchiveError::State(error.to_string()))?;
        rows::write(table, &key, &value, &mut rows);
        if rows.len() >= PART_BYTES {
            part(std::mem::take(&mut rows).into())?;
            any = true;
        }
    }
    // The last part ends the restore, and may be empty.
    if rows.is_empty() && any { Ok(()) } else { part(rows.into()) }
}

type Row = (u8, Vec<u8>, Vec<u8>);

/// The next row; `None` at the end.
fn row(state: &mut dyn Read) -> Result<Option<Row>, ArchiveError> {
    let mut table = [0];
    loop {
        match state.read(&mut table) {
            Ok(0) => return Ok(None),
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ArchiveError::state_data(&error)),
        }
    }
    Ok(Some((table[0], row_part(state)?, row_part(state)?)))
}

fn row_part(state: &mut dyn Read) -> Result<Vec<u8>, ArchiveError> {
    let cut = |_| ArchiveError::State("state.bin is cut short within a row".to_owned());
    let mut length = [0; 4];
    state.read_exact(&mut length).map_err(cut)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > ROW_BYTES_MAX {
        return Err(ArchiveError::State(format!("a row of state.bin has {length} bytes")));
    }
    // Not longer than the limit, so that a claim cannot reserve more.
    let mut part = vec![0; length];
    state.read_exact(&mut part).map_err(cut)?;
    Ok(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_state_is_answered(bytes in proptest::collection::vec(any::<u8>(), 0..300), ours in any::<bool>()) {
            let mut state = if ours { MAGIC.to_vec() } else { Vec::new() };
            state.extend(bytes);
            let _ = split(&mut &state[..], &mut |_| Ok(()));
        }
    }

    #[test]
    fn an_empty_state_is_one_part() {
        let mut state = Vec::new();
        export(&State::new(), &mut state).unwrap();
        let mut parts = Vec::new();
        let mut collect = |part: Bytes| {
            parts.push(part);
            Ok(())
        };
        split(&mut &state[..], &mut collect).unwrap();
        assert_eq!(parts.len(), 1);
        assert_eq!(parts[0][..], state[MAGIC.len()..]);
    }
}
