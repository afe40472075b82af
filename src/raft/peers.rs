//! The way to other servers, as raft sees it: questions and answers in protobuf. Who carries them (gRPC, or a simulation
//! that loses, delays and reorders them) is not its business.

use crate::proto::internal::{
    CallRequest, CallResponse, InstallHead, InstallSnapshotResponse, LingerRequest, ReplicateRequest, ReplicateResponse,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use std::time::Duration;
use tokio_stream::wrappers::ReceiverStream;

/// Why a server gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreached {
    /// It has certainly not seen the question.
    #[error("cannot be reached: {0}")]
    NotSent(String),
    /// It may have seen the question.
    #[error("did not answer: {0}")]
    NoAnswer(String),
    /// It is of an earlier version, which does not know such questions.
    #[error("does not know the question: {0}")]
    Unknown(String),
}

/// What is sent with [`Peers::replicate`], as it comes.
pub type Requests = ReceiverStream<ReplicateRequest>;
/// Answers to what is sent with [`Peers::replicate`], until the connection breaks or either side ends it.
pub type Replies = BoxStream<'static, Result<ReplicateResponse, Unreached>>;

/// How [`Peers::linger`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lingered {
    /// Nobody listens at the address any more, or the server said that it stops: it is gone.
    Gone,
    /// The connection could not be made or kept for another reason, which proves nothing.
    Lost,
}

/// Carries questions to other servers.
pub trait Peers: Send + Sync + 'static {
    /// Asks the server at `address` (host:port).
    fn call(
        &self,
        address: &str,
        request: CallRequest,
        limit: Duration,
    ) -> BoxFuture<'static, Result<CallResponse, Unreached>>;

    /// Opens a way to the server at `address` on which questions arrive in their order, and so do the answers.
    fn replicate(&self, address: &str, requests: Requests) -> BoxFuture<'static, Result<Replies, Unreached>>;

    /// Sends a snapshot on a connection of its own, so that it never stands before heartbeats.
    fn install_snapshot(
        &self,
        address: &str,
        head: InstallHead,
        chunks: BoxStream<'static, Bytes>,
    ) -> BoxFuture<'static, Result<InstallSnapshotResponse, Unreached>>;

    /// Stays connected to a server until it is gone.
    fn linger(&self, address: &str, request: LingerRequest) -> BoxFuture<'static, Lingered>;
}

/// A server that has no way to others: a cluster of one.
#[derive(Clone, Copy, Debug)]
pub struct NoPeers;

const ALONE: &str = "this server was started without a listener for other servers";

impl Peers for NoPeers {
    fn call(&self, _: &str, _: CallRequest, _: Duration) -> BoxFuture<'static, Result<CallResponse, Unreached>> {
        Box::pin(std::future::ready(Err(Unreached::NotSent(ALONE.to_owned()))))
    }

    fn replicate(&self, _: &str, _: Requests) -> BoxFuture<'static, Result<Replies, Unreached>> {
        Box::pin(std::future::ready(Err(Unreached::NotSent(ALONE.to_owned()))))
    }

    fn install_snapshot(
        &self,
        _: &str,
        _: InstallHead,
        _: BoxStream<'static, Bytes>,
    ) -> BoxFuture<'static, Result<InstallSnapshotResponse, Unreached>> {
        Box::pin(std::future::ready(Err(Unreached::NotSent(ALONE.to_owned()))))
    }

    fn linger(&self, _: &str, _: LingerRequest) -> BoxFuture<'static, Lingered> {
        Box::pin(std::future::pending())
    }
}
