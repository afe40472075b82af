//! The public gRPC API of an agent that is no server: streams that tell what changes are shared, everything else is passed
//! on to a server.

use super::servers::Servers;
use super::watch::Streams;
use crate::clock::Clock;
use crate::grpc::{status, watch_place};
use crate::service::Error;
use crate::service::admission::Held;
use http_body_util::BodyExt;
use lictor_transport::{Handler, Handling};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tower::ServiceExt;

/// Never held up: one that is late costs a session.
const HEARTBEATS: [&str; 2] = ["/lictor.v1.SessionService/Attach", "/lictor.v1.SessionService/KeepAliveSession"];

/// The API. Clones share everything.
#[derive(Clone)]
pub struct Grpc {
    servers: Servers,
    streams: Streams,
}

impl Grpc {
    /// Through these servers. `stop`: this process begins to stop.
    pub fn new(servers: Servers, clock: Clock, stop: CancellationToken) -> Grpc {
        Grpc { streams: Streams::new(&servers, &clock, &stop), servers }
    }
}

/// A body that keeps its place on the connection to its end.
fn kept(body: Body, place: Option<Held>) -> Body {
    Body::new(body.map_frame(move |frame| {
        let _held = &place;
        frame
    }))
}

impl Handler for Grpc {
    fn handle(&self, request: http::Request<Body>) -> Handling {
        if let Some(answer) = self.streams.of(request.uri().path()) {
            let place = match watch_place(request.extensions()) {
                Ok(place) => place,
                Err(busy) => return Box::pin(std::future::ready(Ok(busy.into_http()))),
            };
            let answering = answer(request);
            return Box::pin(async move { Ok(answering.await.map(|body| kept(body, place))) });
        }
        let this = self.clone();
        if !HEARTBEATS.contains(&request.uri().path())
            && let Err(busy) = this.servers.admit()
        {
            return Box::pin(std::future::ready(Ok(status(Error::Overloaded(busy)).into_http())));
        }
        Box::pin(async move {
            let Some(server) = this.servers.pick().await else {
                return Ok(Status::unavailable("no server can be reached").into_http());
            };
            match server.channel.clone().oneshot(request).await {
                Ok(answer) => Ok(answer),
                Err(error) => {
                    this.servers.failed(&server);
                    Ok(Status::unavailable(format!("{}: {error}", server.address)).into_http())
                }
            }
        })
    }
}
