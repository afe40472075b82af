//! Applying: the only place where the published state changes.
//!
//! For each batch, in this order: apply every record to a private copy, publish the new state, tell the watch hub, hand
//! the changes to the checkpoint, answer the callers. So whoever has an answer can read its effect, and a watcher that is
//! woken finds the state that woke it.

use super::codec;
use super::log_store::LogStore;
use super::progress::Progress;
use super::types::{Entry, LogId, Payload, Snapshot, SnapshotMeta, StoredMembership, TypeConfig};
use crate::command::Reply;
use crate::machine::{self, Change, State};
use crate::store::{Checkpoint, Delta, Image, Loaded, Position, View};
use crate::watch::Hub;
use arc_swap::ArcSwap;
use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use openraft::storage::{ApplyResponder, EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Entries after which a long batch is published in part, so that replaying a long log needs little memory.
const BATCH: usize = 1024;

/// What is published for readers.
#[derive(Debug)]
pub(super) struct Published {
    /// The state as of the last applied batch.
    pub(super) state: ArcSwap<State>,
    /// Term of the last applied entry.
    pub(super) applied_term: AtomicU64,
    /// Revision of that state.
    pub(super) applied: Progress,
}

/// The state machine as openraft sees it.
pub(super) struct StateMachine {
    state: State,
    applied: Option<LogId>,
    membership: StoredMembership,
    /// `membership` as the checkpoint wants it, encoded when it changes.
    encoded_membership: Vec<u8>,
    published: Arc<Published>,
    hub: Arc<Hub>,
    checkpoint: Checkpoint,
    log: LogStore,
}

type Answer = (ApplyResponder<TypeConfig>, Option<Reply>);

/// A batch that is being applied.
#[derive(Default)]
struct Batch {
    entries: usize,
    changes: Vec<Change>,
    /// Of the entries behind the changes.
    bytes: usize,
    answers: Vec<Answer>,
}

impl StateMachine {
    /// Starts from what the checkpoint held.
    ///
    /// # Errors
    /// Its position cannot be decoded.
    pub(super) fn new(
        loaded: Loaded,
        hub: Arc<Hub>,
        checkpoint: Checkpoint,
        log: LogStore,
    ) -> io::Result<(StateMachine, Arc<Published>)> {
        let (applied, membership) = match &loaded.position {
            Some(position) => {
                let (id, membership) = decode_position(position)?;
                (Some(id), membership)
            }
            None => (None, StoredMembership::default()),
        };
        let published = Arc::new(Published {
            state: ArcSwap::from_pointee(loaded.state.clone()),
            applied_term: AtomicU64::new(applied.map_or(0, |id| id.leader_id.term)),
            applied: Progress::new(loaded.state.revision()),
        });
        hub.restore(loaded.floor, loaded.state.revision(), loaded.events);
        let machine = StateMachine {
            state: loaded.state,
            applied,
            encoded_membership: codec::encode_stored_membership(&membership),
            membership,
            published: published.clone(),
            hub,
            checkpoint,
            log,
        };
        Ok((machine, published))
    }

    fn apply_entry(&mut self, (entry, responder): EntryResponder<TypeConfig>, batch: &mut Batch) {
        let Entry { log_id, payload } = entry;
        let reply = match payload {
            Payload::Normal(proposal) => {
                let term = log_id.leader_id.term;
                let applied = machine::apply(&mut self.state, log_id.index, term, proposal.record());
                #[cfg(test)]
                super::tests::applied::note(&log_id, Some((&proposal, &applied.reply)));
                batch.changes.extend(applied.changes);
                batch.bytes += proposal.bytes().len();
                Some(applied.reply)
            }
            Payload::Blank => {
                #[cfg(test)]
                super::tests::applied::note(&log_id, None);
                self.state.note_blank(log_id.index);
                None
            }
            Payload::Membership(membership) => {
                #[cfg(test)]
                super::tests::applied::note(&log_id, None);
                self.state.note_blank(log_id.index);
                self.membership = StoredMembership::new(Some(log_id), membership);
                self.encoded_membership = codec::encode_stored_membership(&self.membership);
                None
            }
        };
        self.applied = Some(log_id);
        batch.entries += 1;
        if let Some(responder) = responder {
            batch.answers.push((responder, reply));
        }
    }

    /// The order of the steps is the promise of this module.
    async fn publish(&mut self, mut batch: Batch) {
        let Some(applied) = self.applied else { return };
        let state = Arc::new(self.state.clone());
        self.published.state.store(state.clone());
        self.published.applied_term.store(applied.leader_id.term, Ordering::Release);
        self.published.applied.set(state.revision());
        self.hub.publish(&batch.changes);
        let position = Position {
            index: applied.index,
            applied: codec::encode_log_id(&applied),
            membership: self.encoded_membership.clone(),
        };
        batch.changes.iter_mut().for_each(Change::shed);
        self.checkpoint.push(Delta { state, position, changes: batch.changes, bytes: batch.bytes }).await;
        for (responder, reply) in batch.answers {
            responder.send(reply);
        }
        self.log.note_applied(applied.index);
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = Image;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + Send,
    {
        let mut batch = Batch::default();
        while let Some(entry) = entries.try_next().await? {
            self.apply_entry(entry, &mut batch);
            if batch.entries >= BATCH {
                self.publish(std::mem::take(&mut batch)).await;
            }
        }
        if batch.entries > 0 {
            self.publish(batch).await;
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        SnapshotBuilder { checkpoint: self.checkpoint.clone() }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, image: Image) -> io::Result<()> {
        let Loaded { state, position, events, floor } = self.checkpoint.install(image).await?;
        let (applied, membership) = decode_position(&position.unwrap_or_default())?;
        if meta.last_log_id != Some(applied) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the snapshot holds the log up to {applied}, but was announced as {meta}"),
            ));
        }
        self.state = state;
        self.applied = Some(applied);
        self.encoded_membership = codec::encode_stored_membership(&membership);
        self.membership = membership;
        self.published.state.store(Arc::new(self.state.clone()));
        self.published.applied_term.store(applied.leader_id.term, Ordering::Release);
        self.published.applied.set(applied.index);
        self.hub.reset(&self.state);
        self.hub.restore(floor, self.state.revision(), events);
        self.log.note_applied(applied.index);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        self.checkpoint.view()?.map(snapshot_of).transpose()
    }
}

/// Makes a snapshot: a view of a fresh checkpoint, encoded only when it is sent.
#[derive(Debug)]
pub(super) struct SnapshotBuilder {
    checkpoint: Checkpoint,
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = Image;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        self.checkpoint.flush().await?;
        match self.checkpoint.view()? {
            Some(view) => snapshot_of(view),
            // Nothing was applied: there is nothing to send, and openraft sends no snapshot without a log id.
            None => Ok(Snapshot { meta: SnapshotMeta::default(), snapshot: Image::Bytes(Bytes::new()) }),
        }
    }
}

fn snapshot_of(view: View) -> io::Result<Snapshot> {
    let (applied, membership) = decode_position(view.position())?;
    let meta = SnapshotMeta { last_log_id: Some(applied), last_membership: membership };
    Ok(Snapshot { meta, snapshot: Image::View(Box::new(view)) })
}

pub(super) fn decode_position(position: &Position) -> io::Result<(LogId, StoredMembership)> {
    Ok((codec::decode_log_id(&position.applied)?, codec::decode_stored_membership(&position.membership)?))
}
