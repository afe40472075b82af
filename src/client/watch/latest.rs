//! Streams whose every message is the whole: who leads an election, which servers there are. Only the newest counts.

use super::watched::{Own, Position, Taken, Watched, Why, aged};
use crate::proto::v1 as pb;
use crate::proto::v1::cluster_service_client::ClusterServiceClient;
use crate::proto::v1::coordination_service_client::CoordinationServiceClient;
use bytes::Bytes;
use futures::future::BoxFuture;
use prost::Message;
use std::sync::Arc;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Response, Status, Streaming};

/// One kind of them.
pub(super) trait Kind: Send + 'static {
    /// What clients ask.
    type Request: Message + Default + Clone + Send + Sync + 'static;
    /// What servers send.
    type Answer: Message + Default + Clone + PartialEq + Send + 'static;
    /// An answer comes from the state, so that one of a smaller revision is older; a server that is behind sends another
    /// one when it has caught up.
    const OF_STATE: bool;

    /// Opens a stream at a server.
    fn open(
        channel: Channel,
        request: Self::Request,
    ) -> BoxFuture<'static, Result<Response<Streaming<Self::Answer>>, Status>>;

    /// Which state an answer is from.
    fn header(answer: &mut Self::Answer) -> &mut Option<pb::ResponseHeader>;
}

/// Who leads an election.
pub(super) struct Leader;

/// The servers.
pub(super) struct Members;

impl Kind for Leader {
    type Request = pb::ObserveElectionRequest;
    type Answer = pb::ObserveElectionResponse;
    const OF_STATE: bool = true;

    fn open(
        channel: Channel,
        request: Self::Request,
    ) -> BoxFuture<'static, Result<Response<Streaming<Self::Answer>>, Status>> {
        Box::pin(async move { CoordinationServiceClient::new(channel).observe_election(request).await })
    }

    fn header(answer: &mut Self::Answer) -> &mut Option<pb::ResponseHeader> {
        &mut answer.header
    }
}

impl Kind for Members {
    type Request = pb::WatchMembersRequest;
    type Answer = pb::WatchMembersResponse;
    const OF_STATE: bool = false;

    fn open(
        channel: Channel,
        request: Self::Request,
    ) -> BoxFuture<'static, Result<Response<Streaming<Self::Answer>>, Status>> {
        Box::pin(async move { ClusterServiceClient::new(channel).watch_members(request).await })
    }

    fn header(answer: &mut Self::Answer) -> &mut Option<pb::ResponseHeader> {
        &mut answer.header
    }
}

/// The newest answer.
pub(super) struct Latest<K: Kind> {
    /// Without its header.
    answer: Option<K::Answer>,
    header: pb::ResponseHeader,
    heard: Instant,
}

impl<K: Kind> Watched for Latest<K> {
    type Request = K::Request;
    type Answer = K::Answer;
    const HAS_WHOLE: bool = true;

    fn own(_: &mut K::Request) -> Result<Own, Status> {
        Ok(Own { token: Bytes::new(), progress_every: None, shares: true })
    }

    fn open(
        channel: Channel,
        request: K::Request,
    ) -> BoxFuture<'static, Result<Response<Streaming<K::Answer>>, Status>> {
        K::open(channel, request)
    }

    fn begin(_: Option<&Arc<Position>>) -> Latest<K> {
        Latest { answer: None, header: pb::ResponseHeader::default(), heard: Instant::now() }
    }

    /// Every stream begins with the whole.
    fn resume(&mut self, _: &mut K::Request) {}

    fn take(&mut self, mut answer: K::Answer) -> Taken {
        let header = K::header(&mut answer).take().unwrap_or_default();
        let older = header.cluster_id == self.header.cluster_id && header.revision < self.header.revision;
        if K::OF_STATE && older && self.answer.is_some() {
            return Taken::Nothing;
        }
        (self.header, self.heard) = (header, Instant::now());
        if self.answer.as_ref() == Some(&answer) {
            return Taken::Nothing;
        }
        self.answer = Some(answer);
        Taken::Whole
    }

    fn is_ready(&self) -> bool {
        self.answer.is_some()
    }

    fn token(&self) -> &[u8] {
        &[]
    }

    fn progress(&self, _: Option<&Position>) -> Option<Bytes> {
        None
    }

    fn whole(&self, _: Why) -> Option<Vec<Bytes>> {
        let mut answer = self.answer.clone()?;
        *K::header(&mut answer) = Some(aged(&self.header, self.heard));
        Some(vec![answer.encode_to_vec().into()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leader(cluster: &str, revision: u64, value: &'static str) -> pb::ObserveElectionResponse {
        let header = pb::ResponseHeader { cluster_id: cluster.into(), revision, ..Default::default() };
        pb::ObserveElectionResponse { header: Some(header), value: value.into(), ..Default::default() }
    }

    fn shown(latest: &Latest<Leader>) -> Bytes {
        let whole = latest.whole(Why::Begins).expect("known");
        pb::ObserveElectionResponse::decode(&whole[0][..]).expect("a message").value
    }

    #[tokio::test]
    async fn a_server_that_is_behind_takes_nobody_back_in_time() {
        let mut latest = Latest::<Leader>::begin(None);
        assert!(!latest.is_ready());
        assert!(matches!(latest.take(leader("c", 7, "b")), Taken::Whole));
        assert!(matches!(latest.take(leader("c", 5, "a")), Taken::Nothing));
        assert_eq!(shown(&latest), "b");
        assert!(matches!(latest.take(leader("c", 9, "b")), Taken::Nothing), "the same again is no news");
        assert!(matches!(latest.take(leader("c", 9, "c")), Taken::Whole));
        // The time before a restore does not count.
        assert!(matches!(latest.take(leader("d", 2, "d")), Taken::Whole));
        assert_eq!(shown(&latest), "d");
    }
}
