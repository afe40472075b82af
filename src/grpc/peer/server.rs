//! The listener for other servers, and for agents.

use super::client::MESSAGE_MAX;
use super::door::{Door, Port};
use crate::grpc::ServeError;
use crate::grpc::entrance::{self, Entrance, Excess};
use crate::proto::internal::peer_service_server::{PeerService, PeerServiceServer};
use crate::proto::internal::{
    CallRequest, CallResponse, InstallHead, InstallSnapshotRequest, InstallSnapshotResponse, LingerRequest,
    LingerResponse, ReplicateRequest, ReplicateResponse,
};
use crate::raft::Handle;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use lictor_transport::{Io, Settings};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

const SETTINGS: Settings = Settings {
    keepalive_every: Duration::from_secs(5),
    keepalive_within: Duration::from_secs(5),
    // Long polls and streams of an agent's clients come over one connection.
    streams_max: 100_000,
    stream_window: 4 << 20,
    connection_window: 4 << 20,
};

struct Peer {
    raft: Handle,
    stopping: watch::Receiver<bool>,
}

#[tonic::async_trait]
impl PeerService for Peer {
    async fn call(&self, request: Request<CallRequest>) -> Result<Response<CallResponse>, Status> {
        Ok(Response::new(self.raft.serve(request.into_inner()).await))
    }

    type ReplicateStream = BoxStream<'static, Result<ReplicateResponse, Status>>;

    async fn replicate(
        &self,
        request: Request<Streaming<ReplicateRequest>>,
    ) -> Result<Response<Self::ReplicateStream>, Status> {
        // A connection that breaks ends them.
        let requests = request.into_inner().scan((), |(), request| std::future::ready(request.ok()));
        let replies = self.raft.serve_replication(requests).map(Ok);
        Ok(Response::new(replies.take_until(stopped(self.stopping.clone())).boxed()))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<InstallSnapshotRequest>>,
    ) -> Result<Response<InstallSnapshotResponse>, Status> {
        let mut stream = request.into_inner();
        let head: InstallHead = match stream.message().await? {
            Some(InstallSnapshotRequest { head: Some(head), .. }) => head,
            _ => return Err(Status::invalid_argument("head: is missing in the first message")),
        };
        let chunks = stream.map(|message| -> io::Result<Bytes> { Ok(message.map_err(io::Error::other)?.chunk) });
        Ok(Response::new(self.raft.serve_snapshot(head, chunks).await))
    }

    async fn linger(&self, _: Request<LingerRequest>) -> Result<Response<LingerResponse>, Status> {
        stopped(self.stopping.clone()).await;
        Ok(Response::new(LingerResponse {}))
    }
}

/// Resolves when this server stops; also when the sender is gone: then nobody serves any more.
async fn stopped(mut stopping: watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Serves other servers, and agents once the door is open, until `stopping` says so.
///
/// # Errors
/// The transport failed.
pub async fn serve(
    listener: TcpListener,
    raft: Handle,
    door: Door,
    entrance: Entrance,
    stopping: watch::Receiver<bool>,
) -> Result<(), ServeError> {
    let ended = stopped(stopping.clone());
    let service = PeerServiceServer::new(Peer { raft, stopping })
        .max_decoding_message_size(MESSAGE_MAX)
        .max_encoding_message_size(MESSAGE_MAX);
    let port = Port { servers: Routes::new(service).prepare(), door };
    // Servers must be heard whatever the agents on their machines do.
    let incoming = entrance::accept(listener, entrance, Excess::Stays).map(|guarded| Box::new(guarded) as Box<dyn Io>);
    Ok(lictor_transport::serve(SETTINGS, Arc::new(port), incoming.boxed(), ended.boxed()).await?)
}
