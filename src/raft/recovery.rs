//! Recovery after the loss of a majority: on one server that is stopped, the membership is rewritten so that it goes on
//! alone, under a new cluster identity, with everything that is in its log.
//!
//! The new identity is what makes this safe. Servers refuse what comes from another cluster, so nobody of the old one can
//! vote here or overwrite anything, whatever terms and logs they have; and they are told that they are superseded
//! ([`super::superseded`]). The old majority, if it exists after all, is another cluster that this one never hears.
//!
//! Every step is durable before the next, and until the last one the server refuses to start: a recovery that was
//! interrupted is simply run again. It must never drop an entry: one that is not known to be committed may have been
//! acknowledged all the same.

use super::codec;
use super::log_store::LogStore;
use super::state_machine::decode_position;
use super::status::Member;
use super::types::{Entry, LeaderId, LogId, Membership, Node, Payload, Vote};
use crate::store::{Checkpoint, Fatal, Identity, Log, Medium, StoreError, Stored};
use openraft::RaftLogReader;
use openraft::entry::RaftEntry;
use openraft::storage::RaftLogStorage;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use tokio::sync::oneshot;
use uuid::Uuid;

/// Clusters that a server remembers to have replaced; the oldest are forgotten.
pub(super) const FORMER_MAX: usize = 64;

/// Why a server cannot be looked at or recovered. Nothing was changed, unless the error is one of writing.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// There are no files of a server.
    #[error("{0}: there is no raft.redb; this is not the data directory of a server")]
    NoServer(PathBuf),
    /// The server never took part.
    #[error("this server is in no cluster yet: there is nothing to recover")]
    NoCluster,
    /// There is no majority to be lost.
    #[error("this server is the only one with a vote already: start it as usual")]
    Alone,
    /// A file cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The files contradict each other.
    #[error("the data directory is damaged: {0}")]
    Damaged(&'static str),
}

/// What a stopped server has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holdings {
    /// Its cluster.
    pub cluster: Uuid,
    /// Its raft id.
    pub id: u64,
    /// The servers of the cluster as of the end of its log, in order of their raft ids.
    pub members: Vec<Member>,
    /// The latest term that it has seen.
    pub term: u64,
    /// Term of the last entry that it has.
    pub last_term: u64,
    /// Index of the last entry that it has.
    pub last_index: u64,
    /// Up to this index entries are known to be committed; more may be.
    pub committed: u64,
    /// It was told that its cluster was recovered on another server.
    pub superseded: Option<String>,
    /// An earlier recovery was interrupted.
    pub unfinished: bool,
}

impl Holdings {
    /// This server among the members; `None` if it was removed from the cluster.
    pub fn own(&self) -> Option<&Member> {
        self.members.iter().find(|m| m.id == self.id)
    }

    fn alone(&self) -> bool {
        let mut voters = self.members.iter().filter(|m| m.voter);
        matches!((voters.next(), voters.next()), (Some(only), None) if only.id == self.id)
    }
}

/// The files of a stopped server, held so that it cannot start meanwhile.
#[derive(Debug)]
pub struct Survivor {
    medium: Medium,
    log: Log,
    identity: Identity,
    former: Vec<[u8; 16]>,
    holdings: Holdings,
    last: LogId,
    /// The log ends before the checkpoint does: what is missing is in the checkpoint.
    behind: bool,
}

impl Survivor {
    /// Opens the data directory of a stopped server.
    ///
    /// # Errors
    /// It holds no server, a process has it open, it is in no cluster, or it is damaged.
    pub async fn open(data_dir: &Path) -> Result<Survivor, RecoverError> {
        Survivor::open_on(Medium::Directory(data_dir.to_owned()), data_dir).await
    }

    /// [`Survivor::open`] on a medium of the caller's choice; `name` is for messages.
    pub(super) async fn open_on(medium: Medium, name: &Path) -> Result<Survivor, RecoverError> {
        // Opening would create them.
        if !Log::exists(&medium) {
            return Err(RecoverError::NoServer(name.to_owned()));
        }
        let opened = Log::open(&medium, Fatal::new())?;
        let (former, recovering, superseded) = (opened.former.clone(), opened.recovering, opened.superseded.clone());
        let identity = opened.identity.filter(|identity| identity.cluster != super::bootstrap::NO_CLUSTER);
        let identity = identity.ok_or(RecoverError::NoCluster)?;
        let log = opened.log.clone();
        let mut store = LogStore::new(opened)?;
        let stored = Checkpoint::inspect(&medium)?;
        check_same_cluster(stored.as_ref(), &identity, recovering.then_some(&former))?;
        let position = stored.and_then(|s| s.position).map(|p| decode_position(&p)).transpose()?;
        let end = store.get_log_state().await?.last_log_id;
        let (applied, membership) = position.map_or((None, None), |(id, m)| (Some(id), Some(m.membership().clone())));
        let last = end.max(applied).ok_or(RecoverError::NoCluster)?;
        let later = last_membership(&mut store, applied.map_or(0, |id| id.index + 1)).await?;
        let membership = later.or(membership).ok_or(RecoverError::NoCluster)?;
        let vote = store.read_vote().await?;
        let committed = store.read_committed().await?;
        let voters: BTreeSet<u64> = membership.voter_ids().collect();
        let member = |(id, node): (&u64, &Node)| Member { id: *id, node: node.clone(), voter: voters.contains(id) };
        let term = |id: &LogId| id.leader_id.term;
        let holdings = Holdings {
            cluster: Uuid::from_bytes(identity.cluster),
            id: identity.node,
            members: membership.nodes().map(member).collect(),
            term: vote.map_or(0, |v| v.leader_id.term).max(term(&last)),
            last_term: term(&last),
            last_index: last.index,
            committed: committed.max(applied).map_or(0, |id| id.index),
            superseded,
            unfinished: recovering,
        };
        Ok(Survivor { medium, log, identity, former, holdings, behind: end < applied, last })
    }

    /// What the server has.
    pub fn holdings(&self) -> &Holdings {
        &self.holdings
    }

    /// Whether there is anything to recover.
    ///
    /// # Errors
    /// [`RecoverError::Alone`].
    pub fn check(&self) -> Result<(), RecoverError> {
        match self.holdings.alone() && !self.holdings.unfinished {
            true => Err(RecoverError::Alone),
            false => Ok(()),
        }
    }

    /// Makes the server the only one of a new cluster, `cluster`. Returns the identity of that cluster, which is another
    /// one when an earlier attempt was interrupted. `name` is for a server that its own log does not list any more.
    ///
    /// # Errors
    /// There is nothing to recover, or the files cannot be written: then it is to be run again.
    pub async fn recover(self, cluster: Uuid, name: &str) -> Result<Uuid, RecoverError> {
        self.check()?;
        let (identity, mut former) = (self.identity, self.former);
        let identity = match self.holdings.unfinished {
            // Nobody can have heard of it.
            true => identity,
            false => {
                former.push(identity.cluster);
                Identity { cluster: cluster.into_bytes(), ..identity }
            }
        };
        let forgotten = former.len().saturating_sub(FORMER_MAX);
        self.log.begin_recovery(identity, &former[forgotten..]).await?;
        Checkpoint::give_to(&self.medium, identity.cluster)?;
        if self.behind {
            self.log.purge_through(self.last.index, codec::encode_log_id(&self.last)).await?;
        }
        // As if this server had been elected by itself, and had stopped after its first entry.
        let leader = LeaderId { term: self.holdings.term + 1, voted_for: identity.node };
        self.log.save_vote(codec::encode_vote(&Vote { leader_id: leader, committed: true })).await?;
        let fallback = Node { name: name.to_owned(), ..Node::default() };
        let own = self.holdings.own().map_or(fallback, |m| m.node.clone());
        let node = Node { read_only: false, ..own };
        let alone = Membership::new(vec![BTreeSet::from([identity.node])], BTreeMap::from([(identity.node, node)]));
        let alone = alone.map_err(io::Error::other)?;
        let log_id = LogId::new(leader.term.into(), self.last.index + 1);
        append(&self.log, &Entry::new(log_id, Payload::Membership(alone))).await?;
        self.log.end_recovery().await?;
        self.log.close().await?;
        Ok(Uuid::from_bytes(identity.cluster))
    }

    /// Lets go of the files; nothing has changed.
    ///
    /// # Errors
    /// They cannot be closed.
    pub async fn close(self) -> io::Result<()> {
        self.log.close().await
    }
}

/// `former`: the clusters of before, while a recovery is not finished.
fn check_same_cluster(
    stored: Option<&Stored>,
    identity: &Identity,
    former: Option<&Vec<[u8; 16]>>,
) -> Result<(), RecoverError> {
    match stored {
        Some(stored)
            if stored.cluster != identity.cluster
                && stored.cluster != super::bootstrap::NO_CLUSTER
                && !former.is_some_and(|former| former.contains(&stored.cluster)) =>
        {
            Err(RecoverError::Damaged("state.redb belongs to another cluster than raft.redb"))
        }
        _ => Ok(()),
    }
}

/// The last membership in the log from the entry `from` on.
async fn last_membership(store: &mut LogStore, from: u64) -> io::Result<Option<Membership>> {
    let state = store.get_log_state().await?;
    let end = state.last_log_id.map_or(0, |id| id.index + 1);
    let mut next = state.last_purged_log_id.map_or(from, |id| from.max(id.index + 1));
    let mut found = None;
    while next < end {
        let entries = store.limited_get_log_entries(next, end).await?;
        let Some(last) = entries.last() else { break };
        next = last.log_id.index + 1;
        found = entries.iter().rev().find_map(RaftEntry::get_membership).or(found);
    }
    Ok(found)
}

async fn append(log: &Log, entry: &Entry) -> io::Result<()> {
    let (sender, appended) = oneshot::channel();
    let done = move |result| {
        // It is waited for below.
        let _ = sender.send(result);
    };
    log.append(vec![(entry.log_id.index, codec::encode_entry(entry))], Box::new(done)).await?;
    appended.await.map_err(|_| io::Error::other("the raft log is closed"))?
}
