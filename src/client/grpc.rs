//! The public gRPC API of an agent that is no server: watches are shared, everything else is passed on to a server.

use super::servers::Servers;
use super::watch::{FrameCodec, Watches};
use crate::clock::Clock;
use crate::grpc::{status, watch_place};
use crate::service::Error;
use futures::future::BoxFuture;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::Grpc as Server;
use tonic::{Request, Status};
use tower::{Service, ServiceExt, service_fn};

const WATCH: &str = "/lictor.v1.DiscoveryService/Watch";
/// Never held up: one that is late costs a session.
const HEARTBEATS: [&str; 2] = ["/lictor.v1.SessionService/Attach", "/lictor.v1.SessionService/KeepAliveSession"];

/// The API. Clones share everything.
#[derive(Clone)]
pub struct Grpc {
    servers: Servers,
    watches: Watches,
}

impl Grpc {
    /// Through these servers. `stop`: this process begins to stop.
    pub fn new(servers: Servers, clock: Clock, stop: CancellationToken) -> Grpc {
        Grpc { watches: Watches::new(servers.clone(), clock, stop), servers }
    }
}

impl Service<http::Request<Body>> for Grpc {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let this = self.clone();
        if request.uri().path() == WATCH {
            let place = match watch_place(request.extensions()) {
                Ok(place) => place.map(Arc::new),
                Err(busy) => return Box::pin(std::future::ready(Ok(busy.into_http()))),
            };
            return Box::pin(async move {
                let call = service_fn(move |r: Request<_>| {
                    let (watches, place) = (this.watches.clone(), place.clone());
                    async move { watches.watch(r.into_inner(), place).await }
                });
                let mut server = Server::new(FrameCodec).accept_compressed(tonic::codec::CompressionEncoding::Gzip);
                Ok(server.server_streaming(call, request).await)
            });
        }
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
