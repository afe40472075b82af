//! What the server port offers beside the service for other servers: everything that this server's own ports offer, for
//! the agents of the cluster.

use super::agents::{Agents, AskDns};
use super::client::MESSAGE_MAX;
use crate::grpc::entrance;
use crate::grpc::layer::Observe;
use crate::grpc::server::Front;
use crate::grpc::status::status;
use crate::proto::internal::agent_service_server::AgentServiceServer;
use crate::service::admission::Busy;
use crate::service::{Core, Error as ServiceError};
use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::combinators::UnsyncBoxBody;
use lictor_transport::{Handler, Handling};
use std::error::Error;
use std::sync::{Arc, OnceLock};
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service;

/// A body of a request or an answer of HTTP.
pub type HttpBody = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;
/// Answers requests of HTTP.
pub type AskHttp = Arc<dyn Fn(http::Request<HttpBody>) -> BoxFuture<'static, http::Response<HttpBody>> + Send + Sync>;

/// Opened once this server may answer clients.
#[derive(Clone, Default)]
pub struct Door(Arc<OnceLock<Open>>);

struct Open {
    front: Observe<Front>,
    agents: Routes,
    http: AskHttp,
}

impl Door {
    /// From now on agents are answered.
    pub fn open(&self, core: &Core, front: Front, http: AskHttp, dns: AskDns) {
        let agents = AgentServiceServer::new(Agents { core: core.clone(), dns })
            .max_decoding_message_size(MESSAGE_MAX)
            .max_encoding_message_size(MESSAGE_MAX);
        let front = Observe::new(front, core.clock().clone());
        // A second call changes nothing.
        let _ = self.0.set(Open { front, agents: Routes::new(agents).prepare(), http });
    }
}

/// The server port: other servers always, agents when the door is open.
pub(super) struct Port {
    pub(super) servers: Routes,
    pub(super) door: Door,
}

impl Handler for Port {
    fn handle(&self, request: http::Request<Body>) -> Handling {
        let path = request.uri().path();
        if path.starts_with("/lictor.internal.v1.PeerService/") {
            return Box::pin(self.servers.clone().call(request));
        }
        let Some(open) = self.door.0.get() else {
            let early = Status::unavailable("this server is starting").into_http();
            return Box::pin(std::future::ready(Ok(early)));
        };
        let connection = entrance::connection(request.extensions());
        if let Err(busy) = connection.map_or(Ok(()), |connection| connection.check()) {
            return Box::pin(std::future::ready(Ok(refusal(path, busy))));
        }
        if path.starts_with("/lictor.internal.v1.AgentService/") {
            return Box::pin(open.agents.clone().call(request));
        }
        if path.starts_with("/v1/") {
            let answering =
                (open.http)(request.map(|body| HttpBody::new(http_body_util::BodyExt::map_err(body, Into::into))));
            return Box::pin(async move { Ok(answering.await.map(Body::new)) });
        }
        open.front.handle(request)
    }
}

/// In the words of what was asked.
fn refusal(path: &str, busy: Busy) -> http::Response<Body> {
    if !path.starts_with("/v1/") {
        return status(ServiceError::Overloaded(busy)).into_http();
    }
    let seconds = busy.retry_after.as_secs().max(1);
    let mut answer = http::Response::new(Body::new(http_body_util::Full::new(Bytes::from(busy.reason))));
    *answer.status_mut() = http::StatusCode::TOO_MANY_REQUESTS;
    answer.headers_mut().insert(http::header::RETRY_AFTER, seconds.into());
    answer
}
