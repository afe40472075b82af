//! What raft says to its peers, as protobuf and back.

use super::codec::{self, decode_entry, encode_entries};
use super::types::{LogId, Snapshot, TypeConfig, Vote};
use crate::proto::internal as pb;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, StreamAppendError, StreamAppendResult, TransferLeaderRequest,
    VoteRequest, VoteResponse,
};
use std::io;

fn missing(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a message of a peer has no {what}"))
}

fn log_id(id: Option<&pb::LogId>) -> Option<LogId> {
    id.map(codec::from_log_id)
}

fn vote(vote: Option<pb::Vote>) -> io::Result<Vote> {
    vote.map(|v| codec::from_vote(&v)).ok_or_else(|| missing("vote"))
}

pub(super) fn append_out(rpc: &AppendEntriesRequest<TypeConfig>) -> pb::Append {
    pb::Append {
        vote: Some(codec::to_vote(&rpc.vote)),
        prev: rpc.prev_log_id.as_ref().map(codec::to_log_id),
        entries: encode_entries(&rpc.entries),
        committed: rpc.leader_commit.as_ref().map(codec::to_log_id),
    }
}

/// # Errors
/// It has no vote, or its entries are damaged or not in sequence.
pub(super) fn append_in(append: pb::Append) -> io::Result<AppendEntriesRequest<TypeConfig>> {
    let first = append.prev.as_ref().map_or(0, |id| id.index + 1);
    let entries = (first..).zip(append.entries).map(|(index, bytes)| decode_entry(index, bytes));
    Ok(AppendEntriesRequest {
        vote: vote(append.vote)?,
        prev_log_id: log_id(append.prev.as_ref()),
        entries: entries.collect::<io::Result<_>>()?,
        leader_commit: log_id(append.committed.as_ref()),
    })
}

fn appended(code: pb::appended::Result, matched: Option<LogId>, vote: Option<Vote>) -> pb::Appended {
    pb::Appended {
        result: code.into(),
        matched: matched.as_ref().map(codec::to_log_id),
        vote: vote.as_ref().map(codec::to_vote),
    }
}

pub(super) fn appended_out(response: AppendEntriesResponse<TypeConfig>) -> pb::Appended {
    use pb::appended::Result as Code;
    match response {
        AppendEntriesResponse::Success => appended(Code::Success, None, None),
        AppendEntriesResponse::PartialSuccess(matched) => appended(Code::Partial, matched, None),
        AppendEntriesResponse::Conflict => appended(Code::Conflict, None, None),
        AppendEntriesResponse::HigherVote(vote) => appended(Code::HigherVote, None, Some(vote)),
    }
}

/// # Errors
/// It says nothing that this version understands.
pub(super) fn appended_in(appended: pb::Appended) -> io::Result<AppendEntriesResponse<TypeConfig>> {
    use pb::appended::Result as Code;
    Ok(match appended.result() {
        Code::Success => AppendEntriesResponse::Success,
        Code::Partial => AppendEntriesResponse::PartialSuccess(log_id(appended.matched.as_ref())),
        Code::Conflict => AppendEntriesResponse::Conflict,
        Code::HigherVote => AppendEntriesResponse::HigherVote(vote(appended.vote)?),
        Code::Unspecified => return Err(missing("result")),
    })
}

/// An answer to entries that came in a stream.
pub(super) fn replicated_out(result: StreamAppendResult<TypeConfig>) -> pb::Appended {
    use pb::appended::Result as Code;
    match result {
        Ok(matched) => appended(Code::Success, matched, None),
        Err(StreamAppendError::Conflict(missing)) => appended(Code::Conflict, Some(missing), None),
        Err(StreamAppendError::HigherVote(vote)) => appended(Code::HigherVote, None, Some(vote)),
    }
}

/// # Errors
/// It says nothing that this version understands.
pub(super) fn replicated_in(appended: pb::Appended) -> io::Result<StreamAppendResult<TypeConfig>> {
    use pb::appended::Result as Code;
    let matched = log_id(appended.matched.as_ref());
    Ok(match appended.result() {
        Code::Success => Ok(matched),
        Code::Conflict => Err(StreamAppendError::Conflict(matched.ok_or_else(|| missing("matched"))?)),
        Code::HigherVote => Err(StreamAppendError::HigherVote(vote(appended.vote)?)),
        Code::Partial | Code::Unspecified => return Err(missing("result")),
    })
}

pub(super) fn ballot_out(rpc: &VoteRequest<TypeConfig>) -> pb::Ballot {
    pb::Ballot {
        vote: Some(codec::to_vote(&rpc.vote)),
        last: rpc.last_log_id.as_ref().map(codec::to_log_id),
        transfer: rpc.leadership_transfer,
    }
}

/// # Errors
/// It has no vote.
pub(super) fn ballot_in(ballot: pb::Ballot) -> io::Result<VoteRequest<TypeConfig>> {
    let mut rpc = VoteRequest::new(vote(ballot.vote)?, log_id(ballot.last.as_ref()));
    rpc.leadership_transfer = ballot.transfer;
    Ok(rpc)
}

pub(super) fn voted_out(response: &VoteResponse<TypeConfig>) -> pb::Voted {
    pb::Voted {
        vote: Some(codec::to_vote(&response.vote)),
        granted: response.vote_granted,
        last: response.last_log_id.as_ref().map(codec::to_log_id),
    }
}

/// # Errors
/// It has no vote.
pub(super) fn voted_in(voted: pb::Voted) -> io::Result<VoteResponse<TypeConfig>> {
    Ok(VoteResponse::new(vote(voted.vote)?, log_id(voted.last.as_ref()), voted.granted))
}

pub(super) fn transfer_out(rpc: &TransferLeaderRequest<TypeConfig>) -> pb::Transfer {
    pb::Transfer {
        from: Some(codec::to_vote(rpc.from_leader())),
        to: *rpc.to_node_id(),
        last: rpc.last_log_id().map(codec::to_log_id),
    }
}

/// # Errors
/// It has no vote.
pub(super) fn transfer_in(transfer: pb::Transfer) -> io::Result<TransferLeaderRequest<TypeConfig>> {
    Ok(TransferLeaderRequest::new(vote(transfer.from)?, transfer.to, log_id(transfer.last.as_ref())))
}

/// What the receiver of a snapshot must know before its bytes.
pub(super) fn install_out(vote: &Vote, snapshot: &Snapshot) -> pb::InstallHead {
    pb::InstallHead {
        vote: Some(codec::to_vote(vote)),
        last: snapshot.meta.last_log_id.as_ref().map(codec::to_log_id),
        membership: Some(codec::to_stored_membership(&snapshot.meta.last_membership)),
        ..pb::InstallHead::default()
    }
}

/// # Errors
/// A part of it is missing or damaged.
pub(super) fn install_in(head: pb::InstallHead) -> io::Result<(Vote, super::types::SnapshotMeta)> {
    let membership = head.membership.ok_or_else(|| missing("membership"))?;
    let meta = super::types::SnapshotMeta {
        last_log_id: log_id(head.last.as_ref()),
        last_membership: codec::from_stored_membership(membership)?,
    };
    Ok((vote(head.vote)?, meta))
}

/// # Errors
/// It has no vote.
pub(super) fn vote_in(found: Option<pb::Vote>) -> io::Result<Vote> {
    vote(found)
}
