//! `lictor.v1.ClusterService`.

use super::convert::header::header;
use super::entrance::watch_place;
use super::status::status;
use crate::proto::v1 as pb;
use crate::proto::v1::cluster_service_server::ClusterService;
use crate::service::admission::Held;
use crate::service::{Core, Error, Member};
use futures::stream::BoxStream;
use tonic::{Request, Response, Status};

/// The service.
pub(super) struct Cluster {
    pub(super) core: Core,
}

type Members = BoxStream<'static, Result<pb::WatchMembersResponse, Status>>;

struct Watcher {
    core: Core,
    seen: Option<Vec<Member>>,
    ended: bool,
    /// On the connection.
    _place: Option<Held>,
}

impl Watcher {
    async fn next(&mut self) -> Option<Result<pb::WatchMembersResponse, Status>> {
        if self.ended {
            return None;
        }
        if let Some(seen) = &self.seen {
            tokio::select! {
                biased;
                () = self.core.drained() => {
                    self.ended = true;
                    return Some(Err(status(Error::Draining)));
                }
                () = self.core.members_changed(seen) => {}
            }
        }
        let members = self.core.members();
        let answer = pb::WatchMembersResponse {
            header: Some(header(&self.core, &self.core.local())),
            members: members.iter().map(member_out).collect(),
        };
        self.seen = Some(members);
        Some(Ok(answer))
    }
}

fn member_out(member: &Member) -> pb::Member {
    pb::Member {
        node_id: member.node_id.clone(),
        endpoints: member.endpoints.clone(),
        leader: member.leader,
        ready: member.ready,
        version: member.version.clone(),
        locality: None,
    }
}

#[tonic::async_trait]
impl ClusterService for Cluster {
    type WatchMembersStream = Members;

    async fn watch_members(&self, request: Request<pb::WatchMembersRequest>) -> Result<Response<Members>, Status> {
        let place = watch_place(request.extensions())?;
        let watcher = Watcher { core: self.core.clone(), seen: None, ended: false, _place: place };
        let stream = futures::stream::unfold(watcher, |mut watcher| async move {
            let item = watcher.next().await?;
            Some((item, watcher))
        });
        Ok(Response::new(Box::pin(stream)))
    }
}
