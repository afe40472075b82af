//! Watch streams that are open while a server stops: each must end with a status that says why.

use crate::common::Server;
use crate::common::grpc::{Clients, reason, selector};
use lictor::proto::v1::watch_keys_request::{Start, Target};
use lictor::proto::v1::{WatchKeysRequest, WatchMembersRequest, WatchRequest};
use std::time::Duration;
use tokio::task::JoinSet;
use tonic::{Code, Status, Streaming};

/// The streams must have ended this soon after the server did.
const PATIENCE: Duration = Duration::from_secs(10);

/// Open streams, each with its name.
pub(crate) struct Streams(JoinSet<(&'static str, Option<Status>)>);

impl Streams {
    /// Opens one stream of each kind and waits for the first message of those that begin with one.
    pub(crate) async fn open(server: &Server) -> Self {
        let mut clients = Clients::connect(server.grpc_addr()).await;
        let watch = WatchRequest { selector: Some(selector("crash-w6")), ..Default::default() };
        let mut watch = clients.discovery.watch(watch).await.expect("watch").into_inner();
        watch.message().await.expect("snapshot").expect("snapshot");
        let keys = WatchKeysRequest {
            target: Some(Target::Prefix("crash/".into())),
            start: Some(Start::WithSnapshot(true)),
            ..Default::default()
        };
        let mut keys = clients.kv.watch_keys(keys).await.expect("watch keys").into_inner();
        keys.message().await.expect("snapshot").expect("snapshot");
        let members = clients.cluster.watch_members(WatchMembersRequest {}).await;
        let mut members = members.expect("watch members").into_inner();
        members.message().await.expect("members").expect("members");
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { ("Watch", end(watch).await) });
        tasks.spawn(async move { ("WatchKeys", end(keys).await) });
        tasks.spawn(async move { ("WatchMembers", end(members).await) });
        Streams(tasks)
    }

    /// All have ended, with UNAVAILABLE and the reason NODE_DRAINING.
    pub(crate) async fn ended(self) {
        let all = tokio::time::timeout(PATIENCE, self.0.join_all()).await.expect("every stream ends");
        for (name, status) in all {
            let status = status.unwrap_or_else(|| panic!("{name} ended without an error"));
            assert_eq!(status.code(), Code::Unavailable, "{name}: {status:?}");
            assert_eq!(reason(&status), "ERROR_REASON_NODE_DRAINING", "{name}: {status:?}");
        }
    }
}

/// Reads to the end.
async fn end<T>(mut stream: Streaming<T>) -> Option<Status> {
    loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            Ok(None) => return None,
            Err(status) => return Some(status),
        }
    }
}
