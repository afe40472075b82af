//! What this server says to others: who it is, whom it means, and how it reads their refusals.

use super::error::ProposeError;
use super::haste::Haste;
use super::peers::{Peers, Unreached};
use super::places::Places;
use super::types::Node;
use crate::proto::internal::call_request::Body as Question;
use crate::proto::internal::call_response::Body as Answer;
use crate::proto::internal::refusal::Code;
use crate::proto::internal::{CallRequest, Refusal};
use bytes::Bytes;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

/// Everything that is needed to speak to other servers. Clones share it.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) peers: Arc<dyn Peers>,
    /// Empty until this server is in a cluster; it never changes after that.
    pub(super) cluster: Arc<OnceLock<Uuid>>,
    /// Clusters that were recovered as that one; set before it.
    former: Arc<OnceLock<Vec<Uuid>>>,
    /// Somebody said why this server must stop.
    pub(super) superseded: watch::Sender<Option<String>>,
    /// Raft id of this server.
    pub(super) id: u64,
    /// It has no disk that could block it.
    pub(super) in_memory: bool,
    pub(super) places: Places,
    pub(super) haste: Haste,
}

/// Why a question has no answer of its own kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CallError {
    /// It did not get there, or the answer did not get back.
    #[error(transparent)]
    Unreached(#[from] Unreached),
    /// The other server refused.
    #[error("{1}")]
    Refused(Code, String),
    /// The other server answered something else.
    #[error("the answer is of another kind than the question")]
    Confused,
}

impl CallError {
    /// As the error of a write that was sent to a leader.
    pub(super) fn of_write(self) -> ProposeError {
        match self {
            CallError::Unreached(Unreached::NotSent(_) | Unreached::Unknown(_))
            | CallError::Refused(Code::NotLeader, _) => ProposeError::NoLeader { hint: None },
            CallError::Refused(Code::WrongCluster | Code::WrongServer | Code::Superseded, _) => {
                ProposeError::NoLeader { hint: None }
            }
            CallError::Refused(Code::TooLarge | Code::Refused, message) => ProposeError::Refused(message),
            CallError::Refused(..) | CallError::Unreached(Unreached::NoAnswer(_)) | CallError::Confused => {
                ProposeError::OutcomeUnknown
            }
        }
    }
}

impl Link {
    /// Of a server that is in no cluster yet.
    pub(super) fn new(peers: Arc<dyn Peers>, id: u64, in_memory: bool) -> Link {
        let (cluster, former) = (Arc::default(), Arc::default());
        let superseded = watch::Sender::new(None);
        let (places, haste) = (Places::default(), Haste::default());
        Link { peers, cluster, former, superseded, id, in_memory, places, haste }
    }

    /// From now on the server is in `cluster`. Only the first call counts.
    pub(super) fn belong_to(&self, cluster: Uuid, former: Vec<Uuid>) {
        let _ = self.former.set(former);
        let _ = self.cluster.set(cluster);
    }

    pub(super) fn former(&self) -> &[Uuid] {
        self.former.get().map_or(&[], Vec::as_slice)
    }

    pub(super) fn cluster_bytes(&self) -> Bytes {
        self.cluster.get().map_or_else(Bytes::new, |id| Bytes::copy_from_slice(id.as_bytes()))
    }

    /// Asks the server `to` (0: whoever is there) at `address`.
    pub(super) async fn ask(
        &self,
        to: u64,
        address: &str,
        question: Question,
        limit: Duration,
    ) -> Result<Answer, CallError> {
        let request = CallRequest { cluster: self.cluster_bytes(), from: self.id, to, body: Some(question) };
        match self.peers.call(address, request, limit).await?.body {
            Some(Answer::Refusal(refusal)) => Err(self.refused(refusal)),
            Some(answer) => Ok(answer),
            None => Err(CallError::Confused),
        }
    }

    /// A refusal, which may mean that this server must stop.
    pub(super) fn refused(&self, refusal: Refusal) -> CallError {
        if refusal.code() == Code::Superseded {
            self.superseded.send_replace(Some(refusal.message.clone()));
        }
        CallError::Refused(refusal.code(), refusal.message)
    }

    /// [`Link::ask`] for a known server.
    pub(super) async fn ask_node(
        &self,
        (id, node): &(u64, Node),
        question: Question,
        limit: Duration,
    ) -> Result<Answer, CallError> {
        self.ask(*id, &self.address_of(node), question, limit).await
    }

    /// Where the server is: what is newest, or else what `node` says.
    pub(super) fn address_of(&self, node: &Node) -> String {
        self.places.of(&node.id).unwrap_or_else(|| node.address.clone())
    }
}
