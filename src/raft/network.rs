//! The way of openraft to other servers.

use super::link::{CallError, Link};
use super::peers::Unreached;
use super::session::{Open, Opening, Session};
use super::types::{Node, Snapshot, TypeConfig, Vote};
use super::{transfer, wire};
use crate::proto::internal::call_request::Body as Question;
use crate::proto::internal::call_response::Body as Answer;
use crate::store::Image;
use futures::Stream;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use std::future::Future;
use std::io;
use std::time::Duration;
use tokio::sync::Mutex;

/// How long to wait before a server that could not be reached is tried again; short, because a restart is short.
const RETRY: Duration = Duration::from_millis(200);

/// openraft gives an answer the time of one heartbeat. A busy disk or processor takes longer now and then, and whatever
/// was sent would have to be sent again.
const ANSWER: Duration = Duration::from_millis(500);

/// Makes clients for peers.
#[derive(Clone)]
pub(super) struct Network {
    pub(super) link: Link,
}

/// The way to one peer.
pub(super) struct Peer {
    pub(super) link: Link,
    pub(super) target: (u64, Node),
    /// The stream of the last session, all of which is answered: each heartbeat is a session of its own. Whoever uses it
    /// has it alone; openraft wants a network that could be shared all the same.
    pub(super) open: Mutex<Option<Open>>,
}

pub(super) fn failed(error: &CallError) -> RPCError<TypeConfig> {
    match error {
        CallError::Unreached(Unreached::NotSent(_) | Unreached::Unknown(_)) | CallError::Refused(..) => {
            RPCError::Unreachable(Unreachable::new(error))
        }
        CallError::Unreached(Unreached::NoAnswer(_)) | CallError::Confused => {
            RPCError::Network(NetworkError::new(error))
        }
    }
}

fn damaged(error: &io::Error) -> RPCError<TypeConfig> {
    RPCError::Network(NetworkError::new(error))
}

/// How long an answer may take.
pub(super) fn limit(option: &RPCOption) -> Duration {
    option.hard_ttl().max(ANSWER)
}

impl Peer {
    pub(super) fn new(link: Link, target: (u64, Node)) -> Peer {
        Peer { link, target, open: Mutex::default() }
    }

    async fn ask(&self, question: Question, option: &RPCOption) -> Result<Answer, RPCError<TypeConfig>> {
        self.link.ask_node(&self.target, question, limit(option)).await.map_err(|e| failed(&e))
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, node: &Node) -> Peer {
        Peer::new(self.link.clone(), (target, node.clone()))
    }
}

impl RaftNetworkV2<TypeConfig> for Peer {
    type SnapshotData = Image;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        match self.ask(Question::Append(wire::append_out(&rpc)), &option).await? {
            Answer::Append(appended) => wire::appended_in(appended).map_err(|e| damaged(&e)),
            _ => Err(failed(&CallError::Confused)),
        }
    }

    fn stream_append<'s, S>(&'s mut self, input: S, option: RPCOption) -> Opening<'s>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + Unpin + 'static,
    {
        Box::pin(std::future::ready(Ok(Session::new(self, input, option).run())))
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        match self.ask(Question::Vote(wire::ballot_out(&rpc)), &option).await? {
            Answer::Vote(voted) => wire::voted_in(voted).map_err(|e| damaged(&e)),
            _ => Err(failed(&CallError::Confused)),
        }
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        match self.ask(Question::PreVote(wire::ballot_out(&rpc)), &option).await? {
            Answer::PreVote(voted) => wire::voted_in(voted).map_err(|e| damaged(&e)),
            _ => Err(failed(&CallError::Confused)),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let mut head = wire::install_out(&vote, &snapshot);
        (head.cluster, head.from, head.to) = (self.link.cluster_bytes(), self.link.id, self.target.0);
        let chunks = transfer::chunks(snapshot.snapshot, self.link.in_memory);
        let address = self.link.address_of(&self.target.1);
        let sent = self.link.peers.install_snapshot(&address, head, chunks);
        let response = tokio::select! {
            biased;
            closed = cancel => return Err(StreamingError::Closed(closed)),
            response = sent => response.map_err(|e| failed(&e.into()))?,
        };
        if let Some(refusal) = response.refusal {
            return Err(failed(&CallError::Refused(refusal.code(), refusal.message)).into());
        }
        Ok(SnapshotResponse::new(wire::vote_in(response.vote).map_err(|e| damaged(&e))?))
    }

    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        match self.ask(Question::Transfer(wire::transfer_out(&req)), &option).await? {
            Answer::Transfer(_) => Ok(Ok(())),
            _ => Err(failed(&CallError::Confused)),
        }
    }

    fn backoff(&self) -> Option<Backoff> {
        Some(Backoff::new(std::iter::repeat(RETRY)))
    }
}
